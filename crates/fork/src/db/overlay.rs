//! What was changed here, over a state that is elsewhere; with the way back.

use std::collections::hash_map::Entry;

use zvm_core::{
    AccountDiff, AccountInfo, Address, B256, SlotDiff, StateDiff, U256, keccak256,
    map::{AddressMap, HashMap},
};
use zvm_trie::{encode_account, encode_word, slot_hash, state_root, storage_root, trie_root};

use crate::root::Changed;

/// The accounts that differ, or were written, since the state was forked.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    accounts: AddressMap<Local>,
}

/// An account as it is here.
#[derive(Clone, Debug, Default)]
pub(super) struct Local {
    /// `None` where it was deleted.
    pub(super) info: Option<AccountInfo>,
    /// Whether the remote storage is not this account's any more: it was deleted, and maybe made
    /// again.
    pub(super) is_cut_off: bool,
    /// Words written here, zeros included: behind a slot that is not here is the remote one.
    slots: HashMap<U256, U256>,
    /// How many of them are not zero.
    nonzero: usize,
}

/// How one account was before a block.
#[derive(Clone, Debug)]
pub(super) struct Undo {
    address: Address,
    before: Before,
}

#[derive(Clone, Debug)]
enum Before {
    /// Not changed here so far.
    Remote,
    /// As a whole, for it lost its storage.
    Whole(Local),
    /// The words that were written, as they were here if they were, and the rest.
    Parts { info: Option<AccountInfo>, slots: Vec<(U256, Option<U256>)> },
}

impl Local {
    /// The word at `slot`, if it is known here.
    pub(super) fn word(&self, slot: U256) -> Option<U256> {
        let hidden = || (self.is_cut_off || self.info.is_none()).then_some(U256::ZERO);
        self.slots.get(&slot).copied().or_else(hidden)
    }

    /// Whether a word written here is not zero.
    pub(super) fn has_words(&self) -> bool {
        self.nonzero > 0
    }

    /// The words that were written here and are not zero.
    pub(super) fn words(&self) -> impl Iterator<Item = (U256, U256)> + '_ {
        self.slots.iter().map(|(slot, word)| (*slot, *word)).filter(|(_, word)| !word.is_zero())
    }

    /// Writes a word, or takes back that one was written, and answers what was written before.
    fn write(&mut self, slot: U256, word: Option<U256>) -> Option<U256> {
        let before = match word {
            Some(word) => self.slots.insert(slot, word),
            None => self.slots.remove(&slot),
        };
        let counts = |word: Option<U256>| usize::from(word.is_some_and(|word| !word.is_zero()));
        self.nonzero = self.nonzero + counts(word) - counts(before);
        before
    }

    /// Makes `change`, and answers how the account was.
    fn change(&mut self, change: &AccountDiff) -> Before {
        let loses_storage = change.wiped || change.new.is_none();
        if loses_storage {
            let cut_off = Self { info: change.new, is_cut_off: true, ..Self::default() };
            let before = Before::Whole(std::mem::replace(self, cut_off));
            if change.new.is_some() {
                for (slot, word) in &change.storage {
                    self.write(*slot, Some(word.new));
                }
            }
            return before;
        }
        let info = std::mem::replace(&mut self.info, change.new);
        let written = change.storage.iter();
        let slots =
            written.map(|(slot, word)| (*slot, self.write(*slot, Some(word.new)))).collect();
        Before::Parts { info, slots }
    }

    /// The account before the block that `before` is of; `None` if it was the remote one.
    fn undone(mut self, before: &Before) -> Option<Self> {
        match before {
            Before::Remote => None,
            Before::Whole(local) => Some(local.clone()),
            Before::Parts { info, slots } => {
                self.info = *info;
                for (slot, word) in slots {
                    self.write(*slot, *word);
                }
                Some(self)
            }
        }
    }
}

impl Overlay {
    pub(super) fn get(&self, address: Address) -> Option<&Local> {
        self.accounts.get(&address)
    }

    /// The accounts, in the order of keccak-256 of their addresses, with that.
    pub(super) fn sorted(&self) -> Vec<(B256, Address, &Local)> {
        let accounts = self.accounts.iter();
        let mut sorted: Vec<_> =
            accounts.map(|(address, local)| (keccak256(address), *address, local)).collect();
        sorted.sort_unstable_by_key(|(hash, ..)| *hash);
        sorted
    }

    /// Makes `diff`, and answers the way back.
    pub(super) fn apply(&mut self, diff: &StateDiff) -> Vec<Undo> {
        let change = |(&address, change): (&Address, &AccountDiff)| {
            let before = match self.accounts.entry(address) {
                Entry::Occupied(mut local) => local.get_mut().change(change),
                Entry::Vacant(remote) => {
                    remote.insert(Local::default()).change(change);
                    Before::Remote
                }
            };
            Undo { address, before }
        };
        diff.accounts.iter().map(change).collect()
    }

    /// Goes back by what [`apply`](Self::apply) answered, latest first.
    pub(super) fn undo(&mut self, undo: &[Undo]) {
        for Undo { address, before } in undo {
            let Some(local) = self.accounts.remove(address) else { continue };
            if let Some(local) = local.undone(before) {
                self.accounts.insert(*address, local);
            }
        }
    }

    /// The accounts that the steps touched as they were before them, latest first; `None` where they
    /// were the remote ones.
    pub(super) fn before<'a>(
        &self,
        steps: impl Iterator<Item = &'a [Undo]>,
    ) -> AddressMap<Option<Local>> {
        let mut earlier: AddressMap<Option<Local>> = AddressMap::default();
        for Undo { address, before } in steps.flatten() {
            let local = earlier.entry(*address).or_insert_with(|| self.get(*address).cloned());
            *local = local.take().and_then(|local| local.undone(before));
        }
        earlier
    }

    /// All of it as a diff. What was before is remote and not in it.
    pub(super) fn diff(&self) -> StateDiff {
        let change = |local: &Local| AccountDiff {
            old: None,
            new: local.info,
            wiped: local.is_cut_off,
            storage: local
                .slots
                .iter()
                .map(|(slot, word)| (*slot, SlotDiff { old: U256::ZERO, new: *word }))
                .collect(),
        };
        let accounts = self.accounts.iter().map(|(address, local)| (*address, change(local)));
        StateDiff { accounts: accounts.collect(), ..StateDiff::default() }
    }

    /// The state root, if there is nothing on the remote side.
    pub(super) fn state_root(&self) -> B256 {
        let account = |(address, local): (&Address, &Local)| {
            Some((*address, local.info?, storage_root(local.words())))
        };
        state_root(self.accounts.iter().filter_map(account))
    }

    /// All of it, as far as a state root depends on it, in the order of addresses.
    pub(super) fn changed(&self) -> Vec<Changed> {
        let change = |(address, local): (&Address, &Local)| {
            let mut words: Vec<_> = local.slots.iter().map(|(slot, word)| (*slot, *word)).collect();
            words.sort_unstable();
            Changed {
                address: *address,
                info: local.info,
                is_cut_off: local.is_cut_off || local.info.is_none(),
                words,
            }
        };
        let mut changed: Vec<_> = self.accounts.iter().map(change).collect();
        changed.sort_unstable_by_key(|change| change.address);
        changed
    }

    /// A root over what was written here.
    pub(super) fn root(&self) -> B256 {
        let word = |word: U256| {
            let mut value = Vec::new();
            encode_word(word, &mut value);
            value
        };
        let account = |(hash, _, local): (B256, Address, &Local)| {
            let mut slots: Vec<_> = local
                .slots
                .iter()
                .map(|(slot, written)| (slot_hash(*slot), word(*written)))
                .collect();
            slots.sort_unstable();
            let mut value = vec![u8::from(local.is_cut_off)];
            if let Some(info) = &local.info {
                encode_account(info, trie_root(slots), &mut value);
            }
            (hash, value)
        };
        trie_root(self.sorted().into_iter().map(account).collect::<Vec<_>>())
    }
}

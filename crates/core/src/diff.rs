//! The state diff: the one currency of the house.

use std::collections::{BTreeMap, btree_map::Entry};

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::AccountInfo;

mod codec;

pub use codec::DecodeDiffError;

/// What an execution changed, with the values before and after.
///
/// Canonical: only real changes are listed, in the order of addresses and slots, so the same
/// transactions give the same bytes on any machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDiff {
    /// Changed accounts.
    pub accounts: BTreeMap<Address, AccountDiff>,
    /// Code deployed by these changes, by its hash. Inverting keeps it: code is never unlearned.
    pub code: BTreeMap<B256, Bytes>,
}

/// The change of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDiff {
    /// Before; `None` where there was no account, and so no storage.
    pub old: Option<AccountInfo>,
    /// After; `None` where there is no account any more, and so no storage.
    pub new: Option<AccountInfo>,
    /// All slots not listed in `storage` were deleted on the way.
    ///
    /// Execution knows only the slots it has read, so a destroyed account lists no others. The
    /// reverse of such a diff needs the backend, which can see what it deletes.
    ///
    /// A listed slot overrides the wipe: it holds `new` afterwards, even where `old` is the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wiped: bool,
    /// Changed slots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<U256, SlotDiff>,
}

/// The change of one storage word. A word of zero is an absent slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotDiff {
    /// Before.
    pub old: U256,
    /// After.
    pub new: U256,
}

impl AccountDiff {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.old == self.new && !self.wiped && self.storage.is_empty()
    }

    /// Makes this change followed by `later` of it.
    fn append(&mut self, later: &Self) {
        self.new = later.new;
        let clears = later.wiped || later.new.is_none();
        if clears {
            // Where there was no account before, the slots listed are all there ever were.
            self.wiped = (self.wiped || later.wiped) && self.old.is_some();
            for slot in self.storage.values_mut() {
                slot.new = U256::ZERO;
            }
        }
        // Only what `later` lists is looked at: a block is many small changes one after the other.
        for (key, change) in &later.storage {
            match self.storage.entry(*key) {
                Entry::Vacant(unchanged) if change.is_needed(self.wiped) => {
                    unchanged.insert(*change);
                }
                Entry::Vacant(_) => {}
                Entry::Occupied(mut earlier) => {
                    earlier.get_mut().new = change.new;
                    if !earlier.get().is_needed(self.wiped) {
                        earlier.remove();
                    }
                }
            }
        }
        if clears {
            let wiped = self.wiped;
            self.storage.retain(|_, slot| slot.is_needed(wiped));
        }
    }
}

impl SlotDiff {
    /// Whether a canonical diff lists this slot. Under a wipe an unchanged word must stay listed,
    /// or it would be deleted with the rest.
    pub(crate) fn is_needed(&self, wiped: bool) -> bool {
        self.old != self.new || (wiped && !self.new.is_zero())
    }
}

impl StateDiff {
    /// Whether no account changed. Code may be listed all the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// This diff followed by `later`, as one diff.
    ///
    /// Grouping does not change what the result means. Where accounts are
    /// [`wiped`](AccountDiff::wiped) it may change which of the deleted slots are listed.
    #[must_use]
    pub fn then(mut self, later: Self) -> Self {
        self.append(&later);
        self
    }

    /// Makes this diff followed by `later` of it: [`then`](Self::then) at a cost that follows the
    /// size of `later`.
    pub fn append(&mut self, later: &Self) {
        for (address, change) in &later.accounts {
            match self.accounts.entry(*address) {
                Entry::Occupied(mut earlier) => {
                    earlier.get_mut().append(change);
                    if earlier.get().is_empty() {
                        earlier.remove();
                    }
                }
                Entry::Vacant(_) if change.is_empty() => {}
                Entry::Vacant(unchanged) => {
                    unchanged.insert(change.clone());
                }
            }
        }
        self.code.extend(later.code.iter().map(|(hash, code)| (*hash, code.clone())));
    }

    /// The diff that undoes this one. Exact where no account is [`wiped`](AccountDiff::wiped)
    /// beyond the slots it lists.
    #[must_use]
    pub fn invert(&self) -> Self {
        let mut inverse = self.clone();
        for account in inverse.accounts.values_mut() {
            std::mem::swap(&mut account.old, &mut account.new);
            account.wiped = false;
            account.storage.retain(|_, slot| slot.old != slot.new);
            for slot in account.storage.values_mut() {
                std::mem::swap(&mut slot.old, &mut slot.new);
            }
        }
        inverse.accounts.retain(|_, account| !account.is_empty());
        inverse
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    /// A state written plainly. Only present accounts have storage, and no word is zero.
    type State = BTreeMap<Address, (AccountInfo, BTreeMap<U256, U256>)>;

    fn info(balance: u64) -> AccountInfo {
        AccountInfo { balance: U256::from(balance), ..AccountInfo::default() }
    }

    /// What a diff means.
    fn apply(state: &State, diff: &StateDiff) -> State {
        let mut state = state.clone();
        for (address, change) in &diff.accounts {
            let mut storage = state.remove(address).map(|account| account.1).unwrap_or_default();
            if change.wiped {
                storage.clear();
            }
            storage.extend(change.storage.iter().map(|(key, slot)| (*key, slot.new)));
            storage.retain(|_, word| !word.is_zero());
            if let Some(info) = change.new {
                state.insert(*address, (info, storage));
            }
        }
        state
    }

    /// The diff between two states. Where both have an account, `recreate` asks for one that was
    /// destroyed on the way; `knows_all` says whether the diff lists every slot it deletes.
    fn between(a: &State, b: &State, recreate: bool, knows_all: bool) -> StateDiff {
        let mut diff = StateDiff::default();
        let mut addresses: Vec<_> = a.keys().chain(b.keys()).collect();
        addresses.sort();
        addresses.dedup();
        for address in addresses {
            let (old, new) = (a.get(address), b.get(address));
            let had_storage = old.is_some_and(|account| !account.1.is_empty());
            let wiped = had_storage && !knows_all && (recreate || new.is_none());
            let mut change = AccountDiff {
                old: old.map(|account| account.0),
                new: new.map(|account| account.0),
                wiped,
                storage: BTreeMap::new(),
            };
            for (slot, word) in old.into_iter().flat_map(|account| &account.1) {
                change.storage.entry(*slot).or_default().old = *word;
            }
            for (slot, word) in new.into_iter().flat_map(|account| &account.1) {
                change.storage.entry(*slot).or_default().new = *word;
            }
            change
                .storage
                .retain(|_, slot| slot.is_needed(wiped) && !(wiped && slot.new.is_zero()));
            if !change.is_empty() {
                diff.accounts.insert(*address, change);
            }
        }
        diff
    }

    /// States of three addresses and four slots: small enough that they meet often.
    fn state() -> impl Strategy<Value = State> {
        let storage = collection::btree_map(0_u64..4, 1_u64..4, 0..4).prop_map(|map| {
            map.into_iter().map(|(slot, word)| (U256::from(slot), U256::from(word))).collect()
        });
        collection::btree_map(0_u8..3, (0_u64..3, storage), 0..4).prop_map(|accounts| {
            let account =
                |(id, (balance, storage))| (Address::repeat_byte(id), (info(balance), storage));
            accounts.into_iter().map(account).collect()
        })
    }

    proptest! {
        #[test]
        fn then_means_one_after_the_other(
            states in collection::vec(state(), 3),
            recreate in any::<[bool; 2]>(),
            knows_all in any::<[bool; 2]>(),
        ) {
            let first = between(&states[0], &states[1], recreate[0], knows_all[0]);
            let second = between(&states[1], &states[2], recreate[1], knows_all[1]);
            prop_assert_eq!(&apply(&states[0], &first), &states[1]);
            prop_assert_eq!(apply(&states[0], &first.then(second)), states[2].clone());
        }

        #[test]
        fn grouping_does_not_matter(
            states in collection::vec(state(), 4),
            recreate in any::<[bool; 3]>(),
            knows_all in any::<bool>(),
        ) {
            let [a, b, c] = [0, 1, 2]
                .map(|at| between(&states[at], &states[at + 1], recreate[at], knows_all));
            let left = a.clone().then(b.clone()).then(c.clone());
            let right = a.then(b.then(c));
            if knows_all {
                prop_assert_eq!(left, right);
            } else {
                prop_assert_eq!(apply(&states[0], &left), apply(&states[0], &right));
            }
        }

        #[test]
        fn known_diffs_invert(states in collection::vec(state(), 3)) {
            let first = between(&states[0], &states[1], false, true);
            let second = between(&states[1], &states[2], false, true);
            prop_assert_eq!(apply(&states[1], &first.invert()), states[0].clone());
            prop_assert_eq!(first.invert().invert(), first.clone());
            prop_assert!(first.clone().then(first.invert()).is_empty());

            let both = first.clone().then(second.clone());
            prop_assert_eq!(&both, &between(&states[0], &states[2], false, true));
            prop_assert_eq!(both.invert(), second.invert().then(first.invert()));
        }

        #[test]
        fn diffs_survive_json(states in collection::vec(state(), 2), recreate in any::<bool>()) {
            let diff = between(&states[0], &states[1], recreate, false);
            let text = serde_json::to_string(&diff).expect("a diff is plain data");
            let back: StateDiff = serde_json::from_str(&text).expect("as written");
            prop_assert_eq!(back, diff);
        }
    }

    #[test]
    fn created_and_destroyed_is_nothing() {
        let address = Address::repeat_byte(1);
        let word = SlotDiff { old: U256::ZERO, new: U256::from(7) };
        let create = AccountDiff {
            new: Some(info(1)),
            storage: [(U256::from(1), word)].into(),
            ..AccountDiff::default()
        };
        let destroy = AccountDiff { old: Some(info(1)), wiped: true, ..AccountDiff::default() };
        let one = |change| StateDiff { accounts: [(address, change)].into(), ..Default::default() };
        assert!(one(create).then(one(destroy)).is_empty());
    }

    #[test]
    fn inverting_keeps_code() {
        let code = Bytes::from_static(&[0x00]);
        let diff = StateDiff { code: [(B256::ZERO, code)].into(), ..StateDiff::default() };
        assert_eq!(diff.invert(), diff);
    }
}

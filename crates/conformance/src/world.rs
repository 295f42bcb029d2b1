//! The state a case starts from, read by the machine and never written.

use std::{ops::ControlFlow, sync::OnceLock};

use serde::Deserialize;
use zvm_core::{
    Account, AccountInfo, Address, B256, Bytes, Database, DbError, EMPTY_ROOT, KECCAK_EMPTY,
    StateBackend, StateDiff, U256, keccak256,
    map::{AddressMap, B256Map, HashMap},
};
use zvm_trie::{RootBuilder, storage_root};

use crate::{
    WorkloadAccount,
    values::{Data, Entries, Short, Word},
};

/// Accounts as a fixture lists them.
pub(crate) type Alloc = Entries<Address, AllocAccount>;

/// One account of a fixture.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct AllocAccount {
    pub(crate) balance: Word,
    pub(crate) nonce: Short,
    pub(crate) code: Data,
    pub(crate) storage: Entries<Word, Word>,
}

/// A state for reading, and the roots of states one diff away.
///
/// Made for many short runs on one state: a run's changes are never applied. The root after it is
/// computed from the diff and from what is the same in all runs: hashed addresses in order, and
/// the storage roots of accounts that did not change.
#[derive(Debug, Default)]
pub(crate) struct World {
    accounts: AddressMap<WorldAccount>,
    code: B256Map<Bytes>,
    /// keccak-256 of each address, in order.
    hashes: Vec<(B256, Address)>,
}

#[derive(Debug, Default)]
struct WorldAccount {
    info: AccountInfo,
    storage: HashMap<U256, U256>,
    storage_root: OnceLock<B256>,
}

impl WorldAccount {
    fn storage_root(&self) -> B256 {
        *self
            .storage_root
            .get_or_init(|| storage_root(self.storage.iter().map(|(slot, word)| (*slot, *word))))
    }
}

impl World {
    /// The state a fixture lists. Of an address listed twice, the last entry counts.
    pub(crate) fn new(alloc: Alloc) -> Self {
        let mut world = Self::default();
        for (address, listed) in alloc.0 {
            let code = listed.code.0;
            let code_hash = if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) };
            if !code.is_empty() {
                world.code.insert(code_hash, code);
            }
            let account = WorldAccount {
                info: AccountInfo { nonce: listed.nonce.0, balance: listed.balance.0, code_hash },
                storage: words(listed.storage).collect(),
                storage_root: OnceLock::new(),
            };
            world.accounts.insert(address, account);
        }
        world.hashes =
            world.accounts.keys().map(|address| (keccak256(address), *address)).collect();
        world.hashes.sort_unstable();
        world
    }

    /// The present state of `db`.
    pub(crate) fn of<B: StateBackend + ?Sized>(db: &B) -> Result<Self, DbError> {
        let mut world = Self::default();
        db.for_each_account(B256::ZERO, &mut |hash, address, info| {
            if info.has_code() {
                world.code.insert(info.code_hash, db.code(info.code_hash)?);
            }
            let storage = db.storage_entries(address)?.into_iter().collect();
            let account = WorldAccount { info, storage, storage_root: OnceLock::new() };
            world.accounts.insert(address, account);
            world.hashes.push((hash, address));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(world)
    }

    /// Nonce, balance and code hash of an account.
    pub(crate) fn info(&self, address: Address) -> Option<AccountInfo> {
        self.accounts.get(&address).map(|account| account.info)
    }

    /// Every address.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.accounts.keys().copied()
    }

    /// Every account with its code and slots.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (Address, WorkloadAccount)> + '_ {
        self.accounts.iter().map(|(address, account)| {
            let info = account.info;
            let code = self.code.get(&info.code_hash).cloned().unwrap_or_default();
            let storage = account.storage.iter().map(|(slot, word)| (*slot, *word)).collect();
            (*address, WorkloadAccount { info, code, storage })
        })
    }

    /// Gives an account another balance, creating it if need be.
    pub(crate) fn set_balance(&mut self, address: Address, balance: U256) {
        if !self.accounts.contains_key(&address) {
            self.hashes.push((keccak256(address), address));
            self.hashes.sort_unstable();
        }
        self.accounts.entry(address).or_default().info.balance = balance;
    }

    /// Account, code and storage after `diff`; `None` where no account is left.
    pub(crate) fn after(&self, diff: &StateDiff, address: Address) -> Option<After> {
        let before = self.accounts.get(&address);
        let change = diff.accounts.get(&address);
        let info = match change {
            Some(change) => change.new?,
            None => before?.info,
        };
        let mut storage = match before {
            Some(before) if !change.is_some_and(|change| change.wiped || change.old.is_none()) => {
                before.storage.clone()
            }
            _ => HashMap::default(),
        };
        for (slot, word) in change.iter().flat_map(|change| &change.storage) {
            storage.insert(*slot, word.new);
        }
        storage.retain(|_, word| !word.is_zero());
        let code = self.code.get(&info.code_hash).or_else(|| diff.code.get(&info.code_hash));
        Some(After { info, code: code.cloned().unwrap_or_default(), storage })
    }

    /// Root of the state after `diff`.
    pub(crate) fn root_after(&self, diff: &StateDiff) -> B256 {
        let mut changed: Vec<_> = diff
            .accounts
            .iter()
            .map(|(address, change)| (keccak256(address), *address, change))
            .collect();
        changed.sort_unstable_by_key(|change| change.0);
        let mut trie = RootBuilder::default();
        let mut same = self.hashes.iter().peekable();
        let mut push_same = |trie: &mut RootBuilder, until: Option<B256>| {
            while let Some((hash, address)) =
                same.next_if(|(hash, _)| until.is_none_or(|until| *hash < until))
            {
                if let Some(account) = self.accounts.get(address) {
                    trie.push_account(*hash, &account.info, account.storage_root());
                }
            }
            // The changed account itself is not the same any more.
            same.next_if(|(hash, _)| until == Some(*hash));
        };
        for (hash, address, change) in changed {
            push_same(&mut trie, Some(hash));
            let Some(info) = change.new else { continue };
            let storage = if change.storage.is_empty() && !change.wiped {
                self.accounts.get(&address).map_or(EMPTY_ROOT, WorldAccount::storage_root)
            } else {
                self.after(diff, address).map_or(EMPTY_ROOT, |after| storage_root(after.storage))
            };
            trie.push_account(hash, &info, storage);
        }
        push_same(&mut trie, None);
        trie.finish()
    }
}

/// An account after a run.
#[derive(Debug)]
pub(crate) struct After {
    pub(crate) info: AccountInfo,
    pub(crate) code: Bytes,
    /// Slots that are not zero.
    pub(crate) storage: HashMap<U256, U256>,
}

/// The slots a fixture lists, without those of zero.
pub(crate) fn words(storage: Entries<Word, Word>) -> impl Iterator<Item = (U256, U256)> {
    let words = storage.0.into_iter().map(|(slot, word)| (slot.0, word.0));
    words.filter(|(_, word)| !word.is_zero())
}

impl Database for World {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        Ok(self.accounts.get(&address).map(|account| Account {
            info: account.info,
            has_storage: !account.storage.is_empty(),
        }))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let account = self.accounts.get(&address);
        Ok(account.and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default())
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.code.get(&code_hash).cloned().ok_or(DbError::MissingCode { code_hash })
    }

    /// State tests have no chain. By convention the hash of a block is that of its number in
    /// decimal digits.
    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        Ok(keccak256(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use zvm_core::{AccountDiff, SlotDiff};
    use zvm_state::MemoryDb;

    use super::*;

    fn address(byte: u8) -> Address {
        Address::repeat_byte(byte)
    }

    /// `World` and `MemoryDb` with the same six accounts, each with slots 1 and 2.
    fn twins() -> (World, MemoryDb) {
        let mut db = MemoryDb::new();
        let mut alloc = Vec::new();
        for byte in 1..=6 {
            let balance = U256::from(byte);
            let words = [(1, 10), (2, 20)].map(|(slot, word)| (U256::from(slot), U256::from(word)));
            db.set_balance(address(byte), balance);
            words.iter().for_each(|(slot, word)| db.set_storage(address(byte), *slot, *word));
            let storage = Entries(words.map(|(slot, word)| (Word(slot), Word(word))).to_vec());
            let account = AllocAccount {
                balance: Word(balance),
                nonce: Short(0),
                code: Data::default(),
                storage,
            };
            alloc.push((address(byte), account));
        }
        (World::new(Entries(alloc)), db)
    }

    #[test]
    fn roots_are_those_of_a_backend_that_commits() {
        let (world, mut db) = twins();
        assert_eq!(world.root_after(&StateDiff::default()), db.state_root().unwrap());

        let info = |balance: u64| {
            Some(AccountInfo { balance: U256::from(balance), ..AccountInfo::default() })
        };
        let slot = |old: u64, new: u64| SlotDiff { old: U256::from(old), new: U256::from(new) };
        let mut diff = StateDiff::default();
        let old = |byte: u8| world.info(address(byte));
        let changes = [
            (1, AccountDiff { old: old(1), new: info(9), ..AccountDiff::default() }),
            (2, AccountDiff { old: old(2), new: None, wiped: true, ..AccountDiff::default() }),
            (
                3,
                AccountDiff {
                    old: old(3),
                    new: old(3),
                    storage: [(U256::from(1), slot(10, 0)), (U256::from(7), slot(0, 1))].into(),
                    ..AccountDiff::default()
                },
            ),
            (
                4,
                AccountDiff {
                    old: old(4),
                    new: info(1),
                    wiped: true,
                    storage: [(U256::from(2), slot(20, 5))].into(),
                },
            ),
            (9, AccountDiff { new: info(3), ..AccountDiff::default() }),
        ];
        diff.accounts.extend(changes.map(|(byte, change)| (address(byte), change)));
        db.commit(&diff).unwrap();
        assert_eq!(world.root_after(&diff), db.state_root().unwrap());
    }

    #[test]
    fn block_hashes_are_those_of_their_numbers() {
        let hash = World::default().block_hash(12).unwrap();
        assert_eq!(hash, keccak256("12"));
    }
}

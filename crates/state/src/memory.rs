//! A world state in hash maps.

use std::sync::Arc;

use zvm_core::{
    Account, AccountInfo, Address, Assembled, B256, Batch, BlockId, Bytes, Database, DbError,
    EMPTY_ROOT, KECCAK_EMPTY, SnapshotId, StateBackend, StateDiff, U256, VisitAccount, VisitSlot,
    keccak256,
    map::{AddressMap, B256Map, HashMap},
};
use zvm_trie::{slot_hash, state_root, storage_root};

use crate::past::{Past, WayBack, follows, reverse, seedable};

/// How many blocks back [`MemoryDb`] can go unless told otherwise.
const HISTORY_BLOCKS: usize = 128;

/// A world state in memory, for tests and for runs that leave nothing behind.
///
/// Cloning copies accounts and shares their storage until one side writes to it. Committing a diff
/// costs what the diff holds; [`state_root`](StateBackend::state_root) and the walks visit
/// everything. The last 128 blocks, and all since the oldest open snapshot, can be gone back to.
#[derive(Clone, Debug)]
pub struct MemoryDb {
    accounts: AddressMap<MemoryAccount>,
    code: B256Map<Bytes>,
    block_hashes: HashMap<u64, B256>,
    /// `None` as long as nothing has been written.
    head: Option<BlockId>,
    past: Past,
}

#[derive(Clone, Debug, Default)]
struct MemoryAccount {
    info: AccountInfo,
    /// Non-zero words only.
    storage: Arc<HashMap<U256, U256>>,
}

impl MemoryDb {
    /// An empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::with_history(HISTORY_BLOCKS)
    }

    /// An empty state that will keep its past for `blocks` blocks.
    #[must_use]
    pub fn with_history(blocks: usize) -> Self {
        Self {
            accounts: AddressMap::default(),
            code: B256Map::default(),
            block_hashes: HashMap::default(),
            head: None,
            past: Past::new(blocks),
        }
    }

    /// Creates or overwrites nonce, balance and code hash of an account; its storage stays.
    pub fn insert_account(&mut self, address: Address, info: AccountInfo) {
        self.write(|batch| batch.set_account(address, info));
    }

    /// Sets the balance in wei, creating the account if it is absent.
    pub fn set_balance(&mut self, address: Address, balance: U256) {
        self.insert_account(address, AccountInfo { balance, ..self.info(address) });
    }

    /// Sets the nonce, creating the account if it is absent.
    pub fn set_nonce(&mut self, address: Address, nonce: u64) {
        self.insert_account(address, AccountInfo { nonce, ..self.info(address) });
    }

    /// Stores code and makes it the account's, creating the account if it is absent.
    pub fn set_code(&mut self, address: Address, code: Bytes) {
        let code_hash = if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) };
        let info = AccountInfo { code_hash, ..self.info(address) };
        if !code.is_empty() {
            self.code.insert(code_hash, code);
        }
        self.insert_account(address, info);
    }

    /// Writes a storage word, creating an empty account to hold it if there is none.
    pub fn set_storage(&mut self, address: Address, slot: U256, word: U256) {
        self.write(|batch| batch.set_storage(address, slot, word));
    }

    /// All accounts, in the order of addresses. Their slots are
    /// [`storage_entries`](StateBackend::storage_entries).
    #[must_use]
    pub fn accounts(&self) -> Vec<(Address, AccountInfo)> {
        let mut accounts: Vec<_> =
            self.accounts.iter().map(|(address, account)| (*address, account.info)).collect();
        accounts.sort_unstable_by_key(|account| account.0);
        accounts
    }

    fn info(&self, address: Address) -> AccountInfo {
        self.accounts.get(&address).map(|account| account.info).unwrap_or_default()
    }

    /// Commits a batch of one change, so that setters count for open snapshots too.
    fn write(&mut self, change: impl FnOnce(Batch<'_>) -> Batch<'_>) {
        let committed = change(self.batch()).commit();
        committed.expect("memory refuses nothing, and there is always a next block");
    }

    fn go(&mut self, way: &WayBack) {
        self.apply(&way.diff);
        self.head = way.to;
        self.past.went(way);
    }

    fn apply(&mut self, diff: &StateDiff) {
        change(&mut self.accounts, diff);
        self.code.extend(diff.code.iter().map(|(hash, code)| (*hash, code.clone())));
    }
}

/// Makes the changes of `diff` to `accounts`.
fn change(accounts: &mut AddressMap<MemoryAccount>, diff: &StateDiff) {
    for (&address, change) in &diff.accounts {
        let Some(info) = change.new else {
            accounts.remove(&address);
            continue;
        };
        let account = accounts.entry(address).or_default();
        account.info = info;
        if change.wiped {
            account.storage = Arc::default();
        }
        if change.storage.is_empty() {
            continue;
        }
        let storage = Arc::make_mut(&mut account.storage);
        for (&slot, word) in &change.storage {
            if word.new.is_zero() {
                storage.remove(&slot);
            } else {
                storage.insert(slot, word.new);
            }
        }
    }
}

/// Root of the state that `accounts` are.
fn root(accounts: &AddressMap<MemoryAccount>) -> B256 {
    state_root(accounts.iter().map(|(address, account)| {
        let storage = match account.storage.is_empty() {
            true => EMPTY_ROOT,
            false => storage_root(account.storage.iter().map(|(slot, word)| (*slot, *word))),
        };
        (*address, account.info, storage)
    }))
}

impl Default for MemoryDb {
    fn default() -> Self {
        Self::new()
    }
}

impl Database for MemoryDb {
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

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.block_hashes.get(&number).copied().ok_or(DbError::MissingBlockHash { number })
    }
}

impl StateBackend for MemoryDb {
    fn commit_block(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError> {
        follows(self.head, block.number)?;
        let reverse = reverse(self, diff)?;
        self.apply(diff);
        self.past.record(self.head.replace(block), reverse);
        Ok(())
    }

    fn seed(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        seedable(self.head)?;
        self.apply(diff);
        Ok(())
    }

    fn head(&self) -> Result<BlockId, DbError> {
        Ok(self.head.unwrap_or_default())
    }

    fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, DbError> {
        let diff = self.past.way_to(number, self.head)?.diff;
        Ok(Box::new(Assembled::new(self, diff)))
    }

    fn floor(&self) -> Result<u64, DbError> {
        Ok(self.past.floor(self.head))
    }

    fn unwind(&mut self, number: u64) -> Result<(), DbError> {
        let way = self.past.way_to(number, self.head)?;
        self.go(&way);
        Ok(())
    }

    fn state_root(&self) -> Result<B256, DbError> {
        Ok(root(&self.accounts))
    }

    fn root_after(&self, diff: &StateDiff) -> Result<B256, DbError> {
        let mut accounts = self.accounts.clone();
        change(&mut accounts, diff);
        Ok(root(&accounts))
    }

    fn for_each_account(&self, from: B256, visit: &mut VisitAccount<'_>) -> Result<(), DbError> {
        let hashed = |address: &Address| (keccak256(address), *address);
        let mut addresses: Vec<_> = self.accounts.keys().map(hashed).collect();
        addresses.retain(|hashed| hashed.0 >= from);
        addresses.sort_unstable();
        for (hash, address) in addresses {
            if visit(hash, address, self.info(address))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn for_each_slot(
        &self,
        address: Address,
        from: B256,
        visit: &mut VisitSlot<'_>,
    ) -> Result<(), DbError> {
        let Some(account) = self.accounts.get(&address) else { return Ok(()) };
        let hashed = |(slot, word): (&U256, &U256)| (slot_hash(*slot), *slot, *word);
        let mut slots: Vec<_> = account.storage.iter().map(hashed).collect();
        slots.retain(|hashed| hashed.0 >= from);
        slots.sort_unstable();
        for (hash, slot, word) in slots {
            if visit(hash, slot, word)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<SnapshotId, DbError> {
        Ok(self.past.take())
    }

    fn revert(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let way = self.past.way_to_snapshot(id, self.head)?;
        self.go(&way);
        self.past.release(id)
    }

    fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        self.past.release(id)
    }

    fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError> {
        self.block_hashes.insert(number, hash);
        Ok(())
    }

    fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Address = Address::repeat_byte(0xa1);

    #[test]
    fn setters_create_the_account_and_keep_the_rest() {
        let mut db = MemoryDb::new();
        db.set_storage(ALICE, U256::from(1), U256::from(2));
        db.set_balance(ALICE, U256::from(3));
        db.set_nonce(ALICE, 4);
        db.set_code(ALICE, Bytes::from_static(&[0x00]));

        let account = db.account(ALICE).unwrap().unwrap();
        assert_eq!((account.nonce, account.balance), (4, U256::from(3)));
        assert!(account.has_storage);
        assert_eq!(db.code(account.code_hash).unwrap().as_ref(), [0x00]);
        assert_eq!(db.accounts(), [(ALICE, account.info)]);
    }

    #[test]
    fn a_clone_does_not_see_later_writes() {
        let mut db = MemoryDb::new();
        db.set_storage(ALICE, U256::from(1), U256::from(2));
        let before = db.clone();
        db.set_storage(ALICE, U256::from(1), U256::from(3));
        assert_eq!(before.storage(ALICE, U256::from(1)).unwrap(), U256::from(2));
    }

    #[test]
    fn setters_are_undone_by_a_snapshot() {
        let mut db = MemoryDb::new();
        let empty = db.snapshot().unwrap();
        db.set_balance(ALICE, U256::from(1));
        db.revert(empty).unwrap();
        assert_eq!(db.account(ALICE).unwrap(), None);
    }
}

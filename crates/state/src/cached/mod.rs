//! A bounded cache over any backend.

mod stats;
#[cfg(test)]
mod tests;

use quick_cache::{Weighter, sync::Cache};
use zvm_core::{
    Account, AccountDiff, AccountInfo, Address, B256, Batch, BlockId, Bytes, Database, DbError,
    SnapshotId, StateBackend, StateDiff, U256, VisitAccount, VisitSlot,
};

use stats::Counter;

pub use stats::{CacheStats, HitCount};

/// How much a [`CachedDb`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Number of accounts, and number of slots. One of each takes less than 1 KiB together.
    pub entries: usize,
    /// Bytes of code.
    pub code_bytes: u64,
}

/// A cache in front of another backend, which may be a cache itself.
///
/// It keeps what was read last and most often, absent accounts and zero words included. Writes go
/// through: a commit changes the inner backend first, and what is kept only if that succeeded.
/// Going back to a snapshot or block forgets everything but code, which is never unlearned.
/// Walks, roots, block hashes and states of the past are asked of the inner backend.
///
/// As long as it is in front, the inner backend must not be changed by another way.
pub struct CachedDb {
    inner: Box<dyn StateBackend>,
    /// `None` where there is no account.
    accounts: Cache<Address, Option<Account>>,
    /// Zero where there is no slot.
    slots: Cache<(Address, U256), U256>,
    code: Cache<B256, Bytes, Length>,
    account_reads: Counter,
    slot_reads: Counter,
    code_reads: Counter,
}

/// Weighs code by its bytes, and a little for the entry itself.
#[derive(Clone)]
struct Length;

/// What an entry of the code cache takes beside the code.
const CODE_ENTRY_BYTES: u64 = 128;

/// The size of code that the space of the cache is laid out for; others are no worse.
const CODE_BYTES_TYPICAL: u64 = 8 << 10;

impl Weighter<B256, Bytes> for Length {
    fn weight(&self, _: &B256, code: &Bytes) -> u64 {
        code.len() as u64 + CODE_ENTRY_BYTES
    }
}

impl CacheLimits {
    /// Bytes of code kept unless told otherwise.
    pub const CODE_BYTES: u64 = 64 << 20;

    /// At most `entries` accounts and as many slots, and 64 MiB of code.
    #[must_use]
    pub fn entries(entries: usize) -> Self {
        Self { entries, code_bytes: Self::CODE_BYTES }
    }
}

impl CachedDb {
    /// An empty cache in front of `inner`.
    #[must_use]
    pub fn new(inner: Box<dyn StateBackend>, limits: CacheLimits) -> Self {
        let codes = limits.code_bytes.div_ceil(CODE_BYTES_TYPICAL);
        let codes = usize::try_from(codes).unwrap_or(usize::MAX);
        Self {
            inner,
            accounts: Cache::new(limits.entries),
            slots: Cache::new(limits.entries),
            code: Cache::with_weighter(codes, limits.code_bytes, Length),
            account_reads: Counter::default(),
            slot_reads: Counter::default(),
            code_reads: Counter::default(),
        }
    }

    /// What is kept, and how many reads it has answered since the cache was made.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            accounts: self.account_reads.count(),
            slots: self.slot_reads.count(),
            code: self.code_reads.count(),
            accounts_kept: self.accounts.len(),
            slots_kept: self.slots.len(),
            // Two looks at what other threads change meanwhile.
            code_bytes_kept: self
                .code
                .weight()
                .saturating_sub(CODE_ENTRY_BYTES * self.code.len() as u64),
        }
    }

    /// Forgets all that a write may change.
    fn forget(&mut self) {
        self.accounts.clear();
        self.slots.clear();
    }

    /// Runs a write that changes more than is known here.
    fn forgetting<T>(
        &mut self,
        write: impl FnOnce(&mut dyn StateBackend) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.forget();
        write(&mut *self.inner)
    }

    /// Runs a write that makes `diff` part of the state, and keeps what is known afterwards.
    fn writing(
        &mut self,
        diff: &StateDiff,
        write: impl FnOnce(&mut dyn StateBackend) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        if let Err(error) = write(&mut *self.inner) {
            // Nothing should have changed; but a backend in trouble is not taken at its word.
            self.forget();
            return Err(error);
        }
        // Slots not listed are found by looking through everything, which is for the rare case.
        if diff.accounts.iter().any(|(address, change)| self.loses_storage(address, change)) {
            let goes = |address: &Address| {
                let change = diff.accounts.get(address);
                change.is_some_and(|change| change.wiped || change.new.is_none())
            };
            self.slots.retain(|(address, _), word| word.is_zero() || !goes(address));
        }
        for (&address, change) in &diff.accounts {
            self.keep(address, change);
        }
        for (&hash, code) in &diff.code {
            self.code.insert(hash, code.clone());
        }
        Ok(())
    }

    /// Whether `change` may delete slots that are kept here. Asked before the account is updated.
    fn loses_storage(&self, address: &Address, change: &AccountDiff) -> bool {
        let had_storage = match self.accounts.peek(address) {
            Some(account) => account.is_some_and(|account| account.has_storage),
            None => true,
        };
        (change.wiped || change.new.is_none()) && had_storage
    }

    /// Keeps an account and its listed slots as `change` has left them.
    fn keep(&mut self, address: Address, change: &AccountDiff) {
        let Some(info) = change.new else {
            for &slot in change.storage.keys() {
                self.slots.insert((address, slot), U256::ZERO);
            }
            self.accounts.insert(address, None);
            return;
        };
        for (&slot, word) in &change.storage {
            self.slots.insert((address, slot), word.new);
        }
        let known = self.accounts.peek(&address);
        match self.storage_after(known, info, change) {
            Some(account) => self.accounts.insert(address, Some(account)),
            None => drop(self.accounts.remove(&address)),
        }
    }

    /// The account after `change`, as far as it can be told whether it has storage.
    fn storage_after(
        &self,
        known: Option<Option<Account>>,
        info: AccountInfo,
        change: &AccountDiff,
    ) -> Option<Account> {
        let writes = change.storage.values().any(|word| !word.new.is_zero());
        let had_storage = known.map(|account| account.is_some_and(|account| account.has_storage));
        let has_storage = match (writes, change.wiped, had_storage) {
            (true, ..) => true,
            (false, true, _) | (false, false, Some(false)) => false,
            // Some of the words became zero; whether others are left is for the backend to say.
            (false, false, Some(true)) if !change.storage.is_empty() => return None,
            (false, false, Some(true)) => true,
            (false, false, None) => return None,
        };
        Some(Account { info, has_storage })
    }
}

impl Database for CachedDb {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        if let Some(account) = self.account_reads.look_up(|| self.accounts.get(&address)) {
            return Ok(account);
        }
        let account = self.inner.account(address)?;
        self.accounts.insert(address, account);
        Ok(account)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        if let Some(word) = self.slot_reads.look_up(|| self.slots.get(&(address, slot))) {
            return Ok(word);
        }
        let word = self.inner.storage(address, slot)?;
        self.slots.insert((address, slot), word);
        Ok(word)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        if let Some(code) = self.code_reads.look_up(|| self.code.get(&code_hash)) {
            return Ok(code);
        }
        // Missing code is not kept as missing: a later commit may bring it under any account.
        let code = self.inner.code(code_hash)?;
        self.code.insert(code_hash, code.clone());
        Ok(code)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.inner.block_hash(number)
    }
}

impl StateBackend for CachedDb {
    fn read_ahead(&self, run: &mut dyn FnMut(&dyn Database)) -> Result<(), DbError> {
        self.inner.read_ahead(run)
    }

    fn commit_block(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError> {
        self.writing(diff, |inner| inner.commit_block(block, diff))
    }

    fn commit_marked(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        mark: B256,
    ) -> Result<(), DbError> {
        self.writing(diff, |inner| inner.commit_marked(block, diff, mark))
    }

    fn mark_of(&self, number: u64) -> Result<Option<B256>, DbError> {
        self.inner.mark_of(number)
    }

    fn refresh(&mut self) -> Result<BlockId, DbError> {
        self.forgetting(|inner| inner.refresh())
    }

    fn seed(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        self.writing(diff, |inner| inner.seed(diff))
    }

    fn head(&self) -> Result<BlockId, DbError> {
        self.inner.head()
    }

    fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, DbError> {
        self.inner.at(number)
    }

    fn floor(&self) -> Result<u64, DbError> {
        self.inner.floor()
    }

    fn unwind(&mut self, number: u64) -> Result<(), DbError> {
        self.forgetting(|inner| inner.unwind(number))
    }

    fn state_root(&self) -> Result<B256, DbError> {
        self.inner.state_root()
    }

    fn root_after(&self, diff: &StateDiff) -> Result<B256, DbError> {
        self.inner.root_after(diff)
    }

    fn for_each_account(&self, from: B256, visit: &mut VisitAccount<'_>) -> Result<(), DbError> {
        self.inner.for_each_account(from, visit)
    }

    fn for_each_slot(
        &self,
        address: Address,
        from: B256,
        visit: &mut VisitSlot<'_>,
    ) -> Result<(), DbError> {
        self.inner.for_each_slot(address, from, visit)
    }

    fn snapshot(&mut self) -> Result<SnapshotId, DbError> {
        self.inner.snapshot()
    }

    fn revert(&mut self, id: SnapshotId) -> Result<(), DbError> {
        self.forgetting(|inner| inner.revert(id))
    }

    fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        self.inner.release(id)
    }

    fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError> {
        self.inner.set_block_hash(number, hash)
    }

    fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }
}

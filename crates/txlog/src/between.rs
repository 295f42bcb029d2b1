//! States between two transactions.

use zvm_core::{Account, Address, B256, Bytes, Database, DbError, StateDiff, U256};

use crate::{Log, LogError};

/// The state in the middle of a block.
pub struct Between<'a> {
    /// The state after the block before.
    base: Box<dyn Database + 'a>,
    /// What was done since.
    diff: StateDiff,
}

impl<'a> Log<'a> {
    /// The state in which transaction `index` of block `number` was executed; with the number of
    /// transactions as the index, that after the last.
    ///
    /// # Errors
    ///
    /// If there is no such transaction, or the state before the block is not kept any more.
    pub fn between(&self, number: u64, index: u32) -> Result<Between<'a>, LogError> {
        self.canonical(number)?;
        let count = self.stored_receipts(number)?.len();
        if index as usize > count {
            return Err(LogError::NoTransaction { number, index, count });
        }
        let not_kept = || -> Result<DbError, LogError> {
            let (floor, head) = (self.store.floor()?.saturating_add(1), self.store.head()?.number);
            Ok(DbError::NoHistory { number, floor, head })
        };
        let Some(before) = number.checked_sub(1) else { return Err(not_kept()?.into()) };
        let base = self.store.at(before)?;
        let mut diff = StateDiff::default();
        for step in 0..=index {
            match self.step_diff(number, step)? {
                Some(step) => diff = diff.then(step),
                None => return Err(not_kept()?.into()),
            }
        }
        Ok(Between { base, diff })
    }

    /// What transaction `index` of block `number` changed; `None` if that is not kept any more.
    pub fn tx_diff(&self, number: u64, index: u32) -> Result<Option<StateDiff>, LogError> {
        self.canonical(number)?;
        match index.checked_add(1) {
            Some(step) => self.step_diff(number, step),
            None => Ok(None),
        }
    }
}

impl Database for Between<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        let Some(change) = self.diff.accounts.get(&address) else {
            return self.base.account(address);
        };
        let Some(info) = change.new else { return Ok(None) };
        let is_set = change.storage.values().any(|slot| !slot.new.is_zero());
        // That every slot from before is zero by now goes unseen. It matters to no creation: whoever
        // wrote those zeros has code or a nonce.
        let has_storage = is_set
            || (!change.wiped
                && change.old.is_some()
                && self.base.account(address)?.is_some_and(|account| account.has_storage));
        Ok(Some(Account { info, has_storage }))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let Some(change) = self.diff.accounts.get(&address) else {
            return self.base.storage(address, slot);
        };
        match change.storage.get(&slot) {
            _ if change.new.is_none() => Ok(U256::ZERO),
            Some(word) => Ok(word.new),
            None if change.wiped || change.old.is_none() => Ok(U256::ZERO),
            None => self.base.storage(address, slot),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        match self.diff.code.get(&code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.base.block_hash(number)
    }
}

//! A base state and the diffs after it, as the state of a later block.

use std::{borrow::Cow, collections::BTreeMap, ops::ControlFlow};

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::{Account, Database, DbError, StateBackend, StateDiff};

/// A backend's present state with a diff over it; neither is changed.
///
/// Reading costs a look-up in the diff and, for what the diff does not say, a read of the backend.
pub struct Assembled<'a> {
    base: &'a dyn StateBackend,
    diff: Cow<'a, StateDiff>,
}

/// The state after block `at`: the present state of `base` and the diffs of the blocks after its
/// head, folded into one. Memory is bounded by the size of these diffs.
///
/// `diffs` holds the diff of each block under its number; those up to the head of `base` are part
/// of it already and are passed over. [`DbError::NoHistory`] if `at` lies before the head, or the
/// diff of a block on the way is missing.
pub fn assemble<'a>(
    base: &'a dyn StateBackend,
    diffs: &BTreeMap<u64, StateDiff>,
    at: u64,
) -> Result<Assembled<'a>, DbError> {
    let floor = base.head()?.number;
    let mut head = floor;
    let mut folded = StateDiff::default();
    if floor < at {
        for (&number, diff) in diffs.range(floor + 1..=at) {
            if number != head + 1 {
                break;
            }
            folded = folded.then(diff.clone());
            head = number;
        }
    }
    if head != at {
        // Below the floor nothing was folded, so this names all that there is.
        let missing = |number: &u64| !diffs.contains_key(number);
        let end = (head..u64::MAX).map(|number| number + 1).find(missing);
        let head = end.map_or(u64::MAX, |number| number - 1);
        return Err(DbError::NoHistory { number: at, floor, head });
    }
    Ok(Assembled::new(base, folded))
}

impl<'a> Assembled<'a> {
    /// The present state of `base` as it would be after committing `diff`.
    #[must_use]
    pub fn new(base: &'a dyn StateBackend, diff: StateDiff) -> Self {
        Self { base, diff: Cow::Owned(diff) }
    }

    /// [`new`](Self::new) with a diff that is somebody else's.
    #[must_use]
    pub fn over(base: &'a dyn StateBackend, diff: &'a StateDiff) -> Self {
        Self { base, diff: Cow::Borrowed(diff) }
    }

    /// All that differs from the base.
    #[must_use]
    pub fn diff(&self) -> &StateDiff {
        &self.diff
    }
}

impl Database for Assembled<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        let Some(change) = self.diff.accounts.get(&address) else {
            return self.base.account(address);
        };
        let Some(info) = change.new else { return Ok(None) };
        let mut has_storage = change.storage.values().any(|slot| !slot.new.is_zero());
        if !has_storage && !change.wiped && change.storage.is_empty() {
            has_storage = self.base.account(address)?.is_some_and(|account| account.has_storage);
        } else if !has_storage && !change.wiped {
            // A slot of the base that is not among those cleared; one is enough.
            self.base.for_each_slot(address, B256::ZERO, &mut |_, slot, _| {
                has_storage = !change.storage.contains_key(&slot);
                Ok(if has_storage { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        Ok(Some(Account { info, has_storage }))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let Some(change) = self.diff.accounts.get(&address) else {
            return self.base.storage(address, slot);
        };
        match change.storage.get(&slot) {
            _ if change.new.is_none() => Ok(U256::ZERO),
            Some(word) => Ok(word.new),
            None if change.wiped => Ok(U256::ZERO),
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

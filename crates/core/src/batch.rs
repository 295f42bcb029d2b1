//! Changes made by hand, as a diff in the making.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use crate::{AccountInfo, DbError, SlotDiff, StateBackend, StateDiff};

/// A set of changes by hand; [`commit`](Batch::commit) makes all of them, dropping makes none.
///
/// The outcome is that of the same calls one at a time. Old values are read from the backend at commit, so that the
/// resulting [`StateDiff`] is as complete as one from execution.
#[must_use = "a batch that is dropped changes nothing"]
pub struct Batch<'a> {
    backend: &'a mut dyn StateBackend,
    accounts: BTreeMap<Address, Change>,
    code: BTreeMap<B256, Bytes>,
}

#[derive(Default)]
struct Change {
    /// `None`: leave as is. `Some(None)`: delete.
    info: Option<Option<AccountInfo>>,
    /// The account was deleted on the way, and with it all storage not listed below.
    wiped: bool,
    /// A non-zero word was written: if there is no account, an empty one is made to hold it.
    makes_account: bool,
    storage: BTreeMap<U256, U256>,
}

impl<'a> Batch<'a> {
    /// A batch without changes on `backend`.
    pub fn new(backend: &'a mut dyn StateBackend) -> Self {
        Self { backend, accounts: BTreeMap::new(), code: BTreeMap::new() }
    }

    /// Creates or overwrites nonce, balance and code hash; storage stays.
    pub fn set_account(mut self, address: Address, info: AccountInfo) -> Self {
        self.accounts.entry(address).or_default().info = Some(Some(info));
        self
    }

    /// Deletes the account and its storage. Deleting an absent account is no error.
    pub fn delete_account(mut self, address: Address) -> Self {
        let change = self.accounts.entry(address).or_default();
        *change = Change { info: Some(None), wiped: true, ..Change::default() };
        self
    }

    /// Writes a word. On an absent account this creates an empty one to hold it; a zero, which
    /// deletes the slot, does not.
    pub fn set_storage(mut self, address: Address, slot: U256, word: U256) -> Self {
        let change = self.accounts.entry(address).or_default();
        change.makes_account |= !word.is_zero();
        change.storage.insert(slot, word);
        self
    }

    /// Stores code and returns its hash to put into an account.
    pub fn set_code(&mut self, code: Bytes) -> B256 {
        let hash = keccak256(&code);
        if !code.is_empty() {
            self.code.insert(hash, code);
        }
        hash
    }

    /// The changes as a diff against the backend's present state.
    pub fn to_diff(&self) -> Result<StateDiff, DbError> {
        let mut diff = StateDiff { code: self.code.clone(), ..StateDiff::default() };
        for (&address, change) in &self.accounts {
            let old = self.backend.account(address)?;
            let old_info = old.map(|account| account.info);
            let entry = diff.accounts.entry(address).or_default();
            entry.old = old_info;
            entry.wiped = change.wiped && old.is_some_and(|account| account.has_storage);
            entry.new = match change.info {
                Some(info) => info,
                None => old_info,
            };
            if change.makes_account && entry.new.is_none() {
                entry.new = Some(AccountInfo::default());
            }
            for (&slot, &new) in &change.storage {
                let word = SlotDiff { old: self.backend.storage(address, slot)?, new };
                if word.is_needed(entry.wiped) {
                    entry.storage.insert(slot, word);
                }
            }
        }
        diff.accounts.retain(|_, account| !account.is_empty());
        Ok(diff)
    }

    /// Commits every change at once, or on an error none.
    pub fn commit(self) -> Result<(), DbError> {
        let diff = self.to_diff()?;
        self.backend.commit(&diff)
    }
}

//! The state that a transaction met, as a node tells of it.

use std::{collections::BTreeMap, sync::Arc};

use zvm_core::{Account, AccountInfo, Address, B256, Bytes, Database, DbError, U256};

use crate::{Found, Read, RemoteAccount, Source};

/// An account in the state that a transaction met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrestateAccount {
    /// Nonce, balance and the hash of the code.
    pub info: AccountInfo,
    /// The code.
    pub code: Bytes,
    /// Slots that the transaction reached.
    pub storage: BTreeMap<U256, U256>,
}

/// Accounts by address, as `prestateTracer` answers: what a transaction reached, as it was before.
pub type Prestate = BTreeMap<Address, PrestateAccount>;

/// A [`Prestate`] as a database. A read outside of it is an error and never a zero; hashes of blocks
/// come from elsewhere.
///
/// Only from EIP-161 on: an empty account counts as none.
pub struct PrestateDb {
    accounts: Prestate,
    code: BTreeMap<B256, Bytes>,
    source: Arc<dyn Source>,
}

impl PrestateDb {
    /// The state of `accounts`, in a block after that of `source`.
    #[must_use]
    pub fn new(accounts: Prestate, source: Arc<dyn Source>) -> Self {
        let code = accounts.values().map(|known| (known.info.code_hash, known.code.clone()));
        Self { code: code.collect(), accounts, source }
    }

    fn missing(&self, read: Read) -> DbError {
        let what = format!("{read}: not in the state that the node gives for the transaction");
        DbError::Remote { endpoint: self.source.name(), what }
    }
}

impl Database for PrestateDb {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        let known = self.accounts.get(&address);
        let info = known.ok_or_else(|| self.missing(Read::Account(address)))?.info;
        let remote = RemoteAccount { info, storage_root: None };
        let account = Account { info, has_storage: remote.has_storage() };
        Ok((!info.is_empty()).then_some(account))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let known = self.accounts.get(&address).and_then(|known| known.storage.get(&slot));
        known.copied().ok_or_else(|| self.missing(Read::Slot(address, slot)))
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.code.get(&code_hash).cloned().ok_or(DbError::MissingCode { code_hash })
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        match self.source.fetch(&[Read::BlockHash(number)])?.pop() {
            Some(Found::BlockHash(hash)) => Ok(hash),
            _ => Err(self.missing(Read::BlockHash(number))),
        }
    }
}

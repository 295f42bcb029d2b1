//! One transaction on one small world, for any engine.

use std::collections::BTreeMap;

use zvm_conformance::{Workload, WorkloadAccount};
use zvm_core::{
    Account, AccountInfo, Address, B256, BlockEnv, Bytes, Database, DbError, KECCAK_EMPTY, SpecId,
    Transaction, U256, keccak256, map::HashMap,
};

/// A transaction with everything it needs to run.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The rules; chain id 1 and the blob schedule of mainnet go with them.
    pub spec: SpecId,
    /// The block around the transaction.
    pub block: BlockEnv,
    /// The transaction.
    pub tx: Transaction,
    /// Every account there is. Block hashes are [`block_hash`].
    pub pre: World,
}

/// A whole world state, in order.
pub type World = BTreeMap<Address, WorldAccount>;

/// One account of a [`World`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorldAccount {
    /// Transactions sent or contracts created.
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
    /// Its code, possibly empty.
    pub code: Bytes,
    /// Its slots; no word is zero.
    pub storage: BTreeMap<U256, U256>,
}

impl From<&Workload> for Case {
    /// The case of a fixture. What its configuration adds to the rules of mainnet is lost.
    fn from(workload: &Workload) -> Self {
        let account = |account: WorkloadAccount| WorldAccount {
            nonce: account.info.nonce,
            balance: account.info.balance,
            code: account.code,
            storage: account.storage.into_iter().collect(),
        };
        Self {
            spec: workload.config.spec(),
            block: workload.block.clone(),
            tx: workload.transaction.clone(),
            pre: workload.accounts().map(|(at, found)| (at, account(found))).collect(),
        }
    }
}

impl WorldAccount {
    /// keccak-256 of the code.
    #[must_use]
    pub fn code_hash(&self) -> B256 {
        if self.code.is_empty() { KECCAK_EMPTY } else { keccak256(&self.code) }
    }

    /// Nonce, balance and code hash.
    #[must_use]
    pub fn info(&self) -> AccountInfo {
        AccountInfo { nonce: self.nonce, balance: self.balance, code_hash: self.code_hash() }
    }
}

/// The hash of block `number` in every [`Case`]: that of its digits, as in state tests.
#[must_use]
pub fn block_hash(number: u64) -> B256 {
    keccak256(number.to_string())
}

/// A [`World`] in hash maps, as zvm reads it. The peer gets the same maps in its own types.
#[derive(Debug, Default)]
pub struct WorldDb {
    accounts: HashMap<Address, Account>,
    storage: HashMap<(Address, U256), U256>,
    code: HashMap<B256, Bytes>,
}

impl WorldDb {
    /// The world `pre`.
    #[must_use]
    pub fn new(pre: &World) -> Self {
        let mut db = Self::default();
        for (&address, account) in pre {
            let info = account.info();
            let has_storage = !account.storage.is_empty();
            db.accounts.insert(address, Account { info, has_storage });
            if info.has_code() {
                db.code.insert(info.code_hash, account.code.clone());
            }
            for (&slot, &word) in &account.storage {
                db.storage.insert((address, slot), word);
            }
        }
        db
    }
}

impl Database for WorldDb {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        Ok(self.accounts.get(&address).copied())
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        Ok(self.storage.get(&(address, slot)).copied().unwrap_or_default())
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.code.get(&code_hash).cloned().ok_or(DbError::MissingCode { code_hash })
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        Ok(block_hash(number))
    }
}

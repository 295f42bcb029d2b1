//! zvm's store.

use std::path::Path;

use zvm_core::{AccountInfo, Address, Database, StateBackend, StateDiff, U256};
use zvm_state::{FileDb, FileOptions, kv::Engine};

use super::contender::{Committed, Contender, Failure};

pub(super) struct Zvm(FileDb);

impl Zvm {
    pub(super) fn open(engine: Engine, folder: &Path) -> Result<Self, Failure> {
        let options = FileOptions { engine, ..FileOptions::default() };
        Ok(Self(FileDb::open_with(folder, options)?))
    }
}

impl Contender for Zvm {
    fn seed(&mut self, diff: &StateDiff) -> Result<(), Failure> {
        Ok(self.0.seed(diff)?)
    }

    fn finish_seed(&mut self) -> Result<(), Failure> {
        Ok(self.0.commit(&StateDiff::default())?)
    }

    fn commit(&mut self, diff: &StateDiff) -> Result<Committed, Failure> {
        self.0.commit(diff)?;
        // The leaf of an account changes with its slots.
        let leaves = diff.accounts.values().map(|account| 1 + account.storage.len()).sum();
        Ok(Committed { root: self.0.state_root()?, leaves })
    }

    fn account(&self, address: Address) -> Result<Option<AccountInfo>, Failure> {
        Ok(self.0.account(address)?.map(|account| account.info))
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, Failure> {
        Ok(self.0.storage(address, slot)?)
    }
}

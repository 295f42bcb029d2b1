//! Where a log is kept: beside a state, written in one batch with it.

use zvm_core::{
    Account, Address, B256, Batch, BlockId, Bytes, Database, DbError, SnapshotId, StateBackend,
    StateDiff, U256, VisitAccount, VisitSlot,
};
use zvm_state::{
    FileDb,
    kv::{KvReader, MemoryTables, WriteBatch},
};

/// A state with a log beside it.
///
/// The log follows the head of the state. Going back, by [`unwind`](StateBackend::unwind) or to a
/// snapshot, is done on the state alone: what the log has beyond the head no longer counts, and is
/// removed with the next block.
pub trait LogStore: StateBackend {
    /// The tables of the log. Those of the state may be there too.
    fn log(&self) -> &dyn KvReader;

    /// Makes `diff` the state of `block`, records its hash, and writes `log`: all of it or, on an
    /// error, none. After a crash too.
    fn commit_with_log(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        log: WriteBatch,
    ) -> Result<(), DbError>;

    /// Writes `log`, all of it or none; the state stays.
    fn write_log(&mut self, log: WriteBatch) -> Result<(), DbError>;
}

impl LogStore for FileDb {
    fn log(&self) -> &dyn KvReader {
        self.store()
    }

    fn commit_with_log(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        log: WriteBatch,
    ) -> Result<(), DbError> {
        self.commit_beside(block, diff, log)
    }

    fn write_log(&mut self, log: WriteBatch) -> Result<(), DbError> {
        self.write_beside(log)
    }
}

/// Any backend, with its log in memory: for tests, and for chains that leave nothing behind.
///
/// The log is written when the backend has committed, and nothing can fail then. With a backend on
/// disk the log is lost with the process all the same.
#[derive(Clone, Debug, Default)]
pub struct Beside<B> {
    state: B,
    log: MemoryTables,
}

impl<B: StateBackend> Beside<B> {
    /// A state with an empty log.
    pub fn new(state: B) -> Self {
        Self { state, log: MemoryTables::default() }
    }

    /// The state.
    pub fn state(&self) -> &B {
        &self.state
    }
}

impl<B: StateBackend> LogStore for Beside<B> {
    fn log(&self) -> &dyn KvReader {
        &self.log
    }

    fn commit_with_log(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        log: WriteBatch,
    ) -> Result<(), DbError> {
        // Before the commit: the hash of a block that is none is asked for by nobody.
        self.state.set_block_hash(block.number, block.hash)?;
        self.state.commit_block(block, diff)?;
        self.log.write(log);
        Ok(())
    }

    fn write_log(&mut self, log: WriteBatch) -> Result<(), DbError> {
        self.log.write(log);
        Ok(())
    }
}

impl<B: StateBackend> Database for Beside<B> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        self.state.storage(address, slot)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.state.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.state.block_hash(number)
    }
}

impl<B: StateBackend> StateBackend for Beside<B> {
    fn commit_block(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError> {
        self.state.commit_block(block, diff)
    }

    fn seed(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        self.state.seed(diff)
    }

    fn head(&self) -> Result<BlockId, DbError> {
        self.state.head()
    }

    fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, DbError> {
        self.state.at(number)
    }

    fn floor(&self) -> Result<u64, DbError> {
        self.state.floor()
    }

    fn unwind(&mut self, number: u64) -> Result<(), DbError> {
        self.state.unwind(number)
    }

    fn state_root(&self) -> Result<B256, DbError> {
        self.state.state_root()
    }

    fn root_after(&self, diff: &StateDiff) -> Result<B256, DbError> {
        self.state.root_after(diff)
    }

    fn for_each_account(&self, from: B256, visit: &mut VisitAccount<'_>) -> Result<(), DbError> {
        self.state.for_each_account(from, visit)
    }

    fn for_each_slot(
        &self,
        address: Address,
        from: B256,
        visit: &mut VisitSlot<'_>,
    ) -> Result<(), DbError> {
        self.state.for_each_slot(address, from, visit)
    }

    fn snapshot(&mut self) -> Result<SnapshotId, DbError> {
        self.state.snapshot()
    }

    fn revert(&mut self, id: SnapshotId) -> Result<(), DbError> {
        self.state.revert(id)
    }

    fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        self.state.release(id)
    }

    fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError> {
        self.state.set_block_hash(number, hash)
    }

    fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }
}

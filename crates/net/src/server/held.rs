//! The backend that is served, and what it takes for sessions to stay at the state they stand at.
//!
//! Every state there is has a name of its own, a number that is never used again; a session stands at
//! one of them. When somebody commits while others stand at the state before, the way back is kept:
//! the reverse diff. A session behind sees the present with the ways back to its own state over it, so
//! reading, walking and roots work there like in the present, whatever the backend is. What the ways
//! take is bounded: who stays too far behind loses the state, and is told.

use std::collections::{BTreeSet, HashMap, VecDeque};

use zvm_core::{
    Account, Address, Assembled, B256, BlockId, Bytes, Database, DbError, SnapshotId, StateBackend,
    StateDiff, U256,
};
use zvm_state::reverse;

use super::{overlay::Overlay, owned::Owned};
use crate::wire::{SessionId, Standing, Write};

/// The name of a state.
pub(super) type StateName = u64;

/// How many fates of commits are remembered: many more than can be waited for at a time.
const FATES_MAX: usize = 4096;

/// A backend that is served.
pub(super) struct Held {
    backend: Box<dyn StateBackend>,
    /// The present state.
    tip: StateName,
    /// The first name that was never given.
    next: StateName,
    /// The ways back from the present, the earliest first.
    steps: VecDeque<Step>,
    /// What the steps take, and may take.
    bytes: usize,
    bytes_max: usize,
    snapshots: Owned,
    fates: Fates,
}

/// The way back over one commit.
struct Step {
    /// The state before.
    to: StateName,
    /// The number of its block.
    before: u64,
    reverse: StateDiff,
    bytes: usize,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Unknown,
    Kept,
    Refused,
}

/// Why a session cannot have what it asks for.
pub(super) enum Refusal {
    /// The state it stands at is gone.
    Lost,
    /// It stands behind the present, and cannot write.
    Behind { head: u64 },
    /// It has asked whether this commit was made and was told that it never would be.
    Barred,
    /// The database refuses.
    Db(DbError),
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// What a write has come to.
pub(super) struct Written {
    /// The state the session stands at now.
    pub(super) at: StateName,
    pub(super) standing: Standing,
    /// The snapshot that was taken.
    pub(super) snapshot: Option<SnapshotId>,
}

impl Held {
    pub(super) fn new(backend: Box<dyn StateBackend>, bytes_max: usize) -> Self {
        Self {
            backend,
            tip: 0,
            next: 1,
            steps: VecDeque::new(),
            bytes: 0,
            bytes_max,
            snapshots: Owned::default(),
            fates: Fates::default(),
        }
    }

    /// The present state.
    pub(super) fn tip(&self) -> StateName {
        self.tip
    }

    /// The present block, and who made it.
    pub(super) fn standing(&self) -> Result<Standing, DbError> {
        let block = self.backend.head()?;
        Ok(Standing { block, mark: self.backend.mark_of(block.number)?, state: self.tip })
    }

    /// What leads from the present back to the state `at`; `None` where it is the present.
    pub(super) fn way_to(&self, at: StateName) -> Result<Option<Overlay>, Refusal> {
        if at == self.tip {
            return Ok(None);
        }
        let first = self.steps.iter().position(|step| step.to == at).ok_or(Refusal::Lost)?;
        let mut diff = StateDiff::default();
        self.steps.range(first..).rev().for_each(|step| diff.append(&step.reverse));
        Ok(Some(Overlay::new(diff)))
    }

    /// The state that lies under `overlay`.
    pub(super) fn view<'a>(&'a self, overlay: Option<&'a Overlay>) -> View<'a> {
        View { backend: &*self.backend, overlay }
    }

    /// Does what `session` asks for, which stands at the state `at`. `others` are the states that
    /// other sessions stand at.
    pub(super) fn write(
        &mut self,
        session: SessionId,
        at: StateName,
        write: Write,
        others: &BTreeSet<StateName>,
    ) -> Result<Written, Refusal> {
        if let Write::Commit { id, .. } = &write {
            match self.fates.of(*id) {
                Fate::Kept => return self.written(at, None),
                Fate::Refused => return Err(Refusal::Barred),
                Fate::Unknown => {}
            }
        }
        // Hashes of blocks are no part of any one state.
        if let Write::BlockHash(number, hash) = write {
            self.backend.set_block_hash(number, hash)?;
            return self.written(at, None);
        }
        if at != self.tip {
            let head = self.backend.head()?.number;
            return Err(Refusal::Behind { head });
        }
        let mut snapshot = None;
        match write {
            Write::Commit { id, block, diff } => self.commit(id, block, &diff, others)?,
            Write::Seed(diff) => {
                self.backend.seed(&diff)?;
                self.leave();
            }
            Write::Unwind(number) => {
                let mut here = self.backend.head()?.number;
                self.backend.unwind(number)?;
                while here != number {
                    match self.step_back() {
                        Some(step) => here = step.before,
                        None => {
                            self.leave();
                            break;
                        }
                    }
                }
            }
            Write::Snapshot => {
                snapshot = Some(self.snapshots.take(session, at, &mut *self.backend)?)
            }
            Write::Revert(id) => {
                let to = self.snapshots.revert(session, SnapshotId(id), &mut *self.backend)?;
                while self.tip != to {
                    if self.step_back().is_none() {
                        self.leave();
                        break;
                    }
                }
            }
            Write::Release(id) => {
                self.snapshots.release(session, SnapshotId(id), &mut *self.backend)?;
            }
            Write::BlockHash(..) => {}
        }
        self.written(self.tip, snapshot)
    }

    /// Ends the snapshots of a session.
    pub(super) fn end(&mut self, session: SessionId) {
        self.snapshots.end(session, &mut *self.backend);
    }

    /// What became of the commit `id` of block `number`. `is_ours` says whether it was sent in this
    /// life of the server.
    pub(super) fn fate(&mut self, id: B256, number: u64, is_ours: bool) -> Result<Fate, DbError> {
        let known = self.fates.of(id);
        if known != Fate::Unknown {
            return Ok(known);
        }
        let fate = match self.backend.mark_of(number)? {
            Some(mark) if mark == id => Fate::Kept,
            // Somebody else's block, or none.
            Some(_) => Fate::Refused,
            None if self.backend.head()?.number < number => Fate::Refused,
            None if is_ours && self.fates.reach(number) => Fate::Refused,
            None => Fate::Unknown,
        };
        if fate != Fate::Unknown {
            self.fates.remember(id, number, fate);
        }
        Ok(fate)
    }

    fn commit(
        &mut self,
        id: B256,
        block: BlockId,
        diff: &StateDiff,
        others: &BTreeSet<StateName>,
    ) -> Result<(), DbError> {
        // Where nobody stands in the past or will, there is no need of a way there.
        let is_seen = others.contains(&self.tip);
        let needed = self.steps.iter().position(|step| others.contains(&step.to));
        let way = match is_seen || needed.is_some() {
            true => Some(reverse(&*self.backend, diff)?),
            false => None,
        };
        let before = self.backend.head()?.number;
        self.backend.commit_marked(block, diff, id)?;
        self.fates.remember(id, block.number, Fate::Kept);
        let to = self.leave_to_next();
        let Some(reverse) = way else {
            self.forget_steps(self.steps.len());
            return Ok(());
        };
        // Those that lead further back than anybody stands.
        self.forget_steps(needed.unwrap_or(self.steps.len()));
        let bytes = size(&reverse);
        self.bytes = self.bytes.saturating_add(bytes);
        self.steps.push_back(Step { to, before, reverse, bytes });
        while self.bytes > self.bytes_max && !self.steps.is_empty() {
            self.forget_steps(1);
        }
        Ok(())
    }

    /// Goes back over the last step. Who stood at the state after it has lost it.
    fn step_back(&mut self) -> Option<Step> {
        let step = self.steps.pop_back()?;
        self.tip = step.to;
        self.bytes = self.bytes.saturating_sub(step.bytes);
        Some(step)
    }

    /// Makes the present a state that nobody stands at yet, and without a way back.
    fn leave(&mut self) {
        self.leave_to_next();
        self.forget_steps(self.steps.len());
    }

    /// Gives the present a new name and answers the one it had.
    fn leave_to_next(&mut self) -> StateName {
        let before = self.tip;
        self.tip = self.next;
        self.next = self.next.saturating_add(1);
        before
    }

    fn forget_steps(&mut self, count: usize) {
        let forgotten: usize = self.steps.drain(..count).map(|step| step.bytes).sum();
        self.bytes = self.bytes.saturating_sub(forgotten);
    }

    fn written(&self, at: StateName, snapshot: Option<SnapshotId>) -> Result<Written, Refusal> {
        Ok(Written { at, standing: self.standing()?, snapshot })
    }
}

/// What became of the last commits.
#[derive(Default)]
struct Fates {
    by_id: HashMap<B256, Fate>,
    /// The same with their blocks, the oldest first.
    ids: VecDeque<(B256, u64)>,
    /// The highest block of a fate that is remembered no more.
    forgotten: Option<u64>,
}

impl Fates {
    fn of(&self, id: B256) -> Fate {
        self.by_id.get(&id).copied().unwrap_or(Fate::Unknown)
    }

    /// Whether all commits of block `number` in this life of the server are remembered.
    fn reach(&self, number: u64) -> bool {
        self.forgotten.is_none_or(|forgotten| forgotten < number)
    }

    fn remember(&mut self, id: B256, number: u64, fate: Fate) {
        if self.by_id.insert(id, fate).is_none() {
            self.ids.push_back((id, number));
        }
        if self.ids.len() > FATES_MAX
            && let Some((forgotten, number)) = self.ids.pop_front()
        {
            self.by_id.remove(&forgotten);
            self.forgotten = self.forgotten.max(Some(number));
        }
    }
}

/// About what a diff takes in memory.
fn size(diff: &StateDiff) -> usize {
    const ACCOUNT: usize = 256;
    const SLOT: usize = 128;
    diff.accounts.values().map(|account| ACCOUNT + SLOT * account.storage.len()).sum()
}

/// One state, read as a whole.
pub(super) struct View<'a> {
    pub(super) backend: &'a dyn StateBackend,
    pub(super) overlay: Option<&'a Overlay>,
}

impl<'a> View<'a> {
    /// The state as a database.
    pub(super) fn database(&self) -> Box<dyn Database + 'a> {
        match self.overlay {
            Some(overlay) => Box::new(Assembled::over(self.backend, overlay.diff())),
            None => Box::new(Present(self.backend)),
        }
    }

    /// The root of the state, or of the state after `diff`.
    pub(super) fn root(&self, diff: Option<&StateDiff>) -> Result<B256, DbError> {
        match (self.overlay, diff) {
            (None, None) => self.backend.state_root(),
            (None, Some(diff)) => self.backend.root_after(diff),
            (Some(overlay), None) => self.backend.root_after(overlay.diff()),
            (Some(overlay), Some(diff)) => {
                self.backend.root_after(&overlay.diff().clone().then(diff.clone()))
            }
        }
    }
}

/// A backend seen as a database.
struct Present<'a>(&'a dyn StateBackend);

impl Database for Present<'_> {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        self.0.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        self.0.storage(address, slot)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.0.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.0.block_hash(number)
    }
}

#[cfg(test)]
mod tests;

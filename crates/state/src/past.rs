//! A past as reverse diffs: what it costs follows what changed since.

use std::collections::{BTreeMap, VecDeque};

use zvm_core::{
    Account, AccountDiff, BlockId, DbError, SlotDiff, SnapshotId, StateBackend, StateDiff, U256,
};

/// The greatest number of a block (EIP-1985). From there on blocks can be counted for ever: no state
/// is so late that none can follow.
const FIRST_BLOCK_MAX: u64 = u64::MAX >> 1;

/// The blocks a backend can go back to, each with the way there, and its open snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    /// How many blocks are kept beside those that an open snapshot needs.
    blocks_max: usize,
    /// One step for each commit, oldest first.
    steps: VecDeque<Step>,
    /// How many steps have been forgotten at the front.
    forgotten: u64,
    next_id: u64,
    /// Open snapshots, oldest first, each with the number of steps ever taken when it was made.
    marks: Vec<(SnapshotId, u64)>,
}

/// The way from one block to the one before it.
#[derive(Clone, Debug)]
struct Step {
    /// The head before; `None` where the backend had never been written.
    to: Option<BlockId>,
    reverse: StateDiff,
}

impl Step {
    /// The number of the block it leads to.
    fn at(&self) -> u64 {
        self.to.map_or(0, |block| block.number)
    }
}

/// The way from the present to an earlier state.
pub(crate) struct WayBack {
    /// The head there.
    pub(crate) to: Option<BlockId>,
    pub(crate) diff: StateDiff,
    /// How many steps remain behind it.
    remaining: usize,
}

impl Past {
    pub(crate) fn new(blocks_max: usize) -> Self {
        Self { blocks_max, steps: VecDeque::new(), forgotten: 0, next_id: 0, marks: Vec::new() }
    }

    /// Opens a snapshot of the present state.
    pub(crate) fn take(&mut self) -> SnapshotId {
        let id = SnapshotId(self.next_id);
        self.next_id += 1;
        self.marks.push((id, self.forgotten + self.steps.len() as u64));
        id
    }

    /// Keeps the way back from a commit that has succeeded on `to`, as [`reverse`] answered it.
    pub(crate) fn record(&mut self, to: Option<BlockId>, reverse: StateDiff) {
        self.steps.push_back(Step { to, reverse });
        self.forget();
    }

    /// The way to block `number` from the head at `head`.
    pub(crate) fn way_to(&self, number: u64, head: Option<BlockId>) -> Result<WayBack, DbError> {
        if number == head.unwrap_or_default().number {
            return Ok(self.way(self.steps.len(), head));
        }
        // Where the first commit chose number 0, two steps lead there, and the later one is meant.
        let found = self.steps.partition_point(|step| step.at() <= number).checked_sub(1);
        match found {
            Some(found) if self.steps[found].at() == number && self.is_followed(found, head) => {
                Ok(self.way(found, head))
            }
            _ => {
                let floor = self.floor(head);
                Err(DbError::NoHistory { number, floor, head: head.unwrap_or_default().number })
            }
        }
    }

    /// The first block that there is a way to from the head at `head`.
    pub(crate) fn floor(&self, head: Option<BlockId>) -> u64 {
        let first = (0..self.steps.len()).find(|index| self.is_followed(*index, head));
        first.map_or(head.unwrap_or_default().number, |index| self.steps[index].at())
    }

    /// Whether the block that a step leads to and the one it comes from follow each other. The state
    /// before the first commit has no number of its own if that commit chose one.
    fn is_followed(&self, index: usize, head: Option<BlockId>) -> bool {
        let next = self.steps.get(index + 1).map_or(head, |step| step.to);
        next.unwrap_or_default().number == self.steps[index].at().wrapping_add(1)
    }

    /// The way to the snapshot from the head at `head`.
    pub(crate) fn way_to_snapshot(
        &self,
        id: SnapshotId,
        head: Option<BlockId>,
    ) -> Result<WayBack, DbError> {
        let (_, taken) = self.marks[self.position(id)?];
        // Steps a snapshot needs are never forgotten.
        Ok(self.way((taken - self.forgotten) as usize, head))
    }

    /// Forgets what lies after the end of `way`, which was gone.
    pub(crate) fn went(&mut self, way: &WayBack) {
        self.steps.truncate(way.remaining);
        let taken = self.forgotten + self.steps.len() as u64;
        self.marks.retain(|mark| mark.1 <= taken);
    }

    /// Forgets `id` and later snapshots; the present state stays.
    pub(crate) fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let position = self.position(id)?;
        self.marks.truncate(position);
        self.forget();
        Ok(())
    }

    fn way(&self, remaining: usize, head: Option<BlockId>) -> WayBack {
        let steps = self.steps.range(remaining..);
        let to = self.steps.get(remaining).map_or(head, |step| step.to);
        let diff = steps.rev().map(|step| step.reverse.clone());
        WayBack { to, diff: diff.fold(StateDiff::default(), StateDiff::then), remaining }
    }

    /// Drops steps beyond the number kept, but none that a snapshot needs.
    fn forget(&mut self) {
        let taken = self.forgotten + self.steps.len() as u64;
        let needed = self.marks.first().map_or(taken, |mark| mark.1);
        let extra =
            (self.steps.len().saturating_sub(self.blocks_max) as u64).min(needed - self.forgotten);
        self.steps.drain(..extra as usize);
        self.forgotten += extra;
    }

    fn position(&self, id: SnapshotId) -> Result<usize, DbError> {
        // Ids grow, so the marks are sorted by them.
        self.marks
            .binary_search_by_key(&id, |mark| mark.0)
            .map_err(|_| DbError::UnknownSnapshot { id })
    }
}

/// Checks that block `number` can be committed on `head`.
pub(crate) fn follows(head: Option<BlockId>, number: u64) -> Result<(), DbError> {
    match head {
        Some(head) if head.number.checked_add(1) != Some(number) => {
            Err(DbError::NotNext { number, head: head.number })
        }
        None if number > FIRST_BLOCK_MAX => Err(DbError::Unsupported {
            backend: "a state".into(),
            action: "begin at a block beyond 2^63 - 1, the last there can be (EIP-1985)".into(),
        }),
        _ => Ok(()),
    }
}

/// Checks that a backend at `head` has not been committed to.
pub(crate) fn seedable(head: Option<BlockId>) -> Result<(), DbError> {
    match head {
        None => Ok(()),
        Some(_) => Err(DbError::Unsupported {
            backend: "a state with blocks".into(),
            action: "be given in parts".into(),
        }),
    }
}

/// The diff that undoes `diff` on `state`. Unlike [`StateDiff::invert`] it does not trust the old
/// values of `diff`, and it lists every slot that a wipe deletes.
pub fn reverse(state: &dyn StateBackend, diff: &StateDiff) -> Result<StateDiff, DbError> {
    let mut reverse = StateDiff::default();
    for (&address, change) in &diff.accounts {
        let present = state.account(address)?;
        let mut storage = BTreeMap::new();
        let goes = change.wiped || change.new.is_none();
        if goes && present.is_some_and(|account| account.has_storage) {
            for (slot, word) in state.storage_entries(address)? {
                storage.insert(slot, SlotDiff { old: U256::ZERO, new: word });
            }
        }
        if change.new.is_some() {
            for (&slot, written) in &change.storage {
                let present = state.storage(address, slot)?;
                storage.insert(slot, SlotDiff { old: written.new, new: present });
            }
        }
        storage.retain(|_, slot| slot.old != slot.new);
        let undo = AccountDiff {
            old: change.new,
            new: present.map(|Account { info, .. }| info),
            wiped: false,
            storage,
        };
        if !undo.is_empty() {
            reverse.accounts.insert(address, undo);
        }
    }
    Ok(reverse)
}

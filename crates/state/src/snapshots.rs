//! Snapshots as reverse diffs: what they cost follows what changed since.

use std::collections::BTreeMap;

use zvm_core::{
    Account, AccountDiff, DbError, SlotDiff, SnapshotId, StateBackend, StateDiff, U256,
};

/// The open snapshots of a backend and the way back to each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots {
    next_id: u64,
    /// Open snapshots, oldest first, each with the length of `undo` when it was taken.
    marks: Vec<(SnapshotId, usize)>,
    /// The reverse of each commit since the oldest mark.
    undo: Vec<StateDiff>,
}

impl Snapshots {
    /// Opens a snapshot of the present state.
    pub(crate) fn take(&mut self) -> SnapshotId {
        let id = SnapshotId(self.next_id);
        self.next_id += 1;
        self.marks.push((id, self.undo.len()));
        id
    }

    /// The reverse of `diff` on `state` before its commit; `None` while no snapshot is open.
    pub(crate) fn prepare(
        &self,
        state: &dyn StateBackend,
        diff: &StateDiff,
    ) -> Result<Option<StateDiff>, DbError> {
        if self.marks.is_empty() { Ok(None) } else { reverse(state, diff).map(Some) }
    }

    /// Keeps what [`prepare`](Self::prepare) answered, once the commit has succeeded.
    pub(crate) fn record(&mut self, reverse: Option<StateDiff>) {
        self.undo.extend(reverse);
    }

    /// The diff from the present state back to the snapshot.
    pub(crate) fn way_back(&self, id: SnapshotId) -> Result<StateDiff, DbError> {
        let (_, undo_len) = self.marks[self.position(id)?];
        let steps = self.undo[undo_len..].iter().rev().cloned();
        Ok(steps.fold(StateDiff::default(), StateDiff::then))
    }

    /// Forgets `id` and later snapshots after the way back to it was taken.
    pub(crate) fn reverted(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let position = self.position(id)?;
        self.undo.truncate(self.marks[position].1);
        self.marks.truncate(position);
        Ok(())
    }

    /// Forgets `id` and later snapshots; the present state stays.
    pub(crate) fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let position = self.position(id)?;
        self.marks.truncate(position);
        if self.marks.is_empty() {
            self.undo.clear();
        }
        Ok(())
    }

    fn position(&self, id: SnapshotId) -> Result<usize, DbError> {
        // Ids grow, so the marks are sorted by them.
        self.marks
            .binary_search_by_key(&id, |mark| mark.0)
            .map_err(|_| DbError::UnknownSnapshot { id })
    }
}

/// The diff that undoes `diff` on `state`. Unlike [`StateDiff::invert`] it does not trust the old
/// values of `diff`, and it lists every slot that a wipe deletes.
fn reverse(state: &dyn StateBackend, diff: &StateDiff) -> Result<StateDiff, DbError> {
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

//! A block as one batch.

use std::sync::{MutexGuard, PoisonError};

use zvm_core::{B256, BlockId, DbError, StateDiff};

use super::{
    FileDb, FileOptions,
    history::stage_changes,
    index::{index_keys, stage_slice},
    pending::{Redo, stage_redo_end},
    plan::{AccountChange, Plan, SlotChange},
    read::put,
    recent::Recent,
    record::Head,
    recover::Meta,
    slices::{SLICES, Turns},
    tries::{TrieChanges, Tries},
};
use crate::{
    kv::{Durability, Engine, Table, WriteBatch},
    past::{follows, seedable},
};

/// A crash takes fewer buffered blocks than this.
const BUFFERED_MAX: u64 = 32;

impl FileDb {
    /// Writes `diff` as the state of `block`, and what is in `batch` already with it.
    pub(super) fn commit_plan(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        mut batch: WriteBatch,
    ) -> Result<(), DbError> {
        let before = self.meta.head;
        follows(before.block, block.number)?;
        let Staged { plan, branches, root, redo } = match self.take_prepared(diff) {
            Some(staged) => staged,
            None => self.stage(diff)?,
        };
        stage_code(diff, &mut batch);
        let tries = self.tries()?;

        let mut turns = match before.block {
            Some(_) => self.meta.turns,
            None => Turns::before(block.number),
        };
        let slices: Vec<usize> = turns.order().take(self.slices_due(&turns, tries)).collect();
        for slice in &slices {
            self.pending.stage_slice(*slice, &redo, &mut batch);
            tries.stage_slice(*slice, &branches, &mut batch);
        }
        let waited_from = turns.first_waiting();
        turns.advance(slices.len(), block.number);
        stage_redo_end(waited_from..turns.first_waiting().min(block.number), &mut batch);
        // What is in its table needs no redo.
        if turns.first_waiting() <= block.number {
            redo.stage(block.number, &mut batch);
        }

        let index = index_keys(&plan);
        let needs_index = self.meta.retention.needs_index();
        let index_start = self.meta.index_start.or(needs_index.then_some(block.number));
        if index_start.is_some() {
            stage_slice(&*self.kv, &self.meta, block.number, &index, &mut batch)?;
        }
        let history_bytes = stage_changes(block.number, &before, &plan, &mut batch);
        let mut meta = Meta {
            head: Head { block: Some(block), root },
            floor: match before.block {
                Some(_) => self.meta.floor,
                // Before block 1 there is the state of block 0; before a later one, nothing.
                None if block.number == 1 => 0,
                None => block.number,
            },
            history_bytes: self.meta.history_bytes.saturating_add(history_bytes),
            turns,
            index_start,
            retention: self.meta.retention,
        };
        let pruned = self.stage_pruning(&mut meta, index.len(), &mut batch)?;
        meta.stage(&mut batch);
        let durability = match block.number % BUFFERED_MAX {
            0 => Durability::Synced,
            _ => self.options.durability,
        };
        self.kv.write(batch, durability)?;

        // On disk. Memory follows, and nothing of this can fail.
        self.set_meta(meta);
        self.recent.follow(plan);
        self.pending.hold(redo);
        if let Some(tries) = self.tries.get_mut() {
            tries.follow(branches, slices.iter().copied());
        }
        for slice in slices {
            self.pending.forget_slice(slice);
            self.cells.forget_slice(slice);
        }
        if let Some(tail) = self.tail.get_mut() {
            tail.push(block.number, &index);
            tail.drop_before(meta.first_not_indexed());
        }
        self.follow_pruning(pruned);
        if self.options.engine == Engine::Redb
            && let Some(accounts) = self.tries.get().and_then(|tries| tries.account_count())
        {
            self.cells.fit(accounts);
        }
        Ok(())
    }

    /// How many slices are to be written: one, or as many as it takes to hold no more than is allowed.
    fn slices_due(&self, turns: &Turns, tries: &Tries) -> usize {
        let FileOptions { pending_bytes, trie_dirty_bytes, .. } = self.options;
        let (mut pending, mut dirty) = (self.pending.bytes(), tries.dirty_bytes());
        let mut slices = turns.order();
        let mut count = 0;
        loop {
            count += 1;
            let Some(slice) = slices.next() else { return SLICES };
            pending -= self.pending.slice_bytes(slice);
            dirty -= tries.slice_bytes(slice);
            if pending <= pending_bytes && dirty <= trie_dirty_bytes {
                return count;
            }
        }
    }

    /// Puts all accounts and slots that wait into their tables, and ends their redos. All slices are
    /// written with the batch, so their branches have to be, too.
    pub(super) fn stage_waiting(&self, batch: &mut WriteBatch) {
        self.pending.stage_all(batch);
        if let Some(head) = self.number() {
            stage_redo_end(self.meta.turns.first_waiting()..head.saturating_add(1), batch);
        }
    }

    /// Writes `diff` as part of the state before the first block.
    pub(super) fn seed_plan(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        seedable(self.meta.head.block)?;
        let mut batch = WriteBatch::new();
        let Staged { plan, branches, root, redo } = self.stage(diff)?;
        stage_code(diff, &mut batch);
        redo.stage_records(&mut batch);
        for (life, _) in &plan.ended {
            batch.delete_prefix(Table::Storage, life);
            batch.delete_prefix(Table::TrieStorage, life);
        }
        self.tries()?.stage_all(&branches, &mut batch);
        let meta = Meta { head: Head { block: None, root }, ..self.meta };
        meta.stage(&mut batch);
        self.kv.write(batch, self.options.durability)?;
        self.set_meta(meta);
        self.recent = Recent::default();
        self.cells.clear();
        match self.tries.get_mut() {
            Some(tries) if plan.ended.is_empty() => {
                tries.follow(branches, 0..SLICES);
            }
            // Branches of the lives that ended are cached.
            _ => drop(self.tries.take()),
        }
        Ok(())
    }

    /// The root there would be after `diff`. What it took to know is kept: who asks commits next.
    pub(super) fn plan_root(&self, diff: &StateDiff) -> Result<B256, DbError> {
        let staged = self.stage(diff)?;
        let root = staged.root;
        *self.prepared() = Some(Prepared { diff: diff.clone(), staged });
        Ok(root)
    }

    /// What was worked out for `diff` since the state was last changed.
    fn take_prepared(&self, diff: &StateDiff) -> Option<Staged> {
        let prepared = self.prepared().take()?;
        (prepared.diff == *diff).then_some(prepared.staged)
    }

    fn prepared(&self) -> MutexGuard<'_, Option<Prepared>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a change of the state that is on disk. What was worked out before it counts no longer.
    pub(super) fn set_meta(&mut self, meta: Meta) {
        self.meta = meta;
        self.forget_prepared();
    }

    pub(super) fn forget_prepared(&mut self) {
        *self.prepared() = None;
    }

    /// Works out what `diff` changes and the new root.
    fn stage(&self, diff: &StateDiff) -> Result<Staged, DbError> {
        let (kv, tries) = (&self.kv(), self.tries()?);
        let mut plan = Plan::new(kv, &self.recent, diff)?;
        let mut branches = TrieChanges::default();
        let count = |life: &_| plan.slot_counts.get(life).copied();
        let roots = tries.update_storage(kv, &plan.slots.iter().collect(), count, &mut branches)?;
        plan.set_storage_roots(kv, &roots)?;
        let root = match plan.accounts.is_empty() {
            true => self.meta.head.root,
            false => tries.update_accounts(kv, &plan.accounts.iter().collect(), &mut branches)?,
        };
        let mut redo = Redo::default();
        set_state(&plan.accounts, &plan.slots, &mut redo);
        Ok(Staged { plan, branches, root, redo })
    }
}

fn stage_code(diff: &StateDiff, batch: &mut WriteBatch) {
    for (hash, code) in &diff.code {
        put(batch, Table::Code, hash.as_slice(), code);
    }
}

/// A diff that was asked about and not committed yet.
pub(super) struct Prepared {
    diff: StateDiff,
    staged: Staged,
}

/// A diff, ready to be written.
struct Staged {
    plan: Plan,
    branches: TrieChanges,
    root: B256,
    redo: Redo,
}

/// Sets accounts and slots to what they are after a change.
pub(super) fn set_state(accounts: &[AccountChange], slots: &[SlotChange], redo: &mut Redo) {
    for account in accounts {
        redo.set_account(account.hash, account.new.as_ref());
    }
    for slot in slots {
        redo.set_slot(slot.key, slot.record_after());
    }
}

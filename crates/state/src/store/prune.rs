//! Forgetting the past, a bounded step with each commit or all at once.

use zvm_core::DbError;

use super::{
    FileDb, History,
    history::{Change, change_bytes},
    keys::{Kind, Life},
    read::exact,
    recover::{Meta, stage_retention},
    slices::SLICES,
};
use crate::kv::{Durability, KvReader, Order, Table, WriteBatch};

/// Records that a commit deletes at most for each change it makes, so that pruning catches up.
const STEPS_PER_CHANGE: usize = 3;

/// Records that a commit deletes at most beside that.
const STEPS_MIN: usize = 1000;

/// Entries of the index that a commit looks at for each change it makes.
const SWEPT_PER_CHANGE: usize = 4;

/// Bytes on disk for each byte of history: pages of a tree that grows at its end are half full.
const DISK_FACTOR: u64 = 2;

/// Changes that a step of [`FileDb::prune`] is sized for: some ten thousand records a batch.
const PRUNE_STEP: usize = 10_000;

/// What a step of pruning comes to.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    /// The last key of `changes` that was deleted, if any was.
    pub(super) last: Option<Vec<u8>>,
    /// How far the index was swept; empty at its end.
    pub(super) swept_to: Vec<u8>,
    /// Branch records that were deleted.
    pub(super) branches: Vec<Vec<u8>>,
}

impl FileDb {
    /// Deletes all history beyond `keep` now, of which later commits each delete a part otherwise,
    /// and answers the first block whose state can still be read. `progress` hears it too, after
    /// each step. Later commits keep as much, also of who opens the store and says nothing of it.
    ///
    /// States that a commit would not forget are not forgotten: see [`History`]. If this is
    /// interrupted, the store is whole, and somewhat less is deleted.
    pub fn prune(&mut self, keep: History, progress: &mut dyn FnMut(u64)) -> Result<u64, DbError> {
        let mut batch = WriteBatch::new();
        stage_retention(keep, &mut batch);
        self.kv.write(batch, Durability::Buffered)?;
        self.meta.retention = keep;
        loop {
            let (mut meta, mut batch) = (self.meta, WriteBatch::new());
            let pruned = self.stage_pruning(&mut meta, PRUNE_STEP, &mut batch)?;
            if batch.is_empty() {
                break;
            }
            meta.stage(&mut batch);
            self.kv.write(batch, Durability::Buffered)?;
            self.set_meta(meta);
            self.follow_pruning(pruned);
            progress(self.meta.floor);
        }
        // The steps have swept a part of the index each; this is all of it.
        self.swept_to.clear();
        loop {
            let mut batch = WriteBatch::new();
            let mut pruned = Pruned { swept_to: self.swept_to.clone(), ..Pruned::default() };
            self.stage_sweep(self.meta.floor, PRUNE_STEP, &mut pruned, &mut batch)?;
            self.kv.write(batch, Durability::Buffered)?;
            self.follow_pruning(pruned);
            if self.swept_to.is_empty() {
                break;
            }
        }
        self.kv.write(WriteBatch::new(), Durability::Synced)?;
        Ok(self.meta.floor)
    }

    /// Lets memory follow a step that is on disk.
    pub(super) fn follow_pruning(&mut self, pruned: Pruned) {
        if let Some(tries) = self.tries.get_mut() {
            tries.storage.forget(&pruned.branches);
        }
        self.swept_to = pruned.swept_to;
        if let Some(last) = pruned.last {
            self.pruned_to = last;
        }
    }

    /// Deletes the oldest history beyond what is kept, in a batch that adds `changes` changes and
    /// leads to `meta`.
    pub(super) fn stage_pruning(
        &self,
        meta: &mut Meta,
        changes: usize,
        batch: &mut WriteBatch,
    ) -> Result<Pruned, DbError> {
        let mut pruned = Pruned { swept_to: self.swept_to.clone(), ..Pruned::default() };
        let oldest_mark = match self.marks.first() {
            Some((_, Some(block))) => *block,
            // Back to before the first block: all of it is needed.
            Some((_, None)) => return Ok(pruned),
            None => u64::MAX,
        };
        let Some(number) = meta.head.number() else { return Ok(pruned) };
        // The redos of the newest blocks are needed, and of a life that ends nothing may wait for its table.
        let last = number.saturating_sub(SLICES as u64).min(oldest_mark);
        let last = match meta.retention {
            History::All => return Ok(pruned),
            History::Blocks(blocks) => last.min(number.saturating_sub(blocks)),
            History::Bytes(_) => last,
        };
        let kv = &self.kv();
        let mut steps = STEPS_MIN + STEPS_PER_CHANGE * changes;
        for entry in kv.iter(Table::Changes, &[], Some(&self.pruned_to), Order::Forward)? {
            let (key, record) = entry?;
            let change = Change::parse(kv, &key)?;
            if change.block > meta.floor {
                let is_kept = match meta.retention {
                    History::Bytes(max) => meta.history_bytes.saturating_mul(DISK_FACTOR) <= max,
                    History::All | History::Blocks(_) => false,
                };
                if is_kept || change.block > last {
                    break;
                }
                meta.floor = change.block;
            }
            if change.kind == Kind::Redo {
                // Of the first block of a chain, which may still be needed. It ends when all is in its table.
                continue;
            }
            if change.kind == Kind::Ended {
                let life: Life = exact(kv, Table::Changes, change.key)?;
                if !self.stage_end(&life, &mut steps, &mut pruned, batch)? {
                    break;
                }
            }
            let bytes = change_bytes(change.kind, &key, &record);
            meta.history_bytes = meta.history_bytes.saturating_sub(bytes);
            pruned.last = Some(key);
            steps = steps.saturating_sub(1);
            if steps == 0 {
                break;
            }
        }
        if let Some(last) = &pruned.last {
            let end = [last.as_slice(), &[0]].concat();
            batch.delete_range(Table::Changes, &self.pruned_to, Some(&end));
            self.stage_sweep(meta.floor, changes, &mut pruned, batch)?;
        }
        Ok(pruned)
    }

    /// Deletes entries of the index whose last block is no longer kept, along a stretch of it.
    ///
    /// Where an entry is says nothing of its age, so going after each one would touch a page for
    /// each. A broom that passes several entries for each one added leaves a fraction behind.
    fn stage_sweep(
        &self,
        floor: u64,
        changes: usize,
        pruned: &mut Pruned,
        batch: &mut WriteBatch,
    ) -> Result<(), DbError> {
        let stretch = STEPS_MIN + SWEPT_PER_CHANGE * changes;
        let start = Some(self.swept_to.as_slice());
        let mut entries = self.kv.iter(Table::History, &[], start, Order::Forward)?;
        for entry in entries.by_ref().take(stretch) {
            let key = entry?.0;
            if let Some((_, last)) = key.split_last_chunk()
                && u64::from_be_bytes(*last) <= floor
            {
                batch.delete(Table::History, &key);
            }
            pruned.swept_to = key;
        }
        if entries.next().is_none() {
            pruned.swept_to.clear();
        }
        Ok(())
    }

    /// Deletes slots and branches of a life that has ended, and says whether these were the last.
    fn stage_end(
        &self,
        life: &Life,
        steps: &mut usize,
        pruned: &mut Pruned,
        batch: &mut WriteBatch,
    ) -> Result<bool, DbError> {
        // Slots go last: as long as there is one, the incarnation is not given to another life.
        for table in [Table::TrieStorage, Table::Storage] {
            for entry in self.kv.iter(table, life, None, Order::Forward)? {
                if *steps == 0 {
                    return Ok(false);
                }
                *steps -= 1;
                let key = entry?.0;
                batch.delete(table, &key);
                if table == Table::TrieStorage {
                    pruned.branches.push(key);
                }
            }
        }
        Ok(true)
    }
}

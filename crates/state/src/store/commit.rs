//! A block as one batch.

use zvm_core::{B256, BlockId, DbError, StateDiff};

use super::{
    FileDb,
    history::{index_keys, stage_changes},
    plan::{AccountChange, Plan, Preimage, SlotChange},
    read::put,
    record::{Head, word_body},
    recover::Meta,
    tries::TrieChanges,
};
use crate::{
    kv::{Table, WriteBatch},
    past::{follows, seedable},
};

/// For how many blocks changed branches wait in memory to be written together.
const TRIE_LAG: u64 = 32;

impl FileDb {
    /// Writes `diff` as the state of `block`.
    pub(super) fn commit_plan(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError> {
        let before = self.meta.head;
        follows(before.block, block.number)?;
        let Staged { plan, branches, root, mut batch } = self.stage(diff)?;
        let (tries, tail) = (self.tries()?, self.tail()?);

        let index = index_keys(&plan);
        tail.stage_slice(block.number, &index, &mut batch);
        let history_bytes = stage_changes(block.number, &before, &plan, &mut batch);
        let lag = block.number - self.meta.trie_block.unwrap_or(self.meta.floor).min(block.number);
        let flushes = lag >= TRIE_LAG || tries.dirty_bytes() > self.options.trie_dirty_bytes;
        if flushes {
            tries.flush(&branches, &mut batch);
        }
        let mut meta = Meta {
            head: Head { block: Some(block), root },
            floor: match before.block {
                Some(_) => self.meta.floor,
                // Before block 1 there is the state of block 0; before a later one, nothing.
                None if block.number == 1 => 0,
                None => block.number,
            },
            history_bytes: self.meta.history_bytes.saturating_add(history_bytes),
            trie_block: if flushes { Some(block.number) } else { self.meta.trie_block },
        };
        let pruned = self.stage_pruning(&mut meta, index.len(), &mut batch)?;
        meta.stage(&mut batch);
        self.kv.write(batch, self.options.durability)?;

        // On disk. Memory follows, and nothing of this can fail.
        self.meta = meta;
        if let Some(tail) = self.tail.get_mut() {
            tail.push(block.number, index);
        }
        if let Some(tries) = self.tries.get_mut() {
            match flushes {
                true => tries.flushed(branches),
                false => tries.hold(branches),
            }
            tries.storage.forget(&pruned.branches);
        }
        if let Some(last) = pruned.last {
            self.pruned_to = last;
        }
        Ok(())
    }

    /// Writes `diff` as part of the state before the first block.
    pub(super) fn seed_plan(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        seedable(self.meta.head.block)?;
        let Staged { plan, branches, root, mut batch } = self.stage(diff)?;
        for life in &plan.ended {
            batch.delete_prefix(Table::Storage, life);
            batch.delete_prefix(Table::TrieStorage, life);
        }
        self.tries()?.flush(&branches, &mut batch);
        let meta = Meta { head: Head { block: None, root }, ..self.meta };
        meta.stage(&mut batch);
        self.kv.write(batch, self.options.durability)?;
        self.meta = meta;
        match self.tries.get_mut() {
            Some(tries) if plan.ended.is_empty() => tries.flushed(branches),
            // Branches of the lives that ended are cached.
            _ => drop(self.tries.take()),
        }
        Ok(())
    }

    /// Works out what `diff` changes, the new root, and the batch of the state without its history.
    fn stage(&self, diff: &StateDiff) -> Result<Staged, DbError> {
        let (kv, tries) = (self.kv(), self.tries()?);
        let mut plan = Plan::new(kv, diff)?;
        let mut branches = TrieChanges::default();
        let count = |life: &_| plan.slot_counts.get(life).copied();
        let roots = tries.update_storage(kv, &plan.slots, count, &mut branches)?;
        plan.set_storage_roots(kv, &roots)?;
        let root = match plan.accounts.is_empty() {
            true => self.meta.head.root,
            false => tries.update_accounts(kv, &plan.accounts, &mut branches)?,
        };
        let mut batch = WriteBatch::new();
        stage_state(&plan.accounts, &plan.slots, &mut batch);
        for (hash, preimage) in &plan.preimages {
            match preimage {
                Preimage::Address(address) => {
                    put(&mut batch, Table::Preimages, hash.as_slice(), address.as_slice());
                }
                Preimage::Slot(slot) => {
                    let slot = slot.to_be_bytes::<32>();
                    put(&mut batch, Table::Preimages, hash.as_slice(), &slot);
                }
            }
        }
        for (hash, code) in &diff.code {
            put(&mut batch, Table::Code, hash.as_slice(), code);
        }
        Ok(Staged { plan, branches, root, batch })
    }
}

/// A diff, ready to be written.
struct Staged {
    plan: Plan,
    branches: TrieChanges,
    root: B256,
    batch: WriteBatch,
}

/// Writes accounts and slots as they are after a change.
pub(super) fn stage_state(
    accounts: &[AccountChange],
    slots: &[SlotChange],
    batch: &mut WriteBatch,
) {
    for account in accounts {
        let key = account.hash.as_slice();
        match account.new {
            Some(record) => put(batch, Table::Accounts, key, &record.encode()),
            None => batch.delete(Table::Accounts, key),
        }
    }
    for slot in slots {
        match slot.new.is_zero() {
            true => batch.delete(Table::Storage, &slot.key),
            false => put(batch, Table::Storage, &slot.key, &word_body(slot.new)),
        }
    }
}

//! Going back: the changes of some blocks backwards, as one batch.

use std::collections::BTreeSet;

use zvm_core::{B256, DbError, EMPTY_ROOT};

use super::{
    FileDb,
    commit::set_state,
    history::Change,
    index::stage_trim,
    keys::{Kind, change_key},
    pending::{Pending, Redo},
    plan::{AccountChange, SlotChange},
    read::corrupt,
    recent::Recent,
    recover::{Before, Meta},
    tries::TrieChanges,
};
use crate::kv::{Durability, Table, WriteBatch};

/// How many blocks go into one batch: more are undone in several, each of which leads to a block.
const STEP_BLOCKS: u64 = 64;

impl FileDb {
    /// Goes back to block `target`; `None` is before the first one. The history must reach there.
    pub(super) fn unwind_to(&mut self, target: Option<u64>) -> Result<(), DbError> {
        while let Some(head) = self.meta.head.number() {
            if target.is_some_and(|target| target >= head) {
                return Ok(());
            }
            let step = match head.checked_sub(STEP_BLOCKS) {
                Some(step) if target.unwrap_or(self.meta.floor) < step => Some(step),
                _ => target,
            };
            self.unwind_step(step)?;
        }
        Ok(())
    }

    fn unwind_step(&mut self, target: Option<u64>) -> Result<(), DbError> {
        let kv = &self.kv();
        let tries = self.tries()?;
        let first = target.map_or(0, |target| target.saturating_add(1));
        let before = Before::read(kv, first, u64::MAX)?;
        let head = before.head(kv)?;
        let found = head.number();
        if found.unwrap_or_default() != target.unwrap_or_default() {
            let what = format!("changes: block {found:?} comes before {first}");
            return Err(corrupt(kv, what));
        }

        let (accounts, slots) = before.to_present(kv)?;
        let backwards =
            |change: AccountChange| AccountChange { old: change.new, new: change.old, ..change };
        let accounts: Vec<_> = accounts.into_iter().map(backwards).collect();
        let backwards =
            |change: SlotChange| SlotChange { old: change.new, new: change.old, ..change };
        let slots: Vec<_> = slots.into_iter().map(backwards).collect();

        let mut branches = TrieChanges::default();
        for (life_after, root) in tries.update_storage(kv, &slots, |_| None, &mut branches)? {
            // The account says which root its storage had; a life that is not its own is over.
            let hash = B256::from_slice(&life_after[..32]);
            let account = accounts.binary_search_by_key(&hash, |account| account.hash);
            let record = account.ok().and_then(|index| accounts[index].new.as_ref());
            let expected = record
                .filter(|record| record.life(&hash) == Some(life_after))
                .map_or(EMPTY_ROOT, |record| record.storage_root);
            if root != expected {
                let what = format!(
                    "changes: storage of {hash} unwinds to root {root}, expected {expected}"
                );
                return Err(corrupt(kv, what));
            }
        }
        let root = match accounts.is_empty() {
            true => self.meta.head.root,
            false => tries.update_accounts(kv, &accounts, &mut branches)?,
        };
        if root != head.root {
            let what =
                format!("changes: block {found:?} unwinds to root {root}, expected {}", head.root);
            return Err(corrupt(kv, what));
        }

        let mut batch = WriteBatch::new();
        // All that waits goes to its tables, where what goes back hides it.
        self.pending.stage_all(&mut batch);
        let mut redo = Redo::default();
        set_state(&accounts, &slots, &mut redo);
        redo.stage_records(&mut batch);
        batch.delete_range(Table::Changes, &change_key(first, Kind::Head, &[]), None);
        let index: BTreeSet<_> = before
            .values
            .keys()
            .filter_map(|(kind, key)| Change { block: 0, kind: *kind, key }.index_key())
            .collect();
        for key in &index {
            stage_trim(kv, key, target, &mut batch)?;
        }
        tries.flush(&branches, &mut batch);
        let meta = match head.block {
            None => Meta { head, retention: self.meta.retention, ..Meta::default() },
            Some(block) => Meta {
                head,
                floor: self.meta.floor,
                history_bytes: self.meta.history_bytes.saturating_sub(before.bytes),
                trie_block: Some(block.number),
                // An index that begins later has yet to begin.
                index_start: self.meta.index_start.filter(|start| *start <= block.number),
                retention: self.meta.retention,
            },
        };
        meta.stage(&mut batch);
        // Later commits may not come: what was gone back to is on disk whatever they are told.
        self.kv.write(batch, Durability::Synced)?;

        self.set_meta(meta);
        self.pending = Pending::default();
        self.recent = Recent::default();
        self.cells.clear();
        self.tail.take();
        if let Some(tries) = self.tries.get_mut() {
            tries.flushed(branches);
        }
        self.marks.retain(|mark| mark.1 <= found);
        Ok(())
    }
}

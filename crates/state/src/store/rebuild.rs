//! Building the tries of a store anew.

use std::{cell::RefCell, ops::ControlFlow};

use zvm_core::{B256, DbError};
use zvm_trie::{Branch, RecordBuilder, UpdateOptions, encode_account, encode_word};

use super::{
    Checked, FileDb, WALK_STEP,
    branches::{BranchPath, StoragePath},
    keys::{Life, life_of},
    pending::Pending,
    read::{corrupt, corrupt_at, entries, exact, put},
    record::AccountRecord,
    recover::{Meta, meta},
    slices::Turns,
    tries::for_each_slot,
};
use crate::kv::{Durability, KvReader, Order, Table, WriteBatch, prefix_end};

/// How many records are written together.
const STEP: usize = 10_000;

/// Branches on their way to the store. Those that are not stored have no key.
type Records = RefCell<Vec<(Table, Option<Vec<u8>>, Branch)>>;

impl FileDb {
    /// Deletes all branch records and builds them anew from accounts and slots, which are all put into
    /// their tables first. `progress` hears after each account how much is done.
    ///
    /// If this is interrupted, the state can be read, and nothing can be committed until it is done
    /// again.
    pub fn rebuild_trie(&mut self, progress: &mut dyn FnMut(&Checked)) -> Result<Checked, DbError> {
        let mut batch = WriteBatch::new();
        self.stage_waiting(&mut batch);
        let meta = Meta { turns: Turns::after(self.number()), ..self.meta };
        meta.stage(&mut batch);
        batch.delete_prefix(Table::TrieAccounts, &[]);
        batch.delete_prefix(Table::TrieStorage, &[]);
        put(&mut batch, Table::Meta, meta::REBUILDING, &[]);
        self.kv.write(batch, Durability::Synced)?;
        self.set_meta(meta);
        self.pending = Pending::default();
        self.cells.clear();
        self.tries.take();

        let mut done = Checked::default();
        let records = Records::default();
        let mut trie = RecordBuilder::new(UpdateOptions::ACCOUNTS.small_max, |path, branch| {
            let all = path.records(branch);
            let all = all.map(|(path, branch)| (Table::TrieAccounts, stored_key(&path), branch));
            records.borrow_mut().extend(all);
            Ok(())
        });
        let mut leaf = Vec::new();
        // Nothing can be read while it is written, so the walk goes in steps.
        let mut next = Some(B256::ZERO);
        while let Some(from) = next.take() {
            let accounts = self.accounts_from(&from)?;
            if accounts.len() == WALK_STEP {
                next = accounts.last().and_then(|account| successor(account.0));
            }
            for (hash, record) in &accounts {
                leaf.clear();
                encode_account(&record.info, record.storage_root, &mut leaf);
                trie.push(*hash, &leaf)?;
                done.accounts += 1;
                done.slots += record.storage.count();
                progress(&done);
            }
            self.write_branches(&records, STEP, &mut done)?;
        }
        let root = trie.finish()?;
        self.rebuild_lives(&records, &mut done)?;
        self.write_branches(&records, 0, &mut done)?;
        if root != self.meta.head.root {
            let stored = self.meta.head.root;
            let what = format!("meta head: root {stored}, that of the state is {root}");
            return Err(corrupt(&self.kv(), what));
        }
        let mut batch = WriteBatch::new();
        batch.delete(Table::Meta, meta::REBUILDING);
        self.kv.write(batch, Durability::Synced)?;
        Ok(done)
    }

    fn accounts_from(&self, from: &B256) -> Result<Vec<(B256, AccountRecord)>, DbError> {
        let (kv, start) = (&self.kv(), Some(from.as_slice()));
        entries::<_, 32>(kv, Table::Accounts, &[], start, AccountRecord::decode)?
            .take(WALK_STEP)
            .map(|entry| entry.map(|(key, record)| (B256::new(key), record)))
            .collect()
    }

    /// Builds the storage tries, those that only the past needs included.
    fn rebuild_lives(&mut self, records: &Records, done: &mut Checked) -> Result<(), DbError> {
        let mut next = Some(Vec::new());
        while let Some(from) = next.take() {
            let kv = &self.kv();
            let first = kv.iter(Table::Storage, &[], Some(&from), Order::Forward)?.next();
            let Some((key, _)) = first.transpose()? else { break };
            let life = life_of(&exact(kv, Table::Storage, &key)?);
            let root = self.rebuild_storage(&life, records, done)?;
            let hash = B256::from_slice(&life[..32]);
            if let Some(record) = self.record(&hash)?
                && record.life(&hash) == Some(life)
                && record.storage_root != root
            {
                let what =
                    format!("storage root {}, that of its slots is {root}", record.storage_root);
                return Err(corrupt_at(&self.kv(), Table::Accounts, hash.as_slice(), what));
            }
            next = prefix_end(&life);
        }
        Ok(())
    }

    /// Builds the trie of one life and answers its root.
    fn rebuild_storage(
        &mut self,
        life: &Life,
        records: &Records,
        done: &mut Checked,
    ) -> Result<B256, DbError> {
        let mut trie = RecordBuilder::new(UpdateOptions::STORAGE.small_max, |path, branch| {
            let path = StoragePath { life: *life, path };
            records.borrow_mut().push((Table::TrieStorage, stored_key(&path), branch));
            Ok(())
        });
        let mut leaf = Vec::new();
        let mut next = Some(B256::ZERO);
        while let Some(from) = next.take() {
            for_each_slot(&self.kv(), life, from, &mut |hash, slot| {
                leaf.clear();
                encode_word(slot.word, &mut leaf);
                trie.push(hash, &leaf)?;
                if records.borrow().len() < STEP {
                    return Ok(ControlFlow::Continue(()));
                }
                next = successor(hash);
                Ok(ControlFlow::Break(()))
            })?;
            self.write_branches(records, STEP - 1, done)?;
        }
        trie.finish()
    }

    /// Writes `records` if there are more than `held`.
    fn write_branches(
        &mut self,
        records: &Records,
        held: usize,
        done: &mut Checked,
    ) -> Result<(), DbError> {
        if records.borrow().len() <= held {
            return Ok(());
        }
        let mut batch = WriteBatch::new();
        for (table, key, branch) in records.take() {
            if let Some(key) = key {
                put(&mut batch, table, &key, &branch.encode());
            }
            done.branches += 1;
        }
        self.kv.write(batch, Durability::Buffered)
    }
}

/// The key under which the branch at `path` is stored, if it is.
fn stored_key(path: &impl BranchPath) -> Option<Vec<u8>> {
    path.slice().map(|_| path.key())
}

/// The hash after `hash`.
fn successor(hash: B256) -> Option<B256> {
    let mut next = hash;
    for byte in next.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(next);
        }
    }
    None
}

//! Branch records in memory: those not on disk yet, and those read often.

use std::{mem, sync::Mutex};

use zvm_core::{DbError, map::HashMap};
use zvm_trie::{Branch, Nibbles};

use super::{
    generations::Generations,
    read::{get, put},
};
use crate::kv::{KvReader, Order, Table, WriteBatch};

/// Bytes of a map entry beside the key and the branch, roughly.
const ENTRY_BYTES: usize = 64;

/// Branches read often, by their keys.
type Cache = Generations<Box<[u8]>, Branch>;

/// A new record under its key; `None` where there is none any more.
pub(super) type BranchChange = (Box<[u8]>, Option<Branch>);

/// The branch records of a table.
///
/// The table on disk may lag behind: what changed since stays here and is written all at once, so
/// that a branch that changes in every block is written once in many. The changes of the blocks
/// since lead from the table to here, see [`recover`](super::recover).
#[derive(Debug)]
pub(super) struct Branches {
    table: Table,
    dirty: HashMap<Box<[u8]>, Option<Branch>>,
    dirty_bytes: usize,
    cache: Mutex<Cache>,
}

impl Branches {
    pub(super) fn new(table: Table, cache_bytes: usize) -> Self {
        Self {
            table,
            dirty: HashMap::default(),
            dirty_bytes: 0,
            cache: Mutex::new(Generations::new(cache_bytes, |key, branch| {
                bytes(key, Some(branch))
            })),
        }
    }

    /// The record under `key`.
    pub(super) fn get(&self, kv: &dyn KvReader, key: &[u8]) -> Result<Option<Branch>, DbError> {
        if let Some(branch) = self.known(key) {
            return Ok(branch);
        }
        let decode = |body: &[u8]| Branch::decode(body).map_err(|error| error.to_string());
        let branch = get(kv, self.table, key, decode)?;
        if let Some(branch) = &branch {
            self.cache().insert(key.into(), branch.clone());
        }
        Ok(branch)
    }

    /// The record under `key` if it is in memory.
    pub(super) fn known(&self, key: &[u8]) -> Option<Option<Branch>> {
        self.dirty.get(key).cloned().or_else(|| self.cache().get(key).map(Some))
    }

    /// Takes over records of a block that is written without them.
    pub(super) fn hold(&mut self, changes: Vec<BranchChange>) {
        for (key, branch) in changes {
            let added = bytes(&key, branch.as_ref());
            self.cache().remove(&key);
            let key_bytes = key.len();
            self.dirty_bytes += added;
            if let Some(before) = self.dirty.insert(key, branch) {
                let before = ENTRY_BYTES + key_bytes + before.as_ref().map_or(0, Branch::memory);
                self.dirty_bytes = self.dirty_bytes.saturating_sub(before);
            }
        }
    }

    /// Adds everything not on disk yet, and `changes` on top, to a batch.
    pub(super) fn flush(&self, changes: &[BranchChange], batch: &mut WriteBatch) {
        let mut body = Vec::new();
        let changed = changes.iter().map(|(key, branch)| bytes(key, branch.as_ref()));
        let dirty_bytes = self.dirty_bytes + changed.sum::<usize>();
        batch.reserve(self.table, self.dirty.len() + changes.len(), dirty_bytes);
        let later = changes.iter().map(|(key, branch)| (key, branch));
        // The last of two changes of one key counts.
        for (key, branch) in self.dirty.iter().chain(later) {
            match branch {
                Some(branch) => {
                    body.clear();
                    branch.encode_to(&mut body);
                    put(batch, self.table, key, &body);
                }
                None => batch.delete(self.table, key),
            }
        }
    }

    /// Notes that the batch of [`flush`](Self::flush) is written.
    pub(super) fn flushed(&mut self, changes: Vec<BranchChange>) {
        self.hold(changes);
        self.dirty_bytes = 0;
        let dirty = mem::take(&mut self.dirty);
        let mut cache = self.cache();
        for (key, branch) in dirty {
            if let Some(branch) = branch {
                cache.insert(key, branch);
            }
        }
    }

    /// Forgets records that were deleted from the table.
    pub(super) fn forget(&mut self, keys: &[Vec<u8>]) {
        for key in keys {
            self.cache().remove(key.as_slice());
        }
    }

    /// The table of the records.
    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// The keys of records that are not on disk yet, in order.
    pub(super) fn dirty_keys(&self) -> Vec<&[u8]> {
        let records = self.dirty.iter().filter(|(_, branch)| branch.is_some());
        let mut keys: Vec<&[u8]> = records.map(|(key, _)| key.as_ref()).collect();
        keys.sort_unstable();
        keys
    }

    /// How many records there are under `prefix`, given the [`dirty_keys`](Self::dirty_keys).
    pub(super) fn count(
        &self,
        kv: &dyn KvReader,
        prefix: &[u8],
        dirty: &[&[u8]],
    ) -> Result<u64, DbError> {
        let first = dirty.partition_point(|key| *key < prefix);
        let waiting = dirty[first..].iter().take_while(|key| key.starts_with(prefix)).count();
        let mut count = waiting as u64;
        for entry in kv.iter(self.table, prefix, None, Order::Forward)? {
            count += u64::from(!self.dirty.contains_key(entry?.0.as_slice()));
        }
        Ok(count)
    }

    /// Bytes of memory that are not on disk yet.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        // Every change of a cache is complete in itself, so a panic elsewhere leaves it usable.
        self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The key of an account branch: a byte for each nibble, so that what hangs below comes behind.
pub(super) fn account_path(path: &Nibbles) -> Box<[u8]> {
    path.iter().collect()
}

/// The key of a storage branch: the life, then a byte for each nibble.
pub(super) fn storage_path(life: &[u8], path: &Nibbles) -> Box<[u8]> {
    life.iter().copied().chain(path.iter()).collect()
}

fn bytes(key: &[u8], branch: Option<&Branch>) -> usize {
    ENTRY_BYTES + key.len() + branch.map_or(0, Branch::memory)
}

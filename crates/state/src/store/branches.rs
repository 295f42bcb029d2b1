//! Branch records in memory: those not on disk yet, and those read often.

use std::{mem, sync::Mutex};

use zvm_core::{DbError, map::HashMap};
use zvm_trie::{Branch, Nibbles};

use super::read::{get, put};
use crate::kv::{KvReader, Order, Table, WriteBatch};

/// Bytes of a map entry beside the key and the branch, roughly.
const ENTRY_BYTES: usize = 64;

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
            cache: Mutex::new(Cache::new(cache_bytes)),
        }
    }

    /// The record under `key`.
    pub(super) fn get(&self, kv: &dyn KvReader, key: &[u8]) -> Result<Option<Branch>, DbError> {
        if let Some(branch) = self.dirty.get(key) {
            return Ok(branch.clone());
        }
        if let Some(branch) = self.cache().get(key) {
            return Ok(Some(branch));
        }
        let decode = |body: &[u8]| Branch::decode(body).map_err(|error| error.to_string());
        let branch = get(kv, self.table, key, decode)?;
        if let Some(branch) = &branch {
            self.cache().insert(key.into(), branch.clone());
        }
        Ok(branch)
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
            self.cache().remove(key);
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

/// A bounded map that forgets what has not been asked for lately.
///
/// Entries live in two generations. What is used moves to the young one; when that is half of the
/// bound it becomes the old one, and the old one before it is dropped.
#[derive(Debug)]
struct Cache {
    bytes_max: usize,
    young: HashMap<Box<[u8]>, Branch>,
    young_bytes: usize,
    old: HashMap<Box<[u8]>, Branch>,
}

impl Cache {
    fn new(bytes_max: usize) -> Self {
        Self { bytes_max, young: HashMap::default(), young_bytes: 0, old: HashMap::default() }
    }

    fn get(&mut self, key: &[u8]) -> Option<Branch> {
        if let Some(branch) = self.young.get(key) {
            return Some(branch.clone());
        }
        let (key, branch) = self.old.remove_entry(key)?;
        self.insert(key, branch.clone());
        Some(branch)
    }

    fn insert(&mut self, key: Box<[u8]>, branch: Branch) {
        self.young_bytes += bytes(&key, Some(&branch));
        self.young.insert(key, branch);
        if self.young_bytes > self.bytes_max / 2 {
            self.young_bytes = 0;
            self.old = mem::take(&mut self.young);
        }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some((key, branch)) = self.young.remove_entry(key) {
            self.young_bytes = self.young_bytes.saturating_sub(bytes(&key, Some(&branch)));
        }
        self.old.remove(key);
    }
}

//! Branch records in memory: those not on disk yet, and those read often.

use std::{
    fmt::Debug,
    hash::Hash,
    iter, mem,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use zvm_core::{DbError, map::HashMap};
use zvm_trie::{Branch, Nibbles};

use super::{
    generations::Generations,
    keys::Life,
    read::{get, put},
    slices::{SLICES, slice_of},
};
use crate::kv::{KvReader, Order, Table, WriteBatch};

/// Bytes of a map entry beside the key and the branch, roughly.
const ENTRY_BYTES: usize = 40;

/// So many nibbles down everything is in one slice.
pub(super) const SLICE_DEPTH: usize = 2;

/// Where a branch hangs, in all tries of a table.
pub(super) trait BranchPath: Copy + Debug + Eq + Hash + Ord {
    /// The slice in which what is below it begins.
    fn first_slice(&self) -> usize;

    /// Whether all below it is in one slice.
    fn is_in_slice(&self) -> bool;

    /// The slice in which its record is written; `None` if it is above them and never written.
    fn slice(&self) -> Option<usize> {
        self.is_in_slice().then(|| self.first_slice())
    }

    /// The record, and where, that a branch has in its slice although it hangs above: as it would hang if
    /// nothing were above the slices.
    fn in_slice(&self, branch: &Branch) -> Option<(Self, Branch)>;

    /// All records of a branch that hangs here.
    fn records(self, branch: Branch) -> impl Iterator<Item = (Self, Branch)> {
        let in_slice = self.in_slice(&branch);
        iter::once((self, branch)).chain(in_slice)
    }

    /// The key of the record. Keys are in the order of their paths, and that of what hangs below begins
    /// with it.
    fn key(&self) -> Vec<u8>;

    /// What [`key`](Self::key) was made of.
    fn of_key(key: &[u8]) -> Option<Self>;
}

/// The key has a byte for each nibble, so that what hangs below comes behind.
impl BranchPath for Nibbles {
    fn first_slice(&self) -> usize {
        slice_of(self.as_bytes())
    }

    fn is_in_slice(&self) -> bool {
        self.len() >= SLICE_DEPTH
    }

    fn in_slice(&self, branch: &Branch) -> Option<(Self, Branch)> {
        branch.hung_at(self, SLICE_DEPTH)
    }

    fn key(&self) -> Vec<u8> {
        self.iter().collect()
    }

    fn of_key(key: &[u8]) -> Option<Self> {
        Self::from_nibbles(key)
    }
}

/// A path in the storage trie of a life. The key has the life, then a byte for each nibble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StoragePath {
    pub(super) life: Life,
    pub(super) path: Nibbles,
}

impl BranchPath for StoragePath {
    fn first_slice(&self) -> usize {
        slice_of(&self.life)
    }

    fn is_in_slice(&self) -> bool {
        true
    }

    fn in_slice(&self, _: &Branch) -> Option<(Self, Branch)> {
        None
    }

    fn key(&self) -> Vec<u8> {
        self.life.iter().copied().chain(self.path.iter()).collect()
    }

    fn of_key(key: &[u8]) -> Option<Self> {
        let (life, path) = key.split_first_chunk()?;
        Some(Self { life: *life, path: Nibbles::from_nibbles(path)? })
    }
}

/// A new record and where it hangs; `None` where there is none any more.
pub(super) type BranchChange<P> = (P, Option<Branch>);

/// The branch records of a table.
///
/// The table lags behind: what changed since stays here and is written slice by slice, so that a branch
/// that changes in every block is written once in many. The branches above the slices are not written at
/// all. See [`recover`](super::recover) for how they come back.
#[derive(Debug)]
pub(super) struct Branches<P> {
    table: Table,
    /// By slice, and behind them what is above the slices. Nothing here is in the cache as well.
    dirty: Vec<Dirty<P>>,
    dirty_bytes: usize,
    cache: Mutex<Generations<P, Branch>>,
}

/// What changed in a slice since it was written.
#[derive(Debug)]
struct Dirty<P> {
    records: HashMap<P, Option<Branch>>,
    bytes: usize,
}

impl<P: BranchPath> Branches<P> {
    pub(super) fn new(table: Table, cache_bytes: usize) -> Self {
        let dirty = || Dirty { records: HashMap::default(), bytes: 0 };
        let weigh = |_: &P, branch: &Branch| bytes::<P>(Some(branch));
        Self {
            table,
            dirty: (0..=SLICES).map(|_| dirty()).collect(),
            dirty_bytes: 0,
            cache: Mutex::new(Generations::new(cache_bytes, weigh)),
        }
    }

    /// The record at `path`.
    pub(super) fn get(&self, kv: &dyn KvReader, path: &P) -> Result<Option<Branch>, DbError> {
        if let Some(branch) = self.known(path) {
            return Ok(branch);
        }
        let branch = self.stored(kv, path)?;
        if let Some(branch) = &branch {
            self.cache().insert(*path, branch.clone());
        }
        Ok(branch)
    }

    /// The record at `path` as it is on disk.
    fn stored(&self, kv: &dyn KvReader, path: &P) -> Result<Option<Branch>, DbError> {
        let decode = |body: &[u8]| Branch::decode(body).map_err(|error| error.to_string());
        match path.slice() {
            Some(_) => get(kv, self.table, &path.key(), decode),
            None => Ok(None),
        }
    }

    /// The record at `path` if it is in memory.
    pub(super) fn known(&self, path: &P) -> Option<Option<Branch>> {
        let dirty = self.dirty[place(path)].records.get(path);
        dirty.cloned().or_else(|| self.cache().get(path).map(Some))
    }

    /// Takes over the records of a block.
    pub(super) fn hold(&mut self, changes: Vec<BranchChange<P>>) {
        for (path, branch) in changes {
            let dirty = &mut self.dirty[place(&path)];
            let added = bytes::<P>(branch.as_ref());
            let removed = match dirty.records.insert(path, branch) {
                Some(before) => bytes::<P>(before.as_ref()),
                None => {
                    lock(&self.cache).remove(&path);
                    0
                }
            };
            dirty.bytes = dirty.bytes + added - removed;
            // What is never written does not wait.
            if path.is_in_slice() {
                self.dirty_bytes = self.dirty_bytes + added - removed;
            }
        }
    }

    /// Adds what is not on disk yet in `slice` to a batch, with those of `changes` on top that belong
    /// there. They are in order.
    pub(super) fn stage_slice(
        &self,
        slice: usize,
        changes: &[BranchChange<P>],
        batch: &mut WriteBatch,
    ) {
        let dirty = &self.dirty[slice];
        let changes = &changes[of_slice(slice, changes)];
        let changed = changes.iter().map(|(_, branch)| bytes::<P>(branch.as_ref()));
        let bytes = dirty.bytes + changed.sum::<usize>();
        batch.reserve(self.table, dirty.records.len() + changes.len(), bytes);
        let mut body = Vec::new();
        let later = changes.iter().map(|(path, branch)| (path, branch));
        // The last of two changes of one key counts.
        let all = dirty.records.iter().chain(later);
        for (path, branch) in all.filter(|(path, _)| path.is_in_slice()) {
            match branch {
                Some(branch) => {
                    body.clear();
                    branch.encode_to(&mut body);
                    put(batch, self.table, &path.key(), &body);
                }
                None => batch.delete(self.table, &path.key()),
            }
        }
    }

    /// Notes that `slice` is written.
    pub(super) fn written(&mut self, slice: usize) {
        let dirty = &mut self.dirty[slice];
        self.dirty_bytes -= mem::take(&mut dirty.bytes);
        let mut cache = lock(&self.cache);
        for (path, branch) in mem::take(&mut dirty.records) {
            if let Some(branch) = branch {
                cache.insert(path, branch);
            }
        }
    }

    /// Forgets records that were deleted from the table.
    pub(super) fn forget(&mut self, keys: &[Vec<u8>]) {
        for path in keys.iter().filter_map(|key| P::of_key(key)) {
            self.cache().remove(&path);
        }
    }

    /// The table of the records.
    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// Where there are records that are not on disk yet, in order.
    pub(super) fn dirty_paths(&self) -> Vec<P> {
        let all = self.dirty.iter().flat_map(|dirty| &dirty.records);
        let mut paths: Vec<P> =
            all.filter(|(_, branch)| branch.is_some()).map(|(path, _)| *path).collect();
        paths.sort_unstable();
        paths
    }

    /// How many records there are under `prefix`, given the [`dirty_paths`](Self::dirty_paths).
    pub(super) fn count(&self, kv: &dyn KvReader, prefix: &P, dirty: &[P]) -> Result<u64, DbError> {
        let prefix = prefix.key();
        let first = dirty.partition_point(|path| path.key() < prefix);
        let below = dirty[first..].iter().take_while(|path| path.key().starts_with(&prefix));
        let mut count = below.count() as u64;
        for entry in kv.iter(self.table, &prefix, None, Order::Forward)? {
            let path = P::of_key(&entry?.0);
            let is_dirty =
                path.is_some_and(|path| self.dirty[place(&path)].records.contains_key(&path));
            count += u64::from(!is_dirty);
        }
        Ok(count)
    }

    /// Bytes of memory that are not on disk yet.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    /// Those of them that are in `slice`.
    pub(super) fn slice_bytes(&self, slice: usize) -> usize {
        self.dirty[slice].bytes
    }

    fn cache(&self) -> MutexGuard<'_, Generations<P, Branch>> {
        lock(&self.cache)
    }
}

/// Where among what is dirty a record is.
fn place(path: &impl BranchPath) -> usize {
    path.slice().unwrap_or(SLICES)
}

/// Which of `changes`, which are in order, belong to a slice. What is above the slices is among them.
fn of_slice<P: BranchPath>(slice: usize, changes: &[BranchChange<P>]) -> Range<usize> {
    let up_to = |end| changes.partition_point(|(path, _)| path.first_slice() < end);
    up_to(slice)..up_to(slice + 1)
}

fn lock<T>(cache: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change of a cache is complete in itself, so a panic elsewhere leaves it usable.
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes<P>(branch: Option<&Branch>) -> usize {
    ENTRY_BYTES + size_of::<P>() + branch.map_or(0, Branch::memory)
}

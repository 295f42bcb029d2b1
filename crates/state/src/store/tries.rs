//! The tries of a store: flat records as leaves, branch records above them.

use std::{collections::BTreeMap, iter, ops::ControlFlow, panic::resume_unwind, thread};

use zvm_core::{B256, DbError};
use zvm_trie::{
    Branch, BranchUpdates, LeafVisitor, Nibbles, RecordBuilder, TrieReader, UpdateOptions,
    encode_account, encode_word, update, update_below,
};

use super::{
    branches::{BranchChange, BranchPath, Branches, SLICE_DEPTH, StoragePath},
    keys::{Life, SlotKey, life_of, slot_hash_of, slot_key},
    leaves::{Leaf, Leaves},
    read::{corrupt_at, exact, open},
    record::{AccountRecord, SlotRecord},
    slices::SLICES,
};
use crate::kv::{KvReader, Table, WriteBatch};

/// Below this many changed slots a thread takes longer to start than it saves.
const SLOTS_PER_THREAD: usize = 256;

/// Storage roots by life, in key order.
type StorageRoots = Vec<(Life, B256)>;

/// The branch records of both kinds of tries.
#[derive(Debug)]
pub(super) struct Tries {
    pub(super) accounts: Branches<Nibbles>,
    pub(super) storage: Branches<StoragePath>,
    /// Threads for one update. The result does not depend on it.
    threads: usize,
}

/// Records that a block changes, each kind in order.
#[derive(Debug, Default)]
pub(super) struct TrieChanges {
    pub(super) accounts: Vec<BranchChange<Nibbles>>,
    pub(super) storage: Vec<BranchChange<StoragePath>>,
}

impl Tries {
    pub(super) fn new(cache_bytes: usize) -> Self {
        Self {
            accounts: Branches::new(Table::TrieAccounts, cache_bytes / 4 * 3),
            storage: Branches::new(Table::TrieStorage, cache_bytes / 4),
            threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Threads that one update may use.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// How many accounts there are, if that is in memory.
    pub(super) fn account_count(&self) -> Option<u64> {
        self.accounts.known(&Nibbles::EMPTY)?.map(|root| root.leaf_count())
    }

    /// Bytes of branches that are not on disk yet.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.accounts.dirty_bytes() + self.storage.dirty_bytes()
    }

    /// Those of them that are in `slice`.
    pub(super) fn slice_bytes(&self, slice: usize) -> usize {
        self.accounts.slice_bytes(slice) + self.storage.slice_bytes(slice)
    }

    /// Adds the branches in `slice` that are not on disk yet, with `changes` on top, to a batch.
    pub(super) fn stage_slice(&self, slice: usize, changes: &TrieChanges, batch: &mut WriteBatch) {
        self.accounts.stage_slice(slice, &changes.accounts, batch);
        self.storage.stage_slice(slice, &changes.storage, batch);
    }

    /// [`stage_slice`](Self::stage_slice) for all of them.
    pub(super) fn stage_all(&self, changes: &TrieChanges, batch: &mut WriteBatch) {
        (0..SLICES).for_each(|slice| self.stage_slice(slice, changes, batch));
    }

    /// Takes over the branches of a batch in which `slices` are written.
    pub(super) fn follow(&mut self, changes: TrieChanges, slices: impl IntoIterator<Item = usize>) {
        self.hold(changes);
        for slice in slices {
            self.accounts.written(slice);
            self.storage.written(slice);
        }
    }

    /// Works out the branches of the account trie that are above the slices from those below, and
    /// answers the root.
    pub(super) fn work_out_top(&mut self, kv: &dyn KvReader) -> Result<B256, DbError> {
        let (accounts, mut top) = (&self.accounts, Vec::new());
        let missing = |path: &Nibbles| {
            let what = "no record of a branch; rebuild the trie";
            Err(corrupt_at(kv, Table::TrieAccounts, &path.key(), what))
        };
        let mut trie = RecordBuilder::new(UpdateOptions::ACCOUNTS.small_max, |path, branch| {
            // Whatever is below is known: only a few leaves make do without a branch.
            if path.is_in_slice() {
                return missing(&path);
            }
            if let Some((path, _)) = path.in_slice(&branch)
                && accounts.get(kv, &path)?.is_none()
            {
                return missing(&path);
            }
            top.push((path, Some(branch)));
            Ok(())
        });
        // Two nibbles are a byte.
        const { assert!(SLICE_DEPTH == 2) };
        for first in 0..=u8::MAX {
            let path = Nibbles::of_key(&B256::repeat_byte(first), SLICE_DEPTH);
            match accounts.get(kv, &path)? {
                Some(branch) => trie.push_branch(path, &branch)?,
                None => account_leaves(kv, &path, &mut |key, value| {
                    trie.push(key, value)?;
                    Ok(ControlFlow::Continue(()))
                })?,
            }
        }
        let root = trie.finish()?;
        self.accounts.hold(top);
        Ok(root)
    }

    /// `changes` of the account trie, with those of records [in slices](BranchPath::in_slice) of branches
    /// that hang above.
    fn with_slices(&self, changes: BranchUpdates) -> BranchUpdates {
        let top = || changes.iter().filter(|(path, _)| !path.is_in_slice());
        let known = |path| self.accounts.known(path).flatten();
        let before: Vec<_> = top().filter_map(|(path, _)| path.in_slice(&known(path)?)).collect();
        let after: Vec<_> =
            top().filter_map(|(path, branch)| path.in_slice(branch.as_ref()?)).collect();
        if before.is_empty() && after.is_empty() {
            return changes;
        }
        let mut all: BTreeMap<Nibbles, Option<Branch>> =
            before.into_iter().map(|(path, _)| (path, None)).collect();
        all.extend(changes);
        all.extend(after.into_iter().map(|(path, branch)| (path, Some(branch))));
        all.into_iter().collect()
    }

    /// Takes over branches that are not written yet.
    pub(super) fn hold(&mut self, changes: TrieChanges) {
        self.accounts.hold(changes.accounts);
        self.storage.hold(changes.storage);
    }

    /// Changes the storage trie of each life among `slots`, and answers the new roots. `slot_count` says
    /// how many slots a life has had in the table, as far as is known.
    pub(super) fn update_storage(
        &self,
        kv: &dyn KvReader,
        slots: &Leaves<SlotKey>,
        slot_count: impl Fn(&Life) -> Option<u64> + Sync,
        out: &mut TrieChanges,
    ) -> Result<StorageRoots, DbError> {
        let leaves = slots.as_slice();
        let lives: Vec<_> = leaves.chunk_by(|a, b| a.key[..36] == b.key[..36]).collect();
        let threads = self.threads.min(leaves.len() / SLOTS_PER_THREAD).max(1);
        // A contract alone has its trie for all threads to share.
        let options = match lives.len() {
            1 => UpdateOptions { threads, ..UpdateOptions::STORAGE },
            _ => UpdateOptions::STORAGE,
        };
        let update = |lives: &[&[Leaf<SlotKey>]]| {
            let (mut roots, mut branches) = (Vec::with_capacity(lives.len()), Vec::new());
            for of_life in lives {
                let life = life_of(&of_life[0].key);
                let change = |leaf: &Leaf<SlotKey>| slots.change(leaf, slot_hash_of(&leaf.key));
                let changes: Vec<_> = of_life.iter().map(change).collect();
                let trie = StorageTrie { kv, tries: self, life, slots: slot_count(&life) };
                let update = update(&trie, &changes, options)?;
                let records = update.branches.into_iter();
                branches.extend(records.map(|(path, branch)| (StoragePath { life, path }, branch)));
                roots.push((life, update.root));
            }
            Ok::<_, DbError>((roots, branches))
        };
        let mut roots = Vec::with_capacity(lives.len());
        for (part_roots, branches) in in_parts(&lives, threads, update)? {
            roots.extend(part_roots);
            out.storage.extend(branches);
        }
        Ok(roots)
    }

    /// Changes the account trie in one slice, as if the rest of it were not there.
    pub(super) fn update_slice(
        &self,
        kv: &dyn KvReader,
        accounts: &Leaves<B256>,
        out: &mut TrieChanges,
    ) -> Result<(), DbError> {
        let trie = AccountTrie { kv, tries: self };
        for below in accounts.as_slice().chunk_by(|a, b| a.key[0] == b.key[0]) {
            let path = Nibbles::of_key(&below[0].key, SLICE_DEPTH);
            let change = |leaf: &Leaf<B256>| accounts.change(leaf, leaf.key);
            let changes: Vec<_> = below.iter().map(change).collect();
            out.accounts.extend(update_below(&trie, path, &changes, UpdateOptions::ACCOUNTS)?);
        }
        Ok(())
    }

    /// Changes the account trie and answers the new root.
    pub(super) fn update_accounts(
        &self,
        kv: &dyn KvReader,
        accounts: &Leaves<B256>,
        out: &mut TrieChanges,
    ) -> Result<B256, DbError> {
        let change = |leaf: &Leaf<B256>| accounts.change(leaf, leaf.key);
        let changes: Vec<_> = accounts.as_slice().iter().map(change).collect();
        let trie = AccountTrie { kv, tries: self };
        let options = UpdateOptions { threads: self.threads, ..UpdateOptions::ACCOUNTS };
        let update = update(&trie, &changes, options)?;
        out.accounts = self.with_slices(update.branches);
        Ok(update.root)
    }
}

/// What `work` makes of the items, in as many parts, each on a thread of its own.
pub(super) fn in_parts<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&[T]) -> Result<R, DbError> + Sync,
) -> Result<Vec<R>, DbError> {
    let mut parts = items.chunks(items.len().div_ceil(threads).max(1));
    let Some(first) = parts.next() else { return Ok(Vec::new()) };
    let work = &work;
    let done: Vec<_> = thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let first = work(first);
        let others = others.into_iter().map(|other| other.join());
        let others = others.map(|done| done.unwrap_or_else(|panic| resume_unwind(panic)));
        iter::once(first).chain(others).collect()
    });
    done.into_iter().collect()
}

/// The trie of all accounts, as last written or held.
pub(super) struct AccountTrie<'a> {
    pub(super) kv: &'a dyn KvReader,
    pub(super) tries: &'a Tries,
}

impl TrieReader for AccountTrie<'_> {
    fn branch(&self, path: &Nibbles) -> Result<Option<Branch>, DbError> {
        self.tries.accounts.get(self.kv, path)
    }

    fn leaves(&self, path: &Nibbles, visit: &mut LeafVisitor<'_>) -> Result<(), DbError> {
        account_leaves(self.kv, path, visit)
    }
}

/// The storage trie of one life of an account.
pub(super) struct StorageTrie<'a> {
    pub(super) kv: &'a dyn KvReader,
    pub(super) tries: &'a Tries,
    pub(super) life: Life,
    /// How many slots there are in the table, if that is known.
    pub(super) slots: Option<u64>,
}

impl TrieReader for StorageTrie<'_> {
    fn branch(&self, path: &Nibbles) -> Result<Option<Branch>, DbError> {
        // Of a life that begins there are no records to look for.
        if self.slots == Some(0) {
            return Ok(None);
        }
        self.tries.storage.get(self.kv, &StoragePath { life: self.life, path: *path })
    }

    fn leaves(&self, path: &Nibbles, visit: &mut LeafVisitor<'_>) -> Result<(), DbError> {
        if self.slots == Some(0) {
            return Ok(());
        }
        storage_leaves(self.kv, &self.life, path, visit)
    }
}

/// Visits the leaves of the account trie below `path`.
pub(super) fn account_leaves(
    kv: &dyn KvReader,
    path: &Nibbles,
    visit: &mut LeafVisitor<'_>,
) -> Result<(), DbError> {
    let mut leaf = Vec::with_capacity(110);
    let (first, last) = (path.first_key(), path.last_key());
    kv.visit(Table::Accounts, first.as_slice(), last.as_slice(), &mut |key, record| {
        let (info, root) = open(kv, Table::Accounts, key, record, AccountRecord::decode_leaf)?;
        leaf.clear();
        encode_account(&info, root, &mut leaf);
        visit(B256::new(exact(kv, Table::Accounts, key)?), &leaf)
    })
}

/// Visits the leaves of a storage trie below `path`.
pub(super) fn storage_leaves(
    kv: &dyn KvReader,
    life: &Life,
    path: &Nibbles,
    visit: &mut LeafVisitor<'_>,
) -> Result<(), DbError> {
    let mut value = Vec::with_capacity(33);
    slots_between(kv, life, path.first_key(), path.last_key(), &mut |hash, slot| {
        value.clear();
        encode_word(slot.word, &mut value);
        visit(hash, &value)
    })
}

/// Visits the slots of a life in order of their hashes, beginning with `from`.
pub(super) fn for_each_slot(
    kv: &dyn KvReader,
    life: &Life,
    from: B256,
    visit: &mut dyn FnMut(B256, SlotRecord) -> Result<ControlFlow<()>, DbError>,
) -> Result<(), DbError> {
    slots_between(kv, life, from, B256::repeat_byte(0xff), visit)
}

fn slots_between(
    kv: &dyn KvReader,
    life: &Life,
    first: B256,
    last: B256,
    visit: &mut dyn FnMut(B256, SlotRecord) -> Result<ControlFlow<()>, DbError>,
) -> Result<(), DbError> {
    let (first, last) = (slot_key(life, &first), slot_key(life, &last));
    kv.visit(Table::Storage, &first, &last, &mut |key, record| {
        let slot = open(kv, Table::Storage, key, record, SlotRecord::decode)?;
        visit(slot_hash_of(&exact(kv, Table::Storage, key)?), slot)
    })
}

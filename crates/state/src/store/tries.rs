//! The tries of a store: flat records as leaves, branch records above them.

use std::{iter, ops::ControlFlow, panic::resume_unwind, thread};

use zvm_core::{B256, DbError};
use zvm_trie::{
    Branch, LeafVisitor, Nibbles, TrieReader, UpdateOptions, encode_account, encode_word, update,
};

use super::{
    branches::{BranchChange, Branches, account_path, storage_path},
    keys::{Life, SlotKey, life_of, slot_hash_of, slot_key},
    leaves::{Leaf, Leaves},
    read::{exact, open},
    record::{AccountRecord, SlotRecord},
};
use crate::kv::{KvReader, Table, WriteBatch};

/// Below this many changed slots a thread takes longer to start than it saves.
const SLOTS_PER_THREAD: usize = 256;

/// Storage roots by life, in key order.
type StorageRoots = Vec<(Life, B256)>;

/// The branch records of both kinds of tries.
#[derive(Debug)]
pub(super) struct Tries {
    pub(super) accounts: Branches,
    pub(super) storage: Branches,
    /// Threads for one update. The result does not depend on it.
    threads: usize,
}

/// Records that a block changes.
#[derive(Debug, Default)]
pub(super) struct TrieChanges {
    pub(super) accounts: Vec<BranchChange>,
    pub(super) storage: Vec<BranchChange>,
}

impl Tries {
    pub(super) fn new(cache_bytes: usize) -> Self {
        Self {
            accounts: Branches::new(Table::TrieAccounts, cache_bytes / 4 * 3),
            storage: Branches::new(Table::TrieStorage, cache_bytes / 4),
            threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// How many accounts there are, if that is in memory.
    pub(super) fn account_count(&self) -> Option<u64> {
        self.accounts.known(&account_path(&Nibbles::EMPTY))?.map(|root| root.leaf_count())
    }

    /// Bytes of branches that are not on disk yet.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.accounts.dirty_bytes() + self.storage.dirty_bytes()
    }

    /// Adds all branches that are not on disk yet, and `changes` on top, to a batch.
    pub(super) fn flush(&self, changes: &TrieChanges, batch: &mut WriteBatch) {
        self.accounts.flush(&changes.accounts, batch);
        self.storage.flush(&changes.storage, batch);
    }

    /// Notes that the batch of [`flush`](Self::flush) is written.
    pub(super) fn flushed(&mut self, changes: TrieChanges) {
        self.accounts.flushed(changes.accounts);
        self.storage.flushed(changes.storage);
    }

    /// Takes over the branches of a block that is written without them.
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
        let parts: Vec<_> = lives.chunks(lives.len().div_ceil(threads).max(1)).collect();
        // A contract alone has its trie for all threads to share.
        let options = match parts.len() {
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
                branches.extend(records.map(|(path, branch)| (storage_path(&life, &path), branch)));
                roots.push((life, update.root));
            }
            Ok::<_, DbError>((roots, branches))
        };
        let updated: Vec<_> = thread::scope(|scope| {
            let Some((first, others)) = parts.split_first() else { return Vec::new() };
            let others: Vec<_> = others.iter().map(|part| scope.spawn(|| update(part))).collect();
            let first = update(first);
            let others = others.into_iter().map(|other| other.join());
            let others = others.map(|done| done.unwrap_or_else(|panic| resume_unwind(panic)));
            iter::once(first).chain(others).collect()
        });
        let mut roots = Vec::with_capacity(lives.len());
        for part in updated {
            let (part_roots, branches) = part?;
            roots.extend(part_roots);
            out.storage.extend(branches);
        }
        Ok(roots)
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
        let records = update.branches.into_iter();
        out.accounts.extend(records.map(|(path, branch)| (account_path(&path), branch)));
        Ok(update.root)
    }
}

/// The trie of all accounts, as last written or held.
pub(super) struct AccountTrie<'a> {
    pub(super) kv: &'a dyn KvReader,
    pub(super) tries: &'a Tries,
}

impl TrieReader for AccountTrie<'_> {
    fn branch(&self, path: &Nibbles) -> Result<Option<Branch>, DbError> {
        self.tries.accounts.get(self.kv, &account_path(path))
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
        self.tries.storage.get(self.kv, &storage_path(&self.life, path))
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

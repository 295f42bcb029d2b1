//! The world state in an ordered key-value store.
//!
//! The state is flat: an account or a slot is one look-up away, and in key order everything stands
//! as its trie needs it. Beside it are the branches of the tries, the values before each block, and
//! an index into those. See [`keys`] for the keys and [`record`] for the bytes under them.
//!
//! | table | key | body |
//! |---|---|---|
//! | `meta` | name | head, history, slices; `format` without envelope |
//! | `accounts` | keccak(address) | address, nonce, balance, code hash, storage root, up to eight slots |
//! | `storage` | keccak(address) ‖ incarnation u32 ‖ keccak(slot) | slot, and its word, never zero; of accounts with more than eight slots |
//! | `code` | code hash | bytes |
//! | `trie_accounts` | path of two nibbles or more, a byte each | branch; none for twelve accounts or fewer |
//! | `trie_storage` | keccak(address) ‖ incarnation ‖ path | branch; none for eight slots or fewer |
//! | `changes` | block u64 ‖ kind u8 ‖ key | value before the block |
//! | `history` | kind ‖ 16 bytes of the key ‖ last block u64 | blocks that changed it |
//! | `block_hashes` | number u64 | hash |
//!
//! A commit is one batch. Accounts, slots and branches go to their tables in slices of the key space, one
//! or a few with each block ([`slices`]), as does the index. What waits for its turn is in the redos that
//! are in `changes`, and is worked out from them when a store is opened ([`pending`], [`recover`]).

mod branches;
mod cells;
mod check;
mod commit;
mod generations;
mod history;
mod index;
mod keys;
mod leaves;
mod options;
mod pending;
mod plan;
mod proof;
mod prune;
mod rebuild;
mod recent;
mod record;
mod recover;
mod slices;
mod storage;
mod tries;
mod unwind;
mod waiting;

use std::{
    fmt,
    path::Path,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use zvm_core::{
    Account, Address, B256, Batch, BlockId, Bytes, Database, DbError, SnapshotId, StateBackend,
    StateDiff, U256, VisitAccount, VisitSlot, keccak256,
};

pub use check::{CheckLevel, Checked};
pub use options::{FileOptions, History, UnknownHistory};
pub use proof::FileStat;
pub(crate) use recover::FORMAT_VERSION;

use crate::kv::{self, Access, Durability, KvStore, Order, Table, WriteBatch, records as read};
use cells::Cells;
use commit::Prepared;
use history::Then;
use index::Tail;
use keys::{SlotKey, slot_hash, slot_key};
use pending::{Layered, Pending};
use read::{entries, get, put};
use recent::Recent;
use record::{AccountRecord, SlotRecord, array};
use recover::{Meta, catch_up, initial, mark_key, stage_mark, stage_retention, vet};
use storage::{by_hash, inline_word};
use tries::Tries;

/// A world state on disk, with its past and its tries.
///
/// A commit is one atomic write and on disk when it returns: after a crash or power loss the state
/// is the one before it or the one after it. One process has the store open for writing at a time;
/// others get [`DbError::Locked`]. Snapshots belong to this process and end with it; the present
/// state stays.
///
/// [`state_root`](StateBackend::state_root) is stored with the state and costs nothing.
pub struct FileDb {
    options: FileOptions,
    meta: Meta,
    /// Accounts and slots that are not in their tables yet.
    pending: Pending,
    recent: Recent,
    cells: Cells,
    /// Branches not on disk yet, and hot ones. Worked out by the first call that needs them.
    tries: OnceLock<Tries>,
    /// What the newest blocks changed, likewise, for reads of the past.
    tail: OnceLock<Tail>,
    /// Held while one of the two is worked out, so that it happens once.
    catching_up: Mutex<()>,
    /// What the last state that was asked about comes to.
    prepared: Mutex<Option<Prepared>>,
    /// Open snapshots, oldest first, each with the number of its head; `None` before any block.
    marks: Vec<(SnapshotId, Option<u64>)>,
    next_id: u64,
    /// The last key of `changes` that was deleted: there is none before it.
    pruned_to: Vec<u8>,
    /// How far the index was swept.
    swept_to: Vec<u8>,
    kv: Box<dyn KvStore>,
}

impl FileDb {
    /// Opens the store in `folder` with default options; an absent one is made, with its parent
    /// folders.
    ///
    /// A store that is damaged ([`DbError::Corrupt`]), in use ([`DbError::Locked`]) or of a later
    /// version ([`DbError::NewerFormat`]) is left as it is.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DbError> {
        Self::open_with(folder, FileOptions::default())
    }

    /// [`open`](Self::open) with options.
    pub fn open_with(folder: impl AsRef<Path>, options: FileOptions) -> Result<Self, DbError> {
        Self::open_with_key(folder, options, None)
    }

    /// [`open_with`](Self::open_with) a key, under which a new store is encrypted. An old one
    /// needs the key it was made with.
    pub fn open_with_key(
        folder: impl AsRef<Path>,
        options: FileOptions,
        key: Option<&kv::Key>,
    ) -> Result<Self, DbError> {
        let kv = kv::open(
            options.engine,
            folder.as_ref(),
            kv::Options {
                access: options.access,
                cache_bytes: options.cache_bytes,
                initial: &|| Ok(initial()),
                vet: &vet,
                key,
            },
        )?;
        Self::over(kv, options)
    }

    /// The state in a key-value store that is open already. An empty one is given its format.
    pub fn over(mut kv: Box<dyn KvStore>, options: FileOptions) -> Result<Self, DbError> {
        let is_empty = kv.iter(Table::Meta, &[], None, Order::Forward)?.next().is_none();
        if is_empty && options.access == Access::Create {
            kv.write(initial(), Durability::Synced)?;
        }
        vet(&*kv)?;
        let mut meta = Meta::read(&*kv)?;
        if let Some(told) = options.history.filter(|told| *told != meta.retention) {
            meta.retention = told;
            if options.access != Access::Read {
                let mut batch = WriteBatch::new();
                stage_retention(told, &mut batch);
                kv.write(batch, Durability::Synced)?;
            }
        }
        Ok(Self {
            options,
            meta,
            pending: Pending::replay(&*kv, meta.head.number(), &meta.turns)?,
            recent: Recent::default(),
            cells: Cells::default(),
            tries: OnceLock::new(),
            tail: OnceLock::new(),
            catching_up: Mutex::new(()),
            prepared: Mutex::new(None),
            marks: Vec::new(),
            next_id: 0,
            pruned_to: Vec::new(),
            // Anywhere will do, as long as it is not the same place each time.
            swept_to: sweep_start(meta.head.number()),
            kv,
        })
    }

    /// The first block whose state can be read.
    pub fn floor(&self) -> u64 {
        self.meta.floor
    }

    /// How much of the past is kept.
    pub fn history(&self) -> History {
        self.meta.retention
    }

    /// The engine that keeps the bytes.
    pub fn engine(&self) -> kv::Engine {
        self.options.engine
    }

    /// The key-value store below.
    pub fn store(&self) -> &dyn KvStore {
        &*self.kv
    }

    /// Writes `diff` as the state of `block` and, in the same batch, its hash and `beside`, which is
    /// about tables that hold no state.
    ///
    /// # Errors
    ///
    /// Those of [`commit_block`](StateBackend::commit_block); nothing is written then.
    pub fn commit_beside(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        mut beside: WriteBatch,
    ) -> Result<(), DbError> {
        let number = block.number.to_be_bytes();
        put(&mut beside, Table::BlockHashes, &number, block.hash.as_slice());
        self.commit_plan(block, diff, beside)
    }

    /// Writes `batch`, which is about tables that hold no state.
    ///
    /// # Errors
    ///
    /// If the store refuses; nothing is written then.
    pub fn write_beside(&mut self, batch: WriteBatch) -> Result<(), DbError> {
        self.kv.write(batch, self.options.durability)
    }

    /// The store with what waits to be written to its tables.
    fn kv(&self) -> Layered<'_> {
        Layered { kv: &*self.kv, cells: &self.cells, pending: &self.pending }
    }

    /// The tries as of the head.
    fn tries(&self) -> Result<&Tries, DbError> {
        if let Some(tries) = self.tries.get() {
            return Ok(tries);
        }
        let _alone = self.alone();
        if let Some(tries) = self.tries.get() {
            return Ok(tries);
        }
        let tries = catch_up(&self.kv(), &self.meta, &self.options)?;
        Ok(self.tries.get_or_init(|| tries))
    }

    /// What the newest blocks changed.
    fn tail(&self) -> Result<&Tail, DbError> {
        if let Some(tail) = self.tail.get() {
            return Ok(tail);
        }
        let _alone = self.alone();
        if let Some(tail) = self.tail.get() {
            return Ok(tail);
        }
        let tail = Tail::read(&self.kv(), &self.meta)?;
        Ok(self.tail.get_or_init(|| tail))
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.catching_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, hash: &B256) -> Result<Option<AccountRecord>, DbError> {
        self.recent.account(&self.kv(), hash)
    }

    /// The word under `key`, be it of a life that has ended.
    fn word(&self, key: &SlotKey) -> Result<U256, DbError> {
        let record = get(&self.kv(), Table::Storage, key, SlotRecord::decode)?;
        Ok(record.map_or(U256::ZERO, |record| record.word))
    }

    /// Checks that the state of block `number` can be read.
    fn check_kept(&self, number: u64) -> Result<(), DbError> {
        let (floor, head) = (self.meta.floor, self.number().unwrap_or_default());
        match (floor..=head).contains(&number) {
            true => Ok(()),
            false => Err(DbError::NoHistory { number, floor, head }),
        }
    }

    fn number(&self) -> Option<u64> {
        self.meta.head.number()
    }

    fn mark(&self, id: SnapshotId) -> Result<usize, DbError> {
        // Ids grow, so the marks are sorted by them.
        self.marks
            .binary_search_by_key(&id, |mark| mark.0)
            .map_err(|_| DbError::UnknownSnapshot { id })
    }
}

impl Database for FileDb {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        let record = self.record(&keccak256(address))?;
        Ok(record.map(|record| record.to_account()))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let hash = keccak256(address);
        let Some(record) = self.record(&hash)? else { return Ok(U256::ZERO) };
        match record.life(&hash) {
            Some(life) => self.recent.word(&self.kv(), &slot_key(&life, &slot_hash(slot))),
            None => Ok(inline_word(record.inline(), slot)),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        let code = get(&self.kv(), Table::Code, code_hash.as_slice(), |body| {
            Ok(Bytes::copy_from_slice(body))
        })?;
        code.ok_or(DbError::MissingCode { code_hash })
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        let hash = get(&self.kv(), Table::BlockHashes, &number.to_be_bytes(), array)?;
        hash.map(B256::new).ok_or(DbError::MissingBlockHash { number })
    }
}

impl StateBackend for FileDb {
    fn commit_block(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError> {
        self.commit_plan(block, diff, WriteBatch::new())
    }

    fn commit_marked(
        &mut self,
        block: BlockId,
        diff: &StateDiff,
        mark: B256,
    ) -> Result<(), DbError> {
        let mut batch = WriteBatch::new();
        stage_mark(block.number, mark, &mut batch);
        self.commit_plan(block, diff, batch)
    }

    fn mark_of(&self, number: u64) -> Result<Option<B256>, DbError> {
        let mark = get(&*self.kv, Table::Meta, &mark_key(number), array)?;
        Ok(mark.map(B256::new))
    }

    fn seed(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        self.seed_plan(diff)
    }

    fn head(&self) -> Result<BlockId, DbError> {
        Ok(self.meta.head.block.unwrap_or_default())
    }

    fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, DbError> {
        self.check_kept(number)?;
        Ok(Box::new(Then { db: self, number }))
    }

    fn floor(&self) -> Result<u64, DbError> {
        Ok(self.meta.floor)
    }

    /// Many changes are undone in steps, each of which is atomic and leads to a block.
    fn unwind(&mut self, number: u64) -> Result<(), DbError> {
        self.check_kept(number)?;
        self.unwind_to(Some(number))
    }

    fn state_root(&self) -> Result<B256, DbError> {
        Ok(self.meta.head.root)
    }

    fn root_after(&self, diff: &StateDiff) -> Result<B256, DbError> {
        self.plan_root(diff)
    }

    fn for_each_account(&self, from: B256, visit: &mut VisitAccount<'_>) -> Result<(), DbError> {
        let kv = &self.kv();
        let start = Some(from.as_slice());
        for entry in entries::<_, 32>(kv, Table::Accounts, &[], start, AccountRecord::decode)? {
            let (hash, AccountRecord { address, info, .. }) = entry?;
            if visit(B256::new(hash), address, info)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn for_each_slot(
        &self,
        address: Address,
        from: B256,
        visit: &mut VisitSlot<'_>,
    ) -> Result<(), DbError> {
        let kv = &self.kv();
        let hash = keccak256(address);
        let Some(record) = self.record(&hash)? else { return Ok(()) };
        let mut visit = |hash, slot: SlotRecord| visit(hash, slot.slot, slot.word);
        if let Some(life) = record.life(&hash) {
            return tries::for_each_slot(kv, &life, from, &mut visit);
        }
        for (hash, slot) in by_hash(record.inline()).into_iter().filter(|slot| slot.0 >= from) {
            if visit(hash, slot)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<SnapshotId, DbError> {
        let id = SnapshotId(self.next_id);
        self.next_id += 1;
        self.marks.push((id, self.number()));
        Ok(id)
    }

    fn revert(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let mark = self.mark(id)?;
        self.unwind_to(self.marks[mark].1)?;
        self.marks.truncate(mark);
        Ok(())
    }

    fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let mark = self.mark(id)?;
        self.marks.truncate(mark);
        Ok(())
    }

    fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError> {
        let mut batch = WriteBatch::new();
        put(&mut batch, Table::BlockHashes, &number.to_be_bytes(), hash.as_slice());
        self.kv.write(batch, self.options.durability)
    }

    fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }
}

impl fmt::Debug for FileDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDb")
            .field("path", &self.kv.path())
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

/// Where in the index sweeping starts when a store is opened at `head`.
fn sweep_start(head: Option<u64>) -> Vec<u8> {
    let place = keccak256(head.unwrap_or_default().to_be_bytes());
    let kind = if place[0] < 128 { keys::Kind::Account } else { keys::Kind::Slot };
    [&[kind as u8], &place[1..17]].concat()
}

/// How many accounts a walk that also writes or reports reads together.
const WALK_STEP: usize = 256;

#[cfg(test)]
mod tests;

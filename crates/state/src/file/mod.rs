//! A world state in one redb file.
//!
//! The state is flat: an account or a slot is one look-up away, and in key order everything stands
//! as its trie needs it. Tables hold bytes under bytes:
//!
//! | table | key | body |
//! |---|---|---|
//! | `meta` | `format` | format version u32, without envelope |
//! | `accounts` | keccak(address) | nonce, balance, code hash, number of slots |
//! | `storage` | keccak(address) ‖ keccak(slot) | word without leading zeros, never zero |
//! | `code` | code hash | bytes |
//! | `block_hashes` | number u64 | hash |
//! | `preimages` | keccak(address or slot) | the 20 or 32 bytes it is the hash of |
//!
//! Integers are big-endian. Bodies stand in the envelope of [`record`]: version and checksum.

mod error;
mod open;
mod preview;
mod record;
mod table;
mod write;

use std::{fmt, path::Path, sync::OnceLock};

use redb::{ReadOnlyTable, ReadableDatabase, TableDefinition};
use zvm_core::{
    Account, Address, Assembled, B256, Batch, BlockId, Bytes, Database, DbError, EMPTY_ROOT,
    SnapshotId, StateBackend, StateDiff, U256, VisitAccount, VisitSlot, keccak256,
};
use zvm_trie::RootBuilder;

use crate::past::{Past, WayBack, follows, reverse, seedable};
use error::{corrupt, fault};
use open::Store;
use record::AccountRecord;
use table::{entries, get};

/// A table of bytes under bytes.
type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const ACCOUNTS: Table = Table::new("accounts");
const STORAGE: Table = Table::new("storage");
const CODE: Table = Table::new("code");
const BLOCK_HASHES: Table = Table::new("block_hashes");
const PREIMAGES: Table = Table::new("preimages");
const TABLES: [Table; 5] = [ACCOUNTS, STORAGE, CODE, BLOCK_HASHES, PREIMAGES];

const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
/// The layout above. A program refuses a store with a higher number.
const FORMAT_VERSION: u32 = 1;

/// A world state in a folder, kept in one redb file.
///
/// A commit is one transaction and on disk when it returns: after a crash or power loss the state
/// is the one before it or the one after it. One process has the store open at a time; others get
/// [`DbError::Locked`]. Snapshots belong to this process and end with it; the present state stays.
///
/// [`state_root`](StateBackend::state_root) reads the whole state.
pub struct FileDb {
    /// The head and the past of this process.
    head: Option<BlockId>,
    past: Past,
    /// The tables as of the last commit, opened by the first read after it.
    view: OnceLock<View>,
    /// Dropped last: closing it ends every view.
    store: Store,
}

struct View {
    accounts: ReadOnlyTable<&'static [u8], &'static [u8]>,
    storage: ReadOnlyTable<&'static [u8], &'static [u8]>,
    code: ReadOnlyTable<&'static [u8], &'static [u8]>,
    block_hashes: ReadOnlyTable<&'static [u8], &'static [u8]>,
    preimages: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl FileDb {
    /// Opens the store in `folder`; an absent one is made, with its parent folders.
    ///
    /// A store that is damaged ([`DbError::Corrupt`]), in use ([`DbError::Locked`]) or of a later
    /// version ([`DbError::NewerFormat`]) is left as it is.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DbError> {
        let store = Store::open(folder.as_ref())?;
        Ok(Self { head: None, past: Past::new(128), view: OnceLock::new(), store })
    }

    fn view(&self) -> Result<&View, DbError> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let transaction = self.store.database.begin_read().map_err(fault("read", self.path()))?;
        let open = |table: Table| transaction.open_table(table).map_err(fault("read", self.path()));
        let view = View {
            accounts: open(ACCOUNTS)?,
            storage: open(STORAGE)?,
            code: open(CODE)?,
            block_hashes: open(BLOCK_HASHES)?,
            preimages: open(PREIMAGES)?,
        };
        Ok(self.view.get_or_init(|| view))
    }

    fn path(&self) -> &Path {
        &self.store.path
    }

    fn go(&mut self, way: &WayBack) -> Result<(), DbError> {
        if !way.diff.is_empty() {
            self.write(|transaction, path| write::apply(transaction, path, &way.diff))?;
        }
        self.head = way.to;
        self.past.went(way);
        Ok(())
    }

    /// Runs `change` in one transaction. The view goes first, so that its pages can be reused.
    fn write(
        &mut self,
        change: impl FnOnce(&redb::WriteTransaction, &Path) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        self.view.take();
        let path = self.path();
        let transaction = self.store.database.begin_write().map_err(fault("write", path))?;
        change(&transaction, path)?;
        transaction.commit().map_err(fault("commit", path))
    }

    /// The root of the storage below `address_hash`, which its account says has `slots` words.
    fn storage_root(&self, address_hash: &[u8], slots: u64) -> Result<B256, DbError> {
        let mut trie = RootBuilder::default();
        let mut found = 0;
        for entry in entries(self.path(), &self.view()?.storage, address_hash, record::word)? {
            let (key, word) = entry?;
            let (_, slot_hash) = self.split_storage_key(&key)?;
            trie.push_word(slot_hash, word);
            found += 1;
        }
        if found != slots {
            let account = B256::from_slice(address_hash);
            let what = format!("storage of {account}: {found} slots, its account says {slots}");
            return Err(corrupt(self.path(), what));
        }
        Ok(trie.finish())
    }

    fn split_storage_key(&self, key: &[u8]) -> Result<(B256, B256), DbError> {
        match key.split_at_checked(32).map(|(a, b)| (B256::try_from(a), B256::try_from(b))) {
            Some((Ok(address_hash), Ok(slot_hash))) => Ok((address_hash, slot_hash)),
            _ => Err(corrupt(
                self.path(),
                format!("storage: key of {} bytes, expected 64", key.len()),
            )),
        }
    }
}

impl Database for FileDb {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        let key = keccak256(address);
        let accounts = &self.view()?.accounts;
        let record = get(self.path(), accounts, key.as_slice(), AccountRecord::decode)?;
        Ok(record.map(|record| Account { info: record.info, has_storage: record.slots > 0 }))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let key = record::storage_key(keccak256(address), record::slot_hash(slot));
        let word = get(self.path(), &self.view()?.storage, &key, record::word)?;
        Ok(word.unwrap_or_default())
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        let code = get(self.path(), &self.view()?.code, code_hash.as_slice(), |body| {
            Ok(Bytes::copy_from_slice(body))
        })?;
        code.ok_or(DbError::MissingCode { code_hash })
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        let table = &self.view()?.block_hashes;
        let hash = get(self.path(), table, &number.to_be_bytes(), record::array)?;
        hash.map(B256::new).ok_or(DbError::MissingBlockHash { number })
    }
}

impl StateBackend for FileDb {
    fn commit_block(&mut self, block: BlockId, diff: &StateDiff) -> Result<(), DbError> {
        follows(self.head, block.number)?;
        let reverse = reverse(self, diff)?;
        self.write(|transaction, path| write::apply(transaction, path, diff))?;
        self.past.record(self.head.replace(block), reverse);
        Ok(())
    }

    fn seed(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        seedable(self.head)?;
        self.write(|transaction, path| write::apply(transaction, path, diff))
    }

    fn head(&self) -> Result<BlockId, DbError> {
        Ok(self.head.unwrap_or_default())
    }

    fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, DbError> {
        let diff = self.past.way_to(number, self.head)?.diff;
        Ok(Box::new(Assembled::new(self, diff)))
    }

    fn unwind(&mut self, number: u64) -> Result<(), DbError> {
        let way = self.past.way_to(number, self.head)?;
        self.go(&way)
    }

    fn state_root(&self) -> Result<B256, DbError> {
        let mut trie = RootBuilder::default();
        for entry in entries(self.path(), &self.view()?.accounts, &[], AccountRecord::decode)? {
            let (key, account) = entry?;
            let address_hash = B256::try_from(key.as_slice()).map_err(|_| {
                let what = format!("accounts: key of {} bytes, expected 32", key.len());
                corrupt(self.path(), what)
            })?;
            let storage_root = match account.slots {
                0 => EMPTY_ROOT,
                slots => self.storage_root(&key, slots)?,
            };
            trie.push_account(address_hash, &account.info, storage_root);
        }
        Ok(trie.finish())
    }

    fn for_each_account(&self, from: B256, visit: &mut VisitAccount<'_>) -> Result<(), DbError> {
        let view = self.view()?;
        for entry in entries(self.path(), &view.accounts, &[], AccountRecord::decode)? {
            let (key, account) = entry?;
            if key.as_slice() < from.as_slice() {
                continue;
            }
            let address = get(self.path(), &view.preimages, &key, record::array)?
                .ok_or_else(|| corrupt(self.path(), "preimages: an address is missing"))?;
            let hash = B256::from_slice(&key);
            if visit(hash, Address::new(address), account.info)?.is_break() {
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
        let view = self.view()?;
        let address_hash = keccak256(address);
        for entry in entries(self.path(), &view.storage, address_hash.as_slice(), record::word)? {
            let (key, word) = entry?;
            let (_, slot_hash) = self.split_storage_key(&key)?;
            if slot_hash < from {
                continue;
            }
            let slot = get(self.path(), &view.preimages, slot_hash.as_slice(), record::array)?;
            let slot = slot.ok_or_else(|| {
                corrupt(self.path(), format!("preimages: no slot with hash {slot_hash}"))
            })?;
            if visit(slot_hash, U256::from_be_bytes::<32>(slot), word)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<SnapshotId, DbError> {
        Ok(self.past.take())
    }

    fn revert(&mut self, id: SnapshotId) -> Result<(), DbError> {
        let way = self.past.way_to_snapshot(id, self.head)?;
        self.go(&way)?;
        self.past.release(id)
    }

    fn release(&mut self, id: SnapshotId) -> Result<(), DbError> {
        self.past.release(id)
    }

    fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError> {
        self.write(|transaction, path| write::block_hash(transaction, path, number, hash))
    }

    fn as_database(&self) -> &dyn Database {
        self
    }

    fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }
}

impl fmt::Debug for FileDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDb").field("path", &self.store.path).finish_non_exhaustive()
    }
}

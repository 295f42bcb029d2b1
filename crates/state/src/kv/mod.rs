//! The seam between the state layout above and an ordered key-value engine below.
//!
//! A store is some [`Table`]s of bytes under bytes, each in the order of its keys. It is read
//! through [`KvReader`], which is one consistent view, and written through [`KvStore::write`], one
//! atomic [`WriteBatch`] at a time. That is all the layout asks of an engine, so history, trie and
//! backup are written once, above.
//!
//! Keys and values mean nothing here. An engine may notice damage on its own and then answers
//! [`DbError::Corrupt`], but it need not: [`records`] carry their own checksums from above.

mod batch;
#[cfg(any(test, feature = "test-support"))]
pub mod compliance;
mod copy;
mod encrypt;
mod folder;
mod memory;
mod open;
mod range;
pub mod records;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocks;
#[cfg(any(test, feature = "test-support"))]
pub mod sim;

use std::{ops::ControlFlow, path::Path};

use zvm_core::DbError;

pub use batch::{TableChanges, WriteBatch};
pub use copy::parts;
pub use encrypt::Key;
pub(crate) use folder::is_of_store;
pub use memory::MemoryTables;
pub use open::{Access, Engine, Initial, Options, Vet, open};
pub(crate) use range::KeyRange;

/// A table of a store.
///
/// Engines store tables by [`name`](Self::name); what is in them is the business of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single records under names: format, head, prune floor, key check.
    Meta,
    /// Accounts under the hash of their address.
    Accounts,
    /// Slots under account, incarnation and hash of the slot.
    Storage,
    /// Code under its hash.
    Code,
    /// Branches of the account trie under their path.
    TrieAccounts,
    /// Branches of the storage tries under account, incarnation and path.
    TrieStorage,
    /// Values before each block, under the block.
    Changes,
    /// Which blocks changed a key, under the key.
    History,
    /// Block hashes under their number.
    BlockHashes,
    /// Headers under number and hash.
    Headers,
    /// Bodies of blocks under number and hash.
    Bodies,
    /// Block numbers under the hash.
    BlockNumbers,
    /// Hashes of the blocks that lead to the head, under their number.
    Canonical,
    /// Receipts of those blocks, under their number.
    Receipts,
    /// Where transactions are, under their hash.
    Transactions,
    /// What the steps of a block changed, under block and step.
    StepDiffs,
    /// Which blocks have events, under what the events are found by.
    EventIndex,
    /// Which transactions concern an address, under the address.
    AddressIndex,
    /// Sizes and roots of the Merkle log, under the block.
    TreeHeads,
    /// Hashes of the Merkle log, under level and place.
    LogHashes,
}

impl Table {
    /// Every table, in the order of their discriminants.
    pub const ALL: [Self; 20] = [
        Self::Meta,
        Self::Accounts,
        Self::Storage,
        Self::Code,
        Self::TrieAccounts,
        Self::TrieStorage,
        Self::Changes,
        Self::History,
        Self::BlockHashes,
        Self::Headers,
        Self::Bodies,
        Self::BlockNumbers,
        Self::Canonical,
        Self::Receipts,
        Self::Transactions,
        Self::StepDiffs,
        Self::EventIndex,
        Self::AddressIndex,
        Self::TreeHeads,
        Self::LogHashes,
    ];

    /// The name under which engines store the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Accounts => "accounts",
            Self::Storage => "storage",
            Self::Code => "code",
            Self::TrieAccounts => "trie_accounts",
            Self::TrieStorage => "trie_storage",
            Self::Changes => "changes",
            Self::History => "history",
            Self::BlockHashes => "block_hashes",
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::BlockNumbers => "block_numbers",
            Self::Canonical => "canonical",
            Self::Receipts => "receipts",
            Self::Transactions => "transactions",
            Self::StepDiffs => "step_diffs",
            Self::EventIndex => "event_index",
            Self::AddressIndex => "address_index",
            Self::TreeHeads => "tree_heads",
            Self::LogHashes => "log_hashes",
        }
    }
}

/// In which order an iteration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Smallest key first.
    Forward,
    /// Largest key first.
    Reverse,
}

/// When a write is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Before [`KvStore::write`] returns, together with every batch before it.
    Synced,
    /// With the next synced batch at the latest. A crash loses the newest buffered batches, each
    /// whole, and never one before another.
    Buffered,
}

/// Key and value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries in the order asked for. The first error is the last item.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry, DbError>> + 'a>;

/// Called with key and value; breaks when it has seen enough.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, DbError> + 'a;

/// One consistent view of a store.
///
/// A [`KvStore`] read through this trait shows its last batch; a [view](KvStore::view) shows what
/// was there when it was made.
pub trait KvReader: Send + Sync {
    /// The value under `key`; `None` where there is none.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError>;

    /// The values under `keys`, in the order of the keys. Sorted keys are the cheapest.
    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, DbError> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    /// The entries whose keys start with `prefix`.
    ///
    /// With `from`, those at or after that key [forward](Order::Forward), at or before it in
    /// [reverse](Order::Reverse). It need not be the key of an entry, nor start with `prefix`.
    fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'_>, DbError>;

    /// Visits the entries from `first` to `last`, both included, in the order of their keys.
    ///
    /// For short stretches and many of them: nothing is copied.
    fn visit(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), DbError> {
        for entry in self.iter(table, &[], Some(first), Order::Forward)? {
            let (key, value) = entry?;
            if key.as_slice() > last || visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The file or folder, for errors of layers above.
    fn path(&self) -> &Path;
}

/// The content of a store as it was when the view was made.
///
/// Views are cheap to make and hold back the reuse of disk space while they live. The store counts
/// as open until its last view is dropped.
pub trait KvView: KvReader {
    /// Makes a complete copy, to be opened on its own, in `folder`, which must be empty or absent.
    /// The store may be written meanwhile.
    ///
    /// The copy is on disk when this returns, and memory use does not grow with the store.
    fn checkpoint(&self, folder: &Path) -> Result<(), DbError>;
}

/// A store that is open in this process and in no other.
pub trait KvStore: KvReader {
    /// Writes all of `batch` or, if this fails, none of it.
    ///
    /// An empty batch that is [`Durability::Synced`] puts the batches before it on disk.
    ///
    /// After a refusal of the disk what is stored is as before, but an engine may answer nothing,
    /// reads included, until the store is opened again.
    fn write(&mut self, batch: WriteBatch, durability: Durability) -> Result<(), DbError>;

    /// The content as it is now, whatever is written later.
    fn view(&self) -> Result<Box<dyn KvView>, DbError>;

    /// How large the store is.
    fn stats(&self) -> Result<KvStats, DbError>;
}

/// How large a store is. Engines estimate what they cannot look up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvStats {
    /// Bytes on disk, free pages and logs included.
    pub disk_bytes: u64,
    /// One row for each table, in the order of [`Table::ALL`].
    pub tables: Vec<TableStats>,
}

impl KvStats {
    /// Number of entries of `table`.
    pub fn entries(&self, table: Table) -> u64 {
        self.tables.iter().find(|row| row.table == table).map_or(0, |row| row.entries)
    }
}

/// How large a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// Which one.
    pub table: Table,
    /// Number of entries.
    pub entries: u64,
    /// Bytes of keys and values as stored, compression included.
    pub bytes: u64,
}

/// The first key after all those that start with `prefix`; `None` if there is no such key.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

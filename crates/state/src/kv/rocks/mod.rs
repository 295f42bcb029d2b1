//! RocksDB: a log-structured merge tree in a folder, for state that outgrows memory.
//!
//! The folder is `state.rocksdb`. A batch is one record of RocksDB's write-ahead log, so a crash
//! leaves all of it or none; [`Durability::Synced`] waits for the log, which has the batches before
//! in it too. Every table is a column family.
//!
//! Files of tables are checksummed by the block. The newest batches are in the log alone, where
//! RocksDB takes damage for the torn end that a crash leaves: the store then opens at an earlier
//! batch, whole.

mod error;
mod read;
mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rocksdb::{ColumnFamily, DB, IteratorMode, WriteOptions};
use zvm_core::DbError;

use super::{
    Access, Durability, Entries, KvReader, KvStats, KvStore, KvView, Options, Order, Table,
    TableStats, WriteBatch,
    folder::{Folder, ROCKSDB, corrupt},
};
use crate::disk::io_error;
use error::fault;
use read::Reader;
use settings::Settings;

/// A store in a RocksDB folder.
pub(super) struct RocksKv {
    shared: Arc<Shared>,
    access: Access,
}

/// What views keep open.
struct Shared {
    db: DB,
    /// RocksDB's own folder.
    path: PathBuf,
    /// Let go of last: fields are dropped in order.
    _folder: Arc<Folder>,
}

impl RocksKv {
    /// Opens the store in `folder`, as [`kv::open`](super::open) says, without a key.
    ///
    /// An existing store is first opened to be read only, which replays the log in memory and
    /// changes no file.
    pub(super) fn open(folder: &Path, options: Options<'_>) -> Result<Self, DbError> {
        let Options { access, cache_bytes, initial, vet, .. } = options;
        let folder = Arc::new(Folder::lock(folder, ROCKSDB, access)?);
        let (path, exists) = folder.find(ROCKSDB, access)?;
        if !exists {
            folder.create(ROCKSDB, |draft| create(draft, [initial()]))?;
        }
        if !path.is_dir() {
            return Err(corrupt(&path, "not a folder"));
        }
        let settings = Settings::new(cache_bytes);
        let store = |db| {
            let shared = Shared { db, path: path.clone(), _folder: folder.clone() };
            Self { shared: Arc::new(shared), access }
        };
        let preview = store(settings.open_read_only(&path)?);
        vet(&preview)?;
        if access == Access::Read {
            return Ok(preview);
        }
        drop(preview);
        Ok(store(settings.open(&path)?))
    }

    fn reader(&self) -> Reader<'_> {
        Reader { shared: &self.shared, snapshot: None }
    }
}

impl Shared {
    /// The column family of `table`; `None` where a store opened to be read has none.
    fn family(&self, table: Table) -> Option<&ColumnFamily> {
        self.db.cf_handle(table.name())
    }
}

impl KvReader for RocksKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        self.reader().get(table, key)
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, DbError> {
        self.reader().multi_get(table, keys)
    }

    fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'_>, DbError> {
        Ok(self.reader().iter(table, prefix, from, order))
    }

    fn path(&self) -> &Path {
        &self.shared.path
    }
}

impl KvStore for RocksKv {
    fn write(&mut self, batch: WriteBatch, durability: Durability) -> Result<(), DbError> {
        if self.access == Access::Read {
            return Err(DbError::ReadOnly { path: self.shared.path.clone() });
        }
        write(&self.shared.db, &self.shared.path, batch, durability)
    }

    fn view(&self) -> Result<Box<dyn KvView>, DbError> {
        Ok(Box::new(read::View::new(self.shared.clone(), |shared| shared.db.snapshot())))
    }

    fn stats(&self) -> Result<KvStats, DbError> {
        let property = |table: Table, name: &str| -> Result<u64, DbError> {
            let Some(family) = self.shared.family(table) else { return Ok(0) };
            let value = self.shared.db.property_int_value_cf(family, name);
            Ok(value.map_err(fault("read the size of", &self.shared.path))?.unwrap_or(0))
        };
        let table_stats = |table| {
            let entries = property(table, "rocksdb.estimate-num-keys")?;
            let bytes = match entries {
                // An empty table has buffers all the same.
                0 => 0,
                _ => property(table, "rocksdb.estimate-live-data-size")?
                    .saturating_add(property(table, "rocksdb.size-all-mem-tables")?),
            };
            Ok(TableStats { table, entries, bytes })
        };
        let tables = Table::ALL.into_iter().map(table_stats).collect::<Result<_, DbError>>()?;
        Ok(KvStats { disk_bytes: disk_bytes(&self.shared.path)?, tables })
    }
}

/// Makes a store at `path` that holds `content`, on disk when this returns.
fn create(
    path: &Path,
    content: impl IntoIterator<Item = Result<WriteBatch, DbError>>,
) -> Result<(), DbError> {
    let db = Settings::new(0).create(path)?;
    for part in content {
        write(&db, path, part?, Durability::Buffered)?;
    }
    write(&db, path, WriteBatch::new(), Durability::Synced)
}

/// Writes `batch` as one record of the log.
fn write(db: &DB, path: &Path, batch: WriteBatch, durability: Durability) -> Result<(), DbError> {
    if batch.is_empty() {
        return match durability {
            Durability::Synced => db.flush_wal(true).map_err(fault("sync", path)),
            Durability::Buffered => Ok(()),
        };
    }
    let mut record = rocksdb::WriteBatch::with_capacity_bytes(batch.bytes());
    for changes in batch.into_tables() {
        let name = changes.table().name();
        let family = db.cf_handle(name).ok_or_else(|| corrupt(path, format!("no {name}")))?;
        // Later changes of a key win, so the ranges go first.
        for (first, end) in changes.ranges() {
            match end {
                Some(end) => record.delete_range_cf(family, first, end),
                None => {
                    // There is no range without an end: up to the last key, and that key.
                    let last = db.iterator_cf(family, IteratorMode::End).next().transpose();
                    if let Some((last, _)) = last.map_err(fault("read", path))?
                        && *last >= *first
                    {
                        record.delete_range_cf(family, first, &last[..]);
                        record.delete_cf(family, &last);
                    }
                }
            }
        }
        for (key, value) in changes.records() {
            match value {
                Some(value) => record.put_cf(family, key, value),
                None => record.delete_cf(family, key),
            }
        }
    }
    let mut options = WriteOptions::default();
    options.set_sync(durability == Durability::Synced);
    db.write_opt(record, &options).map_err(fault("write", path))
}

/// Bytes of the files in `folder`.
fn disk_bytes(folder: &Path) -> Result<u64, DbError> {
    let fault = || io_error("read the size", folder);
    let mut bytes = 0_u64;
    for entry in fs::read_dir(folder).map_err(fault())? {
        // RocksDB removes files while we look.
        if let Ok(file) = entry.map_err(fault())?.metadata() {
            bytes = bytes.saturating_add(file.len());
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;

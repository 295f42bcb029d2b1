//! redb: a B-tree in one file.
//!
//! The file is `state.redb`. A batch is one transaction: redb writes changed pages to free space
//! and then a new header, so a crash leaves the batch before or the batch after. Every table is one
//! of redb's, made when it is first written.

mod error;
mod preview;
mod stretch;
mod view;
mod write;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use redb::{Builder, Database, TableDefinition};
use zvm_core::DbError;

use super::{
    Access, Durability, Entries, KvReader, KvStats, KvStore, KvView, Options, Order, Table, Visit,
    WriteBatch,
    folder::{Folder, REDB, corrupt},
};
use crate::disk::io_error;
use error::{fault, guarded};
use preview::Preview;
use view::View;

/// Up to this file size, opening verifies the checksum of every page.
///
/// redb trusts a larger file as long as it was closed cleanly; records have checksums of their own.
const VERIFIED_BYTES_MAX: u64 = 64 << 20;

/// A store in one redb file.
#[derive(Debug)]
pub(super) struct RedbKv {
    /// The tables as of the last batch, opened by the first read after it.
    current: OnceLock<View>,
    shared: Arc<Shared>,
    access: Access,
}

/// What views keep open.
#[derive(Debug)]
struct Shared {
    /// `None` once it is being closed.
    database: Option<Database>,
    /// The file.
    path: PathBuf,
    /// Let go of last: fields are dropped in order.
    _folder: Arc<Folder>,
}

impl RedbKv {
    /// Opens the store in `folder`, as [`kv::open`](super::open) says, without a key.
    ///
    /// An existing store is first opened on a preview of its file, which takes what redb writes,
    /// as it does to recover from a crash, without changing the file. One that is to be read only
    /// stays on it.
    pub(super) fn open(folder: &Path, options: Options<'_>) -> Result<Self, DbError> {
        let Options { access, cache_bytes, initial, vet, .. } = options;
        let folder = Arc::new(Folder::lock(folder, REDB, access)?);
        let (path, exists) = folder.find(REDB, access)?;
        if !exists {
            folder.create(REDB, |draft| write::create(draft, cache_bytes, [initial()]))?;
        }
        let builder = builder(&path, cache_bytes)?;
        let store = |database| {
            let (database, path) = (Some(database), path.clone());
            let shared = Shared { database, path, _folder: folder.clone() };
            Self { current: OnceLock::new(), shared: Arc::new(shared), access }
        };
        guarded(&path, || {
            let preview = store(open_preview(&builder, &path)?);
            vet(&preview)?;
            if access == Access::Read {
                return Ok(preview);
            }
            drop(preview);
            Ok(store(builder.open(&path).map_err(fault("open", &path))?))
        })
    }

    fn current(&self) -> Result<&View, DbError> {
        if let Some(view) = self.current.get() {
            return Ok(view);
        }
        let view = View::new(&self.shared)?;
        Ok(self.current.get_or_init(|| view))
    }
}

impl Shared {
    fn database(&self) -> &Database {
        self.database.as_ref().expect("taken by drop and by nothing else")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Closing writes, to where redb believes there is room. What it wrote before is safe.
        let database = self.database.take();
        let _ = guarded(&self.path, || {
            drop(database);
            Ok(())
        });
    }
}

impl KvReader for RedbKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        self.current()?.get(table, key)
    }

    fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'_>, DbError> {
        self.current()?.iter(table, prefix, from, order)
    }

    fn visit(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), DbError> {
        self.current()?.visit(table, first, last, visit)
    }

    fn path(&self) -> &Path {
        &self.shared.path
    }
}

impl KvStore for RedbKv {
    fn write(&mut self, batch: WriteBatch, durability: Durability) -> Result<(), DbError> {
        let path = &self.shared.path;
        if self.access == Access::Read {
            return Err(DbError::ReadOnly { path: path.clone() });
        }
        // The view goes first, so that its pages can be reused.
        self.current.take();
        guarded(path, || write::batch(self.shared.database(), path, batch, durability))
    }

    fn view(&self) -> Result<Box<dyn KvView>, DbError> {
        Ok(Box::new(View::new(&self.shared)?))
    }

    fn stats(&self) -> Result<KvStats, DbError> {
        let path = &self.shared.path;
        let disk_bytes = fs::metadata(path).map_err(io_error("read the size", path))?.len();
        let view = self.current()?;
        let tables = Table::ALL.into_iter().map(|table| view.stats(table));
        Ok(KvStats { disk_bytes, tables: tables.collect::<Result<_, _>>()? })
    }
}

/// A table as redb knows it.
fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn builder(path: &Path, cache_bytes: usize) -> Result<Builder, DbError> {
    let file = fs::metadata(path).map_err(io_error("open", path))?;
    if !file.is_file() {
        return Err(corrupt(path, "not a regular file"));
    }
    if file.len() == 0 {
        return Err(corrupt(path, "0 bytes, expected a redb file"));
    }
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder.set_check_integrity_on_open(file.len() <= VERIFIED_BYTES_MAX);
    Ok(builder)
}

fn open_preview(builder: &Builder, path: &Path) -> Result<Database, DbError> {
    let preview = File::open(path).and_then(Preview::new).map_err(io_error("open", path))?;
    builder.create_with_backend(preview).map_err(fault("open", path))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use tempfile::tempdir;

    use super::*;
    use crate::kv::compliance::check_store;

    #[test]
    fn redb_keeps_the_promises_of_an_engine() {
        let home = tempdir().unwrap();
        check_store(home.path(), &|path| Ok(Box::new(RedbKv::open(path, Options::default())?)));
    }

    #[test]
    fn a_store_that_was_damaged_while_open_is_closed_without_panic() {
        let home = tempdir().unwrap();
        let options = Options { cache_bytes: 0, ..Options::default() };
        let mut store = RedbKv::open(home.path(), options).unwrap();
        for number in 0..20_u32 {
            let mut batch = WriteBatch::new();
            batch.put(Table::Code, &number.to_be_bytes(), &[7; 5000]);
            store.write(batch, Durability::Synced).unwrap();
        }
        let path = home.path().join(REDB);
        let length = fs::metadata(&path).unwrap().len();
        let mut file = File::options().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(512)).unwrap();
        file.write_all(&vec![0xa5; length as usize - 512]).unwrap();
        drop(store);
        // The lock is let go of all the same.
        let error = RedbKv::open(home.path(), Options::default()).unwrap_err();
        assert!(matches!(error, DbError::Corrupt { .. }), "{error:?}");
    }
}

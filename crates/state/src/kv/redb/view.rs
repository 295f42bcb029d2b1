//! Reading: the tables as of one batch, opened once.

use std::{path::Path, sync::Arc};

use redb::{
    AccessGuard, Range, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, StorageError,
    TableError,
};
use zvm_core::DbError;

use super::{
    Shared, definition,
    error::{fault, guarded},
    write,
};
use crate::kv::{
    Entries, Entry, KvReader, KvView, Order, Table, TableStats, Visit,
    folder::{REDB, copy_to},
    parts,
    range::KeyRange,
};

type Bytes = &'static [u8];

/// Entries at each end of a table from which its size is estimated.
const SAMPLE: u64 = 128;

/// Bytes that redb may keep of a copy, which is written once and not read.
const COPY_CACHE_BYTES: usize = 64 << 20;

/// One consistent view, which keeps its store open.
#[derive(Debug)]
pub(super) struct View {
    /// `None` where the table was never written.
    tables: [Option<ReadOnlyTable<Bytes, Bytes>>; Table::ALL.len()],
    /// Declared last: closing the database would end the tables.
    shared: Arc<Shared>,
}

impl View {
    pub(super) fn new(shared: &Arc<Shared>) -> Result<Self, DbError> {
        let path = &shared.path;
        guarded(path, || {
            let transaction = shared.database().begin_read().map_err(fault("read", path))?;
            let mut tables = [const { None }; Table::ALL.len()];
            for table in Table::ALL {
                tables[table as usize] = match transaction.open_table(definition(table)) {
                    Ok(open) => Some(open),
                    Err(TableError::TableDoesNotExist(_)) => None,
                    Err(error) => return Err(fault("read", path)(error)),
                };
            }
            Ok(Self { tables, shared: shared.clone() })
        })
    }

    pub(super) fn stats(&self, table: Table) -> Result<TableStats, DbError> {
        let Some(open) = &self.tables[table as usize] else {
            return Ok(TableStats { table, entries: 0, bytes: 0 });
        };
        let entries = open.len().map_err(fault("read", self.path()))?;
        let (mut seen, mut seen_bytes) = (0_u64, 0_u64);
        for order in [Order::Forward, Order::Reverse] {
            for entry in self.iter(table, &[], None, order)?.take(SAMPLE as usize) {
                let (key, value) = entry?;
                seen += 1;
                seen_bytes += (key.len() + value.len()) as u64;
            }
        }
        let bytes = u128::from(entries) * u128::from(seen_bytes) / u128::from(seen.max(1));
        Ok(TableStats { table, entries, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) })
    }
}

impl KvReader for View {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        let Some(table) = &self.tables[table as usize] else { return Ok(None) };
        guarded(self.path(), || {
            let value = table.get(key).map_err(fault("read", self.path()))?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'_>, DbError> {
        let (Some(table), Some(range)) =
            (&self.tables[table as usize], KeyRange::new(prefix, from, order))
        else {
            return Ok(Box::new(std::iter::empty()));
        };
        let range = guarded(self.path(), || {
            table.range::<&[u8]>(range.bounds()).map_err(fault("read", self.path()))
        })?;
        let path = self.path();
        Ok(match order {
            Order::Forward => Box::new(Iter { path, range: Some(range), next: Range::next }),
            Order::Reverse => Box::new(Iter { path, range: Some(range), next: Range::next_back }),
        })
    }

    fn visit(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), DbError> {
        let Some(table) = &self.tables[table as usize] else { return Ok(()) };
        guarded(self.path(), || {
            let range = table.range::<&[u8]>(first..=last).map_err(fault("read", self.path()))?;
            for entry in range {
                let (key, value) = entry.map_err(fault("read", self.path()))?;
                if visit(key.value(), value.value())?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn path(&self) -> &Path {
        &self.shared.path
    }
}

impl KvView for View {
    fn checkpoint(&self, folder: &Path) -> Result<(), DbError> {
        copy_to(folder, REDB, |draft| write::create(draft, COPY_CACHE_BYTES, parts(self)))
    }
}

type Found<'a> = Result<(AccessGuard<'a, Bytes>, AccessGuard<'a, Bytes>), StorageError>;

/// Entries of a range, up to the first error.
struct Iter<'a> {
    path: &'a Path,
    /// `None` after an error.
    range: Option<Range<'a, Bytes, Bytes>>,
    next: fn(&mut Range<'a, Bytes, Bytes>) -> Option<Found<'a>>,
}

impl Iterator for Iter<'_> {
    type Item = Result<Entry, DbError>;

    fn next(&mut self) -> Option<Self::Item> {
        let range = self.range.as_mut()?;
        let entry = guarded(self.path, || {
            let Some(entry) = (self.next)(range) else { return Ok(None) };
            let (key, value) = entry.map_err(fault("read", self.path))?;
            Ok(Some((key.value().to_vec(), value.value().to_vec())))
        });
        if entry.is_err() {
            self.range = None;
        }
        entry.transpose()
    }
}

//! Reading the store as it is, or a snapshot of it.

use std::{iter, ops::Bound, path::Path, sync::Arc};

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions, Snapshot};
use self_cell::self_cell;
use zvm_core::DbError;

use super::{Shared, create, error::fault};
use crate::kv::{
    Entries, Entry, KvReader, KvView, Order, Table,
    folder::{ROCKSDB, copy_to},
    parts,
    range::KeyRange,
};

self_cell!(
    /// A snapshot that keeps its store open.
    pub(super) struct View {
        owner: Arc<Shared>,

        #[covariant]
        dependent: Snapshot,
    }
);

/// Reads of one store.
pub(super) struct Reader<'a> {
    pub(super) shared: &'a Shared,
    /// `None` for the store as it is.
    pub(super) snapshot: Option<&'a Snapshot<'a>>,
}

impl<'a> Reader<'a> {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        let Some(family) = self.shared.family(table) else { return Ok(None) };
        self.shared.db.get_cf_opt(family, key, &self.options()).map_err(self.fault())
    }

    pub(super) fn multi_get(
        &self,
        table: Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>, DbError> {
        let Some(family) = self.shared.family(table) else { return Ok(vec![None; keys.len()]) };
        let values = self.shared.db.batched_multi_get_cf_opt(
            family,
            keys.iter().copied(),
            keys.is_sorted(),
            &self.options(),
        );
        values
            .into_iter()
            .map(|value| Ok(value.map_err(self.fault())?.map(|value| value.to_vec())))
            .collect()
    }

    pub(super) fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Entries<'a> {
        let (Some(family), Some(range)) =
            (self.shared.family(table), KeyRange::new(prefix, from, order))
        else {
            return Box::new(iter::empty());
        };
        let mut options = self.options();
        options.set_iterate_lower_bound(range.first);
        match range.end {
            Bound::Included(mut end) => {
                end.push(0);
                options.set_iterate_upper_bound(end);
            }
            Bound::Excluded(end) => options.set_iterate_upper_bound(end),
            Bound::Unbounded => {}
        }
        let mut cursor = self.shared.db.raw_iterator_cf_opt(family, options);
        match order {
            Order::Forward => cursor.seek_to_first(),
            Order::Reverse => cursor.seek_to_last(),
        }
        Box::new(Iter { path: &self.shared.path, cursor, order, is_over: false })
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = self.snapshot {
            options.set_snapshot(snapshot);
        }
        options
    }

    fn fault(&self) -> impl FnOnce(rocksdb::Error) -> DbError {
        fault("read", &self.shared.path)
    }
}

impl View {
    fn reader(&self) -> Reader<'_> {
        self.with_dependent(|shared, snapshot| Reader { shared, snapshot: Some(snapshot) })
    }
}

impl KvReader for View {
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
        &self.borrow_owner().path
    }
}

impl KvView for View {
    /// RocksDB's own checkpoint links the files of the store, so that damage to one would be damage
    /// to both. This is a copy.
    fn checkpoint(&self, folder: &Path) -> Result<(), DbError> {
        copy_to(folder, ROCKSDB, |draft| create(draft, parts(self)))
    }
}

/// Entries of a range, up to the first error. The cursor stands on the next one.
struct Iter<'a> {
    path: &'a Path,
    cursor: DBRawIteratorWithThreadMode<'a, DB>,
    order: Order,
    is_over: bool,
}

impl Iterator for Iter<'_> {
    type Item = Result<Entry, DbError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let entry = self.cursor.item().map(|(key, value)| (key.to_vec(), value.to_vec()));
        let Some(entry) = entry else {
            self.is_over = true;
            return self.cursor.status().err().map(fault("read", self.path)).map(Err);
        };
        match self.order {
            Order::Forward => self.cursor.next(),
            Order::Reverse => self.cursor.prev(),
        }
        Some(Ok(entry))
    }
}

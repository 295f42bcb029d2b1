//! Tables in memory, without a disk behind them.

use std::{collections::BTreeMap, ops::Bound, path::Path};

use zvm_core::DbError;

use super::{Entries, KvReader, Order, Table, WriteBatch, range::KeyRange};

/// What a store holds, as ordered maps.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables([BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()]);

impl MemoryTables {
    /// Makes the changes of `batch`.
    pub fn write(&mut self, batch: WriteBatch) {
        for changes in batch.into_tables() {
            let table = changes.table();
            for (first, end) in changes.ranges() {
                self.delete_range(table, first, end);
            }
            for (key, value) in changes.records() {
                match value {
                    Some(value) => self.put(table, key, value),
                    None => self.delete(table, key),
                }
            }
        }
    }

    /// Sets the value under `key`.
    pub(super) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.0[table as usize].insert(key.to_vec(), value.to_vec());
    }

    /// Removes `key`, which need not exist.
    pub(super) fn delete(&mut self, table: Table, key: &[u8]) {
        self.0[table as usize].remove(key);
    }

    /// Removes the keys from `first` up to but without `end`.
    pub(super) fn delete_range(&mut self, table: Table, first: &[u8], end: Option<&[u8]>) {
        let entries = &mut self.0[table as usize];
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let gone = entries.range::<[u8], _>((Bound::Included(first), end));
        let gone: Vec<Vec<u8>> = gone.map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| drop(entries.remove(key)));
    }
}

impl KvReader for MemoryTables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        Ok(self.0[table as usize].get(key).cloned())
    }

    fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'_>, DbError> {
        let Some(range) = KeyRange::new(prefix, from, order) else {
            return Ok(Box::new(std::iter::empty()));
        };
        let entries = self.0[table as usize]
            .range::<[u8], _>(range.bounds())
            .map(|(key, value)| Ok((key.clone(), value.clone())));
        Ok(match order {
            Order::Forward => Box::new(entries),
            Order::Reverse => Box::new(entries.rev()),
        })
    }

    fn path(&self) -> &Path {
        Path::new("memory:")
    }
}

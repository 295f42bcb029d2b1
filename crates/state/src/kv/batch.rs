//! Changes that go into a store together.

use std::{mem, ops::Range};

use super::{Table, prefix_end};

/// Puts and deletions, to be written by [`KvStore::write`](super::KvStore::write) all or none.
///
/// Deleted ranges come first, whatever the order of the calls: a key that is put survives the
/// deletion of its range in the same batch. Of several changes of one key the last counts.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    tables: [Changes; Table::ALL.len()],
}

/// Changes of one table in the order of the calls.
#[derive(Clone, Debug, Default)]
struct Changes {
    /// First key and the key after the last; `None` for "to the end of the table".
    ranges: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Keys and values one after another: an allocation per record would cost more than sorting.
    bytes: Vec<u8>,
    records: Vec<Record>,
}

/// Where key and value are in `bytes`.
#[derive(Clone, Debug)]
struct Record {
    key: Range<usize>,
    /// `None` deletes.
    value: Option<Range<usize>>,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for so many more puts to `table`, of keys and values of so many bytes together.
    ///
    /// A batch that grows to its size has twice its size in memory at the end.
    pub fn reserve(&mut self, table: Table, records: usize, bytes: usize) {
        let changes = self.changes(table);
        changes.records.reserve(records);
        changes.bytes.reserve(bytes);
    }

    /// Sets the value under `key`.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let changes = self.changes(table);
        let (key, value) = (changes.push(key), changes.push(value));
        changes.records.push(Record { key, value: Some(value) });
    }

    /// Removes `key`, which need not exist.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        let changes = self.changes(table);
        let key = changes.push(key);
        changes.records.push(Record { key, value: None });
    }

    /// Removes the keys from `first` up to but without `end`; without an end, to the last of the
    /// table.
    pub fn delete_range(&mut self, table: Table, first: &[u8], end: Option<&[u8]>) {
        if end.is_none_or(|end| first < end) {
            self.changes(table).ranges.push((first.to_vec(), end.map(<[u8]>::to_vec)));
        }
    }

    /// Removes every key that starts with `prefix`; with an empty one, all of the table.
    pub fn delete_prefix(&mut self, table: Table, prefix: &[u8]) {
        self.delete_range(table, prefix, prefix_end(prefix).as_deref());
    }

    /// Whether nothing was put or deleted.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Changes::is_empty)
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(|changes| changes.bytes.len()).sum()
    }

    /// The changes by table, for an engine: tables without changes left out, keys sorted, each once.
    pub fn into_tables(self) -> impl Iterator<Item = TableChanges> {
        Table::ALL.into_iter().zip(self.tables).filter(|(_, changes)| !changes.is_empty()).map(
            |(table, mut changes)| {
                changes.sort();
                TableChanges { table, changes }
            },
        )
    }

    fn changes(&mut self, table: Table) -> &mut Changes {
        &mut self.tables[table as usize]
    }
}

/// What a batch does to one table. Ranges go first.
#[derive(Clone, Debug)]
pub struct TableChanges {
    table: Table,
    changes: Changes,
}

impl TableChanges {
    /// Which table.
    pub fn table(&self) -> Table {
        self.table
    }

    /// Ranges to delete: the first key and the key after the last, `None` for the table's end.
    pub fn ranges(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.ranges.iter().map(|(first, end)| (first.as_slice(), end.as_deref()))
    }

    /// Keys in order, each with its new value; `None` deletes.
    pub fn records(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        let bytes = &self.changes.bytes;
        self.changes.records.iter().map(|record| {
            (&bytes[record.key.clone()], record.value.clone().map(|value| &bytes[value]))
        })
    }
}

impl Changes {
    fn push(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.records.is_empty()
    }

    /// Sorts by key and keeps the last change of each.
    fn sort(&mut self) {
        let bytes = &self.bytes;
        let key = |record: &Record| &bytes[record.key.clone()];
        self.records.sort_by(|a, b| key(a).cmp(key(b)));
        self.records.dedup_by(|later, kept| {
            let is_same = key(later) == key(kept);
            if is_same {
                mem::swap(later, kept);
            }
            is_same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(batch: WriteBatch) -> TableChanges {
        let mut tables: Vec<_> = batch.into_tables().collect();
        assert_eq!(tables.len(), 1);
        tables.remove(0)
    }

    #[test]
    fn records_come_sorted_and_the_last_change_of_a_key_counts() {
        let mut batch = WriteBatch::new();
        for (key, value) in [("b", "1"), ("a", "2"), ("b", "3"), ("c", "4")] {
            batch.put(Table::Code, key.as_bytes(), value.as_bytes());
        }
        batch.delete(Table::Code, b"c");
        assert_eq!(batch.bytes(), 9);
        let changes = only(batch);
        assert_eq!(changes.table(), Table::Code);
        let records: Vec<_> = changes.records().collect();
        let expected: [(&[u8], Option<&[u8]>); 3] =
            [(b"a", Some(b"2")), (b"b", Some(b"3")), (b"c", None)];
        assert_eq!(records, expected);
    }

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        let mut batch = WriteBatch::new();
        batch.delete_prefix(Table::Meta, &[1, 2]);
        batch.delete_prefix(Table::Meta, &[1, 0xff]);
        batch.delete_prefix(Table::Meta, &[0xff, 0xff]);
        batch.delete_prefix(Table::Meta, &[]);
        let changes = only(batch);
        let ranges: Vec<_> = changes.ranges().collect();
        let expected: [(&[u8], Option<&[u8]>); 4] = [
            (&[1, 2], Some(&[1, 3])),
            (&[1, 0xff], Some(&[2])),
            (&[0xff, 0xff], None),
            (&[], None),
        ];
        assert_eq!(ranges, expected);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_no_change() {
        let mut batch = WriteBatch::new();
        batch.delete_range(Table::Meta, b"b", Some(b"a"));
        batch.delete_range(Table::Meta, b"b", Some(b"b"));
        assert!(batch.is_empty());
        batch.delete(Table::Meta, b"");
        assert!(!batch.is_empty());
    }
}

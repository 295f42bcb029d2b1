//! Stretches of a table that are written anew.
//!
//! Where changes are close together most pages of a stretch are going to be written, and changing them
//! record by record looks each of them up, moves what is behind it in its page and leaves the pages two
//! thirds full. Instead all records of the stretch are read, removed, and put back with the changes among
//! them by a cursor, which fills page after page.

use std::{
    ops::{Bound, ControlFlow},
    path::Path,
};

use redb::ReadableTable;
use zvm_core::DbError;

use super::error::{cursor_fault, fault};

/// A table that is written to.
pub(super) type OpenTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

/// A key and its new value; `None` deletes.
pub(super) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// Changes are close together as long as it costs no more to copy what is stored among them than to make
/// each where it is. Costs are in bytes copied; that of a change is what it saves at least, so that it is
/// not in vain to look.
const CHANGE_COST: usize = 4000;

/// What a record costs beside its bytes.
const RECORD_COST: usize = 500;

/// Bytes of a stretch, beyond which it ends with the next changes.
const BYTES_MAX: usize = 4 << 20;

/// Room for the changes that make it longer than that.
const BYTES_BEYOND: usize = 256 << 10;

/// What a stretch of a table is going to hold.
pub(super) struct Stretch<'a> {
    path: &'a Path,
    /// Where it is; `None` if there is none.
    range: Option<(&'a [u8], Bound<&'a [u8]>)>,
    /// Keys and values one after another, and how long each is.
    bytes: Vec<u8>,
    records: Vec<(usize, usize)>,
}

impl<'a> Stretch<'a> {
    /// None yet.
    pub(super) fn new(path: &'a Path) -> Self {
        Self { path, range: None, bytes: Vec::new(), records: Vec::new() }
    }

    /// Makes room for a stretch in which there are going to be about so many changes.
    pub(super) fn reserve(&mut self, changes: usize) {
        // Growing would take twice as much, and memory that is not touched costs nothing.
        self.bytes.reserve(CHANGE_COST.saturating_mul(changes).min(BYTES_MAX + BYTES_BEYOND));
    }

    /// Goes on with `changes`, up to but without the key `end`, or to the last of them. Breaks, and stays
    /// as it was, if they are far apart.
    pub(super) fn extend(
        &mut self,
        table: &mut OpenTable<'_>,
        changes: &[Change<'a>],
        end: Option<&'a [u8]>,
    ) -> Result<ControlFlow<()>, DbError> {
        let (Some((first, _)), Some((last, _))) = (changes.first(), changes.last()) else {
            return Ok(ControlFlow::Continue(()));
        };
        if self.bytes.len() > BYTES_MAX {
            self.write(table)?;
        }
        let (bytes, records) = (self.bytes.len(), self.records.len());
        let end = end.map_or(Bound::Included(*last), Bound::Excluded);
        let mut changes_left = changes.iter().copied().peekable();
        let mut cost = 0;
        for entry in table
            .range::<&[u8]>((Bound::Included(*first), end))
            .map_err(fault("write", self.path))?
        {
            let (key, value) = entry.map_err(fault("write", self.path))?;
            let (key, value) = (key.value(), value.value());
            cost += RECORD_COST + key.len() + value.len();
            if cost > changes.len() * CHANGE_COST {
                self.bytes.truncate(bytes);
                self.records.truncate(records);
                return Ok(ControlFlow::Break(()));
            }
            while let Some(change) = changes_left.next_if(|change| change.0 < key) {
                self.push(change);
            }
            let change = changes_left.next_if(|change| change.0 == key);
            self.push(change.unwrap_or((key, Some(value))));
        }
        changes_left.for_each(|change| self.push(change));
        self.range = Some((self.range.map_or(*first, |range| range.0), end));
        Ok(ControlFlow::Continue(()))
    }

    /// Writes the stretch; there is none afterwards.
    pub(super) fn write(&mut self, table: &mut OpenTable<'_>) -> Result<(), DbError> {
        let Some((first, end)) = self.range.take() else { return Ok(()) };
        let first = Bound::Included(first);
        table
            .retain_in::<&[u8], _>((first, end), |_, _| false)
            .map_err(fault("write", self.path))?;
        let mut cursor = table.lower_bound_mut(first).map_err(fault("write", self.path))?;
        let mut rest = self.bytes.as_slice();
        for (key_length, length) in self.records.drain(..) {
            let (key, behind) = rest.split_at(key_length);
            let (value, behind) = behind.split_at(length);
            rest = behind;
            cursor.insert_before(key, value).map_err(|error| cursor_fault(error, self.path))?;
        }
        cursor.close().map_err(fault("write", self.path))?;
        self.bytes.clear();
        Ok(())
    }

    fn push(&mut self, (key, value): Change<'_>) {
        if let Some(value) = value {
            self.bytes.extend_from_slice(key);
            self.bytes.extend_from_slice(value);
            self.records.push((key.len(), value.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{
        collection::{btree_map, vec},
        option,
        prelude::*,
    };
    use redb::{Builder, Database, ReadableDatabase, backends::InMemoryBackend};

    use super::{super::definition, *};
    use crate::kv::{Durability, Table, WriteBatch};

    type Content = BTreeMap<u16, Vec<u8>>;

    fn written(database: &Database, changes: impl IntoIterator<Item = (u16, Option<Vec<u8>>)>) {
        let mut batch = WriteBatch::new();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(Table::Accounts, &key.to_be_bytes(), &value),
                None => batch.delete(Table::Accounts, &key.to_be_bytes()),
            }
        }
        let path = Path::new("memory");
        super::super::write::batch(database, path, batch, Durability::Synced).unwrap();
    }

    fn content(database: &Database) -> Content {
        let table = database.begin_read().unwrap().open_table(definition(Table::Accounts)).unwrap();
        let number = |key: &[u8]| u16::from_be_bytes(key.try_into().unwrap());
        let entries = table.range::<&[u8]>(..).unwrap().map(Result::unwrap);
        entries.map(|(key, value)| (number(key.value()), value.value().to_vec())).collect()
    }

    fn database() -> Database {
        Builder::new().create_with_backend(InMemoryBackend::new()).unwrap()
    }

    /// Changes that are close together here and far apart there.
    fn changes() -> impl Strategy<Value = BTreeMap<u16, Option<Vec<u8>>>> {
        let some = |keys: std::ops::Range<u16>, most: usize| {
            let value = option::weighted(0.7, vec(any::<u8>(), 0..90));
            vec((keys, value), 0..most)
        };
        (some(100..900, 900), some(0..5000, 90), some(4000..4100, 200))
            .prop_map(|(a, b, c)| [a, b, c].concat().into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_table_holds_what_was_written_wherever_it_was_close(
            before in btree_map(0..5000_u16, vec(any::<u8>(), 0..90), 0..4000),
            steps in vec(changes(), 1..4),
        ) {
            let (database, mut model) = (database(), before.clone());
            written(&database, before.into_iter().map(|(key, value)| (key, Some(value))));
            for changes in steps {
                for (key, value) in changes.clone() {
                    match value {
                        Some(value) => drop(model.insert(key, value)),
                        None => drop(model.remove(&key)),
                    }
                }
                written(&database, changes);
                prop_assert!(content(&database) == model);
            }
        }
    }

    #[test]
    fn what_is_more_than_a_stretch_and_what_ends_one_is_written_too() {
        const VALUE: usize = 500;
        const { assert!(RECORD_COST + VALUE + 2 < CHANGE_COST && 20_000 * VALUE > 2 * BYTES_MAX) };
        let database = database();
        // More than two stretches, and a gap in the middle where nothing changes.
        let all = |byte| (0..20_000_u16).map(move |key| (key, vec![byte; VALUE]));
        written(&database, all(1).map(|(key, value)| (key, Some(value))));
        let is_changed = |key: &u16| !(9000..11_000).contains(key);
        let changes = all(2).filter(|(key, _)| is_changed(key));
        written(&database, changes.map(|(key, value)| (key, (key % 100 > 0).then_some(value))));
        let expected: Content = all(1)
            .map(|(key, value)| (key, if is_changed(&key) { vec![2; VALUE] } else { value }))
            .filter(|(key, _)| key % 100 > 0 || !is_changed(key))
            .collect();
        assert!(content(&database) == expected);
    }

    #[test]
    fn pages_of_a_stretch_are_full_and_what_is_far_from_it_stays() {
        let database = database();
        let value = |key: u16| (key, Some(vec![7; 100]));
        // Every second key first, then those between, which finds full pages and splits them.
        written(&database, (0..20_000).step_by(2).map(value));
        written(&database, (1..20_000).step_by(2).map(value));
        let pages = |database: &Database| {
            use redb::ReadableTableMetadata;
            let read = database.begin_read().unwrap();
            read.open_table(definition(Table::Accounts)).unwrap().stats().unwrap().leaf_pages()
        };
        let full = 20_000 * 110 / 4096;
        assert!(pages(&database) < full * 11 / 10, "{} pages, {full} would do", pages(&database));
        // One in a hundred is far apart.
        written(&database, (0..20_000).step_by(100).map(|key| (key, None)));
        assert_eq!(content(&database).len(), 20_000 - 200);
    }
}

//! State records that are not in their tables yet, and the store seen through them.
//!
//! An account or a slot that changes sits in a page of its own more often than not, so writing each
//! with its block would write a page for each. Instead a block is put on disk as one run of records,
//! its *redo*, and the records go to their tables in slices of the key space, one slice with each
//! block: a slice gathers what some blocks have changed, and many of them share a page. The last
//! [`SLICES`] redos bring back what was in memory.

use std::{collections::BTreeMap, iter::Peekable, ops::Bound, path::Path};

use zvm_core::DbError;

use super::{
    history::SLICES,
    keys::{Kind, change_key},
    read::{corrupt_at, open, put},
};
use crate::kv::{Entries, Entry, KvReader, Order, Table, WriteBatch, prefix_end};

/// Tables whose records wait.
const TABLES: [Table; 3] = [Table::Accounts, Table::Storage, Table::Preimages];

/// Bytes of a redo that make a record.
const CHUNK: usize = 64 << 10;

/// Bytes of a waiting record beside its key and value, roughly.
const ENTRY_BYTES: usize = 64;

/// Sealed records by key; `None` is a deletion.
type Records = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

/// The index of a table, a key, and the sealed record; `None` deletes.
type Record = (usize, Box<[u8]>, Option<Box<[u8]>>);

/// Records on their way to their tables.
#[derive(Debug)]
pub(super) struct Pending {
    /// By table and slice.
    tables: [[Records; SLICES as usize]; TABLES.len()],
    bytes: usize,
}

impl Default for Pending {
    fn default() -> Self {
        let slices = || std::array::from_fn(|_| Records::new());
        Self { tables: std::array::from_fn(|_| slices()), bytes: 0 }
    }
}

/// What a block changes.
#[derive(Debug, Default)]
pub(super) struct Redo {
    records: Vec<Record>,
}

fn index_of(table: Table) -> Option<usize> {
    TABLES.iter().position(|waiting| *waiting == table)
}

fn slice_of(key: &[u8]) -> usize {
    usize::from(key.first().copied().unwrap_or_default()) * SLICES as usize / 256
}

impl Redo {
    /// Sets or, without a body, deletes a record.
    pub(super) fn set(&mut self, table: Table, key: &[u8], body: Option<&[u8]>) {
        let record = body.map(|body| super::record::seal(key, body).into_boxed_slice());
        if let Some(index) = index_of(table) {
            self.records.push((index, key.into(), record));
        }
    }

    /// Adds the redo of `block`, so that it can be [replayed](Pending::replay).
    pub(super) fn stage(&self, block: u64, batch: &mut WriteBatch) {
        let (mut chunk, mut number) = (Vec::with_capacity(CHUNK + 256), 0_u32);
        let mut records = self.records.iter().peekable();
        while let Some((table, key, record)) = records.next() {
            chunk.push(*table as u8);
            chunk.extend((key.len() as u16).to_be_bytes());
            chunk.extend((record.as_ref().map_or(0, |record| record.len()) as u16).to_be_bytes());
            chunk.extend_from_slice(key);
            chunk.extend_from_slice(record.as_deref().unwrap_or_default());
            if chunk.len() >= CHUNK || records.peek().is_none() {
                let key = change_key(block, Kind::Redo, &number.to_be_bytes());
                put(batch, Table::Changes, &key, &chunk);
                chunk.clear();
                number += 1;
            }
        }
    }

    /// Puts the records straight into their tables.
    pub(super) fn stage_records(&self, batch: &mut WriteBatch) {
        for (table, key, record) in &self.records {
            stage_record(TABLES[*table], key, record.as_deref(), batch);
        }
    }
}

/// Deletes the redo of `block`.
pub(super) fn stage_redo_end(block: u64, batch: &mut WriteBatch) {
    let (first, end) = (change_key(block, Kind::Redo, &[]), change_key(block, Kind::PastRedo, &[]));
    batch.delete_range(Table::Changes, &first, Some(&end));
}

fn stage_record(table: Table, key: &[u8], record: Option<&[u8]>, batch: &mut WriteBatch) {
    match record {
        Some(record) => batch.put(table, key, record),
        None => batch.delete(table, key),
    }
}

impl Pending {
    /// What was waiting when the store was left at `head`: the redos but for slices written since.
    pub(super) fn replay(kv: &dyn KvReader, head: Option<u64>) -> Result<Self, DbError> {
        let mut pending = Self::default();
        let Some(head) = head else { return Ok(pending) };
        for block in head.saturating_sub(SLICES - 1)..=head {
            let prefix = change_key(block, Kind::Redo, &[]);
            for entry in kv.iter(Table::Changes, &prefix, None, Order::Forward)? {
                let (key, record) = entry?;
                let chunk = open(kv, Table::Changes, &key, &record, |body| Ok(body.to_vec()))?;
                let mut rest = chunk.as_slice();
                while !rest.is_empty() {
                    let (table, key, record) = take_record(&mut rest)
                        .ok_or_else(|| corrupt_at(kv, Table::Changes, &key, "a redo cut short"))?;
                    if !is_staged(slice_of(&key), block, head) {
                        pending.set(table, key, record);
                    }
                }
            }
        }
        Ok(pending)
    }

    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts into their tables the records of slice `number`, and those of `redo` that belong there.
    pub(super) fn stage_slice(&self, number: u64, redo: &Redo, batch: &mut WriteBatch) {
        let slice = (number % SLICES) as usize;
        for (table, slices) in TABLES.iter().zip(&self.tables) {
            for (key, record) in &slices[slice] {
                stage_record(*table, key, record.as_deref(), batch);
            }
        }
        for (table, key, record) in redo.records.iter().filter(|(_, key, _)| slice_of(key) == slice)
        {
            stage_record(TABLES[*table], key, record.as_deref(), batch);
        }
    }

    /// Puts everything into its table.
    pub(super) fn stage_all(&self, batch: &mut WriteBatch) {
        for (table, slices) in TABLES.iter().zip(&self.tables) {
            for (key, record) in slices.iter().flatten() {
                stage_record(*table, key, record.as_deref(), batch);
            }
        }
    }

    /// Takes over the records of a block.
    pub(super) fn hold(&mut self, redo: Redo) {
        for (table, key, record) in redo.records {
            self.set(table, key, record);
        }
    }

    /// Forgets slice `number`, which is in its tables now.
    pub(super) fn forget_slice(&mut self, number: u64) {
        let slice = (number % SLICES) as usize;
        for slices in &mut self.tables {
            for (key, record) in std::mem::take(&mut slices[slice]) {
                self.bytes = self.bytes.saturating_sub(bytes(&key, record.as_deref()));
            }
        }
    }

    fn set(&mut self, table: usize, key: Box<[u8]>, record: Option<Box<[u8]>>) {
        let Some(slices) = self.tables.get_mut(table) else { return };
        let records = &mut slices[slice_of(&key)];
        self.bytes += bytes(&key, record.as_deref());
        let key_bytes = key.len();
        if let Some(before) = records.insert(key, record) {
            let before = ENTRY_BYTES + key_bytes + before.map_or(0, |record| record.len());
            self.bytes = self.bytes.saturating_sub(before);
        }
    }
}

/// Whether at `head` the records that `block` has in `slice` are in their tables.
fn is_staged(slice: usize, block: u64, head: u64) -> bool {
    let since = (head % SLICES + SLICES - slice as u64) % SLICES;
    head.checked_sub(since).is_some_and(|last| block <= last)
}

fn bytes(key: &[u8], record: Option<&[u8]>) -> usize {
    ENTRY_BYTES + key.len() + record.map_or(0, <[u8]>::len)
}

/// Takes a record off the front of a redo.
fn take_record(rest: &mut &[u8]) -> Option<Record> {
    let (head, behind) = rest.split_first_chunk::<5>()?;
    let table = usize::from(head[0]);
    let key_length = usize::from(u16::from_be_bytes([head[1], head[2]]));
    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
    let (key, behind) = behind.split_at_checked(key_length)?;
    let (record, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    let record = (length > 0).then(|| record.into());
    (table < TABLES.len()).then(|| (table, key.into(), record))
}

/// A store with the records that wait.
#[derive(Clone, Copy)]
pub(super) struct Layered<'a> {
    pub(super) kv: &'a dyn KvReader,
    pub(super) pending: &'a Pending,
}

impl Layered<'_> {
    fn slices(&self, table: Table) -> Option<&[Records; SLICES as usize]> {
        index_of(table).map(|index| &self.pending.tables[index])
    }
}

impl KvReader for Layered<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        match self.slices(table).and_then(|slices| slices[slice_of(key)].get(key)) {
            Some(record) => Ok(record.as_ref().map(|record| record.to_vec())),
            None => self.kv.get(table, key),
        }
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, DbError> {
        let Some(slices) = self.slices(table) else { return self.kv.multi_get(table, keys) };
        let waiting: Vec<_> = keys.iter().map(|key| slices[slice_of(key)].get(*key)).collect();
        let rest: Vec<&[u8]> = keys
            .iter()
            .zip(&waiting)
            .filter_map(|(key, waiting)| waiting.is_none().then_some(*key))
            .collect();
        let mut stored = self.kv.multi_get(table, &rest)?.into_iter();
        let found = waiting.into_iter().map(|waiting| match waiting {
            Some(record) => record.as_ref().map(|record| record.to_vec()),
            None => stored.next().flatten(),
        });
        Ok(found.collect())
    }

    fn iter<'a>(
        &'a self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'a>, DbError> {
        let stored = self.kv.iter(table, prefix, from, order)?;
        let Some(slices) = self.slices(table) else { return Ok(stored) };
        let end = prefix_end(prefix);
        let mut first = Bound::Included(prefix);
        let mut last = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        match (from, order) {
            (Some(from), Order::Forward) if from > prefix => first = Bound::Included(from),
            (Some(from), Order::Reverse) if end.as_deref().is_none_or(|end| from < end) => {
                last = Bound::Included(from);
            }
            _ => {}
        }
        let is_empty = match (first, last) {
            (Bound::Included(first), Bound::Included(last)) => first > last,
            (Bound::Included(first), Bound::Excluded(last)) => first >= last,
            _ => false,
        };
        if is_empty {
            return Ok(stored);
        }
        // Slices are in the order of keys. Only those that the range meets are looked at.
        let bound = |bound: Bound<&[u8]>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => slice_of(key),
            Bound::Unbounded => SLICES as usize - 1,
        };
        let ranges: Vec<_> = slices[bound(first)..=bound(last)]
            .iter()
            .map(|records| records.range::<[u8], _>((first, last)))
            .collect();
        let waiting: Box<dyn Iterator<Item = Waiting<'a>> + 'a> = match order {
            Order::Forward => Box::new(ranges.into_iter().flatten()),
            Order::Reverse => Box::new(ranges.into_iter().rev().flat_map(Iterator::rev)),
        };
        Ok(Box::new(Merged { stored: stored.peekable(), waiting: waiting.peekable(), order }))
    }

    fn path(&self) -> &Path {
        self.kv.path()
    }
}

type Waiting<'a> = (&'a Box<[u8]>, &'a Option<Box<[u8]>>);

/// What is stored and what waits, in one order; what waits hides what is stored.
struct Merged<'a> {
    stored: Peekable<Entries<'a>>,
    waiting: Peekable<Box<dyn Iterator<Item = Waiting<'a>> + 'a>>,
    order: Order,
}

impl Iterator for Merged<'_> {
    type Item = Result<Entry, DbError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((key, _)) = self.waiting.peek() else { return self.stored.next() };
            let order = match self.stored.peek() {
                Some(Ok((stored, _))) => match self.order {
                    Order::Forward => stored.as_slice().cmp(key),
                    Order::Reverse => key.as_ref().cmp(stored.as_slice()),
                },
                Some(Err(_)) => return self.stored.next(),
                None => std::cmp::Ordering::Greater,
            };
            if order.is_lt() {
                return self.stored.next();
            }
            if order.is_eq() {
                self.stored.next();
            }
            if let (key, Some(record)) = self.waiting.next()? {
                return Some(Ok((key.to_vec(), record.to_vec())));
            }
        }
    }
}

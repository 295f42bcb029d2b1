//! State records that are not in their tables yet, and the store seen through them.
//!
//! An account or a slot that changes sits in a page of its own more often than not, so writing each
//! with its block would write a page for each. Instead a block is put on disk as one run of records,
//! its *redo*, and the records go to their tables in slices of the key space, one slice with each
//! block: a slice gathers what some blocks have changed, and many of them share a page. The last
//! [`SLICES`] redos bring back what was in memory.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::BTreeMap,
    iter::Peekable,
    ops::{Bound, Range},
    path::Path,
};

use zvm_core::{B256, DbError};

use super::{
    history::SLICES,
    keys::{Kind, SlotKey, change_key},
    read::{corrupt_at, open, put},
    record::{AccountRecord, SlotRecord, seal},
};
use crate::kv::{Entries, Entry, KeyRange, KvReader, Order, Table, WriteBatch};

/// Tables whose records wait.
const TABLES: [Table; 2] = [Table::Accounts, Table::Storage];

/// Places in [`TABLES`].
const ACCOUNTS: usize = 0;
const STORAGE: usize = 1;

/// Bytes of a redo that make a record.
const CHUNK: usize = 64 << 10;

/// Bytes of a waiting record beside its value, roughly.
const ENTRY_BYTES: usize = 120;

/// Sealed records by key; `None` is a deletion.
type Records = BTreeMap<Key, Option<Box<[u8]>>>;

/// A table that has [`Records`] waiting, by its index; a key, and the sealed record; `None` deletes.
type Record = (usize, Key, Option<Box<[u8]>>);

/// A key of one of the [`TABLES`].
///
/// Its bytes are in place: a look-up compares a dozen keys, and following a pointer to each would
/// take longer than everything else it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    length: u8,
    bytes: [u8; size_of::<SlotKey>()],
}

impl Key {
    /// `None` where no table that waits has a key of so many bytes.
    fn new(key: &[u8]) -> Option<Self> {
        let mut bytes = [0; size_of::<SlotKey>()];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(Self { length: key.len() as u8, bytes })
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl<const N: usize> From<[u8; N]> for Key {
    fn from(key: [u8; N]) -> Self {
        const { assert!(N <= size_of::<SlotKey>(), "no table that waits has such keys") };
        let mut bytes = [0; size_of::<SlotKey>()];
        bytes[..N].copy_from_slice(&key);
        Self { length: N as u8, bytes }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

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
    /// Sets or deletes an account.
    pub(super) fn set_account(&mut self, hash: B256, account: Option<AccountRecord>) {
        let body = account.map(|account| account.encode());
        self.set(ACCOUNTS, hash.0.into(), body.as_deref());
    }

    /// Sets a slot, or deletes it if its word is zero.
    pub(super) fn set_slot(&mut self, key: SlotKey, slot: SlotRecord) {
        let body = (!slot.word.is_zero()).then(|| slot.encode());
        self.set(STORAGE, key.into(), body.as_deref());
    }

    fn set(&mut self, table: usize, key: Key, body: Option<&[u8]>) {
        let record = body.map(|body| seal(key.as_slice(), body).into_boxed_slice());
        self.records.push((table, key, record));
    }

    /// Adds the redo of `block`, so that it can be [replayed](Pending::replay).
    pub(super) fn stage(&self, block: u64, batch: &mut WriteBatch) {
        let (mut chunk, mut number) = (Vec::with_capacity(CHUNK + 256), 0_u32);
        let mut records = self.records.iter().peekable();
        while let Some((table, key, record)) = records.next() {
            chunk.push(*table as u8);
            chunk.extend(u16::from(key.length).to_be_bytes());
            chunk.extend((record.as_ref().map_or(0, |record| record.len()) as u16).to_be_bytes());
            chunk.extend_from_slice(key.as_slice());
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
            stage_record(TABLES[*table], key.as_slice(), record.as_deref(), batch);
        }
    }
}

/// Deletes the redos of `blocks`.
pub(super) fn stage_redo_end(blocks: Range<u64>, batch: &mut WriteBatch) {
    for block in blocks {
        let first = change_key(block, Kind::Redo, &[]);
        let end = change_key(block, Kind::PastRedo, &[]);
        batch.delete_range(Table::Changes, &first, Some(&end));
    }
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
                    if !is_staged(slice_of(key.as_slice()), block, head) {
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
                stage_record(*table, key.as_slice(), record.as_deref(), batch);
            }
        }
        for (table, key, record) in
            redo.records.iter().filter(|(_, key, _)| slice_of(key.as_slice()) == slice)
        {
            stage_record(TABLES[*table], key.as_slice(), record.as_deref(), batch);
        }
    }

    /// Puts everything into its table.
    pub(super) fn stage_all(&self, batch: &mut WriteBatch) {
        for (table, slices) in TABLES.iter().zip(&self.tables) {
            for (key, record) in slices.iter().flatten() {
                stage_record(*table, key.as_slice(), record.as_deref(), batch);
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
            for record in std::mem::take(&mut slices[slice]).values() {
                self.bytes = self.bytes.saturating_sub(bytes(record));
            }
        }
    }

    fn set(&mut self, table: usize, key: Key, record: Option<Box<[u8]>>) {
        let Some(slices) = self.tables.get_mut(table) else { return };
        self.bytes += bytes(&record);
        if let Some(before) = slices[slice_of(key.as_slice())].insert(key, record) {
            self.bytes = self.bytes.saturating_sub(bytes(&before));
        }
    }
}

/// Whether at `head` the records that `block` has in `slice` are in their tables.
fn is_staged(slice: usize, block: u64, head: u64) -> bool {
    let since = (head % SLICES + SLICES - slice as u64) % SLICES;
    head.checked_sub(since).is_some_and(|last| block <= last)
}

fn bytes(record: &Option<Box<[u8]>>) -> usize {
    ENTRY_BYTES + record.as_ref().map_or(0, |record| record.len())
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
    let key = Key::new(key).filter(|_| table < TABLES.len())?;
    Some((table, key, record))
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

    fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'_>, DbError> {
        let stored = self.kv.iter(table, prefix, from, order)?;
        let Some(slices) = self.slices(table) else { return Ok(stored) };
        let Some(range) = KeyRange::new(prefix, from, order) else { return Ok(stored) };
        let (first, last) = range.bounds();
        // Slices are in the order of keys. Only those that the range meets are looked at.
        let bound = |bound: Bound<&[u8]>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => slice_of(key),
            Bound::Unbounded => SLICES as usize - 1,
        };
        let ranges: Vec<_> = slices[bound(first)..=bound(last)]
            .iter()
            .map(|records| records.range::<[u8], _>((first, last)))
            .collect();
        let waiting: Box<dyn Iterator<Item = Waiting<'_>> + '_> = match order {
            Order::Forward => Box::new(ranges.into_iter().flatten()),
            Order::Reverse => Box::new(ranges.into_iter().rev().flat_map(Iterator::rev)),
        };
        Ok(Box::new(Merged { stored: stored.peekable(), waiting: waiting.peekable(), order }))
    }

    fn path(&self) -> &Path {
        self.kv.path()
    }
}

type Waiting<'a> = (&'a Key, &'a Option<Box<[u8]>>);

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
            let key = key.as_slice();
            let order = match self.stored.peek() {
                Some(Ok((stored, _))) => match self.order {
                    Order::Forward => stored.as_slice().cmp(key),
                    Order::Reverse => key.cmp(stored.as_slice()),
                },
                Some(Err(_)) => return self.stored.next(),
                None => Ordering::Greater,
            };
            if order.is_lt() {
                return self.stored.next();
            }
            if order.is_eq() {
                self.stored.next();
            }
            if let (key, Some(record)) = self.waiting.next()? {
                return Some(Ok((key.as_slice().to_vec(), record.to_vec())));
            }
        }
    }
}

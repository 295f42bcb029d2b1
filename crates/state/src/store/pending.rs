//! State records that are not in their tables yet, and the store seen through them.
//!
//! A block is put on disk as one run of records, its *redo*, and the records go to their tables when it
//! is the turn of their [slice](super::slices). The redos of the blocks since bring back what was in
//! memory.

use std::{
    cmp::Ordering,
    iter::Peekable,
    ops::{Bound, ControlFlow, Range},
    path::Path,
};

use zvm_core::{B256, DbError};

use super::{
    cells::Cells,
    keys::{Kind, SlotKey, change_key},
    read::{corrupt_at, open, put},
    record::{AccountRecord, SlotRecord, seal},
    slices::{Turns, slice_of},
    waiting::{self, Sealed, Slices, Waiting},
};
use crate::kv::{Entries, Entry, KeyRange, KvReader, Order, Table, Visit, WriteBatch};

/// Bytes of a redo that make a record. With the record that goes beyond and all that the engine adds,
/// it stays below a power of two, of which redb makes its pages.
const CHUNK: usize = 63 << 10;

/// How a redo names the tables.
const ACCOUNTS: u8 = 0;
const STORAGE: u8 = 1;

/// Records on their way to their tables.
#[derive(Debug, Default)]
pub(super) struct Pending {
    accounts: Slices<{ size_of::<B256>() }>,
    storage: Slices<{ size_of::<SlotKey>() }>,
}

/// What a block changes.
#[derive(Debug, Default)]
pub(super) struct Redo {
    accounts: Vec<(B256, Sealed)>,
    slots: Vec<(SlotKey, Sealed)>,
}

impl Redo {
    /// Sets or deletes an account.
    pub(super) fn set_account(&mut self, hash: B256, account: Option<&AccountRecord>) {
        let body = account.map(AccountRecord::encode);
        self.accounts.push((hash, sealed(hash.as_slice(), body)));
    }

    /// Sets a slot, or deletes it if its word is zero.
    pub(super) fn set_slot(&mut self, key: SlotKey, slot: SlotRecord) {
        let body = (!slot.word.is_zero()).then(|| slot.encode());
        self.slots.push((key, sealed(&key, body)));
    }

    /// Every record with its table.
    fn records(&self) -> impl Iterator<Item = (u8, &[u8], Option<&[u8]>)> {
        let accounts = self.accounts.iter();
        let accounts = accounts.map(|(key, record)| (ACCOUNTS, key.as_slice(), record.as_deref()));
        let slots = self.slots.iter();
        accounts.chain(slots.map(|(key, record)| (STORAGE, key.as_slice(), record.as_deref())))
    }

    /// Adds the redo of `block`, so that it can be [replayed](Pending::replay).
    pub(super) fn stage(&self, block: u64, batch: &mut WriteBatch) {
        let (mut chunk, mut number) = (Vec::with_capacity(CHUNK + 256), 0_u32);
        let mut records = self.records().peekable();
        while let Some((table, key, record)) = records.next() {
            let record = record.unwrap_or_default();
            chunk.push(table);
            chunk.extend((key.len() as u16).to_be_bytes());
            chunk.extend((record.len() as u16).to_be_bytes());
            chunk.extend_from_slice(key);
            chunk.extend_from_slice(record);
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
        for (table, key, record) in self.records() {
            stage_record(table_of(table), key, record, batch);
        }
    }
}

fn sealed(key: &[u8], body: Option<Vec<u8>>) -> Sealed {
    body.map(|body| seal(key, &body).into_boxed_slice())
}

fn table_of(number: u8) -> Table {
    match number {
        ACCOUNTS => Table::Accounts,
        _ => Table::Storage,
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
    /// What was waiting when the store was left at `head`: the redos but for what `turns` say is written.
    pub(super) fn replay(
        kv: &dyn KvReader,
        head: Option<u64>,
        turns: &Turns,
    ) -> Result<Self, DbError> {
        let mut pending = Self::default();
        let Some(head) = head else { return Ok(pending) };
        for block in turns.first_waiting()..=head {
            let prefix = change_key(block, Kind::Redo, &[]);
            for entry in kv.iter(Table::Changes, &prefix, None, Order::Forward)? {
                let (key, record) = entry?;
                let chunk = open(kv, Table::Changes, &key, &record, |body| Ok(body.to_vec()))?;
                let mut rest = chunk.as_slice();
                while !rest.is_empty() {
                    pending
                        .take_record(&mut rest, |key| turns.is_written(slice_of(key), block))
                        .ok_or_else(|| corrupt_at(kv, Table::Changes, &key, "a redo cut short"))?;
                }
            }
        }
        Ok(pending)
    }

    /// Takes a record off the front of a redo, and holds it unless `is_written` says of its key
    /// that it is in its table.
    fn take_record(&mut self, rest: &mut &[u8], is_written: impl Fn(&[u8]) -> bool) -> Option<()> {
        let (head, behind) = rest.split_first_chunk::<5>()?;
        let key_length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let (key, behind) = behind.split_at_checked(key_length)?;
        let (record, behind) = behind.split_at_checked(length)?;
        *rest = behind;
        let record = (length > 0).then(|| record.into());
        match head[0] {
            ACCOUNTS if is_written(key) => <&[u8; 32]>::try_from(key).ok().map(drop),
            STORAGE if is_written(key) => <&SlotKey>::try_from(key).ok().map(drop),
            ACCOUNTS => key.try_into().ok().map(|key| self.accounts.set(key, record)),
            STORAGE => key.try_into().ok().map(|key| self.storage.set(key, record)),
            _ => None,
        }
    }

    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.accounts.bytes() + self.storage.bytes()
    }

    /// Those of them that are in `slice`.
    pub(super) fn slice_bytes(&self, slice: usize) -> usize {
        self.accounts.slice_bytes(slice) + self.storage.slice_bytes(slice)
    }

    /// What waits for `table` in `slice`, in order.
    pub(super) fn slice(
        &self,
        table: Table,
        slice: usize,
    ) -> impl Iterator<Item = waiting::Entry<'_>> {
        self.of(table).into_iter().flat_map(move |waiting| waiting.slice(slice))
    }

    /// Puts into their tables the records of `slice`, and those of `redo` that belong there.
    pub(super) fn stage_slice(&self, slice: usize, redo: &Redo, batch: &mut WriteBatch) {
        for (table, waiting) in self.tables() {
            for (key, record) in waiting.slice(slice) {
                stage_record(table, key, record, batch);
            }
        }
        for (table, key, record) in redo.records().filter(|(_, key, _)| slice_of(key) == slice) {
            stage_record(table_of(table), key, record, batch);
        }
    }

    /// Puts everything into its table.
    pub(super) fn stage_all(&self, batch: &mut WriteBatch) {
        for (table, waiting) in self.tables() {
            for (key, record) in waiting.range(Bound::Unbounded, Bound::Unbounded) {
                stage_record(table, key, record, batch);
            }
        }
    }

    /// Takes over the records of a block.
    pub(super) fn hold(&mut self, redo: Redo) {
        for (hash, record) in redo.accounts {
            self.accounts.set(hash.0, record);
        }
        for (key, record) in redo.slots {
            self.storage.set(key, record);
        }
    }

    /// Forgets `slice`, which is in its tables now.
    pub(super) fn forget_slice(&mut self, slice: usize) {
        self.accounts.forget(slice);
        self.storage.forget(slice);
    }

    /// What waits for `table`, if it is one whose records wait.
    fn of(&self, table: Table) -> Option<&dyn Waiting> {
        match table {
            Table::Accounts => Some(&self.accounts),
            Table::Storage => Some(&self.storage),
            _ => None,
        }
    }

    fn tables(&self) -> [(Table, &dyn Waiting); 2] {
        [(Table::Accounts, &self.accounts), (Table::Storage, &self.storage)]
    }
}

/// A store with the records that wait.
#[derive(Clone, Copy)]
pub(super) struct Layered<'a> {
    pub(super) kv: &'a dyn KvReader,
    pub(super) cells: &'a Cells,
    pub(super) pending: &'a Pending,
}

impl KvReader for Layered<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        match self.pending.of(table).and_then(|waiting| waiting.get(key)) {
            Some(record) => Ok(record.map(<[u8]>::to_vec)),
            None if table == Table::Accounts => self.cells.get(self.kv, key),
            None => self.kv.get(table, key),
        }
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, DbError> {
        let Some(waiting) = self.pending.of(table) else { return self.kv.multi_get(table, keys) };
        let found: Vec<_> = keys.iter().map(|key| waiting.get(key)).collect();
        let rest: Vec<&[u8]> = keys
            .iter()
            .zip(&found)
            .filter_map(|(key, found)| found.is_none().then_some(*key))
            .collect();
        let stored = match table {
            Table::Accounts => self.cells.multi_get(self.kv, &rest)?,
            _ => self.kv.multi_get(table, &rest)?,
        };
        let mut stored = stored.into_iter();
        let found = found.into_iter().map(|found| match found {
            Some(record) => record.map(<[u8]>::to_vec),
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
        let Some(waiting) = self.pending.of(table) else { return Ok(stored) };
        let Some(range) = KeyRange::new(prefix, from, order) else { return Ok(stored) };
        let (first, last) = range.bounds();
        let waiting = waiting.range(first, last);
        let waiting: waiting::Iter<'_> = match order {
            Order::Forward => Box::new(waiting),
            Order::Reverse => Box::new(waiting.rev()),
        };
        Ok(Box::new(Merged { stored: stored.peekable(), waiting: waiting.peekable(), order }))
    }

    fn visit(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), DbError> {
        let Some(waiting) = self.pending.of(table) else {
            return self.kv.visit(table, first, last, visit);
        };
        if first > last {
            return Ok(());
        }
        let mut waiting = waiting.range(Bound::Included(first), Bound::Included(last)).peekable();
        let mut is_over = false;
        let mut merge = |key: &[u8], value: &[u8]| {
            while let Some((waiting, record)) = waiting.next_if(|next| next.0 <= key) {
                if let Some(record) = record
                    && visit(waiting, record)?.is_break()
                {
                    is_over = true;
                    return Ok(ControlFlow::Break(()));
                }
                if waiting == key {
                    // What waits hides what is stored.
                    return Ok(ControlFlow::Continue(()));
                }
            }
            let flow = visit(key, value)?;
            is_over = flow.is_break();
            Ok(flow)
        };
        match table {
            Table::Accounts => self.cells.visit(self.kv, first, last, &mut merge)?,
            _ => self.kv.visit(table, first, last, &mut merge)?,
        }
        for (key, record) in waiting.filter(|_| !is_over) {
            if let Some(record) = record
                && visit(key, record)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn path(&self) -> &Path {
        self.kv.path()
    }
}

/// What is stored and what waits, in one order; what waits hides what is stored.
struct Merged<'a> {
    stored: Peekable<Entries<'a>>,
    waiting: Peekable<waiting::Iter<'a>>,
    order: Order,
}

impl Iterator for Merged<'_> {
    type Item = Result<Entry, DbError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(&(key, _)) = self.waiting.peek() else { return self.stored.next() };
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
                return Some(Ok((key.to_vec(), record.to_vec())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, option, prelude::*};

    use super::*;
    use crate::kv::MemoryTables;

    /// Few keys, in few slices, so that what is stored and what waits meet.
    fn key() -> impl Strategy<Value = B256> {
        let first = prop_oneof![Just(0_u8), Just(1), Just(2), Just(0xfe), Just(0xff)];
        (first, 0..3_u8, prop_oneof![Just(0_u8), Just(0xff)]).prop_map(|(first, second, rest)| {
            let mut key = B256::repeat_byte(rest);
            (key[0], key[1]) = (first, second);
            key
        })
    }

    proptest! {
        #[test]
        fn a_store_reads_as_if_what_waits_were_in_its_tables(
            stored in btree_map(key(), any::<u8>(), 0..12),
            waits in btree_map(key(), option::of(any::<u8>()), 0..12),
            prefix in prop_oneof![Just(Vec::new()), key().prop_map(|key| key[..2].to_vec())],
            ends in (option::of(key()), key(), key()),
            most in 1..5_usize,
            accounts in option::of(0..5000_u64),
        ) {
            let (mut below, mut expected) = (MemoryTables::default(), MemoryTables::default());
            for (key, value) in &stored {
                let mut batch = WriteBatch::new();
                batch.put(Table::Accounts, key.as_slice(), &[*value]);
                below.write(batch.clone());
                expected.write(batch);
            }
            let mut pending = Pending::default();
            for (key, value) in &waits {
                let record: Sealed = value.map(|value| [value].into());
                let mut batch = WriteBatch::new();
                stage_record(Table::Accounts, key.as_slice(), record.as_deref(), &mut batch);
                expected.write(batch);
                pending.accounts.set(key.0, record);
            }
            let mut cells = Cells::default();
            if let Some(accounts) = accounts {
                cells.fit(accounts);
            }
            let layered = Layered { kv: &below, cells: &cells, pending: &pending };
            let keys: Vec<&[u8]> = stored.keys().chain(waits.keys()).map(B256::as_slice).collect();
            prop_assert_eq!(
                layered.multi_get(Table::Accounts, &keys).unwrap(),
                expected.multi_get(Table::Accounts, &keys).unwrap()
            );
            for key in keys {
                prop_assert_eq!(
                    layered.get(Table::Accounts, key).unwrap(),
                    expected.get(Table::Accounts, key).unwrap()
                );
            }
            let (from, first, last) = ends;
            for order in [Order::Forward, Order::Reverse] {
                let all = |kv: &dyn KvReader| {
                    let from = from.as_ref().map(B256::as_slice);
                    let entries = kv.iter(Table::Accounts, &prefix, from, order).unwrap();
                    entries.map(Result::unwrap).collect::<Vec<_>>()
                };
                prop_assert_eq!(all(&layered), all(&expected));
            }
            let seen = |kv: &dyn KvReader| {
                let mut seen = Vec::new();
                kv.visit(Table::Accounts, first.as_slice(), last.as_slice(), &mut |key, value| {
                    seen.push((key.to_vec(), value.to_vec()));
                    Ok(match seen.len() < most {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    })
                })
                .unwrap();
                seen
            };
            prop_assert_eq!(seen(&layered), seen(&expected));
        }
    }
}

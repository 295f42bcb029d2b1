//! Accounts beside those read lately.
//!
//! Who changes an account has those beside it hashed again, as far as they are in its small subtree.
//! They are in the same page. So whoever reads an account takes its *cell* along, all keys that begin with
//! the same nibbles, of which there are enough to leave a handful of accounts; and the commit that follows
//! does not look for the page a second time.

use std::{
    iter,
    ops::{ControlFlow, RangeInclusive},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use zvm_core::{B256, DbError};
use zvm_trie::{Nibbles, UpdateOptions};

use super::{
    generations::Generations,
    slices::{SLICES, slice_of},
};
use crate::kv::{KvReader, Table, Visit};

/// Bytes of all cells together.
const BYTES_MAX: usize = 16 << 20;

/// Bytes of a cell beside its records, roughly.
const ENTRY_BYTES: usize = 64;

/// How many nibbles the keys of a cell may share. With two, a cell is part of one slice.
const NIBBLES: RangeInclusive<usize> = 2..=15;

/// What the table `accounts` has in some cells.
#[derive(Debug)]
pub(super) struct Cells {
    /// How many nibbles the keys of a cell share; `None` as long as that is not known.
    nibbles: Option<usize>,
    /// How often each slice was written. A cell from before that is outdated.
    writes: [u64; SLICES],
    known: Mutex<Generations<Nibbles, Cell>>,
}

/// All records of a cell: length of the key u32, length of the value u32, key, value.
#[derive(Clone, Debug)]
struct Cell {
    writes: u64,
    records: Arc<[u8]>,
}

impl Default for Cells {
    fn default() -> Self {
        let weigh = |_: &_, cell: &Cell| ENTRY_BYTES + cell.records.len();
        let known = Mutex::new(Generations::new(BYTES_MAX, weigh));
        Self { nibbles: None, writes: [0; SLICES], known }
    }
}

impl Cells {
    /// Makes cells of a size that suits so many accounts.
    pub(super) fn fit(&mut self, accounts: u64) {
        let suits =
            |nibbles: &usize| accounts >> (4 * nibbles) <= UpdateOptions::ACCOUNTS.small_max;
        let nibbles = NIBBLES.into_iter().find(suits).or(self.nibbles);
        if self.nibbles != nibbles {
            self.nibbles = nibbles;
            self.known().clear();
        }
    }

    /// Forgets what is in `slice`, which was written.
    pub(super) fn forget_slice(&mut self, slice: usize) {
        self.writes[slice] += 1;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.known().clear();
    }

    /// The record under `key`. Its cell is known afterwards.
    pub(super) fn get(&self, kv: &dyn KvReader, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        let Some(cell) = self.cell_of(key) else { return kv.get(Table::Accounts, key) };
        let records = match self.find(&cell) {
            Some(records) => records,
            None => match self.load(kv, cell) {
                Ok(records) => records,
                // Damage beside an account is no reason to refuse it.
                Err(_) => return kv.get(Table::Accounts, key),
            },
        };
        let found = entries(&records).find(|entry| entry.0 == key);
        Ok(found.map(|(_, value)| value.to_vec()))
    }

    /// [`get`](Self::get) for many keys.
    pub(super) fn multi_get(
        &self,
        kv: &dyn KvReader,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>, DbError> {
        match self.nibbles {
            Some(_) => keys.iter().map(|key| self.get(kv, key)).collect(),
            None => kv.multi_get(Table::Accounts, keys),
        }
    }

    /// Visits the records between two keys, out of their cell if it is known.
    pub(super) fn visit(
        &self,
        kv: &dyn KvReader,
        first: &[u8],
        last: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), DbError> {
        let cell = self.cell_of(first).filter(|cell| self.cell_of(last) == Some(*cell));
        let Some(records) = cell.and_then(|cell| self.find(&cell)) else {
            return kv.visit(Table::Accounts, first, last, visit);
        };
        let between = entries(&records).filter(|(key, _)| (first..=last).contains(key));
        for (key, value) in between {
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The cell that `key` is in.
    fn cell_of(&self, key: &[u8]) -> Option<Nibbles> {
        Some(Nibbles::of_key(&B256::try_from(key).ok()?, self.nibbles?))
    }

    fn find(&self, cell: &Nibbles) -> Option<Arc<[u8]>> {
        let found = self.known().get(cell)?;
        (found.writes == self.writes_of(cell)).then_some(found.records)
    }

    fn load(&self, kv: &dyn KvReader, cell: Nibbles) -> Result<Arc<[u8]>, DbError> {
        let (first, last) = (cell.first_key(), cell.last_key());
        let mut records = Vec::new();
        kv.visit(Table::Accounts, first.as_slice(), last.as_slice(), &mut |key, value| {
            records.extend((key.len() as u32).to_ne_bytes());
            records.extend((value.len() as u32).to_ne_bytes());
            records.extend_from_slice(key);
            records.extend_from_slice(value);
            Ok(ControlFlow::Continue(()))
        })?;
        let records: Arc<[u8]> = records.into();
        let writes = self.writes_of(&cell);
        self.known().insert(cell, Cell { writes, records: records.clone() });
        Ok(records)
    }

    fn writes_of(&self, cell: &Nibbles) -> u64 {
        self.writes[slice_of(cell.first_key().as_slice())]
    }

    fn known(&self) -> MutexGuard<'_, Generations<Nibbles, Cell>> {
        // Every change of a cache is complete in itself, so a panic elsewhere leaves it usable.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records of a cell, each with its key.
fn entries(mut records: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    iter::from_fn(move || {
        let ([key, value], rest) = records.split_at_checked(8).and_then(|(lengths, rest)| {
            let length = |at: usize| Some(u32::from_ne_bytes(lengths[at..at + 4].try_into().ok()?));
            Some(([length(0)?, length(4)?], rest))
        })?;
        let (key, rest) = rest.split_at_checked(key as usize)?;
        let (value, rest) = rest.split_at_checked(value as usize)?;
        records = rest;
        Some((key, value))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::kv::{
        Durability, Key, MemoryTables, Options, WriteBatch, compliance::flip_bit, sim::SimDisk,
    };

    #[test]
    fn a_cell_is_read_once_until_its_slice_is_written() {
        let accounts: Vec<B256> = (0..=255).map(B256::repeat_byte).collect();
        let tables = |value| {
            let (mut tables, mut batch) = (MemoryTables::default(), WriteBatch::new());
            for account in &accounts {
                batch.put(Table::Accounts, account.as_slice(), &[value]);
            }
            tables.write(batch);
            tables
        };
        let (before, after) = (tables(1), tables(2));
        let mut cells = Cells::default();
        let get = |cells: &Cells, kv, place: usize| {
            cells.get(kv, accounts[place].as_slice()).unwrap().unwrap()[0]
        };
        let visit = |cells: &Cells, kv, place: usize| {
            let (mut seen, key) = (Vec::new(), accounts[place].as_slice());
            let see = &mut |_: &[u8], value: &[u8]| {
                seen.push(value[0]);
                Ok(ControlFlow::Continue(()))
            };
            cells.visit(kv, key, key, see).unwrap();
            seen
        };
        assert_eq!((get(&cells, &before, 7), get(&cells, &after, 7)), (1, 2), "of unknown size");
        cells.fit(256);
        assert_eq!((get(&cells, &before, 7), get(&cells, &after, 7)), (1, 1));
        assert_eq!((visit(&cells, &after, 7), visit(&cells, &after, 8)), (vec![1], vec![2]));
        cells.forget_slice(slice_of(&[8]));
        assert_eq!(get(&cells, &after, 7), 1, "another slice was written");
        cells.forget_slice(slice_of(&[7]));
        assert_eq!((visit(&cells, &after, 7), get(&cells, &after, 7)), (vec![2], 2));
        // Cells of another size begin anew.
        cells.fit(1 << 20);
        assert_eq!(get(&cells, &before, 7), 1);
    }

    #[test]
    fn an_account_beside_a_damaged_one_is_read() {
        let keys = [1, 2, 3].map(B256::with_last_byte);
        let (disk, key) = (SimDisk::default(), Key::from_bytes([7; 32]));
        let options = || Options { key: Some(&key), ..Options::default() };
        let mut batch = WriteBatch::new();
        keys.iter().for_each(|key| batch.put(Table::Accounts, key.as_slice(), &[7]));
        let path = Path::new("store");
        disk.open(path, options()).unwrap().write(batch, Durability::Synced).unwrap();
        // What does not decrypt cannot be walked over either.
        let mut raw = disk.open_raw(path, Options::default()).unwrap();
        flip_bit(&mut raw, Table::Accounts, keys[1].as_slice(), 250);
        drop(raw);

        let (mut cells, kv) = (Cells::default(), disk.open(path, options()).unwrap());
        cells.fit(256);
        let get = |key: &B256| cells.get(&*kv, key.as_slice());
        assert_eq!(get(&keys[0]).unwrap(), Some(vec![7]));
        assert!(matches!(get(&keys[1]), Err(DbError::Corrupt { .. })));
        assert_eq!(get(&keys[2]).unwrap(), Some(vec![7]));
    }
}

//! Records of a table that wait in memory, by slices of the key space.

use std::{array, collections::BTreeMap, mem, ops::Bound};

use super::slices::{SLICES, slice_of};

/// A sealed record; `None` deletes.
pub(super) type Sealed = Option<Box<[u8]>>;

/// A key and its sealed record.
pub(super) type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

/// Records one after the other.
pub(super) type Iter<'a> = Box<dyn Iterator<Item = Entry<'a>> + 'a>;

/// Records in the order of their keys, from either end.
pub(super) type Range<'a> = Box<dyn DoubleEndedIterator<Item = Entry<'a>> + 'a>;

/// The records that wait for one table, whatever the length of its keys.
pub(super) trait Waiting {
    /// What waits under `key`: a record, or its deletion. `None` if nothing does.
    fn get(&self, key: &[u8]) -> Option<Option<&[u8]>>;

    /// What waits between two keys.
    fn range(&self, first: Bound<&[u8]>, last: Bound<&[u8]>) -> Range<'_>;

    /// What waits in a slice.
    fn slice(&self, slice: usize) -> Range<'_>;
}

/// Records under keys of `N` bytes.
///
/// The keys are in place: a look-up compares a dozen of them, and following a pointer to each would
/// take longer than everything else it does.
#[derive(Debug)]
pub(super) struct Slices<const N: usize> {
    slices: [Slice<N>; SLICES],
    bytes: usize,
}

#[derive(Debug, Default)]
struct Slice<const N: usize> {
    records: BTreeMap<[u8; N], Sealed>,
    bytes: usize,
}

impl<const N: usize> Default for Slices<N> {
    fn default() -> Self {
        let slice = |_| Slice { records: BTreeMap::new(), bytes: 0 };
        Self { slices: array::from_fn(slice), bytes: 0 }
    }
}

impl<const N: usize> Slices<N> {
    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those of them that are in `slice`.
    pub(super) fn slice_bytes(&self, slice: usize) -> usize {
        self.slices[slice].bytes
    }

    pub(super) fn set(&mut self, key: [u8; N], record: Sealed) {
        let slice = &mut self.slices[slice_of(&key)];
        let added = bytes::<N>(&record);
        let removed = slice.records.insert(key, record).map_or(0, |before| bytes::<N>(&before));
        slice.bytes = slice.bytes + added - removed;
        self.bytes = self.bytes + added - removed;
    }

    pub(super) fn forget(&mut self, slice: usize) {
        self.bytes -= mem::take(&mut self.slices[slice]).bytes;
    }
}

impl<const N: usize> Waiting for Slices<N> {
    fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.slices[slice_of(key)].records.get(key).map(Option::as_deref)
    }

    fn range(&self, first: Bound<&[u8]>, last: Bound<&[u8]>) -> Range<'_> {
        // Slices are in the order of keys. Only those that the range meets are looked at.
        let slice = |bound: Bound<&[u8]>, open_end| match bound {
            Bound::Included(key) | Bound::Excluded(key) => slice_of(key),
            Bound::Unbounded => open_end,
        };
        let slices = slice(first, 0)..=slice(last, SLICES - 1);
        let ranges =
            self.slices[slices].iter().map(|slice| slice.records.range::<[u8], _>((first, last)));
        Box::new(ranges.collect::<Vec<_>>().into_iter().flatten().map(entry))
    }

    fn slice(&self, slice: usize) -> Range<'_> {
        Box::new(self.slices[slice].records.iter().map(entry))
    }
}

fn entry<'a, const N: usize>((key, record): (&'a [u8; N], &'a Sealed)) -> Entry<'a> {
    (key, record.as_deref())
}

/// Bytes of a record beside its value, roughly: nodes of the map are two thirds full.
fn bytes<const N: usize>(record: &Sealed) -> usize {
    (N + 16) * 3 / 2 + record.as_ref().map_or(0, |record| record.len() + 8)
}

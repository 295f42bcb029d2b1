//! Records of a table that wait in memory, by slices of the key space.

use std::{array, collections::BTreeMap, mem, ops::Bound};

use super::index::SLICES;

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
    slices: [BTreeMap<[u8; N], Sealed>; SLICES as usize],
    bytes: usize,
}

impl<const N: usize> Default for Slices<N> {
    fn default() -> Self {
        Self { slices: array::from_fn(|_| BTreeMap::new()), bytes: 0 }
    }
}

impl<const N: usize> Slices<N> {
    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn set(&mut self, key: [u8; N], record: Sealed) {
        self.bytes += bytes::<N>(&record);
        if let Some(before) = self.slices[slice_of(&key)].insert(key, record) {
            self.bytes = self.bytes.saturating_sub(bytes::<N>(&before));
        }
    }

    pub(super) fn forget(&mut self, slice: usize) {
        for record in mem::take(&mut self.slices[slice]).values() {
            self.bytes = self.bytes.saturating_sub(bytes::<N>(record));
        }
    }
}

impl<const N: usize> Waiting for Slices<N> {
    fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.slices[slice_of(key)].get(key).map(Option::as_deref)
    }

    fn range(&self, first: Bound<&[u8]>, last: Bound<&[u8]>) -> Range<'_> {
        // Slices are in the order of keys. Only those that the range meets are looked at.
        let slice = |bound: Bound<&[u8]>, open_end| match bound {
            Bound::Included(key) | Bound::Excluded(key) => slice_of(key),
            Bound::Unbounded => open_end,
        };
        let slices = slice(first, 0)..=slice(last, SLICES as usize - 1);
        let ranges = self.slices[slices].iter().map(|slice| slice.range::<[u8], _>((first, last)));
        Box::new(ranges.collect::<Vec<_>>().into_iter().flatten().map(entry))
    }

    fn slice(&self, slice: usize) -> Range<'_> {
        Box::new(self.slices[slice].iter().map(entry))
    }
}

/// The slice that a key is in.
pub(super) fn slice_of(key: &[u8]) -> usize {
    usize::from(key.first().copied().unwrap_or_default()) * SLICES as usize / 256
}

fn entry<'a, const N: usize>((key, record): (&'a [u8; N], &'a Sealed)) -> Entry<'a> {
    (key, record.as_deref())
}

/// Bytes of a record beside its value, roughly: nodes of the map are two thirds full.
fn bytes<const N: usize>(record: &Sealed) -> usize {
    (N + 16) * 3 / 2 + record.as_ref().map_or(0, |record| record.len() + 8)
}

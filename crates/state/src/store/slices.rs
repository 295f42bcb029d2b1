//! The key space in slices, which are written to their tables in turn.
//!
//! A record that changes sits in a page of its own more often than not, so writing each with its block
//! would write a page for each. Instead a block puts one slice or a few into their tables, with all that
//! has gathered there since they were written last: many of these records share a page. Accounts, slots
//! and branches of a slice are written together, so that at any time its tables are those of one block.

use zvm_core::varint;

/// How many slices there are, a power of two up to 256. The first byte of a key says which it is in.
pub(super) const SLICES: usize = 128;

/// The slice that a key is in, or the first that has keys beginning with it.
pub(super) fn slice_of(key: &[u8]) -> usize {
    usize::from(key.first().copied().unwrap_or_default()) * SLICES / 256
}

/// Which slice has what in its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turns {
    /// By slice: the first block whose changes are not in its tables, or may not be.
    waits_from: [u64; SLICES],
    /// The slice whose turn is next. It was written before all others, and the one behind it next.
    next: usize,
}

impl Default for Turns {
    fn default() -> Self {
        Self::before(0)
    }
}

impl Turns {
    /// All slices as they are before `block`.
    pub(super) fn before(block: u64) -> Self {
        Self { waits_from: [block; SLICES], next: 0 }
    }

    /// All slices as they are after `block`, or before the first.
    pub(super) fn after(block: Option<u64>) -> Self {
        Self::before(block.map_or(0, |block| block.saturating_add(1)))
    }

    /// Whether what `block` has changed in `slice` is in its tables.
    pub(super) fn is_written(&self, slice: usize, block: u64) -> bool {
        block < self.waits_from[slice]
    }

    /// The first block of whose changes some may wait.
    pub(super) fn first_waiting(&self) -> u64 {
        self.waits_from[self.next]
    }

    /// The slices in the order of their turns.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let next = self.next;
        (0..SLICES).map(move |turn| (next + turn) % SLICES)
    }

    /// The next `count` slices are written with `block`.
    pub(super) fn advance(&mut self, count: usize, block: u64) {
        for slice in self.order().take(count) {
            self.waits_from[slice] = block.saturating_add(1);
            self.next = (slice + 1) % SLICES;
        }
    }

    /// The bytes to store: the next slice u8, what it has u64, and as LEB128 how many blocks more each
    /// slice behind it has than the one before.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = vec![self.next as u8];
        body.extend(self.first_waiting().to_be_bytes());
        let mut before = self.first_waiting();
        for slice in self.order().skip(1) {
            varint::write(&mut body, self.waits_from[slice].saturating_sub(before));
            before = self.waits_from[slice];
        }
        body
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, String> {
        let short = || "slices: too short".to_owned();
        let (next, rest) = body.split_first().ok_or_else(short)?;
        let (first, mut rest) = rest.split_first_chunk().ok_or_else(short)?;
        let next = usize::from(*next);
        if next >= SLICES {
            return Err(format!("slices: number {next} is next, there are {SLICES}"));
        }
        let mut turns = Self { next, ..Self::before(u64::from_be_bytes(*first)) };
        let mut block = turns.first_waiting();
        for slice in turns.order().skip(1) {
            let more = varint::read(&mut rest).map_err(|error| format!("slices: {error}"))?;
            block = block.checked_add(more).ok_or("slices: a block beyond all")?;
            turns.waits_from[slice] = block;
        }
        match rest {
            [] => Ok(turns),
            _ => Err(format!("slices: {} bytes too many", rest.len())),
        }
    }

    /// The last block that a slice has.
    pub(super) fn last_written(&self) -> Option<u64> {
        let last = (self.next + SLICES - 1) % SLICES;
        self.waits_from[last].checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn slices_take_turns(
            first in 0..1_u64 << 62,
            counts in collection::vec(1..=SLICES, 0..20),
            bytes in collection::vec(any::<u8>(), 0..160),
        ) {
            let mut turns = Turns::before(first);
            let mut model = [first; SLICES];
            let mut place = 0;
            for (block, count) in (first..).zip(&counts) {
                turns.advance(*count, block);
                for _ in 0..*count {
                    model[place % SLICES] = block + 1;
                    place += 1;
                }
                prop_assert_eq!(turns.last_written(), Some(block));
            }
            prop_assert_eq!(turns.waits_from, model);
            prop_assert_eq!(turns.first_waiting(), *model.iter().min().unwrap());
            prop_assert_eq!(turns.order().next(), Some(place % SLICES));
            prop_assert_eq!(Turns::decode(&turns.encode()), Ok(turns));
            let mut cut = turns.encode();
            cut.pop();
            prop_assert!(Turns::decode(&cut).is_err());
            if let Ok(turns) = Turns::decode(&bytes) {
                prop_assert_eq!(turns.encode(), bytes);
            }
        }
    }
}

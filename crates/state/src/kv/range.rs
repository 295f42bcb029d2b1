//! From prefix, start and order to the range of keys they mean.

use std::ops::Bound;

use super::{Order, prefix_end};

/// The keys of an iteration: at least `first`, and up to `end`. Never inverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(super) first: Vec<u8>,
    pub(super) end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// The range of [`KvReader::iter`](super::KvReader::iter); `None` if no key can be in it.
    pub(crate) fn new(prefix: &[u8], from: Option<&[u8]>, order: Order) -> Option<Self> {
        let prefix_end = prefix_end(prefix);
        let is_past = |key: &[u8]| prefix_end.as_deref().is_some_and(|end| key >= end);
        match (from, order) {
            (Some(from), Order::Forward) if is_past(from) => None,
            (Some(from), Order::Reverse) if from < prefix => None,
            (Some(from), Order::Reverse) if !is_past(from) => {
                Some(Self { first: prefix.to_vec(), end: Bound::Included(from.to_vec()) })
            }
            (Some(from), Order::Forward) => Some(Self {
                first: from.max(prefix).to_vec(),
                end: prefix_end.map_or(Bound::Unbounded, Bound::Excluded),
            }),
            (_, Order::Forward | Order::Reverse) => Some(Self {
                first: prefix.to_vec(),
                end: prefix_end.map_or(Bound::Unbounded, Bound::Excluded),
            }),
        }
    }

    /// For the `range` of a map.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (Bound::Included(&self.first), self.end.as_ref().map(Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    /// Short keys of few bytes, so that prefixes and starts meet.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0), Just(1), Just(0xfe), Just(0xff)], 0..4)
    }

    proptest! {
        #[test]
        fn a_range_holds_what_prefix_and_start_say(
            prefix in key(),
            from in option::of(key()),
            probe in key(),
        ) {
            for order in [Order::Forward, Order::Reverse] {
                let expected = probe.starts_with(&prefix)
                    && from.as_ref().is_none_or(|from| match order {
                        Order::Forward => probe >= *from,
                        Order::Reverse => probe <= *from,
                    });
                let range = KeyRange::new(&prefix, from.as_deref(), order);
                let found = range.is_some_and(|range| {
                    probe >= range.first
                        && match &range.end {
                            Bound::Included(end) => probe <= *end,
                            Bound::Excluded(end) => probe < *end,
                            Bound::Unbounded => true,
                        }
                });
                prop_assert_eq!(found, expected);
            }
        }
    }
}

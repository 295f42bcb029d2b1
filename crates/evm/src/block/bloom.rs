//! Blooms of the logs in a block.

use zvm_core::{Address, B256, Bloom, Log, keccak256, map::HashMap};

/// Makes blooms, and remembers for the length of a block what it has hashed: the same few contracts
/// log the same events again and again, and hashing was most of what such blocks took.
#[derive(Default)]
pub(super) struct Blooms {
    // Topics are chosen by whoever pays for them, so the maps are hashed with a random seed.
    addresses: HashMap<Address, Bits>,
    topics: HashMap<B256, Bits>,
}

/// Bits of a bloom.
const BITS: u16 = 2048;

/// The three bits of an entry, as places in a bloom (Yellow Paper, section 4.4.2).
#[derive(Clone, Copy)]
struct Bits([u16; 3]);

impl Blooms {
    /// The bloom of `logs`.
    pub(super) fn of(&mut self, logs: &[Log]) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for log in logs {
            self.addresses
                .entry(log.address)
                .or_insert_with(|| Bits::of(log.address.as_slice()))
                .set(&mut bloom);
            for topic in log.topics() {
                let bits = self.topics.entry(*topic).or_insert_with(|| Bits::of(topic.as_slice()));
                bits.set(&mut bloom);
            }
        }
        bloom
    }
}

impl Bits {
    fn of(entry: &[u8]) -> Self {
        let hash = keccak256(entry);
        Self([0, 2, 4].map(|at| u16::from_be_bytes([hash[at], hash[at + 1]]) % BITS))
    }

    fn set(self, bloom: &mut Bloom) {
        for bit in self.0.map(usize::from) {
            // Bit 0 is the lowest of the last byte.
            bloom[Bloom::len_bytes() - 1 - bit / 8] |= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use zvm_core::Bytes;

    use super::*;

    fn log() -> impl Strategy<Value = Log> {
        // Few values, so that many are met again, and topics that look like addresses.
        let topic = (0_u8..20).prop_map(|byte| Address::repeat_byte(byte).into_word());
        (0_u8..20, vec(topic, 0..=4)).prop_map(|(byte, topics)| {
            Log::new_unchecked(Address::repeat_byte(byte), topics, Bytes::new())
        })
    }

    proptest! {
        #[test]
        fn a_bloom_is_the_same_remembered_or_not(receipts in vec(vec(log(), 0..6), 0..20)) {
            let mut blooms = Blooms::default();
            for logs in receipts {
                prop_assert_eq!(blooms.of(&logs), logs.iter().collect::<Bloom>());
            }
        }
    }
}

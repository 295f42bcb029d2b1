//! keccak-256 of what contracts hash again and again.

use zvm_core::{B256, keccak256};

/// Bytes of the inputs that are remembered: a key and the slot of its mapping. In real blocks five
/// hashes of six are of such, and more than half of those have just been worked out.
const INPUT: usize = 64;

/// Entries. Few enough to stay in the processor's first cache.
const ENTRIES: usize = 256;

/// The hashes of the last few mapping keys. What it forgets is worked out again.
#[derive(Debug)]
pub(crate) struct HashCache {
    entries: Box<[Entry; ENTRIES]>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    input: [u8; INPUT],
    hash: B256,
}

impl HashCache {
    pub(crate) fn new() -> Self {
        let input = [0; INPUT];
        Self { entries: Box::new([Entry { input, hash: keccak256(input) }; ENTRIES]) }
    }

    /// keccak-256 of `bytes`.
    #[inline]
    pub(crate) fn keccak(&mut self, bytes: &[u8]) -> B256 {
        let Ok(input) = <&[u8; INPUT]>::try_from(bytes) else { return keccak256(bytes) };
        let entry = &mut self.entries[place(input)];
        if entry.input != *input {
            *entry = Entry { input: *input, hash: keccak256(input) };
        }
        entry.hash
    }
}

/// Where the hash of `input` would be. Who makes inputs meet here gains nothing: they are hashed.
fn place(input: &[u8; INPUT]) -> usize {
    // Keys and slots differ in their last bytes, hashes as slots in all.
    let last_of = |word: usize| {
        let (_, last) = input[..word * 32].split_last_chunk::<8>().unwrap_or((&[], &[0; 8]));
        u64::from_le_bytes(*last)
    };
    // The fractional part of the golden ratio spreads what is close.
    let mixed = (last_of(1).rotate_left(32) ^ last_of(2)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - ENTRIES.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn a_remembered_hash_is_the_hash(keys in vec((0_u8..40, 0_u8..4, 62_usize..67), 1..400)) {
            let mut cache = HashCache::new();
            for (key, slot, length) in keys {
                let mut input = [0; 70];
                (input[31], input[63]) = (key, slot);
                prop_assert_eq!(cache.keccak(&input[..length]), keccak256(&input[..length]));
            }
        }
    }
}

//! keccak-256 of many messages at a time: each in a lane of its own of the widest registers that the
//! processor has, found out at run time.
//!
//! Eight lanes (AVX-512) or four (AVX2) take about one and a half times as long as one message alone.
//! With fewer lanes the scalar [`keccak256`] is faster.
//!
//! Functions are inlined by force: the instructions may be used only within [`dispatch`].

use std::array;

use fearless_simd::{Level, Simd, dispatch, prelude::*};
use zvm_core::{B256, keccak256};

/// Bytes that go in before each permutation: the rate of keccak-256.
pub(crate) const BLOCK: usize = 136;

/// Words of 64 bits in a block.
const BLOCK_WORDS: usize = BLOCK / 8;

/// The lanes of the widest registers known here.
const LANES_MAX: usize = 8;

/// Puts the hash of each message into its place in `hashes`, which is as long as `messages`.
///
/// Neighbours share a pass that is as long as the longest of them, so it pays to have messages of
/// about the same length side by side.
pub(crate) fn keccak256_many(messages: &[&[u8]], hashes: &mut [B256]) {
    hash_with(Level::new(), messages, hashes);
}

fn hash_with(level: Level, messages: &[&[u8]], hashes: &mut [B256]) {
    dispatch!(level, simd => hash_lanes(simd, messages, hashes));
}

#[inline(always)]
fn hash_lanes<S: Simd>(simd: S, messages: &[&[u8]], hashes: &mut [B256]) {
    let lanes = if (4..=LANES_MAX).contains(&S::u64s::LEN) { S::u64s::LEN } else { 1 };
    for (messages, hashes) in messages.chunks(lanes).zip(hashes.chunks_mut(lanes)) {
        match (messages, hashes) {
            ([message], [hash]) => *hash = keccak256(message),
            (messages, hashes) => hash_together(simd, messages, hashes),
        }
    }
}

/// Hashes at most as many messages as there are lanes.
#[inline(always)]
fn hash_together<S: Simd>(simd: S, messages: &[&[u8]], hashes: &mut [B256]) {
    let last_block = messages.iter().map(|message| message.len() / BLOCK).max().unwrap_or_default();
    let mut state = [S::u64s::splat(simd, 0); 25];
    for block in 0..=last_block {
        let mut words = [[0; LANES_MAX]; BLOCK_WORDS];
        for (lane, message) in messages.iter().enumerate() {
            // A lane whose message has ended goes on with zeros, and nobody looks at it again.
            if let Some(rest) = message.get(block * BLOCK..) {
                absorb(rest, lane, &mut words);
            }
        }
        for (word, input) in state.iter_mut().zip(&words) {
            *word ^= S::u64s::from_slice(simd, &input[..S::u64s::LEN]);
        }
        state = permute::<S>(state);
        for (lane, (message, hash)) in messages.iter().zip(&mut *hashes).enumerate() {
            if message.len() / BLOCK == block {
                for (word, out) in state.iter().zip(hash.chunks_exact_mut(8)) {
                    out.copy_from_slice(&word[lane].to_le_bytes());
                }
            }
        }
    }
}

/// Puts the first block of `rest` into a lane of `words`, padded if the message ends in it.
#[inline(always)]
fn absorb(rest: &[u8], lane: usize, words: &mut [[u64; LANES_MAX]; BLOCK_WORDS]) {
    let mut last;
    let block = match rest.first_chunk() {
        Some(whole) => whole,
        None => {
            last = [0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            last[rest.len()] = 0x01;
            last[BLOCK - 1] |= 0x80;
            &last
        }
    };
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        word[lane] = u64::from_le_bytes(*bytes);
    }
}

/// keccak-f[1600] (FIPS 202, section 3.3) on all lanes. Word `x + 5 * y` is the lane (x, y) there.
#[inline(always)]
fn permute<S: Simd>(mut a: [S::u64s; 25]) -> [S::u64s; 25] {
    for constant in ROUND_CONSTANTS {
        // Theta, then rho and pi, then chi and iota.
        let c: [S::u64s; 5] = array::from_fn(
            #[inline(always)]
            |x| a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20],
        );
        let d: [S::u64s; 5] = array::from_fn(
            #[inline(always)]
            |x| c[(x + 4) % 5] ^ rotate_left::<S>(c[(x + 1) % 5], 1),
        );
        let b: [S::u64s; 25] = array::from_fn(
            #[inline(always)]
            |to| rotate_left::<S>(a[FROM[to]] ^ d[FROM[to] % 5], ROTATION[to]),
        );
        a = array::from_fn(
            #[inline(always)]
            |at| {
                let (x, row) = (at % 5, at / 5 * 5);
                b[at] ^ (!b[row + (x + 1) % 5] & b[row + (x + 2) % 5])
            },
        );
        a[0] ^= constant;
    }
    a
}

#[inline(always)]
fn rotate_left<S: Simd>(word: S::u64s, bits: u32) -> S::u64s {
    match bits {
        0 => word,
        _ => (word << bits) | (word >> (64 - bits)),
    }
}

/// Pi: which word comes to each place.
const FROM: [usize; 25] = {
    let mut from = [0; 25];
    let mut to = 0;
    while to < 25 {
        let (x, y) = (to % 5, to / 5);
        from[to] = (x + 3 * y) % 5 + 5 * x;
        to += 1;
    }
    from
};

/// Rho: by how many bits the word that comes to each place is rotated.
const ROTATION: [u32; 25] =
    [0, 44, 43, 21, 14, 28, 20, 3, 45, 61, 1, 6, 25, 8, 18, 27, 36, 10, 15, 56, 62, 55, 39, 41, 2];

/// Iota: one for each of the 24 rounds.
const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    /// Every way of hashing that this machine has.
    fn levels() -> Vec<Level> {
        let mut levels = vec![Level::new(), Level::baseline()];
        #[cfg(target_arch = "x86_64")]
        levels.extend(Level::new().as_avx2().map(Level::Avx2));
        levels
    }

    fn check(messages: &[&[u8]]) {
        let expected: Vec<B256> = messages.iter().map(keccak256).collect();
        for level in levels() {
            let mut hashes = vec![B256::ZERO; messages.len()];
            hash_with(level, messages, &mut hashes);
            assert_eq!(hashes, expected, "{level:?}");
        }
    }

    fn length() -> impl Strategy<Value = usize> {
        let edges = [0, 1, 7, 8, 135, 136, 137, 271, 272, 273, 407, 408, 409, 543, 544, 545];
        prop_oneof![prop::sample::select(edges.to_vec()), 0..600_usize]
    }

    proptest! {
        #[test]
        fn hashes_are_those_of_each_message_alone(
            messages in collection::vec(
                length().prop_flat_map(|length| collection::vec(any::<u8>(), length)), 0..20,
            ),
        ) {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            check(&messages);
        }
    }

    #[test]
    fn every_length_goes_through_every_number_of_lanes() {
        let bytes: Vec<u8> = (0..600_u32).map(|at| (at * 167) as u8).collect();
        for length in 0..=600 {
            for count in 1..=9 {
                // The others are longer and shorter by up to a block.
                let messages: Vec<&[u8]> =
                    (0..count).map(|lane| &bytes[..(length + lane * 41) % 601]).collect();
                check(&messages);
            }
        }
    }
}

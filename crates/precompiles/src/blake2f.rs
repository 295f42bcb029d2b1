//! `BLAKE2F`: the compression function of BLAKE2b, with the number of rounds given by the caller.
//!
//! Written out here: libraries offer the hash, whose rounds are always twelve, and not this.

use crate::{PrecompileError, charge};

/// `BLAKE2F` (0x09): the compression function F, RFC 7693 section 3.2; the new state, 64 bytes.
///
/// Input, exactly 213 bytes: rounds (4, big-endian), state (64), message block (128), offset
/// counters (16), each in little-endian words of 8 bytes, and whether the block is the last (1).
/// Gas: 1 per round. Source: EIP-152, since Istanbul.
pub(crate) fn blake2f(
    input: &[u8],
    gas: u64,
    output: &mut Vec<u8>,
) -> Result<u64, PrecompileError> {
    let input: &[u8; 213] =
        input.try_into().map_err(|_| PrecompileError::InvalidInput("not 213 bytes"))?;
    let (rounds, words) = input.split_first_chunk::<4>().expect("4 of 213 bytes");
    let rounds = u32::from_be_bytes(*rounds);
    let price = charge(gas, u64::from(rounds))?;
    let (words, &[last]) = words.split_last_chunk::<1>().expect("1 of 209 bytes");
    if last > 1 {
        return Err(PrecompileError::InvalidInput("the last byte is neither 0 nor 1"));
    }

    let mut words = words.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let mut next = || words.next().expect("8 + 16 + 2 words are 208 bytes");
    let mut state: [u64; 8] = std::array::from_fn(|_| next());
    let message: [u64; 16] = std::array::from_fn(|_| next());
    let offset: [u64; 2] = std::array::from_fn(|_| next());
    compress(&mut state, &message, offset, last == 1, rounds);
    output.extend(state.iter().flat_map(|word| word.to_le_bytes()));
    Ok(price)
}

/// RFC 7693, section 2.6: the initial words, those of SHA-512.
const IV: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

/// RFC 7693, section 2.7: the order of message words in each round; round 10 starts over.
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// The function F of RFC 7693, section 3.2.
fn compress(
    state: &mut [u64; 8],
    message: &[u64; 16],
    offset: [u64; 2],
    is_last: bool,
    rounds: u32,
) {
    let mut v = [0; 16];
    v[..8].copy_from_slice(state);
    v[8..].copy_from_slice(&IV);
    v[12] ^= offset[0];
    v[13] ^= offset[1];
    if is_last {
        v[14] = !v[14];
    }
    // Ten rounds written out: with the order of the words known, they take a quarter less time.
    for _ in 0..rounds / 10 {
        round(&mut v, message, &SIGMA[0]);
        round(&mut v, message, &SIGMA[1]);
        round(&mut v, message, &SIGMA[2]);
        round(&mut v, message, &SIGMA[3]);
        round(&mut v, message, &SIGMA[4]);
        round(&mut v, message, &SIGMA[5]);
        round(&mut v, message, &SIGMA[6]);
        round(&mut v, message, &SIGMA[7]);
        round(&mut v, message, &SIGMA[8]);
        round(&mut v, message, &SIGMA[9]);
    }
    for s in &SIGMA[..rounds as usize % 10] {
        round(&mut v, message, s);
    }
    for (word, (low, high)) in state.iter_mut().zip(v[..8].iter().zip(&v[8..])) {
        *word ^= low ^ high;
    }
}

/// One round: G on the columns of the state and then on its diagonals.
#[inline(always)]
fn round(v: &mut [u64; 16], message: &[u64; 16], s: &[usize; 16]) {
    mix(v, [0, 4, 8, 12], message[s[0]], message[s[1]]);
    mix(v, [1, 5, 9, 13], message[s[2]], message[s[3]]);
    mix(v, [2, 6, 10, 14], message[s[4]], message[s[5]]);
    mix(v, [3, 7, 11, 15], message[s[6]], message[s[7]]);
    mix(v, [0, 5, 10, 15], message[s[8]], message[s[9]]);
    mix(v, [1, 6, 11, 12], message[s[10]], message[s[11]]);
    mix(v, [2, 7, 8, 13], message[s[12]], message[s[13]]);
    mix(v, [3, 4, 9, 14], message[s[14]], message[s[15]]);
}

/// The function G of RFC 7693, section 3.1.
#[inline(always)]
fn mix(v: &mut [u64; 16], [a, b, c, d]: [usize; 4], x: u64, y: u64) {
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
    v[d] = (v[d] ^ v[a]).rotate_right(32);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(24);
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(63);
}

#[cfg(test)]
mod tests {
    use zvm_core::hex;

    use super::*;

    /// The hash of "abc": the state after the parameter block, the block, its length, last.
    fn abc(rounds: u32) -> [u8; 213] {
        let mut input = [0; 213];
        input[..4].copy_from_slice(&rounds.to_be_bytes());
        let mut state = IV;
        // RFC 7693, section 3.3: digest of 64 bytes, no key.
        state[0] ^= 0x01010000 ^ 64;
        for (bytes, word) in input[4..68].chunks_exact_mut(8).zip(state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        input[68..71].copy_from_slice(b"abc");
        input[196] = 3;
        input[212] = 1;
        input
    }

    fn run(input: &[u8], gas: u64) -> Result<(u64, Vec<u8>), PrecompileError> {
        let mut output = Vec::new();
        blake2f(input, gas, &mut output).map(|gas_used| (gas_used, output))
    }

    #[test]
    fn twelve_rounds_are_the_blake2b_of_rfc_7693() {
        let digest = hex!(
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
            "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
        );
        assert_eq!(run(&abc(12), 12), Ok((12, digest.to_vec())));
    }

    #[test]
    fn no_rounds_are_free() {
        let (gas_used, output) = run(&abc(0), 0).unwrap();
        assert_eq!((gas_used, output.len()), (0, 64));
    }

    #[test]
    fn rounds_are_paid_before_they_are_run() {
        assert_eq!(run(&abc(u32::MAX), u64::from(u32::MAX) - 1), Err(PrecompileError::OutOfGas));
    }

    #[test]
    fn only_213_bytes_with_a_boolean_at_the_end_are_valid() {
        let input = abc(12);
        let longer = [&input[..], &[0]].concat();
        let mut two = input;
        two[212] = 2;
        for input in [&input[..212], &longer, &two, &[]] {
            assert!(matches!(run(input, 100), Err(PrecompileError::InvalidInput(_))));
        }
    }
}

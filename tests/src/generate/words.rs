//! Operands: small numbers, edges of every representation, and the occasional random word.

use zvm_core::U256;

use crate::Rng;

/// Any word, edges preferred.
pub(super) fn word(rng: &mut Rng) -> U256 {
    match rng.below(10) {
        0..=4 => U256::from(rng.below(257)),
        5..=7 => edge(rng),
        8 => U256::from(rng.next()),
        _ => U256::from_limbs([rng.next(), rng.next(), rng.next(), rng.next()]),
    }
}

/// A power of two or of 256 or its neighbour, of either sign.
fn edge(rng: &mut Rng) -> U256 {
    let power = match rng.below(4) {
        0 => U256::from(1) << rng.pick(&[31_usize, 32, 63, 64, 127, 128, 160, 255]),
        1 => U256::from(1) << (rng.below(256) as usize),
        2 => U256::from(rng.pick(&[31_u64, 32, 33, 255, 256, 257, 1023, 1024])),
        _ => U256::ZERO,
    };
    let near = match rng.below(3) {
        0 => power,
        1 => power.wrapping_sub(U256::from(1)),
        _ => power.wrapping_add(U256::from(1)),
    };
    if rng.chance(20) { near.wrapping_neg() } else { near }
}

/// A place in memory, calldata or code: mostly within the first words, seldom out of reach.
pub(super) fn offset(rng: &mut Rng) -> U256 {
    match rng.below(500) {
        0..=299 => U256::from(rng.pick(&[0_u64, 0, 0, 1, 4, 31, 32, 33, 64, 96, 128])),
        300..=474 => U256::from(rng.below(400)),
        475..=494 => U256::from(rng.below(5_000)),
        495..=496 => U256::from(rng.below(300_000)),
        _ => edge(rng),
    }
}

/// A length: mostly a few words.
pub(super) fn length(rng: &mut Rng) -> U256 {
    match rng.below(500) {
        0..=359 => U256::from(rng.pick(&[0_u64, 0, 1, 4, 20, 31, 32, 32, 33, 64, 65, 96])),
        360..=484 => U256::from(rng.below(300)),
        485..=496 => U256::from(rng.below(3_000)),
        497..=498 => U256::from(rng.below(60_000)),
        _ => edge(rng),
    }
}

/// A key that other code is likely to use too.
pub(super) fn key(rng: &mut Rng) -> U256 {
    if rng.chance(95) { U256::from(rng.below(5)) } else { word(rng) }
}

/// A word to store: zero, a little one, one that may be there already.
pub(super) fn stored(rng: &mut Rng) -> U256 {
    if rng.chance(85) { U256::from(rng.below(4)) } else { word(rng) }
}

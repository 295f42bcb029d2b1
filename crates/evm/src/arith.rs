//! Division, modular arithmetic and exponentiation of 256-bit words.
//!
//! Everything works on limbs in registers. ruint's routines, good as they are, take operands by
//! 16-byte loads, which stall on limbs stored one by one just before, as stack operands are; they
//! serve where that does not matter.

mod knuth;
mod modulus;

use zvm_core::U256;

use crate::interpreter::word::{Limbs, ZERO, less, sub};
use knuth::Divisor;
pub(crate) use modulus::Modulus;

/// `DIV`: the unsigned quotient, 0 for a divisor of 0.
#[inline(always)]
pub(crate) fn div(a: Limbs, b: Limbs) -> Limbs {
    if b[1] | b[2] | b[3] != 0 {
        return div_wide(a, b);
    }
    if a[1] | a[2] | a[3] == 0 {
        return [a[0].checked_div(b[0]).unwrap_or(0), 0, 0, 0];
    }
    if b[0].is_power_of_two() {
        return shr_bits(a, b[0].trailing_zeros());
    }
    div_rem_u64(a, b[0]).0
}

/// `MOD`: the unsigned remainder, 0 for a divisor of 0.
#[inline(always)]
pub(crate) fn rem(a: Limbs, b: Limbs) -> Limbs {
    if b[1] | b[2] | b[3] != 0 {
        return rem_wide(a, b);
    }
    if a[1] | a[2] | a[3] == 0 {
        return [a[0].checked_rem(b[0]).unwrap_or(0), 0, 0, 0];
    }
    if b[0].is_power_of_two() {
        return [a[0] & (b[0] - 1), 0, 0, 0];
    }
    [div_rem_u64(a, b[0]).1, 0, 0, 0]
}

/// `SDIV`: the two's complement quotient, rounded towards zero; 0 for a divisor of 0. The least
/// word by -1 is itself.
#[inline(always)]
pub(crate) fn sdiv(a: Limbs, b: Limbs) -> Limbs {
    let quotient = div(abs(a), abs(b));
    if is_negative(a) == is_negative(b) { quotient } else { neg(quotient) }
}

/// `SMOD`: the two's complement remainder, with the sign of the dividend; 0 for a divisor of 0.
#[inline(always)]
pub(crate) fn smod(a: Limbs, b: Limbs) -> Limbs {
    let remainder = rem(abs(a), abs(b));
    if is_negative(a) { neg(remainder) } else { remainder }
}

/// `ADDMOD`: `(a + b) mod m` without overflow in between, 0 for a modulus of 0.
#[inline]
pub(crate) fn addmod(a: Limbs, b: Limbs, m: Limbs) -> Limbs {
    word(a).add_mod(word(b), word(m)).into_limbs()
}

/// `MULMOD`: `(a * b) mod m` without overflow in between, 0 for a modulus of 0.
#[inline(always)]
pub(crate) fn mulmod(a: Limbs, b: Limbs, m: Limbs) -> Limbs {
    if m[3] == 0 {
        return word(a).mul_mod(word(b), word(m)).into_limbs();
    }
    Divisor::new(m).div_rem::<8, 5>(product(a, b)).1
}

/// `EXP`: `base` to the power of `exponent`, modulo 2^256. `exp(0, 0)` is 1.
pub(crate) fn exp(base: Limbs, exponent: Limbs) -> Limbs {
    if let Some(log2) = log2_exact(base) {
        let shift = word(exponent).saturating_mul(U256::from(log2));
        return (U256::ONE << shift.saturating_to::<usize>()).into_limbs();
    }
    let (mut square, mut power) = (word(base), U256::ONE);
    let bits = word(exponent).bit_len();
    for bit in 0..bits {
        if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
            power = power.wrapping_mul(square);
        }
        if bit + 1 < bits {
            square = square.wrapping_mul(square);
        }
    }
    power.into_limbs()
}

/// Quotient of a divisor of at least two limbs.
#[inline(never)]
fn div_wide(a: Limbs, b: Limbs) -> Limbs {
    if top(a) < top(b) {
        return ZERO;
    }
    if let Some(log2) = log2_exact(b) {
        return shr(a, log2);
    }
    if top(a) == 0 {
        return from_u128(low(a) / low(b));
    }
    match b {
        [b0, b1, 0, 0] => {
            let ([q0, q1, q2], _) = Divisor::new([b0, b1]).div_rem(a);
            [q0, q1, q2, 0]
        }
        [b0, b1, b2, 0] => {
            let ([q0, q1], _) = Divisor::new([b0, b1, b2]).div_rem(a);
            [q0, q1, 0, 0]
        }
        _ => {
            let ([q0], _) = Divisor::new(b).div_rem(a);
            [q0, 0, 0, 0]
        }
    }
}

/// Remainder of a divisor of at least two limbs.
#[inline(never)]
fn rem_wide(a: Limbs, b: Limbs) -> Limbs {
    if top(a) < top(b) {
        return a;
    }
    if log2_exact(b).is_some() {
        return (word(a) & (word(b) - U256::ONE)).into_limbs();
    }
    if top(a) == 0 {
        return from_u128(low(a) % low(b));
    }
    match b {
        [b0, b1, 0, 0] => {
            let [r0, r1] = Divisor::new([b0, b1]).div_rem::<4, 3>(a).1;
            [r0, r1, 0, 0]
        }
        [b0, b1, b2, 0] => {
            let [r0, r1, r2] = Divisor::new([b0, b1, b2]).div_rem::<4, 2>(a).1;
            [r0, r1, r2, 0]
        }
        _ => Divisor::new(b).div_rem::<4, 1>(a).1,
    }
}

/// Quotient and remainder of a divisor of one limb, both 0 for a divisor of 0.
///
/// Inlined, so that the quotient stays in registers and costs nothing where it is not wanted.
#[inline(always)]
fn div_rem_u64(a: Limbs, d: u64) -> (Limbs, u64) {
    if d == 0 {
        return (ZERO, 0);
    }
    // Schoolbook: the remainder is below `d`, so each quotient fits a limb.
    let step = |remainder: u64, limb: u64| {
        let quotient = (join(remainder, limb) / u128::from(d)) as u64;
        (quotient, limb.wrapping_sub(quotient.wrapping_mul(d)))
    };
    let (q3, q2, r) = if a[2] | a[3] == 0 {
        (0, 0, 0)
    } else {
        let (q2, r) = step(a[3] % d, a[2]);
        (a[3] / d, q2, r)
    };
    let (q1, r) = step(r, a[1]);
    let (q0, r) = step(r, a[0]);
    ([q0, q1, q2, q3], r)
}

/// All 512 bits of `a * b`.
#[inline(always)]
fn product(a: Limbs, b: Limbs) -> [u64; 8] {
    let mut product = [0; 8];
    for i in 0..4 {
        let mut carry = 0;
        for j in 0..4 {
            let sum = u128::from(a[i]) * u128::from(b[j])
                + u128::from(product[i + j])
                + u128::from(carry);
            product[i + j] = sum as u64;
            carry = (sum >> 64) as u64;
        }
        product[i + 4] = carry;
    }
    product
}

#[inline]
fn word(limbs: Limbs) -> U256 {
    U256::from_limbs(limbs)
}

#[inline]
fn join(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// The upper 128 bits.
#[inline]
fn top(a: Limbs) -> u128 {
    join(a[3], a[2])
}

/// The lower 128 bits.
#[inline]
fn low(a: Limbs) -> u128 {
    join(a[1], a[0])
}

#[inline]
fn from_u128(a: u128) -> Limbs {
    [a as u64, (a >> 64) as u64, 0, 0]
}

#[inline(always)]
fn is_negative(a: Limbs) -> bool {
    a[3] >> 63 == 1
}

/// The absolute value; 2^255 for the least word.
#[inline(always)]
fn abs(a: Limbs) -> Limbs {
    if is_negative(a) { neg(a) } else { a }
}

#[inline(always)]
fn neg(a: Limbs) -> Limbs {
    sub(ZERO, a)
}

/// The exponent of a power of two.
#[inline]
fn log2_exact(a: Limbs) -> Option<u32> {
    let (limb, value) = match a {
        [value, 0, 0, 0] => (0, value),
        [0, value, 0, 0] => (1, value),
        [0, 0, value, 0] => (2, value),
        [0, 0, 0, value] => (3, value),
        _ => return None,
    };
    value.is_power_of_two().then(|| limb * 64 + value.trailing_zeros())
}

/// Shifts right by `n` < 256 bits.
#[inline]
fn shr(a: Limbs, n: u32) -> Limbs {
    let limbs = match n / 64 {
        0 => a,
        1 => [a[1], a[2], a[3], 0],
        2 => [a[2], a[3], 0, 0],
        _ => [a[3], 0, 0, 0],
    };
    shr_bits(limbs, n % 64)
}

/// Shifts right by `n` < 64 bits.
#[inline(always)]
fn shr_bits(a: Limbs, n: u32) -> Limbs {
    [shr_in(a[0], a[1], n), shr_in(a[1], a[2], n), shr_in(a[2], a[3], n), a[3] >> n]
}

/// Shifts `limb` right by `n` < 64 bits, those of `above` moving in.
#[inline(always)]
fn shr_in(limb: u64, above: u64, n: u32) -> u64 {
    // In two steps, because a shift by 64 is none in hardware.
    limb >> n | above << 1 << (63 - n)
}

#[cfg(test)]
mod tests {
    use num_bigint::{BigInt, BigUint, Sign};
    use proptest::prelude::*;

    use super::*;

    const MINUS_ONE: Limbs = [u64::MAX; 4];
    const LEAST: Limbs = [0, 0, 0, 1 << 63];

    /// Words near the edges: 0, 1, -1, the least negative, around powers of two, of few limbs,
    /// and any.
    pub(super) fn edge_word() -> impl Strategy<Value = Limbs> {
        prop_oneof![
            1 => prop_oneof![Just(ZERO), Just([1, 0, 0, 0]), Just(MINUS_ONE), Just(LEAST)],
            2 => (0usize..256, -1i8..=1).prop_map(|(bit, offset)| {
                let power = U256::ONE << bit;
                match offset {
                    -1 => power.wrapping_sub(U256::ONE),
                    0 => power,
                    _ => power.wrapping_add(U256::ONE),
                }
                .into_limbs()
            }),
            3 => (any::<Limbs>(), 1usize..4).prop_map(|(mut limbs, len)| {
                limbs[len..].fill(0);
                limbs
            }),
            1 => any::<Limbs>().prop_map(|limbs| limbs.map(|limb| if limb & 1 == 0 { 0 } else { u64::MAX })),
            2 => any::<Limbs>(),
            1 => (any::<Limbs>(), 1usize..4).prop_map(|(mut limbs, len)| {
                limbs[len..].fill(0);
                neg(limbs)
            }),
        ]
    }

    /// The same operations on unbounded integers, cut back to 256 bits.
    mod reference {
        use super::*;

        pub(super) fn unsigned(a: Limbs) -> BigUint {
            BigUint::from_bytes_le(word(a).as_le_slice())
        }

        fn signed(a: Limbs) -> BigInt {
            BigInt::from_signed_bytes_le(word(a).as_le_slice())
        }

        pub(super) fn cut(a: BigUint) -> Limbs {
            let bytes = (a % (BigUint::from(1u8) << 256u32)).to_bytes_le();
            U256::from_le_slice(&bytes).into_limbs()
        }

        fn cut_signed(a: BigInt) -> Limbs {
            let (sign, magnitude) = a.into_parts();
            let magnitude = cut(magnitude);
            if sign == Sign::Minus { neg(magnitude) } else { magnitude }
        }

        pub(super) fn div(a: Limbs, b: Limbs) -> Limbs {
            if b == ZERO { ZERO } else { cut(unsigned(a) / unsigned(b)) }
        }

        pub(super) fn rem(a: Limbs, b: Limbs) -> Limbs {
            if b == ZERO { ZERO } else { cut(unsigned(a) % unsigned(b)) }
        }

        pub(super) fn sdiv(a: Limbs, b: Limbs) -> Limbs {
            if b == ZERO { ZERO } else { cut_signed(signed(a) / signed(b)) }
        }

        pub(super) fn smod(a: Limbs, b: Limbs) -> Limbs {
            if b == ZERO { ZERO } else { cut_signed(signed(a) % signed(b)) }
        }

        pub(super) fn exp(a: Limbs, b: Limbs) -> Limbs {
            cut(unsigned(a).modpow(&unsigned(b), &(BigUint::from(1u8) << 256u32)))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn div_matches_big_integers(a in edge_word(), b in edge_word()) {
            prop_assert_eq!(div(a, b), reference::div(a, b));
        }

        #[test]
        fn rem_matches_big_integers(a in edge_word(), b in edge_word()) {
            prop_assert_eq!(rem(a, b), reference::rem(a, b));
        }

        #[test]
        fn sdiv_matches_big_integers(a in edge_word(), b in edge_word()) {
            prop_assert_eq!(sdiv(a, b), reference::sdiv(a, b));
        }

        #[test]
        fn smod_matches_big_integers(a in edge_word(), b in edge_word()) {
            prop_assert_eq!(smod(a, b), reference::smod(a, b));
        }

        #[test]
        fn addmod_and_mulmod_match_big_integers(
            a in edge_word(),
            b in edge_word(),
            m in edge_word(),
        ) {
            let [x, y, modulus] = [a, b, m].map(reference::unsigned);
            let (sum, product) = if m == ZERO {
                (ZERO, ZERO)
            } else {
                (reference::cut((&x + &y) % &modulus), reference::cut(x * y % modulus))
            };
            prop_assert_eq!(addmod(a, b, m), sum);
            prop_assert_eq!(mulmod(a, b, m), product);
        }

        #[test]
        fn exp_matches_big_integers(a in edge_word(), b in edge_word()) {
            prop_assert_eq!(exp(a, b), reference::exp(a, b));
        }

        #[test]
        fn exp_of_a_power_of_two_matches_big_integers(log2 in 0usize..256, e in 0u64..300) {
            let (base, exponent) = ((U256::ONE << log2).into_limbs(), [e, 0, 0, 0]);
            prop_assert_eq!(exp(base, exponent), reference::exp(base, exponent));
        }
    }

    #[test]
    fn division_by_zero_is_zero() {
        for a in [ZERO, [7, 0, 0, 0], [0, 1, 0, 0], LEAST, MINUS_ONE] {
            for operation in [div, rem, sdiv, smod] {
                assert_eq!(operation(a, ZERO), ZERO);
            }
            assert_eq!((addmod(a, a, ZERO), mulmod(a, a, ZERO)), (ZERO, ZERO));
        }
    }

    #[test]
    fn least_by_minus_one_is_least() {
        assert_eq!((sdiv(LEAST, MINUS_ONE), smod(LEAST, MINUS_ONE)), (LEAST, ZERO));
    }

    #[test]
    fn quotient_digits_of_all_ones_are_found() {
        // After the first digit the rest of the dividend begins like the divisor.
        for (a, b) in [
            ([5, 7, 0, 1 << 63], [u64::MAX, 0, 1 << 63, 0]),
            ([0, 0, u64::MAX, 1 << 63], [1, u64::MAX, 1 << 63, 0]),
            ([5, 6, u64::MAX, u64::MAX], [7, u64::MAX, u64::MAX, 0]),
            ([5, u64::MAX - 1, u64::MAX, 0], [u64::MAX, u64::MAX, 0, 0]),
        ] {
            assert_eq!((div(a, b), rem(a, b)), (reference::div(a, b), reference::rem(a, b)));
        }
        let m = [u64::MAX, 0, 0, 1 << 63];
        let expected = reference::unsigned(MINUS_ONE).pow(2) % reference::unsigned(m);
        assert_eq!(mulmod(MINUS_ONE, MINUS_ONE, m), reference::cut(expected));
    }

    #[test]
    fn zero_to_the_zeroth_is_one() {
        assert_eq!(exp(ZERO, ZERO), [1, 0, 0, 0]);
    }
}

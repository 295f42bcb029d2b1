//! 256-bit words as four limbs, and the cheap operations on them.
//!
//! Operations take their operands in stack order, top first, and are pure. They are inlined into
//! every loop that uses them; what needs a division lives in [`arith`](crate::arith).

use zvm_core::U256;

/// A word: four limbs, least significant first.
pub(crate) type Limbs = [u64; 4];

pub(crate) const ZERO: Limbs = [0; 4];

/// 1 for true, 0 for false.
#[inline(always)]
pub(crate) fn from_bool(value: bool) -> Limbs {
    [u64::from(value), 0, 0, 0]
}

#[inline(always)]
pub(crate) fn from_u64(value: u64) -> Limbs {
    [value, 0, 0, 0]
}

#[inline(always)]
pub(crate) fn is_zero(a: Limbs) -> bool {
    a[0] | a[1] | a[2] | a[3] == 0
}

/// The value if it fits 64 bits.
#[inline(always)]
pub(crate) fn to_u64(a: Limbs) -> Option<u64> {
    if a[1] | a[2] | a[3] == 0 { Some(a[0]) } else { None }
}

/// The value, or the largest 64-bit number if it does not fit.
#[inline(always)]
pub(crate) fn to_u64_saturating(a: Limbs) -> u64 {
    to_u64(a).unwrap_or(u64::MAX)
}

#[inline(always)]
pub(crate) fn to_u256(a: Limbs) -> U256 {
    U256::from_limbs(a)
}

#[inline(always)]
pub(crate) fn from_u256(a: U256) -> Limbs {
    a.into_limbs()
}

/// Reads 32 big-endian bytes.
#[inline(always)]
pub(crate) fn from_be(bytes: &[u8; 32]) -> Limbs {
    let limb = |i: usize| {
        let at = 24 - 8 * i;
        let mut limb = [0; 8];
        limb.copy_from_slice(&bytes[at..at + 8]);
        u64::from_be_bytes(limb)
    };
    [limb(0), limb(1), limb(2), limb(3)]
}

/// Writes 32 big-endian bytes.
#[inline(always)]
pub(crate) fn to_be(a: Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (i, limb) in a.into_iter().enumerate() {
        let at = 24 - 8 * i;
        bytes[at..at + 8].copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

/// Reads up to 32 big-endian bytes as the low end of a word.
pub(crate) fn from_be_slice(bytes: &[u8]) -> Limbs {
    let mut padded = [0; 32];
    let len = bytes.len().min(32);
    padded[32 - len..].copy_from_slice(&bytes[..len]);
    from_be(&padded)
}

#[inline(always)]
pub(crate) fn add(a: Limbs, b: Limbs) -> Limbs {
    let (r0, c0) = a[0].overflowing_add(b[0]);
    let (r1, c1) = a[1].carrying_add(b[1], c0);
    let (r2, c2) = a[2].carrying_add(b[2], c1);
    let r3 = a[3].wrapping_add(b[3]).wrapping_add(u64::from(c2));
    [r0, r1, r2, r3]
}

#[inline(always)]
pub(crate) fn sub(a: Limbs, b: Limbs) -> Limbs {
    let (r0, c0) = a[0].overflowing_sub(b[0]);
    let (r1, c1) = a[1].borrowing_sub(b[1], c0);
    let (r2, c2) = a[2].borrowing_sub(b[2], c1);
    let r3 = a[3].wrapping_sub(b[3]).wrapping_sub(u64::from(c2));
    [r0, r1, r2, r3]
}

/// Low and high half of `a * b + c + d`, which never overflows 128 bits.
#[inline(always)]
fn mac(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let wide = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (wide as u64, (wide >> 64) as u64)
}

/// `a * b` for a factor of one limb.
#[inline(always)]
pub(crate) fn mul_by(a: Limbs, b: u64) -> Limbs {
    let (r0, c) = mac(a[0], b, 0, 0);
    let (r1, c) = mac(a[1], b, c, 0);
    let (r2, c) = mac(a[2], b, c, 0);
    [r0, r1, r2, a[3].wrapping_mul(b).wrapping_add(c)]
}

#[inline(always)]
pub(crate) fn mul(a: Limbs, b: Limbs) -> Limbs {
    if a[1] | a[2] | a[3] | b[1] | b[2] | b[3] == 0 {
        let (lo, hi) = mac(a[0], b[0], 0, 0);
        return [lo, hi, 0, 0];
    }
    let (r0, c) = mac(a[0], b[0], 0, 0);
    let (t1, c) = mac(a[0], b[1], c, 0);
    let (t2, c) = mac(a[0], b[2], c, 0);
    let t3 = a[0].wrapping_mul(b[3]).wrapping_add(c);
    let (r1, c) = mac(a[1], b[0], t1, 0);
    let (t2, c) = mac(a[1], b[1], t2, c);
    let t3 = a[1].wrapping_mul(b[2]).wrapping_add(c).wrapping_add(t3);
    let (r2, c) = mac(a[2], b[0], t2, 0);
    let t3 = a[2].wrapping_mul(b[1]).wrapping_add(c).wrapping_add(t3);
    let r3 = a[3].wrapping_mul(b[0]).wrapping_add(t3);
    [r0, r1, r2, r3]
}

#[inline(always)]
pub(crate) fn and(a: Limbs, b: Limbs) -> Limbs {
    [a[0] & b[0], a[1] & b[1], a[2] & b[2], a[3] & b[3]]
}

#[inline(always)]
pub(crate) fn or(a: Limbs, b: Limbs) -> Limbs {
    [a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]]
}

#[inline(always)]
pub(crate) fn xor(a: Limbs, b: Limbs) -> Limbs {
    [a[0] ^ b[0], a[1] ^ b[1], a[2] ^ b[2], a[3] ^ b[3]]
}

#[inline(always)]
pub(crate) fn not(a: Limbs) -> Limbs {
    [!a[0], !a[1], !a[2], !a[3]]
}

/// Whether `a < b`, unsigned.
#[inline(always)]
pub(crate) fn less(a: Limbs, b: Limbs) -> bool {
    let (_, c) = a[0].overflowing_sub(b[0]);
    let (_, c) = a[1].borrowing_sub(b[1], c);
    let (_, c) = a[2].borrowing_sub(b[2], c);
    let (_, c) = a[3].borrowing_sub(b[3], c);
    c
}

/// Whether `a < b` in two's complement.
#[inline(always)]
pub(crate) fn signed_less(a: Limbs, b: Limbs) -> bool {
    // Not by flipping the sign bits and comparing unsigned: a test that did so with another crate's
    // comparison found `0 > -1` to be false at opt-level 1 with LLVM 22.
    let (_, c) = a[0].overflowing_sub(b[0]);
    let (_, c) = a[1].borrowing_sub(b[1], c);
    let (_, c) = a[2].borrowing_sub(b[2], c);
    let (a, b) = (a[3] as i64, b[3] as i64);
    a < b || (a == b && c)
}

#[inline(always)]
pub(crate) fn equal(a: Limbs, b: Limbs) -> bool {
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) == 0
}

#[inline(always)]
pub(crate) fn lt(a: Limbs, b: Limbs) -> Limbs {
    from_bool(less(a, b))
}

#[inline(always)]
pub(crate) fn gt(a: Limbs, b: Limbs) -> Limbs {
    from_bool(less(b, a))
}

#[inline(always)]
pub(crate) fn slt(a: Limbs, b: Limbs) -> Limbs {
    from_bool(signed_less(a, b))
}

#[inline(always)]
pub(crate) fn sgt(a: Limbs, b: Limbs) -> Limbs {
    from_bool(signed_less(b, a))
}

#[inline(always)]
pub(crate) fn eq(a: Limbs, b: Limbs) -> Limbs {
    from_bool(equal(a, b))
}

/// The two limbs `hi:lo` shifted left by `bits` < 64, upper half.
#[inline(always)]
pub(super) fn funnel_left(hi: u64, lo: u64, bits: u32) -> u64 {
    // Two shifts, since `lo >> 64` for `bits` = 0 is not defined.
    (hi << bits) | ((lo >> 1) >> (63 - bits))
}

/// The two limbs `hi:lo` shifted right by `bits` < 64, lower half.
#[inline(always)]
pub(super) fn funnel_right(hi: u64, lo: u64, bits: u32) -> u64 {
    (lo >> bits) | ((hi << 1) << (63 - bits))
}

/// `SHL` (EIP-145): `value << shift`, zero from 256 on.
#[inline(always)]
pub(crate) fn shl(shift: Limbs, value: Limbs) -> Limbs {
    match to_u64(shift) {
        Some(shift) if shift < 256 => shl_by(shift as u32, value),
        _ => ZERO,
    }
}

/// `value << shift` for `shift` < 256.
#[inline(always)]
pub(crate) fn shl_by(shift: u32, v: Limbs) -> Limbs {
    let bits = shift & 63;
    let f = funnel_left;
    match shift >> 6 {
        0 => [v[0] << bits, f(v[1], v[0], bits), f(v[2], v[1], bits), f(v[3], v[2], bits)],
        1 => [0, v[0] << bits, f(v[1], v[0], bits), f(v[2], v[1], bits)],
        2 => [0, 0, v[0] << bits, f(v[1], v[0], bits)],
        _ => [0, 0, 0, v[0] << bits],
    }
}

/// `SHR` (EIP-145): `value >> shift`, zero from 256 on.
#[inline(always)]
pub(crate) fn shr(shift: Limbs, value: Limbs) -> Limbs {
    match to_u64(shift) {
        Some(shift) if shift < 256 => shr_by(shift as u32, value),
        _ => ZERO,
    }
}

/// `value >> shift` for `shift` < 256.
#[inline(always)]
pub(crate) fn shr_by(shift: u32, v: Limbs) -> Limbs {
    let bits = shift & 63;
    let f = funnel_right;
    match shift >> 6 {
        0 => [f(v[1], v[0], bits), f(v[2], v[1], bits), f(v[3], v[2], bits), v[3] >> bits],
        1 => [f(v[2], v[1], bits), f(v[3], v[2], bits), v[3] >> bits, 0],
        2 => [f(v[3], v[2], bits), v[3] >> bits, 0, 0],
        _ => [v[3] >> bits, 0, 0, 0],
    }
}

/// `SAR` (EIP-145): arithmetic shift right; all sign from 256 on.
#[inline(always)]
pub(crate) fn sar(shift: Limbs, v: Limbs) -> Limbs {
    let sign = ((v[3] as i64) >> 63) as u64;
    let shift = match to_u64(shift) {
        Some(shift) if shift < 256 => shift as u32,
        _ => return [sign; 4],
    };
    let bits = shift & 63;
    let f = funnel_right;
    let top = ((v[3] as i64) >> bits) as u64;
    match shift >> 6 {
        0 => [f(v[1], v[0], bits), f(v[2], v[1], bits), f(v[3], v[2], bits), top],
        1 => [f(v[2], v[1], bits), f(v[3], v[2], bits), top, sign],
        2 => [f(v[3], v[2], bits), top, sign, sign],
        _ => [top, sign, sign, sign],
    }
}

/// `BYTE`: the byte at `index`, counted from the most significant; zero from 32 on.
#[inline(always)]
pub(crate) fn byte(index: Limbs, value: Limbs) -> Limbs {
    match to_u64(index) {
        Some(index) if index < 32 => {
            let index = 31 - index as usize;
            from_u64((value[index >> 3] >> ((index & 7) * 8)) & 0xff)
        }
        _ => ZERO,
    }
}

/// `SIGNEXTEND`: extends the sign of the byte at `index`, counted from the least significant.
#[inline(always)]
pub(crate) fn signextend(index: Limbs, value: Limbs) -> Limbs {
    let index = match to_u64(index) {
        Some(index) if index < 31 => index as usize,
        _ => return value,
    };
    let limb = index >> 3;
    let unused = 56 - 8 * (index as u32 & 7);
    let extended = ((value[limb] << unused) as i64) >> unused;
    let (sign, extended) = ((extended >> 63) as u64, extended as u64);
    match limb {
        0 => [extended, sign, sign, sign],
        1 => [value[0], extended, sign, sign],
        2 => [value[0], value[1], extended, sign],
        _ => [value[0], value[1], value[2], extended],
    }
}

/// `CLZ` (EIP-7939): leading zero bits; 256 for zero.
#[inline(always)]
pub(crate) fn clz(a: Limbs) -> Limbs {
    let zeros = if a[3] != 0 {
        a[3].leading_zeros()
    } else if a[2] != 0 {
        64 + a[2].leading_zeros()
    } else if a[1] != 0 {
        128 + a[1].leading_zeros()
    } else {
        192 + a[0].leading_zeros()
    };
    from_u64(u64::from(zeros))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edge_word() -> impl Strategy<Value = U256> {
        prop_oneof![
            Just(U256::ZERO),
            Just(U256::from(1)),
            Just(U256::MAX),
            Just(U256::from(1) << 255),
            any::<u8>().prop_map(U256::from),
            any::<u64>().prop_map(U256::from),
            (0..256usize).prop_map(|bit| U256::from(1) << bit),
            (0..256usize).prop_map(|bit| (U256::from(1) << bit) - U256::from(1)),
            any::<[u64; 4]>().prop_map(U256::from_limbs),
        ]
    }

    fn check(name: &str, ours: Limbs, expected: U256) -> Result<(), TestCaseError> {
        prop_assert_eq!(to_u256(ours), expected, "{}", name);
        Ok(())
    }

    proptest! {
        #[test]
        fn words_match_ruint(a in edge_word(), b in edge_word()) {
            let (x, y) = (from_u256(a), from_u256(b));
            check("add", add(x, y), a.wrapping_add(b))?;
            check("sub", sub(x, y), a.wrapping_sub(b))?;
            check("mul", mul(x, y), a.wrapping_mul(b))?;
            check("and", and(x, y), a & b)?;
            check("or", or(x, y), a | b)?;
            check("xor", xor(x, y), a ^ b)?;
            check("not", not(x), !a)?;
            check("lt", lt(x, y), U256::from(a < b))?;
            check("gt", gt(x, y), U256::from(a > b))?;
            check("eq", eq(x, y), U256::from(a == b))?;
            let less = |a: U256, b: U256| if a.bit(255) == b.bit(255) { a < b } else { a.bit(255) };
            check("slt", slt(x, y), U256::from(less(a, b)))?;
            check("sgt", sgt(x, y), U256::from(less(b, a)))?;
            check("clz", clz(x), U256::from(a.leading_zeros()))?;
            prop_assert_eq!(from_be(&a.to_be_bytes()), x);
            prop_assert_eq!(to_be(x), a.to_be_bytes::<32>());
        }

        #[test]
        fn shifts_match_ruint(shift in 0..300u64, a in edge_word()) {
            let (s, x) = (from_u64(shift), from_u256(a));
            let by = usize::try_from(shift).unwrap();
            check("shl", shl(s, x), if by < 256 { a << by } else { U256::ZERO })?;
            check("shr", shr(s, x), if by < 256 { a >> by } else { U256::ZERO })?;
            check("sar", sar(s, x), a.arithmetic_shr(by.min(255)))?;
            let byte_at = if by < 32 { U256::from(a.to_be_bytes::<32>()[by]) } else { U256::ZERO };
            check("byte", byte(s, x), byte_at)?;
            let extended = if by < 31 {
                let unused = 256 - 8 * (by + 1);
                (a << unused).arithmetic_shr(unused)
            } else {
                a
            };
            check("signextend", signextend(s, x), extended)?;
        }
    }

    #[test]
    fn operands_beyond_64_bits_are_out_of_range() {
        let huge = [0, 1, 0, 0];
        let value = [1, 2, 3, 1 << 63];
        assert_eq!(shl(huge, value), ZERO);
        assert_eq!(shr(huge, value), ZERO);
        assert_eq!(sar(huge, value), [u64::MAX; 4]);
        assert_eq!(byte(huge, value), ZERO);
        assert_eq!(signextend(huge, value), value);
    }
}

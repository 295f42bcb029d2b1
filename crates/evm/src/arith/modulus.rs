//! Multiplication by a modulus that comes again: `MULMOD` in a loop over one field.
//!
//! The product is divided by the "2-by-1" step of Möller and Granlund, "Improved division by
//! invariant integers" (2011, algorithm 4), with digits of 256 bits: 26 limb products instead of
//! the four or five quotient digits of a long division.

use super::{Limbs, ZERO, knuth::Divisor, less, mulmod, product};
use crate::interpreter::word::{add, equal, mul, shl_by, shr_by, sub};

/// The modulus used last, and its reciprocal if it was used twice in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Modulus {
    modulus: Limbs,
    /// `modulus` shifted left until its highest bit is set.
    normal: Limbs,
    shift: u32,
    /// `(2^512 - 1) / normal - 2^256`.
    reciprocal: Limbs,
    is_ready: bool,
}

impl Modulus {
    /// `(a * b) mod m`, 0 for a modulus of 0.
    #[inline]
    pub(crate) fn mulmod(&mut self, a: Limbs, b: Limbs, m: Limbs) -> Limbs {
        if !equal(m, self.modulus) {
            self.modulus = m;
            self.is_ready = false;
            return mulmod(a, b, m);
        }
        if !self.is_ready {
            if m[3] == 0 {
                return mulmod(a, b, m);
            }
            self.prepare();
        }
        self.reduce(product(a, b))
    }

    #[cold]
    fn prepare(&mut self) {
        self.shift = self.modulus[3].leading_zeros();
        self.normal = shl_by(self.shift, self.modulus);
        let [d0, d1, d2, d3] = self.normal;
        let dividend = [u64::MAX, u64::MAX, u64::MAX, u64::MAX, !d0, !d1, !d2, !d3];
        let (quotient, _) = Divisor::new(self.normal).div_rem::<8, 5>(dividend);
        self.reciprocal = [quotient[0], quotient[1], quotient[2], quotient[3]];
        self.is_ready = true;
    }

    #[inline]
    fn reduce(&self, product: [u64; 8]) -> Limbs {
        let (out, high, low) = shift_left(product, self.shift);
        // Factors below the modulus leave a high half that is below it too.
        let high = if out == 0 && less(high, self.normal) {
            high
        } else {
            self.step([out, 0, 0, 0], high)
        };
        shr_by(self.shift, self.step(high, low))
    }

    /// The remainder of `high * 2^256 + low`, where `high` is below the divisor.
    #[inline]
    fn step(&self, high: Limbs, low: Limbs) -> Limbs {
        let d = self.normal;
        let estimate = product(self.reciprocal, high);
        let q0 = [estimate[0], estimate[1], estimate[2], estimate[3]];
        let q1 = [estimate[4], estimate[5], estimate[6], estimate[7]];
        let (q0, carry) = add_with_carry(q0, low);
        let q1 = add(add(q1, high), [1 + u64::from(carry), 0, 0, 0]);
        let mut r = sub(low, mul(q1, d));
        if less(q0, r) {
            r = add(r, d);
        }
        if !less(r, d) {
            r = sub(r, d);
        }
        r
    }
}

/// What is shifted out of `x` shifted left by less than 64 bits, and its two halves.
#[inline(always)]
fn shift_left(x: [u64; 8], shift: u32) -> (u64, Limbs, Limbs) {
    let out = |limb: u64| (limb >> 1) >> (63 - shift);
    let limb = |i: usize| (x[i] << shift) | if i == 0 { 0 } else { out(x[i - 1]) };
    (out(x[7]), [limb(4), limb(5), limb(6), limb(7)], [limb(0), limb(1), limb(2), limb(3)])
}

#[inline(always)]
fn add_with_carry(a: Limbs, b: Limbs) -> (Limbs, bool) {
    let mut sum = ZERO;
    let mut carry = false;
    for i in 0..4 {
        (sum[i], carry) = a[i].carrying_add(b[i], carry);
    }
    (sum, carry)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arith::tests::edge_word;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// A modulus that comes again against one that comes once, which is tested on its own.
        #[test]
        fn the_reciprocal_gives_what_long_division_gives(
            m in edge_word(),
            factors in prop::collection::vec((edge_word(), edge_word()), 3..6),
        ) {
            let mut modulus = Modulus::default();
            for (a, b) in factors {
                prop_assert_eq!(modulus.mulmod(a, b, m), mulmod(a, b, m));
            }
        }
    }
}

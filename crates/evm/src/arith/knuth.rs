//! Long division by two to four limbs: Knuth's algorithm D with the reciprocal and the 3-by-2
//! step of Möller and Granlund, "Improved division by invariant integers" (2011).
//!
//! Everything is inlined and unrolled, so that limbs stay in registers.

use super::{join, shr_in};

/// A divisor of `N` limbs, its highest not zero, ready to divide by.
pub(super) struct Divisor<const N: usize> {
    /// Shifted left until the highest bit is set.
    limbs: [u64; N],
    shift: u32,
    /// The two highest of `limbs`.
    top: u128,
    /// `(2^192 - 1) / top - 2^64`.
    reciprocal: u64,
}

impl<const N: usize> Divisor<N> {
    #[inline(always)]
    pub(super) fn new(divisor: [u64; N]) -> Self {
        let shift = divisor[N - 1].leading_zeros();
        let limbs = shl(divisor, shift);
        let top = join(limbs[N - 1], limbs[N - 2]);
        Self { limbs, shift, top, reciprocal: reciprocal(top) }
    }

    /// Quotient and remainder of `dividend`; `Q` is `U - N + 1`.
    #[inline(always)]
    pub(super) fn div_rem<const U: usize, const Q: usize>(
        &self,
        dividend: [u64; U],
    ) -> ([u64; Q], [u64; N]) {
        let mut window = shl(dividend, self.shift);
        // What the shift moved out. It is below 2^shift, so below the divisor's highest limb.
        let mut above = shl_out(dividend[U - 1], self.shift);
        // So it is for a product of factors below the divisor.
        let first_is_zero = above == 0 && join(window[U - 1], window[U - 2]) < self.top;
        let mut quotient = [0; Q];
        for j in (0..Q).rev() {
            if j + 1 < Q || !first_is_zero {
                quotient[j] = self.digit(&mut window, above, j);
            }
            above = window[j + N - 1];
        }
        let mut remainder = [0; N];
        for i in 0..N {
            let above = if i + 1 < N { window[i + 1] } else { 0 };
            remainder[i] = shr_in(window[i], above, self.shift);
        }
        (quotient, remainder)
    }

    /// One digit of the quotient: divides the `N` limbs of `window` from `j` on, with `above` on
    /// top of them, and leaves their remainder. They are below the divisor times 2^64.
    #[inline(always)]
    fn digit(&self, window: &mut [u64], above: u64, j: usize) -> u64 {
        let head = join(above, window[j + N - 1]);
        if head >= self.top {
            return self.digit_of_equal_head(window, above, j);
        }
        let (mut digit, rest) = div_3by2(head, window[j + N - 2], self.top, self.reciprocal);
        let (mut carry, mut borrow) = (0, false);
        for i in 0..N - 2 {
            let product = u128::from(digit) * u128::from(self.limbs[i]) + u128::from(carry);
            carry = high(product);
            (window[j + i], borrow) = sub(window[j + i], product as u64, borrow);
        }
        (window[j + N - 2], borrow) = sub(rest as u64, carry, borrow);
        (window[j + N - 1], borrow) = sub(high(rest), 0, borrow);
        if borrow {
            digit -= 1;
            self.add_back(window, j);
        }
        digit
    }

    /// [`digit`](Self::digit) where the two highest limbs equal the divisor's, too large for the
    /// 3-by-2 step: the digit is 2^64 - 1 or little less.
    #[cold]
    #[inline(never)]
    fn digit_of_equal_head(&self, window: &mut [u64], mut above: u64, j: usize) -> u64 {
        let mut digit = u64::MAX;
        let (mut carry, mut borrow) = (0, false);
        for i in 0..N {
            let product = u128::from(digit) * u128::from(self.limbs[i]) + u128::from(carry);
            carry = high(product);
            (window[j + i], borrow) = sub(window[j + i], product as u64, borrow);
        }
        (above, borrow) = sub(above, carry, borrow);
        while borrow {
            digit -= 1;
            let carry = self.add_back(window, j);
            let carried;
            (above, carried) = add(above, 0, carry);
            borrow = !carried;
        }
        digit
    }

    #[inline(always)]
    fn add_back(&self, window: &mut [u64], j: usize) -> bool {
        let mut carry = false;
        for i in 0..N {
            (window[j + i], carry) = add(window[j + i], self.limbs[i], carry);
        }
        carry
    }
}

/// `(2^192 - 1) / d - 2^64` for a `d` with its highest bit set (algorithm 6 of the paper).
#[inline(always)]
fn reciprocal(d: u128) -> u64 {
    let (d1, d0) = (high(d), d as u64);
    let mut v = (join(!d1, u64::MAX) / u128::from(d1)) as u64;
    let mut p = d1.wrapping_mul(v).wrapping_add(d0);
    if p < d0 {
        v = v.wrapping_sub(1);
        if p >= d1 {
            v = v.wrapping_sub(1);
            p = p.wrapping_sub(d1);
        }
        p = p.wrapping_sub(d1);
    }
    let t = u128::from(v) * u128::from(d0);
    p = p.wrapping_add(high(t));
    if p < high(t) {
        v = v.wrapping_sub(1);
        if join(p, t as u64) >= d {
            v = v.wrapping_sub(1);
        }
    }
    v
}

/// Quotient and remainder of `u2 u1 u0` by `d`, for `u2 u1` below `d` (algorithm 4 of the paper).
#[inline(always)]
fn div_3by2(u21: u128, u0: u64, d: u128, reciprocal: u64) -> (u64, u128) {
    let estimate = (u128::from(high(u21)) * u128::from(reciprocal)).wrapping_add(u21);
    let mut q = high(estimate);
    let r1 = (u21 as u64).wrapping_sub(q.wrapping_mul(high(d)));
    let t = u128::from(d as u64) * u128::from(q);
    let mut r = join(r1, u0).wrapping_sub(t).wrapping_sub(d);
    q = q.wrapping_add(1);
    if high(r) >= estimate as u64 {
        q = q.wrapping_sub(1);
        r = r.wrapping_add(d);
    }
    if r >= d {
        q = q.wrapping_add(1);
        r = r.wrapping_sub(d);
    }
    (q, r)
}

#[inline(always)]
fn high(x: u128) -> u64 {
    (x >> 64) as u64
}

/// The top `n` < 64 bits of `limb`, at the bottom.
#[inline(always)]
fn shl_out(limb: u64, n: u32) -> u64 {
    limb >> 1 >> (63 - n)
}

/// Shifts left by `n` < 64 bits; what leaves at the top is lost.
#[inline(always)]
fn shl<const N: usize>(limbs: [u64; N], n: u32) -> [u64; N] {
    let mut shifted = [0; N];
    shifted[0] = limbs[0] << n;
    for i in 1..N {
        shifted[i] = limbs[i] << n | shl_out(limbs[i - 1], n);
    }
    shifted
}

#[inline(always)]
fn add(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first | second)
}

#[inline(always)]
fn sub(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(u64::from(borrow));
    (difference, first | second)
}

//! Stack and arithmetic.

use super::Done;
use crate::gas;
use crate::interpreter::{
    stack::{Regs, read, write},
    vm::Vm,
    word::{self, Limbs},
};

/// A pure operation on one word.
#[inline(always)]
pub(in crate::interpreter) unsafe fn unary(s: &mut Regs, f: impl FnOnce(Limbs) -> Limbs) {
    s.poke(1, f(s.peek(1)));
}

/// A pure operation on two words.
#[inline(always)]
pub(in crate::interpreter) unsafe fn binary(s: &mut Regs, f: impl FnOnce(Limbs, Limbs) -> Limbs) {
    let result = f(s.peek(1), s.peek(2));
    s.poke(2, result);
    s.drop(1);
}

/// A long operation behind a call. It gets places rather than words: words passed and returned
/// through memory stall on their way (see [`read`]).
#[inline(never)]
pub(in crate::interpreter) unsafe fn binary_at<F: FnOnce(Limbs, Limbs) -> Limbs>(
    to: *mut Limbs,
    x: *const Limbs,
    y: *const Limbs,
    f: F,
) {
    write(to, f(read(x), read(y)));
}

/// [`binary_at`] with a second operand that is at hand.
#[inline(never)]
pub(in crate::interpreter) unsafe fn by_imm_at<F: FnOnce(Limbs, Limbs) -> Limbs>(
    to: *mut Limbs,
    x: *const Limbs,
    imm: u64,
    f: F,
) {
    write(to, f(read(x), word::from_u64(imm)));
}

/// `ADDMOD` (0x08).
#[inline(never)]
pub(in crate::interpreter) unsafe fn addmod(
    to: *mut Limbs,
    x: *const Limbs,
    y: *const Limbs,
    z: *const Limbs,
) {
    write(to, crate::arith::addmod(read(x), read(y), read(z)));
}

/// `MULMOD` (0x09).
#[inline(never)]
pub(in crate::interpreter) unsafe fn mulmod(
    to: *mut Limbs,
    x: *const Limbs,
    y: *const Limbs,
    z: *const Limbs,
    vm: &mut Vm<'_>,
) {
    write(to, vm.modulus.mulmod(read(x), read(y), read(z)));
}

/// Shifts the word at `from` by `amount`, to zero where that is 256 or more, and puts it at `to`,
/// the same place or another.
#[inline(always)]
pub(in crate::interpreter) unsafe fn shift_to<const LEFT: bool>(
    to: *mut Limbs,
    from: *const Limbs,
    amount: Option<u64>,
) {
    let Some(amount) = amount.filter(|amount| *amount < 256) else { return write(to, word::ZERO) };
    let (to, from, bits) = (to.cast(), from.cast(), amount as u32 & 63);
    match (LEFT, amount >> 6) {
        (true, 0) => shl_limbs::<0>(to, from, bits),
        (true, 1) => shl_limbs::<1>(to, from, bits),
        (true, 2) => shl_limbs::<2>(to, from, bits),
        (true, _) => shl_limbs::<3>(to, from, bits),
        (false, 0) => shr_limbs::<0>(to, from, bits),
        (false, 1) => shr_limbs::<1>(to, from, bits),
        (false, 2) => shr_limbs::<2>(to, from, bits),
        (false, _) => shr_limbs::<3>(to, from, bits),
    }
}

/// Shifts left by `N` limbs and `bits`. Limb by limb from the top, which takes few registers.
#[inline(always)]
unsafe fn shl_limbs<const N: usize>(to: *mut u64, from: *const u64, bits: u32) {
    let mut high = from.add(3 - N).read_volatile();
    for i in (N + 1..4).rev() {
        let low = from.add(i - N - 1).read_volatile();
        to.add(i).write_volatile(word::funnel_left(high, low, bits));
        high = low;
    }
    to.add(N).write_volatile(high << bits);
    for i in 0..N {
        to.add(i).write_volatile(0);
    }
}

/// [`shl_limbs`] to the right, from the bottom.
#[inline(always)]
unsafe fn shr_limbs<const N: usize>(to: *mut u64, from: *const u64, bits: u32) {
    let mut low = from.add(N).read_volatile();
    for i in 0..3 - N {
        let high = from.add(i + N + 1).read_volatile();
        to.add(i).write_volatile(word::funnel_right(high, low, bits));
        low = high;
    }
    to.add(3 - N).write_volatile(low >> bits);
    for i in 4 - N..4 {
        to.add(i).write_volatile(0);
    }
}

/// `SHL` and `SHR` (0x1b and 0x1c, EIP-145).
#[inline(always)]
pub(in crate::interpreter) unsafe fn shift<const LEFT: bool>(s: &mut Regs) {
    shift_to::<LEFT>(s.sp.sub(2), s.sp.sub(2), word::to_u64(s.peek(1)));
    s.drop(1);
}

#[inline(always)]
pub(in crate::interpreter) unsafe fn dup(s: &mut Regs, n: usize) {
    s.push(s.peek(n));
}

#[inline(always)]
pub(in crate::interpreter) unsafe fn swap(s: &mut Regs, n: usize) {
    let (top, other) = (s.peek(1), s.peek(n + 1));
    s.poke(1, other);
    s.poke(n + 1, top);
}

/// `EXP` (0x0a). Gas: 10 or, since EIP-160, 50 per byte of the exponent.
#[inline(never)]
pub(in crate::interpreter) unsafe fn exp(s: &mut Regs, vm: &Vm<'_>) -> Done {
    let exponent = s.peek(2);
    let bytes = (256 - word::clz(exponent)[0]).div_ceil(8);
    s.charge(bytes * gas::exp_byte(vm.spec))?;
    binary(s, crate::arith::exp);
    Ok(())
}

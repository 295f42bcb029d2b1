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

/// A long operation on the two words below `sp`, in place and behind a call. It gets the stack
/// rather than the words: words passed and returned through memory stall on their way (see
/// [`read`]).
#[inline(never)]
pub(in crate::interpreter) unsafe fn binary_at<F: FnOnce(Limbs, Limbs) -> Limbs>(
    sp: *mut Limbs,
    f: F,
) {
    write(sp.sub(2), f(read(sp.sub(1)), read(sp.sub(2))));
}

/// [`binary_at`] with the operands swapped.
#[inline(never)]
pub(in crate::interpreter) unsafe fn swapped_at<F: FnOnce(Limbs, Limbs) -> Limbs>(
    sp: *mut Limbs,
    f: F,
) {
    write(sp.sub(2), f(read(sp.sub(2)), read(sp.sub(1))));
}

/// A long operation on the top word and a second operand that is at hand.
#[inline(never)]
pub(in crate::interpreter) unsafe fn by_imm_at<F: FnOnce(Limbs, Limbs) -> Limbs>(
    sp: *mut Limbs,
    imm: u64,
    f: F,
) {
    write(sp.sub(1), f(read(sp.sub(1)), word::from_u64(imm)));
}

/// A long operation on the three words below `sp`.
#[inline(never)]
pub(in crate::interpreter) unsafe fn ternary_at<F: FnOnce(Limbs, Limbs, Limbs) -> Limbs>(
    sp: *mut Limbs,
    f: F,
) {
    write(sp.sub(3), f(read(sp.sub(1)), read(sp.sub(2)), read(sp.sub(3))));
}

/// `MULMOD` (0x09) on the three words below `sp`.
#[inline(never)]
pub(in crate::interpreter) unsafe fn mulmod_at(sp: *mut Limbs, vm: &mut Vm<'_>) {
    let (a, b, m) = (read(sp.sub(1)), read(sp.sub(2)), read(sp.sub(3)));
    write(sp.sub(3), vm.modulus.mulmod(a, b, m));
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

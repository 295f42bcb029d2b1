//! The stacks of all frames, one behind the other, and the registers of the running one.

use zvm_core::U256;

use super::{
    vm::Fault,
    word::{Limbs, ZERO},
};
use crate::{
    decode::SCRATCH_MAX,
    limits::{DEPTH_MAX, STACK_MAX},
};

/// Room for the stacks of all frames: 32 MiB of address space, committed as it is used.
///
/// It never moves, so the loops may hold pointers into it. A child's stack starts where its
/// caller's ends, which keeps the stacks of a deep call chain close together.
pub(crate) struct StackArena {
    words: Box<[Limbs]>,
}

impl StackArena {
    pub(crate) fn new() -> Self {
        Self { words: vec![ZERO; (DEPTH_MAX + 1) * STACK_MAX + SCRATCH_MAX].into_boxed_slice() }
    }

    /// The stack starting at word `base`, as a pointer to where the first word goes.
    pub(crate) fn pointer(&mut self, base: usize) -> *mut Limbs {
        // In bounds for every frame: at most `DEPTH_MAX` lie below, each of `STACK_MAX` words.
        self.words[base..].as_mut_ptr()
    }

    /// A word of a waiting frame's stack.
    pub(crate) fn set(&mut self, index: usize, word: Limbs) {
        self.words[index] = word;
    }
}

impl std::fmt::Debug for StackArena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StackArena").finish_non_exhaustive()
    }
}

/// What changes with every opcode: stack pointer and gas. Lives in machine registers, so it is
/// passed by value to anything that is not inlined.
///
/// # Safety
///
/// `sp` points into the [`StackArena`], one past the top word of the running frame. Before a body
/// runs, the loop (raw) or the block (decoded) has checked that the words it reads are there and
/// that the words it adds fit. Every unsafe method relies on that and on nothing else.
#[derive(Clone, Copy)]
pub(super) struct Regs {
    pub(super) sp: *mut Limbs,
    pub(super) gas: u64,
}

impl Regs {
    /// The `n`-th word from the top; 1 is the top.
    #[inline(always)]
    pub(super) unsafe fn peek(&self, n: usize) -> Limbs {
        // SAFETY: the stack check, see above.
        unsafe { read(self.sp.sub(n)) }
    }

    /// Overwrites the `n`-th word from the top; 0 is the place above the top.
    #[inline(always)]
    pub(super) unsafe fn poke(&mut self, n: usize, word: Limbs) {
        // SAFETY: the stack check, see above.
        unsafe { write(self.sp.sub(n), word) }
    }

    #[inline(always)]
    pub(super) unsafe fn push(&mut self, word: Limbs) {
        // SAFETY: the stack check, see above.
        unsafe {
            write(self.sp, word);
            self.sp = self.sp.add(1);
        }
    }

    /// Takes `n` words off.
    #[inline(always)]
    pub(super) unsafe fn drop(&mut self, n: usize) {
        // SAFETY: the stack check, see above.
        self.sp = unsafe { self.sp.sub(n) };
    }

    /// Takes gas; on a fault nothing was taken.
    #[inline(always)]
    pub(super) fn charge(&mut self, cost: u64) -> Result<(), Fault> {
        self.require(cost)?;
        self.gas -= cost;
        Ok(())
    }

    /// Faults where `cost` could not be charged.
    #[inline(always)]
    pub(super) fn require(&self, cost: u64) -> Result<(), Fault> {
        if self.gas < cost { Err(Fault::OutOfGas) } else { Ok(()) }
    }
}

/// Reads a word limb by limb.
///
/// Volatile, since otherwise LLVM copies words by two 16-byte loads: just after four 8-byte limb
/// stores these cannot be forwarded from the store buffer and stall for some ten cycles.
///
/// # Safety
///
/// `p` is valid for reads.
#[inline(always)]
pub(super) unsafe fn read(p: *const Limbs) -> Limbs {
    let p = p.cast::<u64>();
    // SAFETY: four limbs at `p`, by contract.
    unsafe {
        [
            p.read_volatile(),
            p.add(1).read_volatile(),
            p.add(2).read_volatile(),
            p.add(3).read_volatile(),
        ]
    }
}

/// Writes a word limb by limb. Volatile, or LLVM joins the stores into wider ones, from which the
/// limb-wise loads of [`read`] are slower to forward.
///
/// # Safety
///
/// `p` is valid for writes.
#[inline(always)]
pub(super) unsafe fn write(p: *mut Limbs, word: Limbs) {
    let p = p.cast::<u64>();
    // SAFETY: by contract.
    unsafe {
        p.write_volatile(word[0]);
        p.add(1).write_volatile(word[1]);
        p.add(2).write_volatile(word[2]);
        p.add(3).write_volatile(word[3]);
    }
}

/// The words from `base` to `sp`, bottom first.
///
/// # Safety
///
/// Both point into the same arena, `base` not behind `sp`, and nothing writes while the slice lives.
pub(super) unsafe fn view<'a>(base: *const Limbs, sp: *const Limbs) -> &'a [U256] {
    // SAFETY: `U256` is a transparent wrapper of four limbs; the rest by contract.
    unsafe { std::slice::from_raw_parts(base.cast(), sp.offset_from_unsigned(base)) }
}

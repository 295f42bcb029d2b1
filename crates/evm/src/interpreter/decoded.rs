//! The loop over decoded slots: gas and stack are checked once per block.

use super::{
    dispatch::dispatch,
    stack::{Regs, read},
    vm::{Exit, Fault, Vm},
    word::{self, Limbs},
};
use crate::{
    Tracer,
    decode::{Decoded, Slot, slot},
    frame::Frame,
};

/// Runs `frame` from slot `frame.pc`, a block, until it ends, opens a frame or must go on raw.
///
/// `base` is the bottom of its stack.
pub(crate) fn run<T: Tracer>(
    frame: &mut Frame,
    base: *mut Limbs,
    vm: &mut Vm<'_>,
    tracer: &mut T,
) -> Exit {
    let Some(decoded) = frame.code.decoded() else { return Exit::Demote };
    let (slots, pool) = (decoded.slots(), decoded.pool());
    // SAFETY: `frame.pc` is a slot of this code: the driver sets it to 0 or to a target, and this
    // loop to the slot behind one that is not the last.
    let mut ip = unsafe { slots.add(frame.pc) };
    // SAFETY: the driver keeps `stack_len` at what the loops leave, at most `STACK_MAX`.
    let mut s = Regs { sp: unsafe { base.add(frame.stack_len) }, gas: frame.gas };
    // Safety of the whole loop: `ip` stays inside the slots, since every path of slots ends in one
    // that leaves the loop and jumps go to block slots of the same code; indices into the pool were
    // made with it; and the check of a block covers the stack accesses of all its slots.
    let exit = 'run: loop {
        // SAFETY: see above.
        unsafe {
            let slot = &*ip;
            // Before the match rather than behind it: LLVM would merge the arms there.
            ip = ip.add(1);
            /// Goes on raw at the slot at hand. Nothing but the block's gas has changed.
            macro_rules! fault {
                ($fault:expr) => {{
                    let fault: Fault = $fault;
                    let _ = fault;
                    s.gas = demote(frame, slot, s.gas, vm);
                    break 'run Exit::Demote;
                }};
            }
            macro_rules! exit {
                ($exit:expr) => {
                    break 'run $exit
                };
            }
            /// Enters the block at a pointer, checking what it needs.
            macro_rules! enter {
                ($block:expr) => {{
                    let block: *const Slot = $block;
                    let height = (s.sp as usize - base as usize) as u16;
                    if height.wrapping_sub((*block).a) > (*block).height_range()
                        || s.gas < u64::from((*block).b)
                    {
                        std::hint::cold_path();
                        s.gas = demote(frame, block, s.gas, vm);
                        break 'run Exit::Demote;
                    }
                    s.gas -= u64::from((*block).b);
                    ip = block.add(1);
                    continue 'run;
                }};
            }
            macro_rules! jump_if {
                ($condition:expr) => {
                    enter!(if $condition { slots.add(slot.imm as usize) } else { ip })
                };
            }
            macro_rules! compare_and_jump {
                ($compare:expr) => {{
                    let holds = $compare(s.peek(1), s.peek(2));
                    s.drop(2);
                    jump_if!(holds != (slot.a != 0))
                }};
            }
            macro_rules! copy_and_jump {
                ($compare:expr) => {{
                    let below = s.peek(usize::from(slot.n));
                    // The first copy is on top by then.
                    let top = if slot.b == 1 { below } else { s.peek(slot.b as usize - 1) };
                    let holds = $compare(top, below);
                    jump_if!(holds != (slot.a != 0))
                }};
            }
            macro_rules! copy_imm_and_jump {
                ($compare:expr) => {{
                    let copy = s.peek(usize::from(slot.n) - 1);
                    let holds = $compare(copy, word::from_u64(u64::from(slot.b)));
                    jump_if!(holds != (slot.a != 0))
                }};
            }
            /// `DUPn; op`: the copy is the first operand.
            macro_rules! dup_op {
                ($f:expr) => {{
                    let copy = s.peek(usize::from(slot.n));
                    let result = $f(copy, s.peek(1));
                    s.poke(1, result);
                }};
            }
            macro_rules! imm_op {
                ($f:expr) => {{
                    let result = $f(word::from_u64(slot.imm), s.peek(1));
                    s.poke(1, result);
                }};
            }
            macro_rules! word_op {
                ($f:expr) => {{
                    let result = $f(read(pool.add(slot.b as usize)), s.peek(1));
                    s.poke(1, result);
                }};
            }
            macro_rules! swap_op {
                ($f:expr) => {{
                    let result = $f(s.peek(2), s.peek(1));
                    s.poke(2, result);
                    s.drop(1);
                }};
            }
            macro_rules! imm_swap_op {
                ($f:expr) => {{
                    let result = $f(s.peek(1), word::from_u64(slot.imm));
                    s.poke(1, result);
                }};
            }
            dispatch!((slot.op, s, vm, frame, tracer, fault, exit) {
                slot::BLOCK => enter!(slot),
                slot::IMM => apart!(IMM, s.push(word::from_u64(slot.imm))),
                slot::WORD => apart!(WORD, s.push(read(pool.add(slot.b as usize)))),
                slot::GOTO => ip = slots.add(slot.imm as usize),
                slot::JUMP_TO => enter!(slots.add(slot.imm as usize)),
                slot::JUMPI_TO => {
                    let condition = s.peek(1);
                    s.drop(1);
                    jump_if!(!word::is_zero(condition))
                }
                slot::DUP_JUMPI => {
                    let condition = s.peek(usize::from(slot.n));
                    jump_if!(!word::is_zero(condition))
                }
                slot::ISZERO_JUMPI => {
                    let condition = s.peek(1);
                    s.drop(1);
                    jump_if!(word::is_zero(condition) != (slot.a != 0))
                }
                slot::LT_JUMPI => compare_and_jump!(word::less),
                slot::GT_JUMPI => compare_and_jump!(|a, b| word::less(b, a)),
                slot::SLT_JUMPI => compare_and_jump!(word::signed_less),
                slot::SGT_JUMPI => compare_and_jump!(|a, b| word::signed_less(b, a)),
                slot::EQ_JUMPI => compare_and_jump!(word::equal),
                slot::DUP_IMM_EQ_JUMPI => {
                    let value = s.peek(usize::from(slot.n));
                    jump_if!(word::equal(value, word::from_u64(u64::from(slot.b))))
                }
                slot::DUP_DUP_LT_JUMPI => copy_and_jump!(word::less),
                slot::DUP_DUP_GT_JUMPI => copy_and_jump!(|a, b| word::less(b, a)),
                slot::DUP_DUP_SLT_JUMPI => copy_and_jump!(word::signed_less),
                slot::DUP_DUP_SGT_JUMPI => copy_and_jump!(|a, b| word::signed_less(b, a)),
                slot::DUP_DUP_EQ_JUMPI => copy_and_jump!(word::equal),
                slot::IMM_DUP_LT_JUMPI => copy_imm_and_jump!(word::less),
                slot::IMM_DUP_GT_JUMPI => copy_imm_and_jump!(|a, b| word::less(b, a)),
                op::JUMP => {
                    let target = dynamic_target(frame, s.peek(1));
                    if target.is_null() {
                        fault!(Fault::InvalidJump);
                    }
                    s.drop(1);
                    enter!(target)
                }
                op::JUMPI => {
                    let mut target = ip;
                    if !word::is_zero(s.peek(2)) {
                        target = dynamic_target(frame, s.peek(1));
                        if target.is_null() {
                            fault!(Fault::InvalidJump);
                        }
                    }
                    s.drop(2);
                    enter!(target)
                }
                slot::DEMOTE => fault!(Fault::UndefinedOpcode),
                slot::DUP_DUP => {
                    ops::dup(&mut s, usize::from(slot.n));
                    ops::dup(&mut s, usize::from(slot.a));
                }
                slot::IMM_DUP => {
                    s.push(word::from_u64(slot.imm));
                    ops::dup(&mut s, usize::from(slot.n));
                }
                slot::SWAP_POP => {
                    let top = s.peek(1);
                    s.poke(usize::from(slot.n) + 1, top);
                    s.drop(1);
                }
                slot::SWAP_SWAP => {
                    ops::swap(&mut s, usize::from(slot.n));
                    ops::swap(&mut s, usize::from(slot.a));
                }
                slot::POP_POP => apart!(POP_POP, s.drop(2)),
                slot::IMM_MLOAD => apart!(IMM_MLOAD, inlined!(ops::mload_at(&mut s, vm, slot.imm))),
                slot::IMM_MSTORE => apart!(IMM_MSTORE, inlined!(ops::mstore_at(&mut s, vm, slot.imm))),
                slot::DUP_MLOAD => apart!(DUP_MLOAD, inlined!(ops::mload_dup(&mut s, vm, usize::from(slot.n)))),
                slot::DUP_MSTORE => apart!(DUP_MSTORE, inlined!(ops::mstore_dup(&mut s, vm, usize::from(slot.n)))),
                slot::SWAP_MSTORE => apart!(SWAP_MSTORE, inlined!(ops::mstore_swapped(&mut s, vm))),
                slot::ADD_MLOAD => apart!(ADD_MLOAD, inlined!(ops::mload_sum(&mut s, vm))),
                slot::ADD_MSTORE => apart!(ADD_MSTORE, inlined!(ops::mstore_sum(&mut s, vm))),
                slot::DUP_IMM_MSTORE => {
                    inlined!(ops::mstore_copy(&mut s, vm, usize::from(slot.n), slot.imm))
                }
                slot::IMM_DUP_ADD => {
                    let copy = s.peek(usize::from(slot.n) - 1);
                    s.push(word::add(copy, word::from_u64(slot.imm)));
                }
                slot::DUP_SHL => apart!(DUP_SHL, dup_op!(word::shl)),
                slot::DUP_SHR => apart!(DUP_SHR, dup_op!(word::shr)),
                slot::DUP_ADD => apart!(DUP_ADD, dup_op!(word::add)),
                slot::DUP_SUB => apart!(DUP_SUB, dup_op!(word::sub)),
                slot::DUP_MUL => apart!(DUP_MUL, dup_op!(word::mul)),
                slot::DUP_LT => apart!(DUP_LT, dup_op!(word::lt)),
                slot::DUP_GT => apart!(DUP_GT, dup_op!(word::gt)),
                slot::DUP_SLT => apart!(DUP_SLT, dup_op!(word::slt)),
                slot::DUP_SGT => apart!(DUP_SGT, dup_op!(word::sgt)),
                slot::DUP_EQ => apart!(DUP_EQ, dup_op!(word::eq)),
                slot::DUP_AND => apart!(DUP_AND, dup_op!(word::and)),
                slot::DUP_OR => apart!(DUP_OR, dup_op!(word::or)),
                slot::DUP_XOR => apart!(DUP_XOR, dup_op!(word::xor)),
                slot::IMM_ADD => apart!(IMM_ADD, imm_op!(word::add)),
                slot::IMM_SUB => apart!(IMM_SUB, imm_op!(word::sub)),
                slot::IMM_MUL => apart!(IMM_MUL, imm_op!(word::mul)),
                slot::IMM_LT => apart!(IMM_LT, imm_op!(word::lt)),
                slot::IMM_GT => apart!(IMM_GT, imm_op!(word::gt)),
                slot::IMM_SLT => apart!(IMM_SLT, imm_op!(word::slt)),
                slot::IMM_SGT => apart!(IMM_SGT, imm_op!(word::sgt)),
                slot::IMM_EQ => apart!(IMM_EQ, imm_op!(word::eq)),
                slot::IMM_AND => apart!(IMM_AND, imm_op!(word::and)),
                slot::IMM_OR => apart!(IMM_OR, imm_op!(word::or)),
                slot::IMM_XOR => apart!(IMM_XOR, imm_op!(word::xor)),
                slot::IMM_SHL => apart!(IMM_SHL, imm_op!(|_, value| word::shl_by(slot.imm as u32, value))),
                slot::IMM_SHR => apart!(IMM_SHR, imm_op!(|_, value| word::shr_by(slot.imm as u32, value))),
                slot::IMM_SAR => apart!(IMM_SAR, imm_op!(word::sar)),
                slot::IMM_BYTE => apart!(IMM_BYTE, imm_op!(word::byte)),
                slot::IMM_SIGNEXTEND => apart!(IMM_SIGNEXTEND, imm_op!(word::signextend)),
                slot::WORD_ADD => apart!(WORD_ADD, word_op!(word::add)),
                slot::WORD_SUB => apart!(WORD_SUB, word_op!(word::sub)),
                slot::WORD_MUL => apart!(WORD_MUL, word_op!(word::mul)),
                slot::WORD_AND => apart!(WORD_AND, word_op!(word::and)),
                slot::WORD_OR => apart!(WORD_OR, word_op!(word::or)),
                slot::WORD_XOR => apart!(WORD_XOR, word_op!(word::xor)),
                slot::WORD_EQ => apart!(WORD_EQ, word_op!(word::eq)),
                slot::WORD_LT => apart!(WORD_LT, word_op!(word::lt)),
                slot::WORD_GT => apart!(WORD_GT, word_op!(word::gt)),
                slot::SWAP_SUB => apart!(SWAP_SUB, swap_op!(word::sub)),
                slot::SWAP_DIV => {
                    ops::swapped_at(s.sp, arith::div);
                    s.drop(1);
                }
                slot::SWAP_MOD => {
                    ops::swapped_at(s.sp, arith::rem);
                    s.drop(1);
                }
                slot::SWAP_SDIV => {
                    ops::swapped_at(s.sp, arith::sdiv);
                    s.drop(1);
                }
                slot::SWAP_LT => apart!(SWAP_LT, swap_op!(word::lt)),
                slot::SWAP_GT => apart!(SWAP_GT, swap_op!(word::gt)),
                slot::IMM_SWAP_SUB => apart!(IMM_SWAP_SUB, imm_swap_op!(word::sub)),
                slot::IMM_SWAP_DIV => apart!(IMM_SWAP_DIV, ops::by_imm_at(s.sp, slot.imm, arith::div)),
                slot::IMM_SWAP_MOD => apart!(IMM_SWAP_MOD, ops::by_imm_at(s.sp, slot.imm, arith::rem)),
                slot::IMM_SWAP_SDIV => apart!(IMM_SWAP_SDIV, ops::by_imm_at(s.sp, slot.imm, arith::sdiv)),
                slot::IMM_SWAP_SMOD => apart!(IMM_SWAP_SMOD, ops::by_imm_at(s.sp, slot.imm, arith::smod)),
            });
        }
    };
    if !matches!(exit, Exit::Demote) {
        // SAFETY: `ip` points into the slots of this code.
        frame.pc = unsafe { ip.offset_from_unsigned(slots) };
    }
    frame.gas = s.gas;
    frame.stack_len = (s.sp as usize - base as usize) / size_of::<Limbs>();
    exit
}

/// The block slot that a jump to `pc` goes to; null if that is no `JUMPDEST`.
#[inline(always)]
fn dynamic_target(frame: &Frame, pc: Limbs) -> *const Slot {
    let Some(decoded) = frame.code.decoded() else { return std::ptr::null() };
    match word::to_u64(pc).and_then(|pc| decoded.target(pc)) {
        Some(target) => target,
        None => std::ptr::null(),
    }
}

/// Puts `frame` where the raw loop repeats the slot at `ip`; the gas it has there.
#[cold]
#[inline(never)]
fn demote(frame: &mut Frame, ip: *const Slot, gas: u64, vm: &Vm<'_>) -> u64 {
    frame.is_decoded = false;
    let Some(decoded) = frame.code.decoded() else { return gas };
    // SAFETY: `ip` points into the slots of this code.
    let index = unsafe { ip.offset_from_unsigned(decoded.slots()) };
    let pc = decoded.pc(index);
    frame.pc = pc;
    if decoded.is_block(index) {
        return gas;
    }
    gas + Decoded::gas_from(frame.code.bytes(), pc, vm.spec)
}

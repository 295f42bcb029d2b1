//! The loop over decoded slots: gas and stack are checked once per block.

use super::{
    dispatch::dispatch,
    stack::{Regs, read, write},
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
    // The stack pointer of the block, which its slots count locations from.
    // SAFETY: the driver keeps `stack_len` at what the loops leave, at most `STACK_MAX`.
    let mut sp = unsafe { base.add(frame.stack_len) };
    // Its stack pointer is where the slot at hand has its result, or its top of the stack.
    let mut s = Regs { sp, gas: frame.gas };
    // Safety of the whole loop: `ip` stays inside the slots, since every path of slots ends in one
    // that leaves the loop and jumps go to block slots of the same code; indices into the pool were
    // made with it; and the check of a block covers the locations of all its slots, but for scratch
    // words, which the arena has above every stack.
    let exit = 'run: loop {
        // SAFETY: see above.
        unsafe {
            // What leads on from here comes from the pointer to all slots: a reference is to one.
            let here = ip;
            let slot = &*here;
            // Before the match rather than behind it: LLVM would merge the arms there.
            ip = ip.add(1);
            s.sp = sp.wrapping_byte_offset(slot.to());
            /// The word at an offset in bytes from the stack pointer.
            macro_rules! at {
                ($offset:expr) => {
                    sp.wrapping_byte_offset($offset)
                };
            }
            macro_rules! exit {
                ($exit:expr) => {
                    break 'run $exit
                };
            }
            /// Goes on raw at a slot. Nothing but the gas of its block has changed.
            macro_rules! demote {
                ($slot:expr) => {{
                    s = demote(frame, $slot, Regs { sp, gas: s.gas }, vm);
                    break 'run Exit::Demote;
                }};
            }
            macro_rules! fault {
                ($fault:expr) => {{
                    let _: Fault = $fault;
                    demote!(here)
                }};
            }
            /// Enters the block at a pointer, checking what it needs.
            macro_rules! enter {
                ($block:expr) => {{
                    let block: *const Slot = $block;
                    let height = (sp as usize - base as usize) as u16;
                    if height.wrapping_sub((*block).a) > (*block).height_range()
                        || s.gas < u64::from((*block).b)
                    {
                        std::hint::cold_path();
                        demote!(block);
                    }
                    s.gas -= u64::from((*block).b);
                    ip = block.add(1);
                }};
            }
            macro_rules! jump_if {
                ($holds:expr) => {{
                    let target =
                        if $holds != (slot.n != 0) { slots.add(slot.target()) } else { ip };
                    sp = s.sp;
                    enter!(target)
                }};
            }
            /// The result of an operation on two words.
            macro_rules! binary {
                ($f:expr) => {
                    write(s.sp, $f(read(at!(slot.x())), read(at!(slot.y()))))
                };
            }
            /// The result of an operation on a constant and a word.
            macro_rules! imm_first {
                ($f:expr) => {
                    write(s.sp, $f(word::from_u64(slot.imm), read(at!(slot.x()))))
                };
            }
            macro_rules! word_first {
                ($f:expr) => {
                    write(s.sp, $f(read(pool.add(slot.imm as usize)), read(at!(slot.x()))))
                };
            }
            /// A long operation behind a call, on two words or on a word and a constant.
            macro_rules! long {
                ($f:expr) => {
                    ops::binary_at(s.sp, at!(slot.x()), at!(slot.y()), $f)
                };
            }
            macro_rules! long_imm {
                ($f:expr) => {
                    ops::by_imm_at(s.sp, at!(slot.x()), slot.imm, $f)
                };
            }
            macro_rules! unary {
                ($f:expr) => {
                    write(s.sp, $f(read(at!(slot.x()))))
                };
            }
            /// An offset in memory with 32 bytes behind it. Memory that is too short grows, and the
            /// slot starts over.
            macro_rules! reach {
                ($offset:expr) => {{
                    let offset: u64 = $offset;
                    if offset + 32 > vm.memory.len() as u64 {
                        std::hint::cold_path();
                        match ops::grow(s.gas, vm, offset + 32) {
                            Ok(gas) => s.gas = gas,
                            Err(fault) => fault!(fault),
                        }
                        ip = here;
                        continue 'run;
                    }
                    offset
                }};
            }
            macro_rules! offset {
                ($word:expr) => {
                    match ops::offset_of($word) {
                        Ok(offset) => offset,
                        Err(fault) => {
                            std::hint::cold_path();
                            fault!(fault)
                        }
                    }
                };
            }
            dispatch!((slot.op, s, vm, frame, tracer, fault, exit) {
                op::ADD => binary!(word::add),
                op::MUL => binary!(word::mul),
                op::SUB => binary!(word::sub),
                op::DIV => long!(arith::div),
                op::SDIV => long!(arith::sdiv),
                op::MOD => long!(arith::rem),
                op::SMOD => long!(arith::smod),
                op::ADDMOD => ops::addmod(s.sp, at!(slot.x()), at!(slot.y()), at!(slot.z())),
                op::MULMOD => ops::mulmod(s.sp, at!(slot.x()), at!(slot.y()), at!(slot.z()), vm),
                op::SIGNEXTEND => binary!(word::signextend),
                op::LT => binary!(word::lt),
                op::GT => binary!(word::gt),
                op::SLT => binary!(word::slt),
                op::SGT => binary!(word::sgt),
                op::EQ => binary!(word::eq),
                op::AND => binary!(word::and),
                op::OR => binary!(word::or),
                op::XOR => binary!(word::xor),
                op::BYTE => binary!(word::byte),
                op::SHL => {
                    ops::shift_to::<true>(s.sp, at!(slot.y()), word::to_u64(read(at!(slot.x()))))
                },
                op::SHR => {
                    ops::shift_to::<false>(s.sp, at!(slot.y()), word::to_u64(read(at!(slot.x()))))
                },
                op::SAR => binary!(word::sar),
                op::ISZERO => unary!(|a| word::from_bool(word::is_zero(a))),
                op::NOT => unary!(word::not),
                op::CLZ => unary!(word::clz),
                slot::IMM_ADD => imm_first!(word::add),
                slot::IMM_SUB => imm_first!(word::sub),
                slot::IMM_MUL => unary!(|a| word::mul_by(a, slot.imm)),
                slot::IMM_LT => imm_first!(word::lt),
                slot::IMM_GT => imm_first!(word::gt),
                slot::IMM_SLT => imm_first!(word::slt),
                slot::IMM_SGT => imm_first!(word::sgt),
                slot::IMM_EQ => imm_first!(word::eq),
                slot::IMM_AND => imm_first!(word::and),
                slot::IMM_OR => imm_first!(word::or),
                slot::IMM_XOR => imm_first!(word::xor),
                slot::IMM_SHL => ops::shift_to::<true>(s.sp, at!(slot.x()), Some(slot.imm)),
                slot::IMM_SHR => ops::shift_to::<false>(s.sp, at!(slot.x()), Some(slot.imm)),
                slot::IMM_SAR => imm_first!(word::sar),
                slot::IMM_BYTE => imm_first!(word::byte),
                slot::IMM_SIGNEXTEND => imm_first!(word::signextend),
                slot::WORD_ADD => word_first!(word::add),
                slot::WORD_SUB => word_first!(word::sub),
                slot::WORD_MUL => word_first!(word::mul),
                slot::WORD_AND => word_first!(word::and),
                slot::WORD_OR => word_first!(word::or),
                slot::WORD_XOR => word_first!(word::xor),
                slot::WORD_EQ => word_first!(word::eq),
                slot::WORD_LT => word_first!(word::lt),
                slot::WORD_GT => word_first!(word::gt),
                slot::SUB_IMM => {
                    unary!(|a| word::sub(a, word::from_u64(slot.imm)))
                }
                slot::DIV_IMM => long_imm!(arith::div),
                slot::MOD_IMM => long_imm!(arith::rem),
                slot::SDIV_IMM => long_imm!(arith::sdiv),
                slot::SMOD_IMM => long_imm!(arith::smod),
                slot::SHL_IMM => {
                    unary!(|amount| word::shl(amount, word::from_u64(slot.imm)))
                },
                slot::IMM => write(s.sp, word::from_u64(slot.imm)),
                slot::WORD => write(s.sp, read(pool.add(slot.imm as usize))),
                slot::MOVE => write(s.sp, read(at!(slot.x()))),
                slot::MOVE2 => {
                    write(s.sp, read(at!(slot.x())));
                    write(at!(slot.y()), read(at!(slot.z())));
                },
                slot::EXCHANGE => {
                    let (a, x) = (read(s.sp), read(at!(slot.x())));
                    write(s.sp, x);
                    write(at!(slot.x()), a);
                },
                op::MLOAD => {
                    let offset = reach!(offset!(read(at!(slot.x()))));
                    write(s.sp, ops::load_word(vm, offset));
                },
                op::MSTORE => {
                    let offset = reach!(offset!(read(at!(slot.x()))));
                    ops::store_word(vm, offset, read(at!(slot.y())));
                },
                slot::IMM_MLOAD => {
                    let offset = reach!(slot.imm);
                    write(s.sp, ops::load_word(vm, offset));
                },
                slot::IMM_MSTORE => {
                    let offset = reach!(slot.imm);
                    ops::store_word(vm, offset, read(at!(slot.y())));
                },
                slot::BLOCK => enter!(here),
                slot::NEXT => {
                    sp = s.sp;
                    enter!(ip)
                }
                slot::ADJUST => sp = s.sp,
                slot::GOTO => ip = slots.add(slot.imm as usize),
                slot::JUMP_TO => {
                    sp = s.sp;
                    enter!(slots.add(slot.target()))
                }
                slot::JUMP_IF => jump_if!(!word::is_zero(read(at!(slot.x())))),
                slot::JUMP_LT => jump_if!(word::less(read(at!(slot.x())), read(at!(slot.y())))),
                slot::JUMP_SLT => {
                    jump_if!(word::signed_less(read(at!(slot.x())), read(at!(slot.y()))))
                }
                slot::JUMP_EQ => jump_if!(word::equal(read(at!(slot.x())), read(at!(slot.y())))),
                slot::JUMP_IMM_LT => {
                    jump_if!(word::less(word::from_u64(slot.short()), read(at!(slot.x()))))
                }
                slot::JUMP_IMM_GT => {
                    jump_if!(word::less(read(at!(slot.x())), word::from_u64(slot.short())))
                }
                slot::JUMP_IMM_SLT => {
                    jump_if!(word::signed_less(word::from_u64(slot.short()), read(at!(slot.x()))))
                }
                slot::JUMP_IMM_SGT => {
                    jump_if!(word::signed_less(read(at!(slot.x())), word::from_u64(slot.short())))
                }
                slot::JUMP_IMM_EQ => {
                    jump_if!(word::equal(read(at!(slot.x())), word::from_u64(slot.short())))
                }
                op::JUMP => {
                    let target = dynamic_target(frame, read(at!(slot.x())));
                    if target.is_null() {
                        fault!(Fault::InvalidJump);
                    }
                    sp = s.sp;
                    enter!(target)
                }
                op::JUMPI => {
                    let mut target = ip;
                    if !word::is_zero(read(at!(slot.y()))) {
                        target = dynamic_target(frame, read(at!(slot.x())));
                        if target.is_null() {
                            fault!(Fault::InvalidJump);
                        }
                    }
                    sp = s.sp;
                    enter!(target)
                }
                slot::DEMOTE => fault!(Fault::UndefinedOpcode),
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

/// Puts `frame` where the raw loop repeats the slot at `ip`, and its stack as it is there in
/// bytecode; the registers it has there. `s` has the stack pointer of the block.
#[cold]
#[inline(never)]
fn demote(frame: &mut Frame, ip: *const Slot, s: Regs, vm: &Vm<'_>) -> Regs {
    frame.is_decoded = false;
    let Some(decoded) = frame.code.decoded() else { return s };
    // SAFETY: `ip` points into the slots of this code.
    let index = unsafe { ip.offset_from_unsigned(decoded.slots()) };
    let pc = decoded.pc(index);
    frame.pc = pc;
    // SAFETY: the loop has come to the slot through its block.
    let sp = unsafe { decoded.restore(index, s.sp) };
    if decoded.is_block(index) {
        return Regs { sp, ..s };
    }
    Regs { sp, gas: s.gas + Decoded::gas_from(frame.code.bytes(), pc, vm.spec) }
}

//! The loop over bytecode as it is: every opcode is checked on its own.

use zvm_core::SpecId;

use super::{
    dispatch::dispatch,
    stack::{Regs, view},
    vm::{Exit, Fault, Vm},
    word::Limbs,
};
use crate::{Step, StepEnd, Tracer, frame::Frame, limits::STACK_MAX, opcode};

/// What is checked before an opcode runs.
#[derive(Clone, Copy)]
struct Row {
    gas: u16,
    /// Least height of the stack, in bytes.
    height_min: u16,
    /// Greatest height less the least. An undefined opcode has a least height no stack reaches.
    height_range: u16,
}

const WORD: u16 = size_of::<Limbs>() as u16;

static ROWS: [[Row; 256]; SpecId::ALL.len()] = {
    let mut all = [[Row { gas: 0, height_min: u16::MAX, height_range: 0 }; 256]; SpecId::ALL.len()];
    let mut fork = 0;
    while fork < all.len() {
        let spec = SpecId::ALL[fork];
        let mut byte = 0;
        while byte < 256 {
            if let Some(info) = &opcode::OPCODES[byte]
                && spec.has(info.since)
            {
                let min = info.inputs as u16;
                let growth = info.outputs.saturating_sub(info.inputs) as u16;
                all[fork][byte] = Row {
                    gas: info.static_gas(spec),
                    height_min: min * WORD,
                    height_range: (STACK_MAX as u16 - growth - min) * WORD,
                };
            }
            byte += 1;
        }
        fork += 1;
    }
    all
};

/// Runs `frame` from `frame.pc` until it ends, opens a frame, or has taken `jumps` jumps and is to go
/// on decoded.
///
/// `base` is the bottom of its stack.
pub(crate) fn run<T: Tracer>(
    frame: &mut Frame,
    base: *mut Limbs,
    vm: &mut Vm<'_>,
    jumps: u64,
    depth: usize,
    tracer: &mut T,
) -> Exit {
    let rows = &ROWS[vm.spec as usize];
    let code = frame.code.padded().as_ptr();
    let mut pc = frame.pc;
    // SAFETY: the driver keeps `stack_len` at what the loops leave, at most `STACK_MAX`.
    let mut s = Regs { sp: unsafe { base.add(frame.stack_len) }, gas: frame.gas };
    let mut op;
    let mut jumps_left = jumps;
    let exit = 'run: loop {
        // SAFETY: `pc` is at most 32 past the end of the code, which is padded by 33 zero bytes:
        // it grows by one per opcode plus immediates, jumps go to a `JUMPDEST`, and a zero stops.
        op = unsafe { *code.add(pc) };
        if T::STEPS {
            report(frame, base, &s, pc, op, depth, vm, tracer);
        }
        macro_rules! fault {
            ($fault:expr) => {
                break 'run Exit::Fault { fault: $fault, opcode: op }
            };
        }
        macro_rules! exit {
            ($exit:expr) => {
                break 'run $exit
            };
        }
        macro_rules! jump {
            ($target:expr) => {{
                match word::to_u64($target) {
                    Some(target) if frame.code.is_jumpdest(target as usize) => {
                        pc = target as usize;
                    }
                    _ => fault!(Fault::InvalidJump),
                }
                jumps_left -= 1;
                if jumps_left == 0 {
                    break 'run Exit::Promote;
                }
            }};
        }
        let row = rows[op as usize];
        let height = (s.sp as usize - base as usize) as u16;
        if height.wrapping_sub(row.height_min) > row.height_range || s.gas < u64::from(row.gas) {
            fault!(explain(vm.spec, op, height));
        }
        s.gas -= u64::from(row.gas);
        pc += 1;
        macro_rules! push {
            ($n:literal) => {{
                let bytes = &*code.add(pc).cast::<[u8; $n]>();
                s.push(word::from_be_slice(bytes));
                pc += $n;
            }};
        }
        /// A long operation behind a call.
        macro_rules! long {
            ($f:expr) => {{
                ops::binary_at(s.sp.sub(2), s.sp.sub(1), s.sp.sub(2), $f);
                s.drop(1);
            }};
        }
        // SAFETY: the stack was checked against the row of `op`; immediates end in the padding.
        unsafe {
            dispatch!((op, s, vm, frame, tracer, fault, exit) {
                op::ADD => ops::binary(&mut s, word::add),
                op::MUL => ops::binary(&mut s, word::mul),
                op::SUB => ops::binary(&mut s, word::sub),
                op::DIV => long!(arith::div),
                op::SDIV => long!(arith::sdiv),
                op::MOD => long!(arith::rem),
                op::SMOD => long!(arith::smod),
                op::ADDMOD => {
                    ops::addmod(s.sp.sub(3), s.sp.sub(1), s.sp.sub(2), s.sp.sub(3));
                    s.drop(2);
                }
                op::MULMOD => {
                    ops::mulmod(s.sp.sub(3), s.sp.sub(1), s.sp.sub(2), s.sp.sub(3), vm);
                    s.drop(2);
                }
                op::SIGNEXTEND => ops::binary(&mut s, word::signextend),
                op::LT => ops::binary(&mut s, word::lt),
                op::GT => ops::binary(&mut s, word::gt),
                op::SLT => ops::binary(&mut s, word::slt),
                op::SGT => ops::binary(&mut s, word::sgt),
                op::EQ => ops::binary(&mut s, word::eq),
                op::ISZERO => ops::unary(&mut s, |a| word::from_bool(word::is_zero(a))),
                op::AND => ops::binary(&mut s, word::and),
                op::OR => ops::binary(&mut s, word::or),
                op::XOR => ops::binary(&mut s, word::xor),
                op::NOT => ops::unary(&mut s, word::not),
                op::BYTE => ops::binary(&mut s, word::byte),
                op::SHL => ops::shift::<true>(&mut s),
                op::SHR => ops::shift::<false>(&mut s),
                op::SAR => ops::binary(&mut s, word::sar),
                op::CLZ => ops::unary(&mut s, word::clz),
                op::POP => s.drop(1),
                op::MLOAD => inlined!(ops::mload(&mut s, vm)),
                op::MSTORE => inlined!(ops::mstore(&mut s, vm)),
                op::PUSH0 => s.push(word::ZERO),
                op::DUP1 => ops::dup(&mut s, 1),
                op::DUP2 => ops::dup(&mut s, 2),
                op::DUP3 => ops::dup(&mut s, 3),
                op::DUP4 => ops::dup(&mut s, 4),
                op::DUP5 => ops::dup(&mut s, 5),
                op::DUP6 => ops::dup(&mut s, 6),
                op::DUP7 => ops::dup(&mut s, 7),
                op::DUP8 => ops::dup(&mut s, 8),
                op::DUP9 => ops::dup(&mut s, 9),
                op::DUP10 => ops::dup(&mut s, 10),
                op::DUP11 => ops::dup(&mut s, 11),
                op::DUP12 => ops::dup(&mut s, 12),
                op::DUP13 => ops::dup(&mut s, 13),
                op::DUP14 => ops::dup(&mut s, 14),
                op::DUP15 => ops::dup(&mut s, 15),
                op::DUP16 => ops::dup(&mut s, 16),
                op::SWAP1 => ops::swap(&mut s, 1),
                op::SWAP2 => ops::swap(&mut s, 2),
                op::SWAP3 => ops::swap(&mut s, 3),
                op::SWAP4 => ops::swap(&mut s, 4),
                op::SWAP5 => ops::swap(&mut s, 5),
                op::SWAP6 => ops::swap(&mut s, 6),
                op::SWAP7 => ops::swap(&mut s, 7),
                op::SWAP8 => ops::swap(&mut s, 8),
                op::SWAP9 => ops::swap(&mut s, 9),
                op::SWAP10 => ops::swap(&mut s, 10),
                op::SWAP11 => ops::swap(&mut s, 11),
                op::SWAP12 => ops::swap(&mut s, 12),
                op::SWAP13 => ops::swap(&mut s, 13),
                op::SWAP14 => ops::swap(&mut s, 14),
                op::SWAP15 => ops::swap(&mut s, 15),
                op::SWAP16 => ops::swap(&mut s, 16),
                op::JUMP => {
                    let target = s.peek(1);
                    s.drop(1);
                    jump!(target);
                }
                op::JUMPI => {
                    let (target, condition) = (s.peek(1), s.peek(2));
                    s.drop(2);
                    if !word::is_zero(condition) {
                        jump!(target);
                    }
                }
                op::JUMPDEST => {}
                op::PC => s.push(word::from_u64(pc as u64 - 1)),
                op::PUSH1 => push!(1),
                op::PUSH2 => push!(2),
                op::PUSH3 => push!(3),
                op::PUSH4 => push!(4),
                op::PUSH5 => push!(5),
                op::PUSH6 => push!(6),
                op::PUSH7 => push!(7),
                op::PUSH8 => push!(8),
                op::PUSH9 => push!(9),
                op::PUSH10 => push!(10),
                op::PUSH11 => push!(11),
                op::PUSH12 => push!(12),
                op::PUSH13 => push!(13),
                op::PUSH14 => push!(14),
                op::PUSH15 => push!(15),
                op::PUSH16 => push!(16),
                op::PUSH17 => push!(17),
                op::PUSH18 => push!(18),
                op::PUSH19 => push!(19),
                op::PUSH20 => push!(20),
                op::PUSH21 => push!(21),
                op::PUSH22 => push!(22),
                op::PUSH23 => push!(23),
                op::PUSH24 => push!(24),
                op::PUSH25 => push!(25),
                op::PUSH26 => push!(26),
                op::PUSH27 => push!(27),
                op::PUSH28 => push!(28),
                op::PUSH29 => push!(29),
                op::PUSH30 => push!(30),
                op::PUSH31 => push!(31),
                op::PUSH32 => push!(32),
            });
        }
        if T::STEPS {
            // SAFETY: `sp` is in the stack of the frame, which nothing writes meanwhile.
            let stack = unsafe { view(base, s.sp) };
            tracer.step_end(&StepEnd { gas: s.gas, child_gas: 0, halt: None, stack });
        }
    };
    frame.code.add_raw_jumps(jumps - jumps_left);
    frame.pc = pc;
    frame.gas = s.gas;
    frame.stack_len = (s.sp as usize - base as usize) / size_of::<Limbs>();
    if T::STEPS {
        let (child_gas, halt) = match &exit {
            Exit::Call(request) => (request.gas, None),
            Exit::Create(request) => (request.gas, None),
            Exit::Fault { fault, opcode } => (0, fault.halt(*opcode)),
            _ => (0, None),
        };
        // SAFETY: as above.
        let stack = unsafe { view(base, s.sp) };
        tracer.step_end(&StepEnd { gas: s.gas, child_gas, halt, stack });
    }
    exit
}

/// Which of the checks before `op` failed at `height` bytes of stack.
#[cold]
fn explain(spec: SpecId, op: u8, height: u16) -> Fault {
    match opcode::info(op, spec) {
        None => Fault::UndefinedOpcode,
        Some(info) if height < u16::from(info.inputs) * WORD => Fault::StackUnderflow,
        Some(info) => {
            let growth = u16::from(info.outputs.saturating_sub(info.inputs));
            let is_full = height > (STACK_MAX as u16 - growth) * WORD;
            if is_full { Fault::StackOverflow } else { Fault::OutOfGas }
        }
    }
}

/// Tells the tracer what is about to run.
#[allow(clippy::too_many_arguments, reason = "the whole machine, called from one place")]
#[inline(never)]
fn report<T: Tracer>(
    frame: &Frame,
    base: *const Limbs,
    s: &Regs,
    pc: usize,
    opcode: u8,
    depth: usize,
    vm: &Vm<'_>,
    tracer: &mut T,
) {
    tracer.step(&Step {
        pc,
        opcode,
        gas: s.gas,
        depth,
        refund: vm.journal.refund,
        address: frame.address,
        code_address: frame.code_address,
        // SAFETY: `sp` is in the stack of the frame, which nothing writes meanwhile.
        stack: unsafe { view(base, s.sp) },
        memory: vm.memory.bytes(),
        return_data: vm.return_data,
    });
}

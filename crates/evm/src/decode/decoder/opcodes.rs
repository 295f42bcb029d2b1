//! What each opcode becomes.

use super::{
    super::{KNOWN_MAX, OFFSET_MAX, REACH_MAX, SCRATCH_USED_MAX, window::Operand},
    Decoder,
    slot::{self, Slot},
    words::{bytes, places},
};
use crate::{
    interpreter::word::{self, Limbs},
    opcode,
};

impl Decoder<'_> {
    /// Decodes a defined opcode.
    pub(super) fn operation(&mut self, op: u8, info: &opcode::OpInfo, pc: usize, next: usize) {
        self.held.clear();
        if self.window.len() > KNOWN_MAX
            || self.window.highest() - self.window.height() > SCRATCH_USED_MAX
        {
            self.settle(&mut []);
        }
        if self.window.height().abs() > REACH_MAX {
            self.settle(&mut []);
            self.emit(Slot { a: bytes(self.window.height()), ..Slot::plain(slot::ADJUST) }, pc);
            self.window.rebase();
        }
        match op {
            opcode::PUSH0..=opcode::PUSH32 => {
                // A push cut off by the end of the code reads zeros behind it.
                let mut bytes = [0; 32];
                let immediate = self.code.get(pc + 1..).unwrap_or(&[]);
                let (len, there) = (next - pc - 1, immediate.len().min(next - pc - 1));
                bytes[32 - len..32 - len + there].copy_from_slice(&immediate[..there]);
                self.window.push(Operand::Constant(word::from_be(&bytes)));
            }
            opcode::PC => self.window.push(Operand::Constant(word::from_u64(pc as u64))),
            opcode::POP => self.window.pop(1),
            opcode::DUP1..=opcode::DUP16 => {
                let copy = self.window.peek(usize::from(op - opcode::DUP1) + 1);
                self.window.push(copy);
            }
            opcode::SWAP1..=opcode::SWAP16 => self.window.swap(usize::from(op - opcode::SWAP1) + 1),
            opcode::ISZERO | opcode::NOT | opcode::CLZ => self.unary(op, pc),
            opcode::ADD..=opcode::SMOD
            | opcode::SIGNEXTEND
            | opcode::LT..=opcode::EQ
            | opcode::AND..=opcode::XOR
            | opcode::BYTE..=opcode::SAR => self.binary(op, pc),
            opcode::ADDMOD | opcode::MULMOD => {
                let [x, y, z] = [1, 2, 3].map(|n| self.window.peek(n));
                let [x, y, z] = [x, y, z].map(|operand| self.locate(operand, pc));
                let slot = Slot { b: places(x, y), imm: u64::from(bytes(z)), ..Slot::plain(op) };
                self.result(3, slot, pc);
            }
            opcode::MLOAD => self.mload(pc),
            opcode::MSTORE => self.mstore(pc),
            opcode::JUMP => self.jump(pc),
            opcode::JUMPI => self.jump_if(pc),
            opcode::CREATE
            | opcode::CREATE2
            | opcode::CALL
            | opcode::CALLCODE
            | opcode::DELEGATECALL
            | opcode::STATICCALL => {
                // The frame waits here, with its stack in order.
                self.settle(&mut []);
                let layout = self.lay_out(0);
                let slot = Slot { a: bytes(self.window.height()), ..Slot::plain(op) };
                self.emit_faulting(slot, layout, pc);
                // The driver moves the stack pointer and pushes the result.
                self.window.rebase();
            }
            _ => self.system(op, usize::from(info.inputs), usize::from(info.outputs), pc),
        }
    }

    /// An opcode that works on words in a row, as in bytecode.
    pub(super) fn system(&mut self, op: u8, inputs: usize, outputs: usize, pc: usize) {
        let layout = self.lay_out(inputs);
        let in_place = if inputs > 0 { self.window.in_a_row(inputs) } else { None };
        let first = in_place.unwrap_or_else(|| {
            let first = self.window.free_run(inputs.max(outputs) as i16);
            for (to, n) in (first..).zip((1..=inputs).rev()) {
                match self.window.peek(n) {
                    Operand::At(from) => self.emit_move(to, from, pc),
                    Operand::Constant(value) => self.emit_constant(to, value, pc),
                }
            }
            first
        });
        let slot = Slot { a: bytes(first + inputs as i16), ..Slot::plain(op) };
        self.emit_faulting(slot, layout, pc);
        self.window.pop(inputs);
        for at in (first..).take(outputs) {
            self.window.push(Operand::At(at));
        }
    }

    fn unary(&mut self, op: u8, pc: usize) {
        let x = self.window.peek(1);
        if let Operand::Constant(value) = x {
            let value = match op {
                opcode::ISZERO => word::from_bool(word::is_zero(value)),
                opcode::NOT => word::not(value),
                _ => word::clz(value),
            };
            self.window.pop(1);
            return self.window.push(Operand::Constant(value));
        }
        let x = self.locate(x, pc);
        self.result(1, Slot { b: places(x, 0), ..Slot::plain(op) }, pc);
    }

    fn binary(&mut self, op: u8, pc: usize) {
        let (mut op, mut x, mut y) = (op, self.window.peek(1), self.window.peek(2));
        if let (Operand::Constant(a), Operand::Constant(b)) = (x, y)
            && let Some(f) = folded(op)
        {
            self.window.pop(2);
            return self.window.push(Operand::Constant(f(a, b)));
        }
        // Constants come first where the operation can be turned round.
        if matches!(y, Operand::Constant(_))
            && !matches!(x, Operand::Constant(_))
            && let Some(turned) = turned(op)
        {
            (op, x, y) = (turned, y, x);
        }
        let slot = match (x, y) {
            (Operand::Constant(value), y)
                if let Some(imm) = word::to_u64(value)
                    && let Some(op) = slot::imm_first(op) =>
            {
                let y = self.locate(y, pc);
                Slot { b: places(y, 0), imm, ..Slot::plain(op) }
            }
            (Operand::Constant(value), y) if let Some(op) = slot::word_first(op) => {
                let y = self.locate(y, pc);
                let imm = u64::from(self.pooled(value));
                Slot { b: places(y, 0), imm, ..Slot::plain(op) }
            }
            (x, Operand::Constant(value))
                if let Some(imm) = word::to_u64(value)
                    && let Some(op) = slot::imm_second(op) =>
            {
                let x = self.locate(x, pc);
                Slot { b: places(x, 0), imm, ..Slot::plain(op) }
            }
            _ => {
                let (x, y) = (self.locate(x, pc), self.locate(y, pc));
                Slot { b: places(x, y), ..Slot::plain(op) }
            }
        };
        self.result(2, slot, pc);
    }

    fn mload(&mut self, pc: usize) {
        let layout = self.lay_out(1);
        let slot = match self.offset() {
            Some(imm) => Slot { imm, ..Slot::plain(slot::IMM_MLOAD) },
            None => {
                let operand = self.window.peek(1);
                let x = self.locate(operand, pc);
                Slot { b: places(x, 0), ..Slot::plain(opcode::MLOAD) }
            }
        };
        self.window.pop(1);
        let to = self.window.free();
        self.emit_faulting(Slot { a: bytes(to), ..slot }, layout, pc);
        self.window.push(Operand::At(to));
    }

    fn mstore(&mut self, pc: usize) {
        let layout = self.lay_out(2);
        let value = self.window.peek(2);
        let y = self.locate(value, pc);
        let slot = match self.offset() {
            Some(imm) => Slot { b: places(0, y), imm, ..Slot::plain(slot::IMM_MSTORE) },
            None => {
                let operand = self.window.peek(1);
                let x = self.locate(operand, pc);
                Slot { b: places(x, y), ..Slot::plain(opcode::MSTORE) }
            }
        };
        self.emit_faulting(slot, layout, pc);
        self.window.pop(2);
    }

    /// The offset on top of the stack, if it is a constant that memory may reach.
    fn offset(&mut self) -> Option<u64> {
        match self.window.peek(1) {
            Operand::Constant(value) => word::to_u64(value).filter(|offset| *offset < OFFSET_MAX),
            Operand::At(_) => None,
        }
    }
}

/// The operation that does the same with its operands exchanged.
fn turned(op: u8) -> Option<u8> {
    match op {
        opcode::ADD | opcode::MUL | opcode::AND | opcode::OR | opcode::XOR | opcode::EQ => Some(op),
        opcode::LT => Some(opcode::GT),
        opcode::GT => Some(opcode::LT),
        opcode::SLT => Some(opcode::SGT),
        opcode::SGT => Some(opcode::SLT),
        _ => None,
    }
}

/// The operation on constants, if it is cheap enough to do while decoding.
fn folded(op: u8) -> Option<fn(Limbs, Limbs) -> Limbs> {
    Some(match op {
        opcode::ADD => word::add,
        opcode::SUB => word::sub,
        opcode::MUL => word::mul,
        opcode::AND => word::and,
        opcode::OR => word::or,
        opcode::XOR => word::xor,
        opcode::SHL => word::shl,
        opcode::SHR => word::shr,
        _ => return None,
    })
}

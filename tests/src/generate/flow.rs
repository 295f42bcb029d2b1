//! Jumps: branches, loops, functions, endings.

use zvm_core::{Address, SpecId, U256};
use zvm_evm::opcode as op;

use super::{body::Writer, words};
use crate::Op;

impl Writer<'_> {
    /// `if`: some statements that a condition skips.
    pub(super) fn branch(&mut self) {
        self.condition();
        let end = self.new_label();
        self.target(end);
        self.apply(op::JUMPI, 2, 0);
        self.nested(|writer| {
            let count = writer.rng.range(1, 3);
            writer.statements(count);
        });
        self.label(end);
    }

    /// A word to decide by, often a comparison.
    fn condition(&mut self) {
        self.operand();
        if self.rng.chance(60) {
            self.operand();
            let compare = self.rng.pick(&[op::LT, op::GT, op::SLT, op::SGT, op::EQ]);
            self.apply(compare, 2, 1);
        }
        if self.rng.chance(40) {
            self.apply(op::ISZERO, 1, 1);
        }
    }

    /// Writes `inner` so that the stack is afterwards as high as before.
    fn nested(&mut self, inner: impl FnOnce(&mut Self)) {
        let (height, floor) = (self.height, self.floor);
        self.nesting += 1;
        self.floor = height;
        inner(self);
        while self.height > height {
            self.pop();
        }
        while self.height < height {
            self.push_small(1);
        }
        self.nesting -= 1;
        self.floor = floor;
    }

    /// A loop that counts down.
    pub(super) fn looped(&mut self) {
        let (low, high) = self.rng.weighted(&[(70, (1, 6)), (27, (7, 40)), (3, (41, 400))]);
        let count = self.rng.range(low, high);
        let top = self.new_label();
        self.push_small(count);
        self.label(top);
        self.nested(|writer| {
            let count = writer.rng.range(1, 3);
            writer.statements(count);
        });
        self.push_small(1);
        self.op(op::SWAP1);
        self.apply(op::SUB, 2, 1);
        self.apply(op::DUP1, 0, 1);
        self.target(top);
        self.apply(op::JUMPI, 2, 0);
        self.pop();
    }

    /// Calls a function: a jump whose way back is on the stack.
    pub(super) fn function_call(&mut self) {
        let back = self.new_label();
        self.target(back);
        if self.functions.is_empty() || self.rng.chance(40) {
            let function = self.new_label();
            self.functions.push(function);
        }
        let function = self.rng.pick(&self.functions);
        self.target(function);
        if self.rng.chance(10) {
            // The same place, but not a constant to a decoder that only looks at pairs.
            self.push(U256::ZERO);
            self.apply(op::ADD, 2, 1);
        }
        self.apply(op::JUMP, 1, 0);
        self.label(back);
        self.height -= 1;
    }

    /// Writes the functions that were called. Those may call others, so the list can grow.
    pub(super) fn write_functions(&mut self) {
        let mut written = 0;
        while written < self.functions.len() {
            self.label(self.functions[written]);
            written += 1;
            (self.height, self.floor, self.nesting) = (1, 1, 2);
            // After the second function none calls another: no endless family.
            let count = if written > 2 { 0 } else { self.rng.range(1, 2) };
            self.nested(|writer| {
                writer.operand();
                writer.statements(count);
            });
            self.apply(op::JUMP, 1, 0);
        }
    }

    /// Ends the code in one of the ways there are.
    pub(super) fn ending(&mut self) {
        match self.rng.below(100) {
            0..=24 => self.op(op::STOP),
            25..=64 => {
                let (offset, length) = (words::offset(self.rng), words::length(self.rng));
                self.push(length);
                self.push(offset);
                self.op(op::RETURN);
            }
            65..=79 => {
                let (offset, length) = (words::offset(self.rng), words::length(self.rng));
                self.push(length);
                self.push(offset);
                self.op(if self.has(SpecId::BYZANTIUM) { op::REVERT } else { op::RETURN });
            }
            80..=87 => {
                self.beneficiary();
                self.op(op::SELFDESTRUCT);
            }
            88..=89 => self.op(op::INVALID),
            90 => {
                self.operand();
                self.op(op::JUMP);
            }
            91 => {
                // A push cut off by the end of the code.
                let width = self.rng.range(1, 32) as u8;
                let rest = self.rng.below(width.into()) as usize;
                let mut bytes = vec![op::PUSH0 + width];
                bytes.resize(1 + rest, op::JUMPDEST);
                self.code.ops.push(Op::Bytes(bytes));
            }
            92 => (0..self.height + 1).for_each(|_| self.op(op::POP)),
            _ => {}
        }
    }

    /// Who inherits. Not 0x03: where `SELFDESTRUCT` runs out of gas, revm has touched it by then,
    /// and that touch outlives the revert (EIP-161's exception); the specification has not.
    fn beneficiary(&mut self) {
        let address = self.places.any(self.rng);
        if self.rng.chance(30) || address == Address::with_last_byte(3) {
            let opcode = self.rng.pick(&[op::ADDRESS, op::CALLER, op::COINBASE]);
            self.apply(opcode, 0, 1);
        } else {
            self.push_address(address);
        }
    }

    /// An ending inside the code, usually behind a condition.
    pub(super) fn early_ending(&mut self) {
        if self.rng.chance(10) {
            return self.ending();
        }
        self.condition();
        let end = self.new_label();
        self.target(end);
        self.apply(op::JUMPI, 2, 0);
        let height = self.height;
        self.ending();
        self.height = height;
        self.label(end);
    }

    /// Fills the stack to about its limit of 1024 words, then drops some.
    pub(super) fn flood(&mut self) {
        if self.nesting > 0 {
            return self.looped_pushes(20);
        }
        let count = self.rng.range(1_000, 1_030);
        self.looped_pushes(count);
    }

    /// A loop that leaves one word on the stack each time around.
    fn looped_pushes(&mut self, count: u64) {
        let top = self.new_label();
        let height = self.height;
        self.push_small(count);
        self.label(top);
        self.push_small(1);
        self.op(op::SWAP1);
        self.op(op::SUB);
        self.op(op::DUP1);
        self.op(op::DUP1);
        self.target(top);
        self.op(op::JUMPI);
        // Many words are there now; counting only some keeps statements working on them.
        self.height = height + 3;
    }
}

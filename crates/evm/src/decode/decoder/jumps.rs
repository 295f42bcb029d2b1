//! Jumps, and the comparisons they are made of.

use super::{
    super::{NOWHERE, window::Operand},
    Decoder,
    slot::{self, Slot},
    words::{bytes, places, words},
};
use crate::{interpreter::word, opcode};

impl Decoder<'_> {
    /// Offset that a jump here goes to, if it is a constant and a `JUMPDEST`.
    fn static_target(&mut self) -> Option<u64> {
        let Operand::Constant(value) = self.window.peek(1) else { return None };
        let offset = word::to_u64(value)?;
        let target = usize::try_from(offset).ok().and_then(|pc| self.targets.get(pc))?;
        (*target != NOWHERE).then_some(offset)
    }

    /// Emits a jump with a target that is an offset in the code yet.
    fn emit_jump(&mut self, slot: Slot, target: u64, pc: usize) {
        self.jumps.push(self.slots.len());
        self.emit(
            Slot { a: bytes(self.window.height()), imm: slot.imm | target << 32, ..slot },
            pc,
        );
    }

    pub(super) fn jump(&mut self, pc: usize) {
        if let Some(target) = self.static_target() {
            self.window.pop(1);
            self.settle(&mut []);
            return self.emit_jump(Slot::plain(slot::JUMP_TO), target, pc);
        }
        let target = self.window.peek(1);
        let mut x = self.locate(target, pc);
        self.window.pop(1);
        self.settle(&mut [&mut x]);
        self.dynamic_jump(opcode::JUMP, &[x], pc);
    }

    /// Emits a jump to a target found at run time, whose operands are at the locations given, the
    /// deepest first.
    fn dynamic_jump(&mut self, op: u8, operands: &[i16], pc: usize) {
        let height = self.window.height();
        for operand in operands {
            self.window.push(Operand::At(*operand));
        }
        let layout = self.lay_out(operands.len());
        self.window.pop(operands.len());
        let (x, y) = match *operands {
            [y, x] => (x, y),
            [x] => (x, 0),
            _ => (0, 0),
        };
        let slot = Slot { a: bytes(height), b: places(x, y), ..Slot::plain(op) };
        self.emit_faulting(slot, layout, pc);
        self.window.rebase();
    }

    pub(super) fn jump_if(&mut self, pc: usize) {
        let Some(target) = self.static_target() else {
            let [target, condition] = [1, 2].map(|n| self.window.peek(n));
            let (mut x, mut y) = (self.locate(target, pc), self.locate(condition, pc));
            self.window.pop(2);
            self.settle(&mut [&mut x, &mut y]);
            return self.dynamic_jump(opcode::JUMPI, &[y, x], pc);
        };
        let condition = self.window.peek(2);
        let at = self.locate(condition, pc);
        self.window.pop(2);
        let mut slot = Slot { b: places(at, 0), ..Slot::plain(slot::JUMP_IF) };
        // A comparison just made for the jump becomes part of it, and so do negations.
        while slot.op == slot::JUMP_IF
            && let Some(last) = self.slots[self.block.slot + 1..].last()
            && last.to() == slot.x()
            && !self.window.is_live(words(slot.x()))
            && let Some(test) = fused_test(*last, slot.n)
        {
            slot = test;
            self.slots.pop();
            self.pcs.pop();
        }
        let (mut x, mut y) = (words(slot.x()), words(slot.y()));
        match slot.op {
            slot::JUMP_LT | slot::JUMP_SLT | slot::JUMP_EQ => {
                self.settle(&mut [&mut x, &mut y]);
            }
            _ => self.settle(&mut [&mut x]),
        }
        self.emit_jump(Slot { b: places(x, y), ..slot }, target, pc);
        self.window.rebase();
    }

    /// Turns offsets of static jumps into slots.
    pub(super) fn resolve_jumps(&mut self) {
        for jump in std::mem::take(&mut self.jumps) {
            let slot = &mut self.slots[jump];
            let target = self.targets[slot.target()];
            slot.imm = slot.short() | u64::from(target) << 32;
        }
    }
}

/// A jump on the condition that `made`, the slot before it, computes; `negated` tells if the jump
/// is one on its opposite.
fn fused_test(made: Slot, negated: u8) -> Option<Slot> {
    let Slot { op, b, imm, .. } = made;
    let (x, y) = (b & 0xffff, b >> 16);
    let (op, b, n) = match op {
        opcode::ISZERO => (slot::JUMP_IF, x, negated ^ 1),
        opcode::LT => (slot::JUMP_LT, b, negated),
        opcode::GT => (slot::JUMP_LT, y | x << 16, negated),
        opcode::SLT => (slot::JUMP_SLT, b, negated),
        opcode::SGT => (slot::JUMP_SLT, y | x << 16, negated),
        opcode::EQ => (slot::JUMP_EQ, b, negated),
        _ if imm > u64::from(u32::MAX) => return None,
        slot::IMM_LT => (slot::JUMP_IMM_LT, x, negated),
        slot::IMM_GT => (slot::JUMP_IMM_GT, x, negated),
        slot::IMM_SLT => (slot::JUMP_IMM_SLT, x, negated),
        slot::IMM_SGT => (slot::JUMP_IMM_SGT, x, negated),
        slot::IMM_EQ => (slot::JUMP_IMM_EQ, x, negated),
        _ => return None,
    };
    Some(Slot { op, n, a: 0, b, imm })
}

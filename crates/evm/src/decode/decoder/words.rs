//! Words and their places: operands, results, and the way home at the end of a block.

use super::{
    super::{
        DISPLACED_MAX, Displaced, Layout, Source,
        window::{Operand, Step, sequence},
    },
    Decoder,
    slot::{self, Slot},
};
use crate::interpreter::word::{self, Limbs};

impl Decoder<'_> {
    /// Moves every word to where it belongs. The locations in `keep` are moved out of the way.
    pub(super) fn settle(&mut self, keep: &mut [&mut i16]) {
        let pc = self.pcs.last().copied().unwrap_or(0) as usize;
        let displaced: Vec<_> = self.window.displaced().collect();
        for i in 0..keep.len() {
            let at = *keep[i];
            if displaced.iter().any(|(place, _)| *place == at) {
                let mut free = self.window.highest().max(self.window.height());
                while self.window.is_live(free) || keep.iter().any(|kept| **kept == free) {
                    free += 1;
                }
                self.emit_move(free, at, pc);
                for kept in keep.iter_mut().filter(|kept| ***kept == at) {
                    **kept = free;
                }
            }
        }
        let moves = displaced.iter().filter_map(|(place, word)| match word {
            Operand::At(from) => Some((*place, *from)),
            Operand::Constant(_) => None,
        });
        for step in sequence(moves.collect()) {
            match step {
                Step::Move { to, from } => self.emit_move(to, from, pc),
                Step::Exchange(a, b) => {
                    let slot = Slot { a: bytes(a), b: places(b, 0), ..Slot::plain(slot::EXCHANGE) };
                    self.emit(slot, pc);
                }
            }
        }
        for (place, word) in displaced {
            if let Operand::Constant(value) = word {
                self.emit_constant(place, value, pc);
            }
        }
        self.window.settle();
    }

    /// Moves all words but the `n` on top to where they belong.
    fn settle_below(&mut self, n: usize) {
        let mut operands: Vec<_> = (1..=n).rev().map(|n| self.window.peek(n)).collect();
        self.window.pop(n);
        let mut kept: Vec<&mut i16> = operands
            .iter_mut()
            .filter_map(|operand| match operand {
                Operand::At(location) => Some(location),
                Operand::Constant(_) => None,
            })
            .collect();
        self.settle(&mut kept);
        for operand in operands {
            self.window.push(operand);
        }
    }

    pub(super) fn emit_move(&mut self, to: i16, from: i16, pc: usize) {
        let is_in_block = self.slots.len() > self.block.slot + 1;
        if is_in_block
            && let Some(last) = self.slots.last_mut()
            && last.op == slot::MOVE
            && self.pcs.last() == Some(&(pc as u32))
        {
            last.op = slot::MOVE2;
            last.b |= places(0, to);
            last.imm = u64::from(bytes(from));
            return;
        }
        self.emit(Slot { a: bytes(to), b: places(from, 0), ..Slot::plain(slot::MOVE) }, pc);
    }

    pub(super) fn emit_constant(&mut self, to: i16, value: Limbs, pc: usize) {
        let (op, imm) = match word::to_u64(value) {
            Some(imm) => (slot::IMM, imm),
            None => (slot::WORD, u64::from(self.pooled(value))),
        };
        self.emit(Slot { a: bytes(to), imm, ..Slot::plain(op) }, pc);
    }

    /// Index of a word in the pool.
    pub(super) fn pooled(&mut self, value: Limbs) -> u32 {
        // Code often repeats a mask, and layouts what they have; looking at the last few finds it.
        let from = self.pool.len().saturating_sub(2 * DISPLACED_MAX);
        if let Some(i) = self.pool[from..].iter().position(|word| *word == value) {
            return (from + i) as u32;
        }
        self.pool.push(value);
        (self.pool.len() - 1) as u32
    }

    /// Where an operand is; a constant is put somewhere first.
    pub(super) fn locate(&mut self, operand: Operand, pc: usize) -> i16 {
        match operand {
            Operand::At(location) => location,
            Operand::Constant(value) => {
                let mut free = self.window.free();
                while self.window.is_live(free) || self.held.contains(&free) {
                    free += 1;
                }
                self.held.push(free);
                self.emit_constant(free, value, pc);
                free
            }
        }
    }

    /// Takes `n` operands off and emits `slot` with a new word as its result.
    pub(super) fn result(&mut self, n: usize, slot: Slot, pc: usize) {
        self.window.pop(n);
        let to = self.window.free();
        self.emit(Slot { a: bytes(to), ..slot }, pc);
        self.window.push(Operand::At(to));
    }

    /// Remembers how to put the stack together before the slot that is emitted next, an opcode with
    /// that many operands.
    pub(super) fn lay_out(&mut self, operands: usize) -> Layout {
        if self.window.displaced().count() > DISPLACED_MAX + operands {
            self.settle_below(operands);
        }
        let displaced = self.displaced.len() as u32;
        let words: Vec<_> = self.window.displaced().collect();
        for (place, word) in words {
            let from = match word {
                Operand::At(location) => Source::At(location),
                Operand::Constant(value) => Source::Pool(self.pooled(value)),
            };
            self.displaced.push(Displaced { place, from });
        }
        Layout { slot: 0, height: self.window.height(), displaced }
    }

    /// Emits a slot that may fault, at which the stack is as `layout` says.
    pub(super) fn emit_faulting(&mut self, slot: Slot, layout: Layout, pc: usize) {
        self.layouts.push(Layout { slot: self.slots.len() as u32, ..layout });
        self.emit(slot, pc);
    }
}

/// A location in words as an offset in bytes.
pub(super) fn bytes(location: i16) -> u16 {
    (location * size_of::<Limbs>() as i16) as u16
}

/// An offset in bytes as a location in words.
pub(super) fn words(offset: isize) -> i16 {
    (offset / size_of::<Limbs>() as isize) as i16
}

/// Two locations as they stand in a slot.
pub(super) fn places(x: i16, y: i16) -> u32 {
    u32::from(bytes(x)) | u32::from(bytes(y)) << 16
}

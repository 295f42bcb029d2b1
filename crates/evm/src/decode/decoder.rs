//! From bytecode to slots, block by block.

mod jumps;
mod opcodes;
mod words;

use zvm_core::SpecId;

use super::{
    Decoded, Displaced, Layout, NOWHERE, ends_block, ends_flow,
    slot::{self, Slot},
    window::Window,
};
use crate::{interpreter::word::Limbs, limits::STACK_MAX, opcode};
use words::bytes;

/// The block being decoded.
struct Block {
    /// Index of its slot.
    slot: usize,
    /// Whether it has no opcode but its `JUMPDEST`.
    is_empty: bool,
    gas: u64,
    /// Height relative to the start.
    height: i32,
    /// Words that must be there at the start.
    needs: i32,
    /// Greatest height relative to the start.
    peak: i32,
}

/// What is known on the way.
pub(super) struct Decoder<'a> {
    code: &'a [u8],
    spec: SpecId,
    slots: Vec<Slot>,
    pcs: Vec<u32>,
    targets: Vec<u32>,
    pool: Vec<Limbs>,
    layouts: Vec<Layout>,
    displaced: Vec<Displaced>,
    /// Slots whose target is an offset in the code yet.
    jumps: Vec<usize>,
    block: Block,
    window: Window,
    /// Locations that hold a constant for the opcode at hand.
    held: Vec<i16>,
    /// Block slots of the `JUMPDEST`s right before the block's own.
    run: Vec<usize>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(code: &'a [u8], spec: SpecId) -> Self {
        Self {
            code,
            spec,
            slots: Vec::with_capacity(code.len() / 2 + 2),
            pcs: Vec::with_capacity(code.len() / 2 + 2),
            targets: vec![NOWHERE; code.len()],
            pool: Vec::new(),
            layouts: Vec::new(),
            displaced: Vec::new(),
            jumps: Vec::new(),
            block: Block { slot: 0, is_empty: true, gas: 0, height: 0, needs: 0, peak: 0 },
            window: Window::default(),
            held: Vec::new(),
            run: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Decoded {
        self.mark_jumpdests();
        self.open_block(0);
        let mut pc = 0;
        let mut is_reachable = true;
        while pc < self.code.len() {
            let op = self.code[pc];
            let next = pc + 1 + opcode::immediate_len(op);
            if op == opcode::JUMPDEST {
                if !is_reachable {
                    self.open_block(pc);
                } else if !self.block.is_empty {
                    self.fall_through(pc);
                } else if self.block.gas != 0 {
                    self.continue_run(pc);
                }
                is_reachable = true;
                self.targets[pc] = self.block.slot as u32;
                self.block.gas += u64::from(opcode::static_gas(op, self.spec));
            } else if is_reachable {
                self.block.is_empty = false;
                match opcode::info(op, self.spec) {
                    None => {
                        self.system(slot::DEMOTE, 0, 0, pc);
                        self.close_block();
                        is_reachable = false;
                    }
                    Some(info) => {
                        self.count(info);
                        self.operation(op, info, pc, next);
                        if ends_flow(op) {
                            self.close_block();
                            is_reachable = false;
                        } else if ends_block(op) {
                            self.fall_through(next);
                        }
                    }
                }
            }
            pc = next;
        }
        if is_reachable {
            // Code that runs off its end stops.
            self.emit(Slot::plain(opcode::STOP), self.code.len());
            self.close_block();
        }
        self.resolve_jumps();
        Decoded {
            slots: self.slots.into_boxed_slice(),
            pcs: self.pcs.into_boxed_slice(),
            targets: self.targets.into_boxed_slice(),
            pool: self.pool.into_boxed_slice(),
            layouts: self.layouts.into_boxed_slice(),
            displaced: self.displaced.into_boxed_slice(),
        }
    }

    /// Marks what is a jump destination, so that static jumps ahead know.
    fn mark_jumpdests(&mut self) {
        let mut pc = 0;
        while let Some(&op) = self.code.get(pc) {
            if op == opcode::JUMPDEST {
                self.targets[pc] = 0;
            }
            pc += 1 + opcode::immediate_len(op);
        }
    }

    fn open_block(&mut self, pc: usize) {
        let slot = self.slots.len();
        self.block = Block { slot, is_empty: true, gas: 0, height: 0, needs: 0, peak: 0 };
        self.window.rebase();
        self.emit(Slot::plain(slot::BLOCK), pc);
    }

    /// Ends the block and goes on with one at `pc`.
    fn fall_through(&mut self, pc: usize) {
        self.settle(&mut []);
        let height = self.window.height();
        if height != 0 {
            self.emit(Slot { a: bytes(height), ..Slot::plain(slot::NEXT) }, pc);
        }
        self.close_block();
        self.open_block(pc);
    }

    /// Starts a block at a `JUMPDEST` right behind another one. The one before pays for both and
    /// goes to what stands behind them.
    fn continue_run(&mut self, pc: usize) {
        self.run.push(self.block.slot);
        self.emit(Slot::plain(slot::GOTO), pc);
        self.block.slot = self.slots.len();
        self.block.gas = 0;
        self.emit(Slot::plain(slot::BLOCK), pc);
    }

    /// Writes the sums of the block into its slot, and into those of a run that leads to it.
    fn close_block(&mut self) {
        self.write_sums(self.block.slot, self.block.gas);
        let mut gas = self.block.gas;
        for slot in std::mem::take(&mut self.run).into_iter().rev() {
            gas += u64::from(opcode::static_gas(opcode::JUMPDEST, self.spec));
            self.write_sums(slot, gas);
            self.slots[slot + 1].imm = self.block.slot as u64 + 1;
        }
    }

    fn write_sums(&mut self, slot: usize, gas: u64) {
        const WORD: i32 = size_of::<Limbs>() as i32;
        let Block { needs, peak, .. } = self.block;
        let highest = STACK_MAX as i32 - peak;
        let block = &mut self.slots[slot];
        match u32::try_from(gas) {
            // Heights fit 16 bits: at most 1024 words of 32 bytes.
            Ok(gas) if needs <= highest => {
                block.a = (needs * WORD) as u16;
                block.b = gas;
                block.imm = ((highest - needs) * WORD) as u64;
            }
            // No stack can run it, or (in initcode of megabytes) it costs too much to say: it
            // gets bounds that no stack meets and is left to the raw loop.
            _ => block.a = u16::MAX,
        }
    }

    /// Adds an opcode to the sums of the block.
    fn count(&mut self, info: &opcode::OpInfo) {
        let block = &mut self.block;
        let (inputs, outputs) = (i32::from(info.inputs), i32::from(info.outputs));
        block.gas += u64::from(info.static_gas(self.spec));
        block.needs = block.needs.max(inputs - block.height);
        block.height += outputs - inputs;
        block.peak = block.peak.max(block.height);
    }

    fn emit(&mut self, slot: Slot, pc: usize) {
        self.slots.push(slot);
        self.pcs.push(pc as u32);
    }
}

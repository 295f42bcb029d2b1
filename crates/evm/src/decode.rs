//! Decoding: bytecode to slots that the decoded loop runs.
//!
//! Code is cut into blocks. A block starts with a [`BLOCK`](slot::BLOCK) slot that carries the
//! static gas and stack bounds of all its opcodes and ends before a `JUMPDEST` or after an opcode
//! that jumps, ends the frame, opens a frame or looks at gas.
//!
//! Within a block the stack pointer stays where it is, and slots name their operands and their
//! result by location. So `PUSH`, `DUP`, `SWAP` and `POP` are no slots: they change what the
//! [`Window`] knows. Words are moved to where they belong at the end of the block. Where a slot may
//! fault before that, a [`Layout`] tells how to put the stack together for the raw loop.
//!
//! Invariants the loop relies on, all kept by the construction of [`Decoded::new`]: the first slot
//! is a block; a block's check precedes all its slots; every path of slots ends in one that leaves
//! the loop; jump targets are block slots; the locations of a slot are words of the stack that the
//! check of its block covers, or at most [`SCRATCH_MAX`] above them.

pub(crate) mod slot;
mod window;

use zvm_core::SpecId;

use crate::{
    interpreter::word::{self, Limbs},
    limits::STACK_MAX,
    opcode,
};
pub(crate) use slot::Slot;
use window::{Operand, Step, Window, sequence};

/// Words above the stack that decoded code may use.
pub(crate) const SCRATCH_MAX: usize = 64;

/// Above this, words are moved to where they belong. An opcode takes at most 7 more.
const SCRATCH_USED_MAX: i16 = 32;

/// Words a window knows before it is settled, which bounds the time of decoding.
const KNOWN_MAX: usize = 64;

/// Words between stack pointer and top before the pointer is moved. Offsets in bytes fit 16 bits.
const REACH_MAX: i16 = 800;

/// Decoded code of one hard fork.
#[derive(Debug)]
pub(crate) struct Decoded {
    slots: Box<[Slot]>,
    /// For each slot, the offset in the code of the opcode it belongs to.
    pcs: Box<[u32]>,
    /// For each offset of a `JUMPDEST`, its block slot; [`NOWHERE`] otherwise.
    targets: Box<[u32]>,
    pool: Box<[Limbs]>,
    /// Of slots that may fault, in their order.
    layouts: Box<[Layout]>,
    displaced: Box<[Displaced]>,
}

/// How the stack is to be put together before a slot.
#[derive(Clone, Copy, Debug)]
struct Layout {
    slot: u32,
    /// Of the stack, in words above the stack pointer.
    height: i16,
    /// The first of the words not where they belong; they end where those of the next start.
    displaced: u32,
}

/// A word that is not where it belongs.
#[derive(Clone, Copy, Debug)]
struct Displaced {
    place: i16,
    from: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    At(i16),
    Pool(u32),
}

/// Greatest offset of a memory access with a constant one. A larger one faults elsewhere.
const OFFSET_MAX: u64 = 1 << 40;

/// No jump may go there.
const NOWHERE: u32 = u32::MAX;

impl Decoded {
    pub(crate) fn new(code: &[u8], spec: SpecId) -> Self {
        Decoder::new(code, spec).run()
    }

    #[inline(always)]
    pub(crate) fn slots(&self) -> *const Slot {
        self.slots.as_ptr()
    }

    #[inline(always)]
    pub(crate) fn pool(&self) -> *const Limbs {
        self.pool.as_ptr()
    }

    /// The block slot of the `JUMPDEST` at `pc`.
    #[inline(always)]
    pub(crate) fn target(&self, pc: u64) -> Option<&Slot> {
        let target = *self.targets.get(usize::try_from(pc).ok()?)?;
        // `NOWHERE` is beyond the last slot.
        self.slots.get(target as usize)
    }

    /// Where `slot`, one of these, stands.
    pub(crate) fn index(&self, slot: *const Slot) -> usize {
        (slot as usize - self.slots.as_ptr() as usize) / size_of::<Slot>()
    }

    /// Where the raw loop goes on in place of slot `index`.
    pub(crate) fn pc(&self, index: usize) -> usize {
        self.pcs[index] as usize
    }

    /// Whether the slot is a block, whose gas has not been charged when its check fails.
    pub(crate) fn is_block(&self, index: usize) -> bool {
        self.slots[index].op == slot::BLOCK
    }

    /// Static gas that the block at hand has charged for the opcode at `pc` and those behind it.
    pub(crate) fn gas_from(code: &[u8], pc: usize, spec: SpecId) -> u64 {
        let mut gas = 0;
        let mut at = pc;
        while let Some(&op) = code.get(at) {
            // The first opcode may be the block's own JUMPDEST; a later one starts the next block.
            if op == opcode::JUMPDEST && at != pc {
                break;
            }
            if opcode::info(op, spec).is_none() {
                break;
            }
            gas += u64::from(opcode::static_gas(op, spec));
            if ends_block(op) {
                break;
            }
            at += 1 + opcode::immediate_len(op);
        }
        gas
    }

    /// Puts the stack together as it is in bytecode before slot `index`. `sp` is the stack pointer
    /// there; the answer is the top of the stack.
    ///
    /// # Safety
    ///
    /// The slots of the block before `index` have run, from the same stack pointer on.
    pub(crate) unsafe fn restore(&self, index: usize, sp: *mut Limbs) -> *mut Limbs {
        // Blocks, whose stack is in order, have no layout.
        let Ok(i) = self.layouts.binary_search_by_key(&(index as u32), |layout| layout.slot) else {
            return sp;
        };
        let end =
            self.layouts.get(i + 1).map_or(self.displaced.len(), |next| next.displaced as usize);
        let displaced = &self.displaced[self.layouts[i].displaced as usize..end];
        // SAFETY: locations are in the stack or in the scratch words above it.
        let at = |location: i16| unsafe { sp.offset(isize::from(location)) };
        // All are read before one is written: a place may hold another one's word.
        let words: Vec<Limbs> = displaced
            .iter()
            .map(|word| match word.from {
                // SAFETY: as above.
                Source::At(location) => unsafe { at(location).read() },
                Source::Pool(index) => self.pool[index as usize],
            })
            .collect();
        for (word, value) in displaced.iter().zip(words) {
            // SAFETY: as above.
            unsafe { at(word.place).write(value) };
        }
        at(self.layouts[i].height)
    }

    /// Bytes of memory it takes, about.
    pub(crate) fn size(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
            + (self.pcs.len() + self.targets.len()) * 4
            + self.pool.len() * size_of::<Limbs>()
            + self.layouts.len() * size_of::<Layout>()
            + self.displaced.len() * size_of::<Displaced>()
    }
}

/// Whether a block ends behind `op`: it jumps, leaves the loop, or looks at gas, which must be
/// exact there.
const fn ends_block(op: u8) -> bool {
    matches!(op, opcode::GAS | opcode::SSTORE | opcode::JUMPI | opcode::CREATE | opcode::CREATE2)
        || matches!(op, opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL)
        || ends_flow(op)
}

/// Whether what stands behind `op` is reached by a jump only.
const fn ends_flow(op: u8) -> bool {
    matches!(op, opcode::STOP | opcode::JUMP | opcode::RETURN | opcode::REVERT)
        || matches!(op, opcode::INVALID | opcode::SELFDESTRUCT)
}

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

struct Decoder<'a> {
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
    fn new(code: &'a [u8], spec: SpecId) -> Self {
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

    fn run(mut self) -> Decoded {
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

    // --- Blocks -------------------------------------------------------------------------------

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

    // --- Words --------------------------------------------------------------------------------

    /// Moves every word to where it belongs. The locations in `keep` are moved out of the way.
    fn settle(&mut self, keep: &mut [&mut i16]) {
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

    fn emit_move(&mut self, to: i16, from: i16, pc: usize) {
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

    fn emit_constant(&mut self, to: i16, value: Limbs, pc: usize) {
        let (op, imm) = match word::to_u64(value) {
            Some(imm) => (slot::IMM, imm),
            None => (slot::WORD, u64::from(self.pooled(value))),
        };
        self.emit(Slot { a: bytes(to), imm, ..Slot::plain(op) }, pc);
    }

    /// Index of a word in the pool.
    fn pooled(&mut self, value: Limbs) -> u32 {
        // Code often repeats a mask; looking at the last few finds it.
        let from = self.pool.len().saturating_sub(8);
        if let Some(i) = self.pool[from..].iter().position(|word| *word == value) {
            return (from + i) as u32;
        }
        self.pool.push(value);
        (self.pool.len() - 1) as u32
    }

    /// Where an operand is; a constant is put somewhere first.
    fn locate(&mut self, operand: Operand, pc: usize) -> i16 {
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
    fn result(&mut self, n: usize, slot: Slot, pc: usize) {
        self.window.pop(n);
        let to = self.window.free();
        self.emit(Slot { a: bytes(to), ..slot }, pc);
        self.window.push(Operand::At(to));
    }

    /// Remembers how to put the stack together before the slot that is emitted next.
    fn lay_out(&mut self) -> Layout {
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
    fn emit_faulting(&mut self, slot: Slot, layout: Layout, pc: usize) {
        self.layouts.push(Layout { slot: self.slots.len() as u32, ..layout });
        self.emit(slot, pc);
    }

    // --- Opcodes ------------------------------------------------------------------------------

    /// Decodes a defined opcode.
    fn operation(&mut self, op: u8, info: &opcode::OpInfo, pc: usize, next: usize) {
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
                let layout = self.lay_out();
                let slot = Slot { a: bytes(self.window.height()), ..Slot::plain(op) };
                self.emit_faulting(slot, layout, pc);
                // The driver moves the stack pointer and pushes the result.
                self.window.rebase();
            }
            _ => self.system(op, usize::from(info.inputs), usize::from(info.outputs), pc),
        }
    }

    /// An opcode that works on words in a row, as in bytecode.
    fn system(&mut self, op: u8, inputs: usize, outputs: usize, pc: usize) {
        let layout = self.lay_out();
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
        let layout = self.lay_out();
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
        let layout = self.lay_out();
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

    // --- Jumps --------------------------------------------------------------------------------

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

    fn jump(&mut self, pc: usize) {
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
        let layout = self.lay_out();
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

    fn jump_if(&mut self, pc: usize) {
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
    fn resolve_jumps(&mut self) {
        for jump in std::mem::take(&mut self.jumps) {
            let slot = &mut self.slots[jump];
            let target = self.targets[slot.target()];
            slot.imm = slot.short() | u64::from(target) << 32;
        }
    }
}

/// A location in words as an offset in bytes.
fn bytes(location: i16) -> u16 {
    (location * size_of::<Limbs>() as i16) as u16
}

/// An offset in bytes as a location in words.
fn words(offset: isize) -> i16 {
    (offset / size_of::<Limbs>() as isize) as i16
}

/// Two locations as they stand in a slot.
fn places(x: i16, y: i16) -> u32 {
    u32::from(bytes(x)) | u32::from(bytes(y)) << 16
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Code with more jumps, pushes and `DUP`s than uniform bytes have.
    fn code() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            any::<u8>(),
            0x50..0xa5u8,
            prop::sample::select(vec![0x01, 0x10, 0x14, 0x15, 0x52, 0x56, 0x57, 0x5b, 0x60, 0x61]),
        ];
        prop::collection::vec(byte, 0..120)
    }

    fn leaves_the_loop(op: u8) -> bool {
        ends_flow(op) || matches!(op, slot::DEMOTE | slot::JUMP_TO | slot::GOTO)
    }

    fn opens_a_frame(op: u8) -> bool {
        ends_block(op)
            && !ends_flow(op)
            && !matches!(op, opcode::GAS | opcode::SSTORE | opcode::JUMPI)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What the decoded loop relies on without looking.
        #[test]
        fn slots_keep_the_invariants_of_the_loop(code in code()) {
            let decoded = Decoded::new(&code, SpecId::OSAKA);
            let is_block = |index: usize| decoded.slots[index].op == slot::BLOCK;
            prop_assert!(is_block(0));
            prop_assert!(leaves_the_loop(decoded.slots[decoded.slots.len() - 1].op));
            prop_assert_eq!(decoded.pcs.len(), decoded.slots.len());
            prop_assert!(decoded.pcs.is_sorted());
            prop_assert!(decoded.layouts.is_sorted_by_key(|layout| layout.slot));
            for (i, slot) in decoded.slots.iter().enumerate() {
                let next_is_block = decoded.slots.get(i + 1).is_none_or(|next| next.op == slot::BLOCK);
                match slot.op {
                    slot::JUMP_TO => prop_assert!(is_block(slot.target())),
                    slot::JUMP_IF..=slot::JUMP_IMM_EQ => {
                        prop_assert!(is_block(slot.target()) && next_is_block);
                    }
                    slot::NEXT => prop_assert!(next_is_block),
                    slot::GOTO => {
                        prop_assert!(is_block(slot.imm as usize - 1) && is_block(i - 1));
                    }
                    slot::WORD | slot::WORD_ADD..=slot::WORD_GT => {
                        prop_assert!((slot.imm as usize) < decoded.pool.len());
                    }
                    op if opens_a_frame(op) || op == opcode::JUMPI => prop_assert!(next_is_block),
                    _ => {}
                }
            }
            for (pc, target) in decoded.targets.iter().enumerate() {
                prop_assert!(*target == NOWHERE || (code[pc] == opcode::JUMPDEST && is_block(*target as usize)));
            }
        }

        /// Scratch words stay within what the arena has above every stack, and offsets in 16 bits.
        #[test]
        fn locations_stay_close_to_the_stack(
            ops in prop::collection::vec(
                prop_oneof![
                    Just(0x01u8), Just(0x08), Just(0x20), Just(0x50), Just(0x5f), Just(0xa4),
                    0x80..0xa0u8, 0x80..0xa0u8, Just(0x15), Just(0x37), Just(0x5a), Just(0x30)
                ],
                0..1500,
            ),
        ) {
            let decoded = Decoded::new(&ops, SpecId::OSAKA);
            // Greatest height above the stack pointer that the window has had, by a plain count.
            let (mut height, mut peak) = (0i32, 0i32);
            for op in &ops {
                let info = opcode::info(*op, SpecId::OSAKA).expect("all are defined");
                height += i32::from(info.outputs) - i32::from(info.inputs);
                peak = peak.max(height);
            }
            for slot in decoded.slots.iter().filter(|slot| slot.op != slot::BLOCK) {
                for offset in [slot.to(), slot.x(), slot.y()] {
                    let location = offset / size_of::<Limbs>() as isize;
                    prop_assert!(location.abs() <= REACH_MAX as isize + SCRATCH_MAX as isize);
                    prop_assert!(location <= peak as isize + REACH_MAX as isize + SCRATCH_MAX as isize);
                }
            }
        }
    }

    #[test]
    fn constants_are_folded() {
        // PUSH1 1; PUSH1 1; PUSH1 160; SHL; SUB; ADDRESS; AND; PUSH0; MSTORE
        let code = [0x60, 1, 0x60, 1, 0x60, 160, 0x1b, 0x03, 0x30, 0x16, 0x5f, 0x52];
        let decoded = Decoded::new(&code, SpecId::OSAKA);
        let ops: Vec<_> = decoded.slots.iter().map(|slot| slot.op).collect();
        let expected =
            [slot::BLOCK, opcode::ADDRESS, slot::WORD_AND, slot::IMM_MSTORE, opcode::STOP];
        assert_eq!(ops, expected);
        let index = decoded.slots[2].imm as usize;
        assert_eq!(decoded.pool[index], [u64::MAX, u64::MAX, u64::from(u32::MAX), 0]);
    }

    #[test]
    fn copies_and_exchanges_are_no_slots() {
        // CALLER; ADDRESS; DUP2; SWAP1; ADD; SWAP1; POP; PUSH0; MSTORE
        let code = [0x33, 0x30, 0x81, 0x90, 0x01, 0x90, 0x50, 0x5f, 0x52];
        let decoded = Decoded::new(&code, SpecId::OSAKA);
        let ops: Vec<_> = decoded.slots.iter().map(|slot| slot.op).collect();
        use opcode::{ADD, ADDRESS, CALLER, STOP};
        assert_eq!(ops, [slot::BLOCK, CALLER, ADDRESS, ADD, slot::IMM_MSTORE, STOP]);
    }

    #[test]
    fn a_block_no_stack_can_run_gets_bounds_no_stack_meets() {
        let decoded = Decoded::new(&[opcode::PUSH0; 1025], SpecId::OSAKA);
        assert_eq!((decoded.slots[0].a, decoded.slots[0].height_range()), (u16::MAX, 0));
    }
}

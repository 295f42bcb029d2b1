//! Decoding: bytecode to slots that the decoded loop runs.
//!
//! Code is cut into blocks. A block starts with a [`BLOCK`](slot::BLOCK) slot that carries the
//! static gas and stack bounds of all its opcodes and ends before a `JUMPDEST` or after an opcode
//! that jumps, ends the frame, opens a frame or looks at gas. Immediates are in the slots, static
//! jumps point at slots, and frequent sequences are fused into one slot.
//!
//! Invariants the loop relies on, all checked by [`Decoded::new`]'s construction: the first slot
//! is a block; a block's check precedes all its slots; every path of slots ends in one that leaves
//! the loop; jump targets are block slots; a fused slot never crosses a block border and stands for
//! opcodes whose gas, least and greatest stack height are counted unfused.

use zvm_core::SpecId;

use crate::{
    interpreter::word::{self, Limbs},
    limits::STACK_MAX,
    opcode,
};

/// One decoded operation; 16 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Slot {
    /// An opcode, or one of [`slot`].
    pub(crate) op: u8,
    /// A stack position of a fused operation.
    pub(crate) n: u8,
    /// Of a block: least stack height, in bytes. Of a compare-and-jump: 1 to negate.
    pub(crate) a: u16,
    /// Of a block: static gas. Of a pushed word: its index.
    pub(crate) b: u32,
    /// An immediate; of a jump the index of its target; of a block see [`Slot::height_range`].
    pub(crate) imm: u64,
}

impl Slot {
    const fn plain(op: u8) -> Self {
        Self { op, n: 0, a: 0, b: 0, imm: 0 }
    }

    /// Of a block: greatest stack height less the least, in bytes.
    #[inline(always)]
    pub(crate) fn height_range(&self) -> u16 {
        self.imm as u16
    }
}

/// Operations of slots that are no opcode. They take the bytes of opcodes that never reach a slot
/// as such (`PUSH1` to `PUSH32`) and of undefined ones.
pub(crate) mod slot {
    /// Checks gas and stack of the slots up to the next block.
    pub(crate) const BLOCK: u8 = 0x60;
    /// Pushes `imm`.
    pub(crate) const IMM: u8 = 0x61;
    /// Pushes word `b` of the pool.
    pub(crate) const WORD: u8 = 0x62;
    /// Hands over to the raw loop: what comes here faults there.
    pub(crate) const DEMOTE: u8 = 0x63;
    /// Goes on at slot `imm`, whose block has been paid for: the end of a run of `JUMPDEST`s.
    pub(crate) const GOTO: u8 = 0x72;
    /// `PUSH imm; JUMP`.
    pub(crate) const JUMP_TO: u8 = 0x64;
    /// `PUSH imm; JUMPI`, and with a comparison before it, negated if `a` is 1.
    pub(crate) const JUMPI_TO: u8 = 0x65;
    pub(crate) const ISZERO_JUMPI: u8 = 0x66;
    pub(crate) const LT_JUMPI: u8 = 0x67;
    pub(crate) const GT_JUMPI: u8 = 0x68;
    pub(crate) const SLT_JUMPI: u8 = 0x69;
    pub(crate) const SGT_JUMPI: u8 = 0x6a;
    pub(crate) const EQ_JUMPI: u8 = 0x6b;
    /// `DUPn; PUSH4 b; EQ; PUSH imm; JUMPI`: an arm of a function dispatcher.
    pub(crate) const DUP_IMM_EQ_JUMPI: u8 = 0x6c;
    /// `DUPn; PUSH imm; JUMPI`.
    pub(crate) const DUP_JUMPI: u8 = 0x77;
    /// `DUPn; DUPb`, a comparison, `PUSH imm; JUMPI`; negated if `a` is 1.
    pub(crate) const DUP_DUP_LT_JUMPI: u8 = 0x78;
    pub(crate) const DUP_DUP_GT_JUMPI: u8 = 0x79;
    pub(crate) const DUP_DUP_SLT_JUMPI: u8 = 0x7a;
    pub(crate) const DUP_DUP_SGT_JUMPI: u8 = 0x7b;
    pub(crate) const DUP_DUP_EQ_JUMPI: u8 = 0x7c;
    /// `PUSH b; DUPn`, a comparison, `PUSH imm; JUMPI`; negated if `a` is 1. `n` is at least 2.
    pub(crate) const IMM_DUP_LT_JUMPI: u8 = 0x7d;
    pub(crate) const IMM_DUP_GT_JUMPI: u8 = 0x7e;
    /// `ADD; MLOAD`.
    pub(crate) const ADD_MLOAD: u8 = 0xe0;
    /// `ADD; MSTORE`.
    pub(crate) const ADD_MSTORE: u8 = 0xe1;
    /// `PUSH imm; DUPn; ADD`; `n` is at least 2.
    pub(crate) const IMM_DUP_ADD: u8 = 0xe2;
    /// `DUPn; PUSH imm; MSTORE`.
    pub(crate) const DUP_IMM_MSTORE: u8 = 0xe3;
    /// `DUPn; DUPa`.
    pub(crate) const DUP_DUP: u8 = 0x6d;
    /// `PUSH imm; DUPn`.
    pub(crate) const IMM_DUP: u8 = 0x6e;
    /// `SWAPn; POP`.
    pub(crate) const SWAP_POP: u8 = 0x6f;
    /// `PUSH imm; MLOAD`.
    pub(crate) const IMM_MLOAD: u8 = 0x70;
    /// `PUSH imm; MSTORE`.
    pub(crate) const IMM_MSTORE: u8 = 0x71;
    /// `POP; POP`.
    pub(crate) const POP_POP: u8 = 0x73;
    /// `SWAPn; SWAPa`.
    pub(crate) const SWAP_SWAP: u8 = 0x74;
    /// `DUPn; MLOAD`.
    pub(crate) const DUP_MLOAD: u8 = 0x75;
    /// `DUPn; MSTORE`.
    pub(crate) const DUP_MSTORE: u8 = 0x76;

    /// Defines a family of fused operations and the look-up from opcode to fused slot.
    macro_rules! family {
        ($(#[$doc:meta])* $lookup:ident: $($op:ident $name:ident $byte:literal),* $(,)?) => {
            $(pub(crate) const $name: u8 = $byte;)*

            $(#[$doc])*
            pub(super) const fn $lookup(op: u8) -> Option<u8> {
                match op {
                    $(crate::opcode::$op => Some($name),)*
                    _ => None,
                }
            }
        };
    }

    family! {
        /// `DUPn; op`.
        after_dup:
        ADD DUP_ADD 0xa5, SUB DUP_SUB 0xa6, MUL DUP_MUL 0xa7, LT DUP_LT 0xa8, GT DUP_GT 0xa9,
        SLT DUP_SLT 0xaa, SGT DUP_SGT 0xab, EQ DUP_EQ 0xac, AND DUP_AND 0xad, OR DUP_OR 0xae,
        XOR DUP_XOR 0xaf, SHL DUP_SHL 0xe4, SHR DUP_SHR 0xe5,
    }
    family! {
        /// `PUSH imm; op`.
        after_imm:
        ADD IMM_ADD 0xb0, SUB IMM_SUB 0xb1, MUL IMM_MUL 0xb2, LT IMM_LT 0xb3, GT IMM_GT 0xb4,
        SLT IMM_SLT 0xb5, SGT IMM_SGT 0xb6, EQ IMM_EQ 0xb7, AND IMM_AND 0xb8, OR IMM_OR 0xb9,
        XOR IMM_XOR 0xba, SHL IMM_SHL 0xbb, SHR IMM_SHR 0xbc, SAR IMM_SAR 0xbd, BYTE IMM_BYTE 0xbe,
        SIGNEXTEND IMM_SIGNEXTEND 0xbf,
    }
    family! {
        /// `PUSH word; op`, the word in the pool at `b`.
        after_word:
        ADD WORD_ADD 0xc0, SUB WORD_SUB 0xc1, MUL WORD_MUL 0xc2, AND WORD_AND 0xc3, OR WORD_OR 0xc4,
        XOR WORD_XOR 0xc5, EQ WORD_EQ 0xc6, LT WORD_LT 0xc7, GT WORD_GT 0xc8,
    }
    family! {
        /// `SWAP1; op`.
        after_swap1:
        SUB SWAP_SUB 0xd0, DIV SWAP_DIV 0xd1, MOD SWAP_MOD 0xd2, SDIV SWAP_SDIV 0xd3,
        LT SWAP_LT 0xd4, GT SWAP_GT 0xd5, MSTORE SWAP_MSTORE 0xd6,
    }
    family! {
        /// `PUSH imm; SWAP1; op`.
        after_imm_swap1:
        SUB IMM_SWAP_SUB 0xd8, DIV IMM_SWAP_DIV 0xd9, MOD IMM_SWAP_MOD 0xda,
        SDIV IMM_SWAP_SDIV 0xdb, SMOD IMM_SWAP_SMOD 0xdc,
    }
}

/// Decoded code of one hard fork.
#[derive(Debug)]
pub(crate) struct Decoded {
    slots: Box<[Slot]>,
    /// For each slot, the offset in the code of the first opcode it stands for.
    pcs: Box<[u32]>,
    /// For each offset of a `JUMPDEST`, its block slot; [`NOWHERE`] otherwise.
    targets: Box<[u32]>,
    pool: Box<[Limbs]>,
}

/// Greatest offset of a fused memory access. A larger one faults; the plain slots find out how.
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

    /// Bytes of memory it takes, about.
    pub(crate) fn size(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
            + (self.pcs.len() + self.targets.len()) * 4
            + self.pool.len() * size_of::<Limbs>()
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
    /// Slots whose `imm` is an offset in the code yet.
    jumps: Vec<usize>,
    block: Block,
    /// Block slots of the `JUMPDEST`s right before the block's own.
    run: Vec<usize>,
}

impl<'a> Decoder<'a> {
    fn new(code: &'a [u8], spec: SpecId) -> Self {
        Self {
            code,
            spec,
            slots: Vec::with_capacity(code.len() + 2),
            pcs: Vec::with_capacity(code.len() + 2),
            targets: vec![NOWHERE; code.len()],
            pool: Vec::new(),
            jumps: Vec::new(),
            block: Block { slot: 0, gas: 0, height: 0, needs: 0, peak: 0 },
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
                } else if !self.so_far().is_empty() {
                    self.close_block();
                    self.open_block(pc);
                } else if self.block.gas != 0 {
                    self.continue_run(pc);
                }
                is_reachable = true;
                self.targets[pc] = self.block.slot as u32;
                self.block.gas += u64::from(opcode::static_gas(op, self.spec));
            } else if is_reachable {
                match opcode::info(op, self.spec) {
                    None => {
                        self.emit(Slot::plain(slot::DEMOTE), pc);
                        self.close_block();
                        is_reachable = false;
                    }
                    Some(info) => {
                        self.count(info);
                        self.operation(op, pc, next);
                        if ends_block(op) {
                            self.close_block();
                            is_reachable = !ends_flow(op);
                            if is_reachable {
                                self.open_block(next);
                            }
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
        self.block = Block { slot: self.slots.len(), gas: 0, height: 0, needs: 0, peak: 0 };
        self.emit(Slot::plain(slot::BLOCK), pc);
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

    /// Slots of the block so far, without the block slot.
    fn so_far(&self) -> &[Slot] {
        &self.slots[self.block.slot + 1..]
    }

    /// Replaces the last `n` slots by one.
    fn fuse(&mut self, n: usize, slot: Slot) {
        let first = self.slots.len() - n;
        self.slots.truncate(first);
        self.pcs.truncate(first + 1);
        self.slots.push(slot);
    }

    /// Value of a slot that pushes a constant.
    fn constant(&self, slot: &Slot) -> Option<Limbs> {
        match slot.op {
            slot::IMM => Some(word::from_u64(slot.imm)),
            slot::WORD => self.pool.get(slot.b as usize).copied(),
            _ => None,
        }
    }

    fn push_slot(&mut self, value: Limbs) -> Slot {
        match word::to_u64(value) {
            Some(imm) => Slot { imm, ..Slot::plain(slot::IMM) },
            None => {
                self.pool.push(value);
                Slot { b: (self.pool.len() - 1) as u32, ..Slot::plain(slot::WORD) }
            }
        }
    }

    /// Emits a defined opcode, fused with what stands before it where that pays.
    fn operation(&mut self, op: u8, pc: usize, next: usize) {
        match op {
            opcode::PUSH0..=opcode::PUSH32 => {
                // A push cut off by the end of the code reads zeros behind it.
                let mut bytes = [0; 32];
                let immediate = self.code.get(pc + 1..).unwrap_or(&[]);
                let (len, there) = (next - pc - 1, immediate.len().min(next - pc - 1));
                bytes[32 - len..32 - len + there].copy_from_slice(&immediate[..there]);
                self.push(word::from_be(&bytes), pc);
            }
            opcode::PC => self.push(word::from_u64(pc as u64), pc),
            opcode::JUMP => self.jump(pc),
            opcode::JUMPI => self.jump_if(pc),
            _ => {
                if !self.fold(op) && !self.fuse_last(op) {
                    self.emit(Slot::plain(op), pc);
                }
            }
        }
    }

    fn push(&mut self, value: Limbs, pc: usize) {
        let slot = self.push_slot(value);
        self.emit(slot, pc);
    }

    /// Computes an operation on constants now.
    fn fold(&mut self, op: u8) -> bool {
        let binary: fn(Limbs, Limbs) -> Limbs = match op {
            opcode::ADD => word::add,
            opcode::SUB => word::sub,
            opcode::MUL => word::mul,
            opcode::AND => word::and,
            opcode::OR => word::or,
            opcode::XOR => word::xor,
            opcode::SHL => word::shl,
            opcode::SHR => word::shr,
            opcode::NOT => {
                let Some(a) = self.so_far().last().and_then(|last| self.constant(last)) else {
                    return false;
                };
                let slot = self.push_slot(word::not(a));
                self.fuse(1, slot);
                return true;
            }
            _ => return false,
        };
        let [.., below, top] = self.so_far() else { return false };
        let (Some(a), Some(b)) = (self.constant(top), self.constant(below)) else { return false };
        let slot = self.push_slot(binary(a, b));
        self.fuse(2, slot);
        true
    }

    /// Fuses `op` with the slots before it.
    fn fuse_last(&mut self, op: u8) -> bool {
        let (n, slot) = match *self.so_far() {
            [.., Slot { op: slot::IMM, imm, .. }, Slot { op: opcode::SWAP1, .. }]
                if let Some(op) = slot::after_imm_swap1(op) =>
            {
                (2, Slot { imm, ..Slot::plain(op) })
            }
            [.., first, Slot { op: slot::IMM, imm, .. }]
                if op == opcode::MSTORE
                    && imm <= OFFSET_MAX
                    && let Some(n) = dup(first.op) =>
            {
                (2, Slot { n, imm, ..Slot::plain(slot::DUP_IMM_MSTORE) })
            }
            [.., last] if let Some(slot) = fuse_pair(last, op) => (1, slot),
            _ => return false,
        };
        self.fuse(n, slot);
        true
    }

    /// Offset that a jump here goes to, if it is pushed just before and is a `JUMPDEST`.
    fn static_target(&self) -> Option<u64> {
        match self.so_far().last() {
            Some(Slot { op: slot::IMM, imm, .. }) => {
                let is_jumpdest = usize::try_from(*imm)
                    .ok()
                    .and_then(|pc| self.targets.get(pc))
                    .is_some_and(|target| *target != NOWHERE);
                is_jumpdest.then_some(*imm)
            }
            _ => None,
        }
    }

    fn jump(&mut self, pc: usize) {
        match self.static_target() {
            Some(target) => {
                self.fuse(1, Slot { imm: target, ..Slot::plain(slot::JUMP_TO) });
                self.jumps.push(self.slots.len() - 1);
            }
            None => self.emit(Slot::plain(opcode::JUMP), pc),
        }
    }

    fn jump_if(&mut self, pc: usize) {
        let Some(target) = self.static_target() else {
            return self.emit(Slot::plain(opcode::JUMPI), pc);
        };
        let compare = |op: u8| match op {
            opcode::LT => Some(slot::LT_JUMPI),
            opcode::GT => Some(slot::GT_JUMPI),
            opcode::SLT => Some(slot::SLT_JUMPI),
            opcode::SGT => Some(slot::SGT_JUMPI),
            opcode::EQ => Some(slot::EQ_JUMPI),
            opcode::ISZERO => Some(slot::ISZERO_JUMPI),
            _ => None,
        };
        let plain = Slot { imm: target, ..Slot::plain(slot::JUMPI_TO) };
        // A comparison, perhaps negated, of two words that are only copied for it.
        let (compared, negated) = match self.so_far() {
            [before @ .., Slot { op: opcode::ISZERO, .. }, _] => (before, 1),
            [before @ .., _] => (before, 0),
            [] => (&[][..], 0),
        };
        if let [.., copies, comparison] = compared
            && let Some(slot) = compare_copies(*copies, comparison.op)
        {
            let slot = Slot { imm: target, a: negated, ..slot };
            self.fuse(3 + usize::from(negated), slot);
            self.jumps.push(self.slots.len() - 1);
            return;
        }
        let (n, fused) = match *self.so_far() {
            // Twice negated is a plain condition.
            [.., Slot { op: opcode::ISZERO, .. }, Slot { op: opcode::ISZERO, .. }, _] => (3, plain),
            [.., first, Slot { op: opcode::ISZERO, .. }, _] if let Some(op) = compare(first.op) => {
                (3, Slot { op, a: 1, ..plain })
            }
            [.., first, _] if let Some(op) = compare(first.op) => (2, Slot { op, ..plain }),
            [.., Slot { op: opcode::DUP1, .. }, Slot { op: slot::IMM_EQ, imm, .. }, _]
                if let Ok(b) = u32::try_from(imm) =>
            {
                (3, Slot { op: slot::DUP_IMM_EQ_JUMPI, n: 1, b, ..plain })
            }
            [.., first, _] if let Some(n) = dup(first.op) => {
                (2, Slot { op: slot::DUP_JUMPI, n, ..plain })
            }
            _ => (1, plain),
        };
        self.fuse(n, fused);
        self.jumps.push(self.slots.len() - 1);
    }

    /// Turns offsets of static jumps into slots.
    fn resolve_jumps(&mut self) {
        for jump in std::mem::take(&mut self.jumps) {
            let slot = &mut self.slots[jump];
            slot.imm = u64::from(self.targets[slot.imm as usize]);
        }
    }
}

/// Which word from the top `op` copies, if it is a `DUP`.
fn dup(op: u8) -> Option<u8> {
    (opcode::DUP1..=opcode::DUP16).contains(&op).then(|| op - opcode::DUP1 + 1)
}

/// One slot for a comparison of the words that `copies` pushes, followed by a jump.
fn compare_copies(copies: Slot, comparison: u8) -> Option<Slot> {
    let Slot { op, n, a, imm, .. } = copies;
    let (op, b) = match (op, comparison) {
        (slot::DUP_DUP, opcode::LT) => (slot::DUP_DUP_LT_JUMPI, u32::from(a)),
        (slot::DUP_DUP, opcode::GT) => (slot::DUP_DUP_GT_JUMPI, u32::from(a)),
        (slot::DUP_DUP, opcode::SLT) => (slot::DUP_DUP_SLT_JUMPI, u32::from(a)),
        (slot::DUP_DUP, opcode::SGT) => (slot::DUP_DUP_SGT_JUMPI, u32::from(a)),
        (slot::DUP_DUP, opcode::EQ) => (slot::DUP_DUP_EQ_JUMPI, u32::from(a)),
        (slot::IMM_DUP, opcode::LT) if n > 1 => (slot::IMM_DUP_LT_JUMPI, u32::try_from(imm).ok()?),
        (slot::IMM_DUP, opcode::GT) if n > 1 => (slot::IMM_DUP_GT_JUMPI, u32::try_from(imm).ok()?),
        _ => return None,
    };
    Some(Slot { n, b, ..Slot::plain(op) })
}

/// One slot for `last` followed by `op`.
fn fuse_pair(last: Slot, op: u8) -> Option<Slot> {
    let swap =
        |op: u8| (opcode::SWAP1..=opcode::SWAP16).contains(&op).then(|| op - opcode::SWAP1 + 1);
    if let Some(n) = dup(last.op) {
        if let Some(m) = dup(op) {
            return Some(Slot { n, a: u16::from(m), ..Slot::plain(slot::DUP_DUP) });
        }
        let fused = match op {
            opcode::MLOAD => slot::DUP_MLOAD,
            opcode::MSTORE => slot::DUP_MSTORE,
            _ => slot::after_dup(op)?,
        };
        return Some(Slot { n, ..Slot::plain(fused) });
    }
    if let Some(n) = swap(last.op) {
        if op == opcode::POP {
            return Some(Slot { n, ..Slot::plain(slot::SWAP_POP) });
        }
        if let Some(m) = swap(op) {
            return Some(Slot { n, a: u16::from(m), ..Slot::plain(slot::SWAP_SWAP) });
        }
        return if n == 1 { slot::after_swap1(op).map(Slot::plain) } else { None };
    }
    match last.op {
        slot::IMM => {
            if let Some(n) = dup(op) {
                return Some(Slot { n, imm: last.imm, ..Slot::plain(slot::IMM_DUP) });
            }
            // An offset this large faults; the plain slots find out how.
            let is_offset = last.imm < 1 << 40;
            let fused = match op {
                opcode::MLOAD if is_offset => slot::IMM_MLOAD,
                opcode::MSTORE if is_offset => slot::IMM_MSTORE,
                opcode::SHL | opcode::SHR if last.imm > 255 => return None,
                _ => slot::after_imm(op)?,
            };
            Some(Slot { imm: last.imm, ..Slot::plain(fused) })
        }
        slot::WORD => slot::after_word(op).map(|op| Slot { b: last.b, ..Slot::plain(op) }),
        slot::IMM_DUP if op == opcode::ADD && last.n > 1 => {
            Some(Slot { n: last.n, imm: last.imm, ..Slot::plain(slot::IMM_DUP_ADD) })
        }
        opcode::ADD if op == opcode::MLOAD => Some(Slot::plain(slot::ADD_MLOAD)),
        opcode::ADD if op == opcode::MSTORE => Some(Slot::plain(slot::ADD_MSTORE)),
        opcode::POP if op == opcode::POP => Some(Slot::plain(slot::POP_POP)),
        _ => None,
    }
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What the decoded loop relies on without looking.
        #[test]
        fn slots_keep_the_invariants_of_the_loop(code in code()) {
            let decoded = Decoded::new(&code, SpecId::OSAKA);
            let is_block = |index: u64| decoded.slots[index as usize].op == slot::BLOCK;
            prop_assert!(is_block(0));
            prop_assert!(leaves_the_loop(decoded.slots[decoded.slots.len() - 1].op));
            prop_assert_eq!(decoded.pcs.len(), decoded.slots.len());
            prop_assert!(decoded.pcs.is_sorted());
            for (i, slot) in decoded.slots.iter().enumerate() {
                let next_is_block = decoded.slots.get(i + 1).is_none_or(|next| next.op == slot::BLOCK);
                match slot.op {
                    slot::JUMP_TO => prop_assert!(is_block(slot.imm)),
                    slot::JUMPI_TO..=slot::DUP_IMM_EQ_JUMPI
                    | slot::DUP_JUMPI..=slot::IMM_DUP_GT_JUMPI => {
                        prop_assert!(is_block(slot.imm) && next_is_block);
                    }
                    slot::GOTO => prop_assert!(is_block(slot.imm - 1) && is_block(i as u64 - 1)),
                    slot::WORD | slot::WORD_ADD..=slot::WORD_GT => {
                        prop_assert!((slot.b as usize) < decoded.pool.len());
                    }
                    op if ends_block(op) => prop_assert!(next_is_block),
                    _ => {}
                }
            }
            for (pc, target) in decoded.targets.iter().enumerate() {
                prop_assert!(*target == NOWHERE || (code[pc] == opcode::JUMPDEST && is_block(u64::from(*target))));
            }
        }
    }

    #[test]
    fn constants_are_folded() {
        // PUSH1 1; PUSH1 1; PUSH1 160; SHL; SUB
        let decoded = Decoded::new(&[0x60, 1, 0x60, 1, 0x60, 160, 0x1b, 0x03], SpecId::OSAKA);
        let ops: Vec<_> = decoded.slots.iter().map(|slot| slot.op).collect();
        assert_eq!(ops, [slot::BLOCK, slot::WORD, opcode::STOP]);
        let index = decoded.slots[1].b as usize;
        assert_eq!(decoded.pool[index], [u64::MAX, u64::MAX, u64::from(u32::MAX), 0]);
        assert_eq!(decoded.slots[0].b, 5 * 3);
    }

    #[test]
    fn a_block_no_stack_can_run_gets_bounds_no_stack_meets() {
        let decoded = Decoded::new(&[opcode::PUSH0; 1025], SpecId::OSAKA);
        assert_eq!((decoded.slots[0].a, decoded.slots[0].height_range()), (u16::MAX, 0));
    }
}

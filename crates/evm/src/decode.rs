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

mod decoder;
pub(crate) mod slot;
mod window;

use zvm_core::SpecId;

use crate::{interpreter::word::Limbs, opcode};
use decoder::Decoder;
pub(crate) use slot::Slot;

/// Words above the stack that decoded code may use.
pub(crate) const SCRATCH_MAX: usize = 64;

/// Above this, words are moved to where they belong. An opcode takes at most 7 more.
const SCRATCH_USED_MAX: i16 = 32;

/// Words a window knows before it is settled, which bounds the time of decoding.
const KNOWN_MAX: usize = 64;

/// Words out of place, beside its operands, that a slot that may fault remembers. Where there are
/// more, they are moved first, which bounds the memory of decoded code.
const DISPLACED_MAX: usize = 8;

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

    /// Many words out of place, and then many slots that would each have to remember them.
    #[test]
    fn decoded_code_stays_a_small_multiple_of_its_bytecode() {
        for body in [&[0x5f, 0x51, 0x50][..], &[0x51], &[0x5f, 0x5f, 0x20, 0x50], &[0x91, 0x54]] {
            let mut code = Vec::new();
            for i in 0..60u8 {
                code.push(opcode::PUSH32);
                code.extend([i; 32]);
            }
            code.extend(body.repeat(20_000 / body.len()));
            let decoded = Decoded::new(&code, SpecId::OSAKA);
            let factor = decoded.size() / code.len();
            assert!(factor < 128, "{body:02x?}: {factor}");
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

//! A frame: one run of one code, waiting or running.

use std::{ops::Range, sync::Arc};

use zvm_core::{Address, U256};

use crate::{
    CallKind,
    code::Code,
    journal::{AccountId, Checkpoint},
    memory::{Input, Region},
};

/// All a frame is, but its stack and memory, which live in arenas shared by all frames.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: CallKind,
    pub(crate) code: Arc<Code>,
    /// Where to go on: an offset into the code, or into its decoded form if `is_decoded`.
    pub(crate) pc: usize,
    /// Whether the decoded loop runs it.
    pub(crate) is_decoded: bool,
    pub(crate) gas: u64,
    pub(crate) gas_start: u64,
    /// First word of its stack in the arena.
    pub(crate) stack_base: usize,
    /// Words on its stack.
    pub(crate) stack_len: usize,
    /// Region of the parent's memory, to return to.
    pub(crate) parent_memory: Region,
    /// Where the parent wants the output.
    pub(crate) output_to: Range<usize>,
    pub(crate) input: Input,
    pub(crate) caller: Address,
    pub(crate) address: Address,
    pub(crate) code_address: Address,
    /// `address` in the journal.
    pub(crate) account: AccountId,
    pub(crate) value: U256,
    pub(crate) is_static: bool,
    /// Undoes the frame.
    pub(crate) checkpoint: Checkpoint,
}

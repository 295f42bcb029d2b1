//! Blank events for tests that drive tracers by hand.

use zvm_core::{Address, B256, U256};

use crate::{CallEnd, CallKind, CallStart, Outcome, Step, StepEnd, SuccessReason};

pub(super) const STEP: Step<'static> = Step {
    pc: 0,
    opcode: 0,
    gas: 0,
    depth: 1,
    refund: 0,
    address: Address::ZERO,
    code_address: Address::ZERO,
    stack: &[],
    memory: &[],
    return_data: &[],
};

pub(super) const END: StepEnd<'static> = StepEnd { gas: 0, child_gas: 0, halt: None, stack: &[] };

pub(super) const CALL: CallStart<'static> = CallStart {
    kind: CallKind::Call,
    depth: 1,
    caller: Address::ZERO,
    address: Address::ZERO,
    code_address: Address::ZERO,
    code_hash: B256::ZERO,
    value: U256::ZERO,
    gas: 0,
    input: &[],
};

pub(super) const EXIT: CallEnd<'static> =
    CallEnd { outcome: Outcome::Success(SuccessReason::Stop), gas_used: 0, output: &[] };

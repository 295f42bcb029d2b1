//! Watching an execution: the one type parameter of the loop.

use zvm_core::{Address, B256, Log, U256};

use crate::{Halt, Outcome};

/// What an execution tells about itself while it runs.
///
/// Every method has an empty body: a tracer writes only what it wants to hear. Where
/// [`STEPS`](Tracer::STEPS) is false, code runs in the fast loop and no step is reported; all
/// other events still are.
pub trait Tracer {
    /// Whether each opcode is reported. Costs the fast loop.
    const STEPS: bool = false;

    /// Before an opcode runs: nothing is charged yet. Also called for an opcode that will halt.
    fn step(&mut self, step: &Step<'_>) {
        let _ = step;
    }

    /// After the opcode ran, and before the frame it opened (if any) starts.
    fn step_end(&mut self, end: &StepEnd<'_>) {
        let _ = end;
    }

    /// A frame opens: the transaction itself, a call, a creation, or a precompile. Calls that
    /// fail before they have a frame (depth, balance) are reported too, with their exit next.
    fn enter(&mut self, call: &CallStart<'_>) {
        let _ = call;
    }

    /// The frame opened last closes.
    fn exit(&mut self, end: &CallEnd<'_>) {
        let _ = end;
    }

    /// An event is emitted. It may still be undone by a revert of a frame around it.
    fn log(&mut self, log: &Log) {
        let _ = log;
    }

    /// An account is touched by an opcode, a call or the transaction.
    fn account_access(&mut self, address: Address) {
        let _ = address;
    }

    /// A slot is read (`SLOAD`).
    fn storage_read(&mut self, address: Address, slot: U256, word: U256) {
        let _ = (address, slot, word);
    }

    /// A slot is written (`SSTORE`).
    fn storage_write(&mut self, address: Address, slot: U256, old: U256, new: U256) {
        let _ = (address, slot, old, new);
    }

    /// `SELFDESTRUCT` hands `value` wei to `beneficiary`.
    fn self_destruct(&mut self, address: Address, beneficiary: Address, value: U256) {
        let _ = (address, beneficiary, value);
    }
}

/// Hears nothing and costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTracer;

impl Tracer for NoTracer {}

/// The machine before an opcode.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Offset of the opcode in the code.
    pub pc: usize,
    /// The opcode; 0 (`STOP`) past the end of the code.
    pub opcode: u8,
    /// Gas left before the opcode.
    pub gas: u64,
    /// Depth of the frame; the transaction's own is 1 (EIP-3155).
    pub depth: usize,
    /// Refund counter of the transaction so far.
    pub refund: i64,
    /// Account whose storage the frame works on.
    pub address: Address,
    /// Account whose code runs.
    pub code_address: Address,
    /// Bottom first.
    pub stack: &'a [U256],
    /// All memory of the frame; a multiple of 32 bytes.
    pub memory: &'a [u8],
    /// What the last call of this frame returned.
    pub return_data: &'a [u8],
}

/// The machine after an opcode.
#[derive(Clone, Copy, Debug)]
pub struct StepEnd<'a> {
    /// Gas left after it. For a call or creation: before the child's gas comes back.
    pub gas: u64,
    /// Gas handed to the child frame by a call or creation, stipend included.
    pub child_gas: u64,
    /// Set if the opcode halted the frame exceptionally.
    pub halt: Option<Halt>,
    /// Bottom first; for a call or creation without the result word.
    pub stack: &'a [U256],
}

/// The ways to open a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// `CALL`, or a transaction with a callee.
    Call,
    /// `CALLCODE`.
    CallCode,
    /// `DELEGATECALL` (EIP-7).
    DelegateCall,
    /// `STATICCALL` (EIP-214).
    StaticCall,
    /// `CREATE`, or a transaction without a callee.
    Create,
    /// `CREATE2` (EIP-1014).
    Create2,
}

impl CallKind {
    /// The mnemonic, such as `DELEGATECALL`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "CALL",
            Self::CallCode => "CALLCODE",
            Self::DelegateCall => "DELEGATECALL",
            Self::StaticCall => "STATICCALL",
            Self::Create => "CREATE",
            Self::Create2 => "CREATE2",
        }
    }
}

/// A frame about to run.
#[derive(Clone, Copy, Debug)]
pub struct CallStart<'a> {
    /// How it was opened.
    pub kind: CallKind,
    /// Depth of the frame; the transaction's own is 1.
    pub depth: usize,
    /// Who called (`CALLER`).
    pub caller: Address,
    /// Account whose storage the frame works on; for a creation, the new account.
    pub address: Address,
    /// Account whose code runs.
    pub code_address: Address,
    /// Hash of the code that runs; zero for initcode.
    pub code_hash: B256,
    /// Value as `CALLVALUE` shows it; for `DELEGATECALL` the parent's.
    pub value: U256,
    /// Gas of the frame.
    pub gas: u64,
    /// Calldata or initcode.
    pub input: &'a [u8],
}

/// A frame that ended.
#[derive(Clone, Debug)]
pub struct CallEnd<'a> {
    /// How.
    pub outcome: Outcome,
    /// Gas the frame used.
    pub gas_used: u64,
    /// What it returned; for a creation, the deployed code.
    pub output: &'a [u8],
}

/// Two tracers in one run: `(&mut a, &mut b)`-style composition.
impl<A: Tracer, B: Tracer> Tracer for (A, B) {
    const STEPS: bool = A::STEPS || B::STEPS;

    fn step(&mut self, step: &Step<'_>) {
        self.0.step(step);
        self.1.step(step);
    }
    fn step_end(&mut self, end: &StepEnd<'_>) {
        self.0.step_end(end);
        self.1.step_end(end);
    }
    fn enter(&mut self, call: &CallStart<'_>) {
        self.0.enter(call);
        self.1.enter(call);
    }
    fn exit(&mut self, end: &CallEnd<'_>) {
        self.0.exit(end);
        self.1.exit(end);
    }
    fn log(&mut self, log: &Log) {
        self.0.log(log);
        self.1.log(log);
    }
    fn account_access(&mut self, address: Address) {
        self.0.account_access(address);
        self.1.account_access(address);
    }
    fn storage_read(&mut self, address: Address, slot: U256, word: U256) {
        self.0.storage_read(address, slot, word);
        self.1.storage_read(address, slot, word);
    }
    fn storage_write(&mut self, address: Address, slot: U256, old: U256, new: U256) {
        self.0.storage_write(address, slot, old, new);
        self.1.storage_write(address, slot, old, new);
    }
    fn self_destruct(&mut self, address: Address, beneficiary: Address, value: U256) {
        self.0.self_destruct(address, beneficiary, value);
        self.1.self_destruct(address, beneficiary, value);
    }
}

/// A tracer that is kept: what it heard can be read after the run.
impl<T: Tracer> Tracer for &mut T {
    const STEPS: bool = T::STEPS;

    fn step(&mut self, step: &Step<'_>) {
        (**self).step(step);
    }
    fn step_end(&mut self, end: &StepEnd<'_>) {
        (**self).step_end(end);
    }
    fn enter(&mut self, call: &CallStart<'_>) {
        (**self).enter(call);
    }
    fn exit(&mut self, end: &CallEnd<'_>) {
        (**self).exit(end);
    }
    fn log(&mut self, log: &Log) {
        (**self).log(log);
    }
    fn account_access(&mut self, address: Address) {
        (**self).account_access(address);
    }
    fn storage_read(&mut self, address: Address, slot: U256, word: U256) {
        (**self).storage_read(address, slot, word);
    }
    fn storage_write(&mut self, address: Address, slot: U256, old: U256, new: U256) {
        (**self).storage_write(address, slot, old, new);
    }
    fn self_destruct(&mut self, address: Address, beneficiary: Address, value: U256) {
        (**self).self_destruct(address, beneficiary, value);
    }
}

/// A tracer that may be absent, decided at run time. The cost of [`STEPS`](Tracer::STEPS) is there
/// either way.
impl<T: Tracer> Tracer for Option<T> {
    const STEPS: bool = T::STEPS;

    fn step(&mut self, step: &Step<'_>) {
        if let Some(tracer) = self {
            tracer.step(step);
        }
    }
    fn step_end(&mut self, end: &StepEnd<'_>) {
        if let Some(tracer) = self {
            tracer.step_end(end);
        }
    }
    fn enter(&mut self, call: &CallStart<'_>) {
        if let Some(tracer) = self {
            tracer.enter(call);
        }
    }
    fn exit(&mut self, end: &CallEnd<'_>) {
        if let Some(tracer) = self {
            tracer.exit(end);
        }
    }
    fn log(&mut self, log: &Log) {
        if let Some(tracer) = self {
            tracer.log(log);
        }
    }
    fn account_access(&mut self, address: Address) {
        if let Some(tracer) = self {
            tracer.account_access(address);
        }
    }
    fn storage_read(&mut self, address: Address, slot: U256, word: U256) {
        if let Some(tracer) = self {
            tracer.storage_read(address, slot, word);
        }
    }
    fn storage_write(&mut self, address: Address, slot: U256, old: U256, new: U256) {
        if let Some(tracer) = self {
            tracer.storage_write(address, slot, old, new);
        }
    }
    fn self_destruct(&mut self, address: Address, beneficiary: Address, value: U256) {
        if let Some(tracer) = self {
            tracer.self_destruct(address, beneficiary, value);
        }
    }
}

//! The gas-metered stack machine: bytecode, opcodes, gas, frames, journal, transactions, blocks,
//! tracers.
//!
//! Not here: backends (`zvm-state`). This crate opens no file and no socket.

mod arith;
pub mod block;
mod code;
mod config;
mod decode;
mod disasm;
mod error;
mod evm;
mod frame;
mod gas;
mod hash_cache;
mod interpreter;
mod journal;
mod limits;
mod machine;
mod memory;
pub mod opcode;
mod outcome;
mod tracer;
pub mod tracers;
mod transaction;

pub use config::{Checks, Config};
pub use disasm::{Instruction, disassemble};
pub use error::{ExecError, InvalidTransaction};
pub use evm::{Evm, Message};
pub use gas::TRANSACTION_GAS_CAP;
pub use outcome::{Executed, Halt, Outcome, SuccessReason};
pub use tracer::{CallEnd, CallKind, CallStart, NoTracer, Step, StepEnd, Tracer};
pub use transaction::Requirements;

//! What comes out of an execution.

use serde::Serialize;
use zvm_core::{Address, Bytes, Log, StateDiff};

/// The result of a transaction or message that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// How the outermost frame ended.
    pub outcome: Outcome,
    /// Gas paid for, after refunds.
    pub gas_used: u64,
    /// Gas refunded; already taken off `gas_used`.
    pub gas_refunded: u64,
    /// What the outermost frame returned; the deployed code of a successful creation.
    pub output: Bytes,
    /// The contract a creation made, `None` for a call and for a failed creation.
    pub created: Option<Address>,
    /// Events in order; empty unless the outcome is a success.
    pub logs: Vec<Log>,
    /// What changed in the world state. Committing it is up to the caller.
    pub diff: StateDiff,
}

impl Executed {
    /// Whether the outermost frame succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.outcome, Outcome::Success(_))
    }
}

/// How a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Outcome {
    /// Its changes stand.
    Success(SuccessReason),
    /// `REVERT`: changes are undone, unused gas is returned (EIP-140).
    Revert,
    /// An exceptional halt: changes are undone, all gas is consumed.
    Halt(Halt),
}

/// The way a frame succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum SuccessReason {
    /// `STOP`, or the end of the code.
    Stop,
    /// `RETURN`.
    Return,
    /// `SELFDESTRUCT`.
    SelfDestruct,
}

/// Why a frame halted exceptionally (Yellow Paper, function Z in 9.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize)]
#[non_exhaustive]
pub enum Halt {
    /// Gas ran out.
    #[error("out of gas")]
    OutOfGas,
    /// Memory beyond the host's limit was asked for; counts as out of gas.
    #[error("memory limit exceeded")]
    MemoryLimit,
    /// The opcode is not defined in this hard fork.
    #[error("undefined opcode {0:#04x}")]
    UndefinedOpcode(u8),
    /// `INVALID` (0xfe, EIP-141).
    #[error("invalid opcode")]
    InvalidOpcode,
    /// Fewer words on the stack than the opcode takes.
    #[error("stack underflow")]
    StackUnderflow,
    /// More than 1024 words on the stack.
    #[error("stack overflow")]
    StackOverflow,
    /// A jump to something other than a `JUMPDEST`.
    #[error("invalid jump destination")]
    InvalidJump,
    /// A write inside `STATICCALL` (EIP-214).
    #[error("state change in a static call")]
    StaticCallViolation,
    /// `RETURNDATACOPY` beyond the end (EIP-211).
    #[error("return data out of bounds")]
    ReturnDataOutOfBounds,
    /// The account to create has nonce, code or storage (EIP-684, 7610).
    #[error("create collision")]
    CreateCollision,
    /// Deployed code is longer than 24,576 bytes (EIP-170).
    #[error("code size limit exceeded")]
    CodeSizeLimit,
    /// Initcode is longer than 49,152 bytes (EIP-3860).
    #[error("initcode size limit exceeded")]
    InitcodeSizeLimit,
    /// Deployed code starts with 0xef (EIP-3541).
    #[error("code starts with 0xef")]
    CodeStartsWithEf,
    /// A nonce would pass 2^64 - 1 (EIP-2681).
    #[error("nonce overflow")]
    NonceOverflow,
    /// A precompile refused its input.
    #[error("precompile failed: {0}")]
    Precompile(&'static str),
    /// More than 1024 frames. Ends only a call, never the frame that called.
    #[error("call depth limit exceeded")]
    CallDepth,
    /// The caller has less than the value of the call. Ends only the call.
    #[error("insufficient balance for transfer")]
    InsufficientBalance,
}

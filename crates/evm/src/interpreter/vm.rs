//! What opcode bodies work on besides stack and gas.

use std::ops::Range;

use zvm_core::{Address, B256, BlockEnv, Database, DbError, SpecId, U256};

use crate::{
    CallKind, Config, Halt,
    arith::Modulus,
    code::CodeCache,
    hash_cache::HashCache,
    journal::{AccountId, Journal},
    memory::Memory,
};

/// Everything outside the running frame.
pub(crate) struct Vm<'a> {
    pub(crate) spec: SpecId,
    pub(crate) memory: &'a mut Memory,
    pub(crate) journal: &'a mut Journal,
    pub(crate) codes: &'a mut CodeCache,
    pub(crate) hashes: &'a mut HashCache,
    /// What the last call of the running frame returned. One buffer serves all frames: a frame
    /// that calls loses what it had.
    pub(crate) return_data: &'a mut Vec<u8>,
    pub(crate) db: &'a dyn Database,
    pub(crate) block: &'a BlockEnv,
    pub(crate) config: &'a Config,
    pub(crate) tx: TxEnv<'a>,
    /// What `MULMOD` has worked with last.
    pub(crate) modulus: &'a mut Modulus,
    /// Set where a body answers [`Fault::Database`].
    pub(crate) db_error: Option<DbError>,
}

/// What opcodes can ask of the transaction.
pub(crate) struct TxEnv<'a> {
    pub(crate) origin: Address,
    pub(crate) gas_price: U256,
    pub(crate) blob_hashes: &'a [B256],
    pub(crate) blob_base_fee: U256,
}

impl Vm<'_> {
    /// Keeps a database error for the driver.
    #[inline]
    pub(super) fn db<V>(&mut self, answer: Result<V, DbError>) -> Result<V, Fault> {
        answer.map_err(|error| {
            self.db_error = Some(error);
            Fault::Database
        })
    }
}

/// Why an opcode could not run. Without payload, so that a body's result fits a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    OutOfGas,
    MemoryLimit,
    UndefinedOpcode,
    InvalidOpcode,
    StackUnderflow,
    StackOverflow,
    InvalidJump,
    StaticCallViolation,
    ReturnDataOutOfBounds,
    InitcodeSizeLimit,
    /// The database failed; the error is in [`Vm::db_error`].
    Database,
}

impl Fault {
    /// As the world sees it; `opcode` is the one that faulted. `None` for the database.
    pub(crate) fn halt(self, opcode: u8) -> Option<Halt> {
        Some(match self {
            Self::OutOfGas => Halt::OutOfGas,
            Self::MemoryLimit => Halt::MemoryLimit,
            Self::UndefinedOpcode => Halt::UndefinedOpcode(opcode),
            Self::InvalidOpcode => Halt::InvalidOpcode,
            Self::StackUnderflow => Halt::StackUnderflow,
            Self::StackOverflow => Halt::StackOverflow,
            Self::InvalidJump => Halt::InvalidJump,
            Self::StaticCallViolation => Halt::StaticCallViolation,
            Self::ReturnDataOutOfBounds => Halt::ReturnDataOutOfBounds,
            Self::InitcodeSizeLimit => Halt::InitcodeSizeLimit,
            Self::Database => return None,
        })
    }
}

impl From<Halt> for Fault {
    /// For the halts that memory growth answers.
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::MemoryLimit => Self::MemoryLimit,
            _ => Self::OutOfGas,
        }
    }
}

/// Why a loop returned to the driver. The frame holds pc, gas and stack height.
#[derive(Debug)]
pub(crate) enum Exit {
    Stop,
    Return(Range<usize>),
    Revert(Range<usize>),
    SelfDestruct,
    /// `opcode` could not run.
    Fault {
        fault: Fault,
        opcode: u8,
    },
    Call(CallRequest),
    Create(CreateRequest),
    /// The raw loop jumped and has spent enough gas for decoding to pay; `pc` is the target.
    Promote,
    /// The decoded loop cannot go on; `pc` is the opcode that the raw loop must run.
    Demote,
}

/// A call that is paid for. Its operands are off the stack, its result is not yet on it.
#[derive(Debug)]
pub(crate) struct CallRequest {
    pub(crate) kind: CallKind,
    /// Whose code is asked for; for `CALL` and `STATICCALL` also whose storage.
    pub(crate) target: AccountId,
    /// Account the target delegates to (EIP-7702).
    pub(crate) delegate: Option<AccountId>,
    pub(crate) value: U256,
    /// Gas of the callee, stipend included.
    pub(crate) gas: u64,
    pub(crate) input: Range<usize>,
    pub(crate) output_to: Range<usize>,
}

/// A creation that is paid for.
#[derive(Debug)]
pub(crate) struct CreateRequest {
    /// `None` for `CREATE`.
    pub(crate) salt: Option<U256>,
    pub(crate) value: U256,
    pub(crate) gas: u64,
    pub(crate) initcode: Range<usize>,
}

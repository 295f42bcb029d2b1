//! What can go wrong between a caller and a contract.

use zvm_core::{Address, B256, Bytes, DbError, SenderError, U256, rlp::RlpError};
use zvm_evm::{ExecError, Executed, Halt, InvalidTransaction, Outcome};
use zvm_precompiles::MissingPrecompiles;
use zvm_txlog::{ChainError, LogError};

use crate::RevertReason;

/// Why an answer is not what was hoped for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The transaction breaks a rule; nothing ran and nothing changed.
    #[error("invalid transaction: {0}")]
    Invalid(#[from] InvalidTransaction),

    /// The contract refused. Its changes are undone.
    #[error("reverted: {reason}")]
    Revert {
        /// Why, as far as the contract says.
        reason: RevertReason,
        /// The whole result; `output` holds the bytes behind `reason`.
        executed: Box<Executed>,
    },

    /// The contract stopped exceptionally. Its changes are undone, all its gas is consumed.
    #[error("halted: {halt}")]
    Halt {
        /// Why.
        halt: Halt,
        /// The whole result.
        executed: Box<Executed>,
    },

    /// The answer is not of the type that the call declares.
    #[error("{to}: {what}")]
    Answer {
        /// Who answered.
        to: Address,
        /// What was expected and how the answer departs from it.
        what: String,
        /// The answer.
        output: Bytes,
    },

    /// A transaction was to change the state of a past block.
    #[error("block {number} is past: it answers calls and takes no transactions")]
    Past {
        /// The block.
        number: u64,
    },

    /// A transaction cannot be executed again where it was: it, or one before it in its block, is
    /// refused there. Somebody gave a wrong state, or the hard fork is another one.
    #[error("transaction {index} of the block ({hash}) cannot be executed again: {source}")]
    Retrace {
        /// The place in the block.
        index: usize,
        /// The transaction.
        hash: B256,
        /// Why.
        source: Box<Error>,
    },

    /// A signature that tells no sender.
    #[error("invalid transaction: {0}")]
    Sender(#[from] SenderError),

    /// Bytes that are no transaction.
    #[error("not a transaction: {0}")]
    Rlp(#[from] RlpError),

    /// A transaction with this nonce waits, and is replaced for higher fees only.
    #[error(
        "{pending} waits with this nonce; to replace it takes a fee cap of {needed} wei per gas and \
         a tip of {needed_tip}"
    )]
    Underpriced {
        /// The transaction that waits.
        pending: B256,
        /// The fee cap that replaces it.
        needed: U256,
        /// The tip that replaces it.
        needed_tip: U256,
    },

    /// A block that cannot be made or imported, or a chain that cannot be opened.
    #[error(transparent)]
    Chain(#[from] ChainError),

    /// No word of a token's storage is what it answers as a balance.
    #[error("token {token}: no slot holds the balance of {account} as it is")]
    NoBalanceSlot {
        /// The token.
        token: Address,
        /// Whose balance.
        account: Address,
    },

    /// The database failed; nothing changed.
    #[error(transparent)]
    Database(#[from] DbError),

    /// The hard fork asked for needs precompiles that this build lacks.
    #[error(transparent)]
    MissingPrecompiles(#[from] MissingPrecompiles),
}

impl Error {
    /// The result of an execution that ran and failed.
    #[must_use]
    pub fn executed(&self) -> Option<&Executed> {
        match self {
            Self::Revert { executed, .. } | Self::Halt { executed, .. } => Some(executed),
            _ => None,
        }
    }

    /// Lets a success pass and turns the two kinds of failure into errors.
    pub(crate) fn unless_success(executed: Executed) -> Result<Executed, Self> {
        match executed.outcome {
            Outcome::Success(_) => Ok(executed),
            Outcome::Revert => {
                let reason = RevertReason::decode(&executed.output);
                Err(Self::Revert { reason, executed: Box::new(executed) })
            }
            Outcome::Halt(halt) => Err(Self::Halt { halt, executed: Box::new(executed) }),
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Database(error) => Self::Database(error),
            error => Self::Chain(error.into()),
        }
    }
}

impl From<ExecError> for Error {
    fn from(error: ExecError) -> Self {
        match error {
            ExecError::Invalid(rule) => Self::Invalid(rule),
            ExecError::Database(error) => Self::Database(error),
            // The enum may grow; what it grows by concerns the machine, not the contract.
            other => Self::Database(DbError::Engine {
                context: "execution".to_owned(),
                source: Box::new(other),
            }),
        }
    }
}

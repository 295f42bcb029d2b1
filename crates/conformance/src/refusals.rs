//! Names of exceptions of blocks in fixtures, and which refusal each of them means.

use std::fmt;

use zvm_core::{B256, rlp::RlpError};
use zvm_evm::block::InvalidBlock;
use zvm_txlog::ChainError;

use crate::exceptions::{self, Rejection};

/// Why a block of a fixture was not imported.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The fixture has no bytes but something else.
    NoBytes,
    /// The bytes are no block.
    Decode(RlpError),
    /// Its parent is not known, or known to be invalid.
    UnknownParent,
    /// The block breaks a rule.
    Invalid(InvalidBlock),
}

impl Refusal {
    /// What the import of `block` ended with; `Err` if that says nothing of the block.
    pub(crate) fn of(block: B256, error: ChainError) -> Result<Self, String> {
        match error {
            ChainError::UnknownParent { .. } => Ok(Self::UnknownParent),
            ChainError::Invalid { hash, .. } if hash != block => Ok(Self::UnknownParent),
            ChainError::Invalid { source, .. } => Ok(Self::Invalid(*source)),
            error => Err(error.to_string()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBytes => f.write_str("not even bytes"),
            Self::Decode(error) => error.fmt(f),
            Self::UnknownParent => f.write_str("unknown parent"),
            Self::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

/// Whether `refusal` is what `expected` asks for: one of the names joined with `|`. A name that is
/// not in the table asks for no more than a refusal.
pub(crate) fn is_expected(expected: &str, refusal: &Refusal) -> bool {
    expected.split('|').any(|name| means(name.trim(), refusal).unwrap_or(true))
}

/// The table: whether `name` means `refusal`, `None` for a name that is not in it.
fn means(name: &str, refusal: &Refusal) -> Option<bool> {
    use InvalidBlock as Block;

    let is_decode = matches!(refusal, Refusal::Decode(_) | Refusal::NoBytes);
    let block = match refusal {
        // Some names mean the ommer, some the rule that its header breaks.
        Refusal::Invalid(Block::Ommer { source, .. }) => Some(&**source),
        Refusal::Invalid(block) => Some(block),
        _ => None,
    };
    let has_wrong_fields =
        matches!(block, Some(Block::MissingField { .. } | Block::UnexpectedField { .. }));
    // `BlockException.*` are the names of today, the bare ones those of old files.
    Some(match name.strip_prefix("BlockException.").unwrap_or(name) {
        "UNKNOWN_PARENT" | "UNKNOWN_PARENT_ZERO" | "UnknownParent" | "UnknownParent2" => {
            matches!(refusal, Refusal::UnknownParent)
        }
        "RLP_STRUCTURES_ENCODING" | "INPUT_UNMARSHAL_ERROR" | "INPUT_UNMARSHAL_ADDRESS_ERROR" => {
            is_decode
        }
        "INCORRECT_BLOCK_FORMAT" => is_decode || has_wrong_fields,
        "INVALID_GASLIMIT" | "GASLIMIT_TOO_BIG" | "InvalidGasLimit" | "InvalidGasLimit2" => {
            is_decode || matches!(block, Some(Block::GasLimit { .. }))
        }
        // A limit of zero is too low and too little.
        "GAS_USED_OVERFLOW" | "TooMuchGasUsed" => {
            matches!(block, Some(Block::GasUsedAboveLimit { .. } | Block::GasLimit { .. }))
        }
        "INVALID_GAS_USED" | "InvalidGasUsed" => {
            matches!(block, Some(Block::GasUsed { .. } | Block::GasUsedAboveLimit { .. }))
        }
        "INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT" | "InvalidTimestampOlderParent" => {
            matches!(block, Some(Block::Timestamp { .. }))
        }
        "InvalidNumber" => matches!(block, Some(Block::Number { .. })),
        "EXTRA_DATA_TOO_BIG" | "ExtraDataTooBig" => matches!(block, Some(Block::ExtraData { .. })),
        "EXTRA_DATA_INVALID_DAO" | "ExtraDataIncorrectDAO" => {
            matches!(block, Some(Block::DaoExtraData { .. }))
        }
        "IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS"
        | "InvalidDifficulty"
        | "PostParisDifficultyIsNot0"
        | "3675PoSBlockRejected" => matches!(block, Some(Block::Difficulty { .. })),
        // Difficulty, nonce or ommers tell it.
        "3675PreParis1559BlockRejected" => matches!(
            block,
            Some(Block::Difficulty { .. } | Block::Nonce { .. } | Block::OmmersHash { .. })
        ),
        "IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS" | "PostParisUncleHashIsNotEmpty" => {
            matches!(block, Some(Block::OmmersHash { .. }))
        }
        "INVALID_BASEFEE_PER_GAS" | "1559BlockImportImpossible_BaseFeeWrong" => {
            matches!(block, Some(Block::BaseFee { .. }))
        }
        "INCORRECT_EXCESS_BLOB_GAS" => {
            has_wrong_fields || matches!(block, Some(Block::ExcessBlobGas { .. }))
        }
        "INCORRECT_BLOB_GAS_USED" => {
            has_wrong_fields
                || matches!(
                    block,
                    Some(Block::BlobGasUsed { .. } | Block::BlobGasAboveLimit { .. })
                )
        }
        "BLOB_GAS_USED_ABOVE_LIMIT" => matches!(block, Some(Block::BlobGasAboveLimit { .. })),
        "INVALID_STATE_ROOT" | "InvalidStateRoot" => {
            matches!(block, Some(Block::StateRoot { .. }))
        }
        "INVALID_RECEIPTS_ROOT" | "InvalidReceiptsStateRoot" => {
            matches!(block, Some(Block::ReceiptsRoot { .. }))
        }
        "INVALID_TRANSACTIONS_ROOT" | "InvalidTransactionsRoot" => {
            matches!(block, Some(Block::TransactionsRoot { .. }))
        }
        "INVALID_WITHDRAWALS_ROOT" | "InvalidWithdrawals" => {
            matches!(block, Some(Block::WithdrawalsRoot { .. }))
        }
        "INVALID_LOG_BLOOM" | "InvalidLogBloom" => matches!(block, Some(Block::LogsBloom)),
        "INVALID_REQUESTS" => matches!(block, Some(Block::RequestsHash { .. })),
        "INVALID_DEPOSIT_EVENT_LAYOUT" => matches!(block, Some(Block::DepositLayout { .. })),
        "SYSTEM_CONTRACT_CALL_FAILED" => matches!(block, Some(Block::SystemCallFailed { .. })),
        "SYSTEM_CONTRACT_EMPTY" => matches!(block, Some(Block::SystemContractMissing { .. })),
        "RLP_BLOCK_LIMIT_EXCEEDED" => matches!(block, Some(Block::Size { .. })),
        "TooManyUncles" => matches!(block, Some(Block::TooManyOmmers { .. })),
        // What is listed twice, and what is an ancestor too, can be told in more than one way.
        "UncleInChain" | "UncleIsAncestor" => {
            matches!(block, Some(Block::OmmerListed { .. } | Block::OmmerIsAncestor { .. }))
        }
        "UncleIsBrother" | "UncleParentIsNotAncestor" => {
            matches!(block, Some(Block::OmmerParent { .. } | Block::OmmerListed { .. }))
        }
        _ => match block {
            Some(Block::Transaction { source, .. }) => {
                return exceptions::is_expected(name, &Rejection::Invalid(source.clone())).ok();
            }
            _ => return None,
        },
    })
}

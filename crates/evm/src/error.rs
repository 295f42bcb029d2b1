//! Why an execution could not take place.

use zvm_core::{Address, DbError, TxType, U256};

/// A transaction that was not executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The transaction breaks a rule; nothing changed, nobody pays.
    #[error("invalid transaction: {0}")]
    Invalid(#[from] InvalidTransaction),
    /// The database failed; nothing changed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl ExecError {
    /// The rule that the transaction breaks; `Err` if it was the database that failed.
    pub fn into_invalid(self) -> Result<InvalidTransaction, DbError> {
        match self {
            Self::Invalid(invalid) => Ok(invalid),
            Self::Database(error) => Err(error),
        }
    }
}

/// The rule a transaction breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTransaction {
    /// The envelope type is not part of this hard fork.
    #[error("transaction type {tx_type:?} is not supported in this hard fork")]
    TypeNotSupported {
        /// The type.
        tx_type: TxType,
    },
    /// Signed for another chain (EIP-155).
    #[error("chain id {found}, expected {expected}")]
    ChainId {
        /// In the transaction.
        found: u64,
        /// Of the configuration.
        expected: u64,
    },
    /// A typed transaction must carry a chain id.
    #[error("no chain id in a typed transaction")]
    MissingChainId,
    /// Below the sender's nonce.
    #[error("nonce {found} too low, account has {expected}")]
    NonceTooLow {
        /// In the transaction.
        found: u64,
        /// Of the account.
        expected: u64,
    },
    /// Above the sender's nonce.
    #[error("nonce {found} too high, account has {expected}")]
    NonceTooHigh {
        /// In the transaction.
        found: u64,
        /// Of the account.
        expected: u64,
    },
    /// Nonce 2^64 - 1 (EIP-2681).
    #[error("nonce is at its maximum")]
    NonceIsMax,
    /// The sender cannot pay for gas and value.
    #[error("sender {sender} has {balance} wei, needs {}", cost.map_or("more than 2^256".to_owned(), |cost| cost.to_string()))]
    InsufficientFunds {
        /// Who pays.
        sender: Address,
        /// What there is.
        balance: U256,
        /// What is needed; `None` past 2^256.
        cost: Option<U256>,
    },
    /// The sender has code that is no delegation (EIP-3607).
    #[error("sender {sender} has code")]
    SenderHasCode {
        /// The account.
        sender: Address,
    },
    /// The gas limit does not cover the intrinsic gas.
    #[error("gas limit {gas_limit} below intrinsic gas {needed}")]
    IntrinsicGas {
        /// In the transaction.
        gas_limit: u64,
        /// Needed before the first opcode.
        needed: u64,
    },
    /// The gas limit does not cover the calldata floor (EIP-7623).
    #[error("gas limit {gas_limit} below the calldata floor {needed}")]
    FloorGas {
        /// In the transaction.
        gas_limit: u64,
        /// The floor.
        needed: u64,
    },
    /// The gas limit is beyond the block's.
    #[error("gas limit {gas_limit} beyond the block's {available}")]
    BlockGasLimit {
        /// In the transaction.
        gas_limit: u64,
        /// Left in the block.
        available: u64,
    },
    /// The gas limit is beyond 2^24 (EIP-7825).
    #[error("gas limit {gas_limit} beyond the cap of {cap} (EIP-7825)")]
    GasLimitCap {
        /// In the transaction.
        gas_limit: u64,
        /// The cap.
        cap: u64,
    },
    /// The fee cap is below the base fee (EIP-1559).
    #[error("fee cap {gas_price} below the base fee {base_fee}")]
    FeeCapBelowBaseFee {
        /// In the transaction.
        gas_price: U256,
        /// Of the block.
        base_fee: u64,
    },
    /// The tip is above the fee cap (EIP-1559).
    #[error("priority fee {max_priority_fee} above the fee cap {gas_price}")]
    PriorityFeeAboveCap {
        /// The tip.
        max_priority_fee: U256,
        /// The cap.
        gas_price: U256,
    },
    /// Initcode is longer than 49,152 bytes (EIP-3860).
    #[error("initcode of {size} bytes beyond the limit of {limit}")]
    InitcodeSize {
        /// In the transaction.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A blob transaction creates a contract (EIP-4844).
    #[error("a blob transaction cannot create a contract")]
    BlobCreate,
    /// A blob transaction without blobs (EIP-4844).
    #[error("a blob transaction needs at least one blob")]
    NoBlobs,
    /// More blobs than a transaction or block may hold (EIP-4844, 7594).
    #[error("{count} blobs, at most {max}")]
    TooManyBlobs {
        /// In the transaction.
        count: usize,
        /// The limit.
        max: u64,
    },
    /// A blob hash with a version other than 1 (EIP-4844).
    #[error("blob hash {index} has version {version}, expected 1")]
    BlobVersion {
        /// Which hash, from 0.
        index: usize,
        /// Its first byte.
        version: u8,
    },
    /// The blob fee cap is below the blob base fee (EIP-4844).
    #[error("blob fee cap {max_fee} below the blob base fee {base_fee}")]
    BlobFeeCap {
        /// In the transaction.
        max_fee: U256,
        /// Of the block.
        base_fee: U256,
    },
    /// A set-code transaction creates a contract (EIP-7702).
    #[error("a set-code transaction cannot create a contract")]
    SetCodeCreate,
    /// A set-code transaction without authorisations (EIP-7702).
    #[error("a set-code transaction needs at least one authorisation")]
    NoAuthorizations,
}

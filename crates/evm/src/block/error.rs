//! Why a block is not part of the chain.

use zvm_core::{Address, B64, B256, Bytes, DbError, SenderError, U256};
use zvm_precompiles::MissingPrecompiles;

use crate::InvalidTransaction;

/// A block that was not executed to its end.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The block breaks a rule; nothing changed.
    #[error("invalid block: {0}")]
    Invalid(#[from] InvalidBlock),
    /// The database failed; nothing changed, and nothing is known of the block.
    #[error(transparent)]
    Database(#[from] DbError),
    /// This build cannot execute the block's hard fork.
    #[error(transparent)]
    Precompiles(#[from] MissingPrecompiles),
}

/// The rule a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBlock {
    /// Made for another parent.
    #[error("parent hash {found}, the parent's hash is {expected}")]
    ParentHash {
        /// In the header.
        found: B256,
        /// Hash of the parent.
        expected: B256,
    },
    /// Not one above its parent.
    #[error("number {found}, expected {expected}")]
    Number {
        /// In the header.
        found: u64,
        /// One above the parent's.
        expected: u64,
    },
    /// Not later than its parent.
    #[error("timestamp {found} is not after the parent's {parent}")]
    Timestamp {
        /// In the header.
        found: u64,
        /// In the parent.
        parent: u64,
    },
    /// The gas limit moves by the 1024th part of the parent's or more, or is below 5000.
    #[error("gas limit {found}, expected {min} to {max}")]
    GasLimit {
        /// In the header.
        found: u64,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// More gas used than there was.
    #[error("gas used {gas_used} above the gas limit {gas_limit}")]
    GasUsedAboveLimit {
        /// In the header.
        gas_used: u64,
        /// In the header.
        gas_limit: u64,
    },
    /// More than 32 bytes of extra data.
    #[error("{len} bytes of extra data, at most {max}")]
    ExtraData {
        /// Bytes in the header.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Not on this side of the DAO fork (EIP-779).
    #[error("extra data {found}, expected \"dao-hard-fork\"")]
    DaoExtraData {
        /// In the header.
        found: Bytes,
    },
    /// Not the difficulty that follows from the parent; from Paris on, not zero (EIP-3675).
    #[error("difficulty {found}, expected {expected}")]
    Difficulty {
        /// In the header.
        found: U256,
        /// By the rules.
        expected: U256,
    },
    /// A nonce in a block without proof of work (EIP-3675).
    #[error("nonce {found}, expected zero")]
    Nonce {
        /// In the header.
        found: B64,
    },
    /// A field that this hard fork must have.
    #[error("{field} is missing")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// A field that this hard fork does not have.
    #[error("{field} is not part of this hard fork")]
    UnexpectedField {
        /// The field.
        field: &'static str,
    },
    /// Not the base fee that follows from the parent (EIP-1559).
    #[error("base fee {found}, expected {expected}")]
    BaseFee {
        /// In the header.
        found: u64,
        /// By the rules.
        expected: u64,
    },
    /// Not the excess of blob gas that follows from the parent (EIP-4844).
    #[error("excess blob gas {found}, expected {expected}")]
    ExcessBlobGas {
        /// In the header.
        found: u64,
        /// By the rules.
        expected: u64,
    },
    /// More blob gas than a block may hold (EIP-4844).
    #[error("blob gas used {found}, at most {max}")]
    BlobGasAboveLimit {
        /// In the header.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// The transactions are not those of the header.
    #[error("transactions root {found}, expected {expected}")]
    TransactionsRoot {
        /// In the header.
        found: B256,
        /// Of the body.
        expected: B256,
    },
    /// The ommers are not those of the header; from Paris on, there are any (EIP-3675).
    #[error("ommers hash {found}, expected {expected}")]
    OmmersHash {
        /// In the header.
        found: B256,
        /// Of the body.
        expected: B256,
    },
    /// The withdrawals are not those of the header (EIP-4895).
    #[error("withdrawals root {found}, expected {expected}")]
    WithdrawalsRoot {
        /// In the header.
        found: B256,
        /// Of the body.
        expected: B256,
    },
    /// Longer than 8 MiB of RLP (EIP-7934).
    #[error("{size} bytes of RLP, at most {max}")]
    Size {
        /// Bytes of the block.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// More than two ommers.
    #[error("{count} ommers, at most 2")]
    TooManyOmmers {
        /// In the block.
        count: usize,
    },
    /// An ommer that this block or one before it lists already.
    #[error("ommer {hash} is listed already")]
    OmmerListed {
        /// Hash of the ommer.
        hash: B256,
    },
    /// An ommer that is an ancestor of the block.
    #[error("ommer {hash} is an ancestor")]
    OmmerIsAncestor {
        /// Hash of the ommer.
        hash: B256,
    },
    /// An ommer whose parent is not an ancestor of the block from the second to the seventh
    /// generation.
    #[error("ommer {hash}: its parent {parent} is no ancestor at the right distance")]
    OmmerParent {
        /// Hash of the ommer.
        hash: B256,
        /// Hash of its parent.
        parent: B256,
    },
    /// An ommer whose header breaks a rule.
    #[error("ommer {hash}: {source}")]
    Ommer {
        /// Hash of the ommer.
        hash: B256,
        /// The rule.
        source: Box<InvalidBlock>,
    },
    /// A signature that tells no sender.
    #[error("transaction {index}: {source}")]
    Sender {
        /// In the block, from 0.
        index: usize,
        /// What is wrong with it.
        source: SenderError,
    },
    /// A transaction that breaks a rule.
    #[error("transaction {index}: {source}")]
    Transaction {
        /// In the block, from 0.
        index: usize,
        /// The rule.
        source: InvalidTransaction,
    },
    /// A contract of the protocol is not there (EIP-7002, 7251).
    #[error("system contract {contract} has no code")]
    SystemContractMissing {
        /// Its address.
        contract: Address,
    },
    /// A call of the protocol to a contract of its own failed (EIP-7002, 7251).
    #[error("the call of system contract {contract} failed")]
    SystemCallFailed {
        /// Its address.
        contract: Address,
    },
    /// A deposit event that is not laid out as EIP-6110 says.
    #[error("transaction {index}: bad layout of a deposit event")]
    DepositLayout {
        /// Of the transaction that emitted it, from 0.
        index: usize,
    },
    /// The transactions used another amount of gas.
    #[error("gas used {found}, expected {expected}")]
    GasUsed {
        /// In the header.
        found: u64,
        /// By execution.
        expected: u64,
    },
    /// The transactions hold another number of blobs (EIP-4844).
    #[error("blob gas used {found}, expected {expected}")]
    BlobGasUsed {
        /// In the header.
        found: u64,
        /// Of the transactions.
        expected: u64,
    },
    /// Execution gave other receipts.
    #[error("receipts root {found}, expected {expected}")]
    ReceiptsRoot {
        /// In the header.
        found: B256,
        /// By execution.
        expected: B256,
    },
    /// Execution gave other logs.
    #[error("the bloom of the logs is not that of execution")]
    LogsBloom,
    /// Execution gave other requests (EIP-7685).
    #[error("requests hash {found}, expected {expected}")]
    RequestsHash {
        /// In the header.
        found: B256,
        /// By execution.
        expected: B256,
    },
    /// Execution ended in another state.
    #[error("state root {found}, expected {expected}")]
    StateRoot {
        /// In the header.
        found: B256,
        /// By execution.
        expected: B256,
    },
}

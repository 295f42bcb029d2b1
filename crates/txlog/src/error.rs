//! What can go wrong with a log.

use zvm_core::{B256, BlockId, DbError};
use zvm_trie::log::ProveError;

/// Why the log has no answer, or takes no block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A block that does not follow the head of the log.
    #[error(
        "block {number} on {parent} cannot follow block {}, {}", head.number, head.hash
    )]
    NotNext {
        /// Number of the block.
        number: u64,
        /// Its parent.
        parent: B256,
        /// The head of the log.
        head: BlockId,
    },

    /// The state has blocks that the log has never seen.
    #[error(
        "the state is at block {}, {}, which is not in the log; it has been committed to without",
        head.number, head.hash
    )]
    Detached {
        /// The head of the state.
        head: BlockId,
    },

    /// A block whose parts do not belong together.
    #[error("block {number}: {found} {what}, expected {expected}")]
    Parts {
        /// Number of the block.
        number: u64,
        /// Of what there are too many or too few.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },

    /// The log has no such block.
    #[error("no block {number} in the log")]
    NoBlock {
        /// Number of the block.
        number: u64,
    },

    /// The block has no such transaction.
    #[error("no transaction {index} in block {number}, which has {count}")]
    NoTransaction {
        /// Number of the block.
        number: u64,
        /// Index of the transaction.
        index: u32,
        /// How many the block has.
        count: usize,
    },

    /// The log has never been that large.
    #[error("the log has {head} entries, not {size}")]
    Size {
        /// The size asked for.
        size: u64,
        /// Number of entries.
        head: u64,
    },

    /// Entries asked for that the log does not have.
    #[error(transparent)]
    Proof(#[from] ProveError),

    /// Rules of a chain that cannot be written down.
    #[error("the rules of the chain cannot be stored: {what}")]
    Rules {
        /// Why.
        what: String,
    },

    /// A filter asks for more than it may; what there is up to there was given.
    #[error("{what}: the limit is {limit}; go on from block {next}")]
    Limit {
        /// Of what there is too much.
        what: &'static str,
        /// How much is given.
        limit: u64,
        /// The first block that was not looked at to its end.
        next: u64,
    },

    /// The store could not be read or written, or is damaged.
    #[error(transparent)]
    Database(#[from] DbError),
}

//! Roots and proofs out of complete subtrees, as RFC 9162 defines them.

use zvm_core::{B256, DbError};

use super::{ConsistencyProof, EMPTY_LOG, InclusionProof, LogNodes, node_hash};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The log has no such entry.
    #[error("no entry {index} in a log of {size}")]
    NoEntry {
        /// Index of the entry.
        index: u64,
        /// Number of entries.
        size: u64,
    },

    /// Something larger is no earlier state of something smaller.
    #[error("a log of {old_size} entries comes after one of {size}")]
    Order {
        /// Size of what was to be the earlier log.
        old_size: u64,
        /// Size of what was to be the later one.
        size: u64,
    },

    /// A hash could not be read.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// A complete subtree that should be there.
#[derive(Debug, thiserror::Error)]
#[error("no subtree {index} of level {level}")]
pub(super) struct Missing {
    pub(super) level: u32,
    pub(super) index: u64,
}

impl From<Missing> for DbError {
    fn from(error: Missing) -> Self {
        Self::Engine { context: "Merkle log".into(), source: Box::new(error) }
    }
}

/// The root over the first `size` entries.
///
/// # Errors
///
/// If a hash cannot be read.
pub fn root_at(nodes: &dyn LogNodes, size: u64) -> Result<B256, DbError> {
    match size {
        0 => Ok(EMPTY_LOG),
        _ => subtree(nodes, 0, size),
    }
}

/// Proves that entry `index` is in the log of the first `size` entries (`PATH` in RFC 9162, 2.1.3.1).
///
/// # Errors
///
/// If there is no such entry, or a hash cannot be read.
pub fn prove_inclusion(
    nodes: &dyn LogNodes,
    index: u64,
    size: u64,
) -> Result<InclusionProof, ProveError> {
    if index >= size {
        return Err(ProveError::NoEntry { index, size });
    }
    let (mut first, mut end) = (0, size);
    let mut path = Vec::new();
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            path.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree(nodes, first, middle)?);
            first = middle;
        }
    }
    path.reverse();
    Ok(InclusionProof { index, size, path })
}

/// Proves that the log of the first `size` entries begins with that of the first `old_size`
/// (`PROOF` in RFC 9162, 2.1.4.1). Everything begins with nothing and with itself; the path is empty
/// then.
///
/// # Errors
///
/// If `old_size` is larger than `size`, or a hash cannot be read.
pub fn prove_consistency(
    nodes: &dyn LogNodes,
    old_size: u64,
    size: u64,
) -> Result<ConsistencyProof, ProveError> {
    if old_size > size {
        return Err(ProveError::Order { old_size, size });
    }
    let mut path = Vec::new();
    if old_size > 0 && old_size < size {
        let (mut first, mut end) = (0, size);
        // Down to the subtree that the old log ends with. If that is all of the old log, whoever
        // verifies has its root.
        while end != old_size {
            let middle = first + split(end - first);
            if old_size <= middle {
                path.push(subtree(nodes, middle, end)?);
                end = middle;
            } else {
                path.push(subtree(nodes, first, middle)?);
                first = middle;
            }
        }
        if first > 0 {
            path.push(subtree(nodes, first, end)?);
        }
        path.reverse();
    }
    Ok(ConsistencyProof { old_size, size, path })
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root over the entries from `first` up to `end`, at least one of them; `first` is where RFC
/// 9162 splits.
fn subtree(nodes: &dyn LogNodes, first: u64, end: u64) -> Result<B256, DbError> {
    let count = end - first;
    if count.is_power_of_two() {
        return nodes.node(count.ilog2(), first >> count.ilog2());
    }
    let middle = first + split(count);
    Ok(node_hash(subtree(nodes, first, middle)?, subtree(nodes, middle, end)?))
}

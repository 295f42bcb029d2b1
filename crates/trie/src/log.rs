//! The append-only Merkle log of RFC 9162, section 2.1, over keccak-256.
//!
//! Entries are hashed behind a zero byte and nodes behind a one, so that no entry can be taken for a
//! node. With `D[n]` for the entries so far and `k` for the largest power of two below `n`:
//!
//! ```text
//! root([])     = keccak()
//! root([d])    = keccak(0x00 ‖ d)
//! root(D[n])   = keccak(0x01 ‖ root(D[0..k]) ‖ root(D[k..n]))
//! ```
//!
//! A [`Frontier`] is all that appending needs: the roots of the complete subtrees at the right edge,
//! at most 64 of them. A [`SignedTreeHead`] is a root that somebody vouches for. Proofs come out of a store of complete subtrees, [`LogNodes`]; what verifies
//! them shares no code with what makes them.
//!
//! ```
//! use zvm_trie::log::{Frontier, MemoryNodes, leaf_hash, prove_consistency, prove_inclusion};
//!
//! let entries = ["a", "b", "c", "d", "e"].map(|entry| leaf_hash(entry.as_bytes()));
//! let nodes = MemoryNodes::new(entries);
//! let head = |size| entries[..size].iter().copied().collect::<Frontier>().head();
//!
//! let proof = prove_inclusion(&nodes, 3, 5)?;
//! proof.verify(entries[3], head(5).root)?;
//! assert!(proof.verify(entries[2], head(5).root).is_err());
//!
//! prove_consistency(&nodes, 3, 5)?.verify(head(3).root, head(5).root)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod frontier;
mod nodes;
mod prove;
mod signed;
mod verify;

use alloy_primitives::Keccak256;
use serde::{Deserialize, Serialize};
use zvm_core::{B256, KECCAK_EMPTY};

pub use frontier::{Frontier, FrontierError};
pub use nodes::{LogNodes, MemoryNodes};
pub use prove::{ProveError, prove_consistency, prove_inclusion, root_at};
pub use signed::SignedTreeHead;
pub use verify::{ConsistencyProof, InclusionProof, LogProofError};

/// The root of a log without entries.
pub const EMPTY_LOG: B256 = KECCAK_EMPTY;

/// The hash of an entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> B256 {
    hash(&[&[0], entry])
}

/// The hash of a node above two others.
#[must_use]
pub fn node_hash(left: B256, right: B256) -> B256 {
    hash(&[&[1], left.as_slice(), right.as_slice()])
}

fn hash(parts: &[&[u8]]) -> B256 {
    let mut hasher = Keccak256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// A log as of some number of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TreeHead {
    /// Number of entries.
    pub size: u64,
    /// Root over them.
    pub root: B256,
}

impl Default for TreeHead {
    /// That of a log without entries.
    fn default() -> Self {
        Self { size: 0, root: EMPTY_LOG }
    }
}

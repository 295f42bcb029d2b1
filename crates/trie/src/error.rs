//! What can be wrong with a stored trie.

use zvm_core::{B256, DbError};

use crate::Nibbles;

/// Records and leaves that do not fit together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InconsistentTrie {
    /// A record has a leaf where the reader finds none.
    #[error("no leaf below path {path:?}, where a branch record has one")]
    MissingLeaf {
        /// The path of the leaf.
        path: Nibbles,
    },

    /// A record and its extension reach as far down as a key.
    #[error("branch record at path {path:?} ends below the keys")]
    Depth {
        /// Where the record hangs.
        path: Nibbles,
    },

    /// The reader visits leaves out of order, or such as were not asked for.
    #[error("leaf {key} out of order or not below path {path:?}")]
    LeafOrder {
        /// The path below which leaves were asked for.
        path: Nibbles,
        /// The key of the leaf.
        key: B256,
    },
}

impl From<InconsistentTrie> for DbError {
    fn from(error: InconsistentTrie) -> Self {
        Self::Engine { context: "trie".into(), source: Box::new(error) }
    }
}

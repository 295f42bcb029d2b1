//! What a trie is read from.

use std::ops::ControlFlow;

use zvm_core::{B256, DbError};

use crate::{Branch, Nibbles};

/// Called with the key and the value of a leaf; breaks when it has seen enough.
pub type LeafVisitor<'a> = dyn FnMut(B256, &[u8]) -> Result<ControlFlow<()>, DbError> + 'a;

/// One stored trie: its leaves, and records of its branches.
///
/// The leaves are the truth. A record saves hashing everything below it; where one is absent, the
/// subtree is built again from its leaves.
pub trait TrieReader: Sync {
    /// The branch that hangs at `path`.
    ///
    /// `None` if nothing or a single leaf is below `path`, or if the subtree has no more leaves than
    /// [`UpdateOptions::small_max`](crate::UpdateOptions::small_max).
    fn branch(&self, path: &Nibbles) -> Result<Option<Branch>, DbError>;

    /// Visits the leaves below `path` in order of their keys until `visit` breaks: the hashed key
    /// (all of it, not only what is behind `path`) and the RLP of the value.
    fn leaves(&self, path: &Nibbles, visit: &mut LeafVisitor<'_>) -> Result<(), DbError>;
}

/// The trie without leaves: storage of a new account, or of one that was wiped.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyTrie;

impl TrieReader for EmptyTrie {
    fn branch(&self, _: &Nibbles) -> Result<Option<Branch>, DbError> {
        Ok(None)
    }

    fn leaves(&self, _: &Nibbles, _: &mut LeafVisitor<'_>) -> Result<(), DbError> {
        Ok(())
    }
}

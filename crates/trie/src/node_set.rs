//! Nodes of many proofs, each kept once.

use std::collections::BTreeMap;

use alloy_primitives::Bytes;
use zvm_core::{B256, EMPTY_ROOT, keccak256};

use crate::{ProofError, verify::walk};

/// Nodes of tries by their hashes. Proofs out of one trie have most of their nodes in common.
///
/// ```
/// use zvm_core::keccak256;
/// use zvm_trie::{NodeSet, trie_root, verify_proof};
///
/// let key = keccak256("a");
/// let leaf = [&[0xe3, 0xa1, 0x20], key.as_slice(), b"1"].concat(); // RLP
/// let mut nodes = NodeSet::default();
/// nodes.insert(leaf.into());
///
/// let root = trie_root([(key, "1")]);
/// let proof = nodes.proof(root, key)?;
/// assert_eq!(verify_proof(root, key, &proof)?, Some(&b"1"[..]));
/// # Ok::<(), zvm_trie::ProofError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    nodes: BTreeMap<B256, Bytes>,
}

impl NodeSet {
    /// Adds a node by its RLP. It may be anything: what is no node is of no use to any proof.
    pub fn insert(&mut self, node: Bytes) -> B256 {
        let hash = keccak256(&node);
        self.nodes.entry(hash).or_insert(node);
        hash
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes, in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = (&B256, &Bytes)> {
        self.nodes.iter()
    }

    /// The proof of `key` in the trie with this root, for
    /// [`verify_proof`](crate::verify_proof).
    ///
    /// # Errors
    ///
    /// [`ProofError::Missing`] where a node on the way is not here; what else can be wrong with a
    /// proof, but for the hashes of its nodes.
    pub fn proof(&self, root: B256, key: B256) -> Result<Vec<Bytes>, ProofError> {
        let mut proof = Vec::new();
        if root == EMPTY_ROOT {
            return Ok(proof);
        }
        walk(root, key, |index, expected| {
            let node = self.nodes.get(&expected);
            let node = node.ok_or(ProofError::Missing { index, expected })?;
            proof.push(node.clone());
            Ok(node)
        })?;
        Ok(proof)
    }
}

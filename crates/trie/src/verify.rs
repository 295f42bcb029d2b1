//! Checks proofs. Shares no code with the side that makes them, and never panics.

use zvm_core::{B256, EMPTY_ROOT, keccak256};

use crate::proof_node::{Next, Node, NodeError, Path};

/// What a proof says about `key` under `root`: its value, or `None` if it is proven absent.
///
/// A proof is the list of nodes from the root towards the key as `eth_getProof` has it; nodes below
/// 32 bytes are within their parents. The key is the path in the trie, the keccak-256 of the address
/// or slot.
///
/// The trie without entries has an empty proof; its one node, 0x80, is accepted as well.
///
/// # Errors
///
/// Everything that is not exactly the nodes on the way: a node that does not have the hash its
/// parent gives, that is not a node in its one encoding, that is missing, or that nobody asked for.
pub fn verify_proof<N: AsRef<[u8]>>(
    root: B256,
    key: B256,
    proof: &[N],
) -> Result<Option<&[u8]>, ProofError> {
    if root == EMPTY_ROOT && proof.is_empty() {
        return Ok(None);
    }
    let mut count = 0;
    let value = walk(root, key, |index, hash| {
        count = index + 1;
        listed(proof, index, hash)
    })?;
    match proof.len() - count {
        0 => Ok(value),
        left => Err(ProofError::Trailing { index: count, count: left }),
    }
}

/// Goes from `root` towards `key` and finds its value. `node_of` gives the node at a place of the
/// way, from 0, by its hash.
pub(crate) fn walk<'n>(
    root: B256,
    key: B256,
    mut node_of: impl FnMut(usize, B256) -> Result<&'n [u8], ProofError>,
) -> Result<Option<&'n [u8]>, ProofError> {
    let mut path = Path { key, at: 0 };
    let mut index = 0;
    let mut node = node_of(index, root)?;
    let mut is_below_extension = false;
    loop {
        let at_node = |error| ProofError::Node { index, error };
        let decoded = Node::decode(node, path.at).map_err(at_node)?;
        if is_below_extension && !matches!(decoded, Node::Branch { .. }) {
            return Err(at_node(NodeError::ExtensionChild));
        }
        is_below_extension = matches!(decoded, Node::Extension { .. });
        match decoded.step(&mut path) {
            Next::End(value) => return Ok(value),
            Next::Inline(child) => node = child,
            Next::Hash(hash) => {
                index += 1;
                node = node_of(index, hash)?;
                if node.len() < 32 {
                    return Err(ProofError::Node { index, error: NodeError::Short });
                }
            }
        }
    }
}

/// Why a proof proves nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The way to the key goes on, and the proof does not.
    #[error("proof ends before node {index}, which has hash {expected}")]
    Missing {
        /// Place of the node in the proof, from 0.
        index: usize,
        /// Its hash.
        expected: B256,
    },

    /// A node is not the one its parent (or the root) names.
    #[error("node {index} of the proof has hash {found}, expected {expected}")]
    Hash {
        /// Place of the node in the proof, from 0.
        index: usize,
        /// The hash of the bytes given.
        found: B256,
        /// The hash asked for.
        expected: B256,
    },

    /// A node, or one within it, is not what a trie can have at that place.
    #[error("node {index} of the proof: {error}")]
    Node {
        /// Place of the node in the proof, from 0.
        index: usize,
        /// What is wrong with it.
        error: NodeError,
    },

    /// The answer is complete before the proof ends.
    #[error("{count} more nodes in the proof from node {index} on, where the answer is complete")]
    Trailing {
        /// Place of the first node too many, from 0.
        index: usize,
        /// How many there are.
        count: usize,
    },
}

/// The node of a proof at `index`, which must have `hash`.
fn listed<N: AsRef<[u8]>>(proof: &[N], index: usize, hash: B256) -> Result<&[u8], ProofError> {
    let node = proof.get(index).ok_or(ProofError::Missing { index, expected: hash })?.as_ref();
    match keccak256(node) {
        found if found == hash => Ok(node),
        found => Err(ProofError::Hash { index, found, expected: hash }),
    }
}

#[cfg(test)]
mod tests {
    use zvm_core::rlp::{RlpError, RlpFault};

    use super::*;

    /// Nibbles 6, 1 and then zeros.
    fn key() -> B256 {
        let mut key = B256::ZERO;
        key[0] = 0x61;
        key
    }

    /// The leaf `b` with this key, at the root.
    fn leaf() -> Vec<u8> {
        [&[0xe3, 0xa1, 0x20, 0x61][..], &[0; 31], b"b"].concat()
    }

    fn node_error(node: &[u8]) -> NodeError {
        match verify_proof(keccak256(node), key(), &[node]) {
            Err(ProofError::Node { index: 0, error }) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_single_leaf_proves_its_key_and_the_absence_of_others() {
        let root = keccak256(leaf());
        assert_eq!(verify_proof(root, key(), &[leaf()]), Ok(Some(&b"b"[..])));
        assert_eq!(verify_proof(root, B256::ZERO, &[leaf()]), Ok(None));
    }

    #[test]
    fn the_empty_trie_is_proven_by_nothing_or_by_its_node() {
        assert_eq!(verify_proof::<Vec<u8>>(EMPTY_ROOT, key(), &[]), Ok(None));
        assert_eq!(verify_proof(EMPTY_ROOT, key(), &[[0x80]]), Ok(None));
        let trailing = ProofError::Trailing { index: 1, count: 1 };
        assert_eq!(verify_proof(EMPTY_ROOT, key(), &[[0x80], [0x80]]), Err(trailing));
        let expected = keccak256(leaf());
        let missing = ProofError::Missing { index: 0, expected };
        assert_eq!(verify_proof::<Vec<u8>>(expected, key(), &[]), Err(missing));
        let found = keccak256([1]);
        let other = ProofError::Hash { index: 0, found, expected };
        assert_eq!(verify_proof(expected, key(), &[[1]]), Err(other));
    }

    #[test]
    fn errors_name_what_is_wrong_with_a_node() {
        let rlp = |offset, field, fault| NodeError::Rlp(RlpError { offset, field, fault });
        assert_eq!(node_error(&[]), rlp(0, "node", RlpFault::Missing));
        let short = RlpFault::TooShort { needed: 4, left: 2 };
        assert_eq!(node_error(&[0xc4, 0x20, b'b']), rlp(0, "node", short));
        assert_eq!(node_error(&[0x61]), rlp(0, "node", RlpFault::ExpectedList));
        assert_eq!(node_error(&[0xc0]), NodeError::ItemCount { found: 0 });
        assert_eq!(
            node_error(&[&[0xd2][..], &[1; 18]].concat()),
            NodeError::ItemCount { found: 18 }
        );
        let trailing = RlpFault::Trailing { length: 1 };
        assert_eq!(node_error(&[leaf(), vec![0]].concat()), rlp(36, "node", trailing));
        let single = RlpFault::ByteWithHeader;
        assert_eq!(node_error(&[0xc3, 0x81, 0x20, b'b']), rlp(1, "item of a node", single));
        assert_eq!(node_error(&[0xc2, 0xc0, 0x61]), rlp(1, "path", RlpFault::ExpectedString));
        assert_eq!(node_error(&[0xc2, 0x20, 0xc0]), rlp(2, "value", RlpFault::ExpectedString));
        assert_eq!(node_error(&[0xc2, 0x80, 0x61]), NodeError::HexPrefix { first: None });
        assert_eq!(node_error(&[0xc2, 0x21, 0x61]), NodeError::HexPrefix { first: Some(0x21) });
        assert_eq!(node_error(&[0xc2, 0x20, 0x80]), NodeError::EmptyValue);
        assert_eq!(node_error(&[0xc2, 0x00, 0x61]), NodeError::EmptyExtension);
        assert_eq!(node_error(&[0xc2, 0x16, 0x61]), NodeError::Reference { item: 1, length: 1 });
        assert_eq!(node_error(&[0xc2, 0x16, 0x80]), NodeError::Reference { item: 1, length: 0 });
        let no_children = [&[0xd1][..], &[0x80; 17]].concat();
        assert_eq!(node_error(&no_children), NodeError::FewChildren { found: 0 });
        let leaves = [0xd5, 0xc2, 0x20, 0x61, 0xc2, 0x20, 0x61];
        let with_value = [&leaves[..], &[0x80; 14], b"v"].concat();
        assert_eq!(node_error(&with_value), NodeError::BranchValue);
        // An extension over 63 nibbles above a leaf of one, which is within it.
        let path = [&[0xa0, 0x16, 0x10][..], &[0; 30]].concat();
        let over_leaf = [&[0xe4][..], &path, &[0xc2, 0x30, b'b']].concat();
        assert_eq!(node_error(&over_leaf), NodeError::ExtensionChild);
        // A leaf of one nibble at the root.
        assert_eq!(node_error(&[0xc2, 0x36, b'b']), NodeError::Depth { depth: 0, nibbles: 1 });
    }

    #[test]
    fn a_node_that_fits_into_its_parent_is_not_accepted_by_hash() {
        // A branch of two leaves below 63 nibbles fits into the extension above it.
        let branch = [&[0xd5, 0xc2, 0x20, 0x61, 0xc2, 0x20, 0x61][..], &[0x80; 15]].concat();
        let path = [&[0xa0, 0x16, 0x10][..], &[0; 30]].concat();
        let root = [&[0xf8, 0x42][..], &path, &[0xa0], keccak256(&branch).as_slice()].concat();
        let proof = [root.clone(), branch];
        let short = ProofError::Node { index: 1, error: NodeError::Short };
        assert_eq!(verify_proof(keccak256(&root), key(), &proof), Err(short));
    }
}

//! Nodes as RLP, and how their parents name them.

use std::ops::Range;

use alloy_rlp::{EMPTY_LIST_CODE, EMPTY_STRING_CODE, Encodable, Header};
use zvm_core::B256;

use crate::{Nibbles, branch::NodeRef, branch::Slots, builder::write_path};

/// Comes before a hash.
const HASH_CODE: u8 = EMPTY_STRING_CODE + 32;

/// Turns nodes into references. Holds one buffer for all of them.
#[derive(Default)]
pub(crate) struct NodeWriter {
    rlp: Vec<u8>,
}

impl NodeWriter {
    /// A leaf that hangs `depth` nibbles down.
    pub(crate) fn leaf(&mut self, key: &B256, depth: usize, value: &[u8]) -> NodeRef {
        self.rlp.clear();
        write_leaf(&mut self.rlp, key, depth, value);
        NodeRef::of(&self.rlp)
    }

    /// The branch node at `path`, named by `node`, from where it hangs `depth` nibbles down: itself,
    /// or an extension above it.
    pub(crate) fn extension(&mut self, path: &Nibbles, depth: usize, node: NodeRef) -> NodeRef {
        if depth >= path.len() {
            return node;
        }
        self.rlp.clear();
        write_extension(&mut self.rlp, path, depth, &node);
        NodeRef::of(&self.rlp)
    }

    /// A branch node alone.
    pub(crate) fn branch(&mut self, slots: &Slots) -> NodeRef {
        self.rlp.clear();
        write_branch(&mut self.rlp, slots);
        NodeRef::of(&self.rlp)
    }
}

/// Appends a leaf node for the nibbles of `key` from `depth` on.
pub(crate) fn write_leaf(out: &mut Vec<u8>, key: &B256, depth: usize, value: &[u8]) {
    let payload_length = path_length(64 - depth) + value.length();
    Header { list: true, payload_length }.encode(out);
    write_path(out, key.as_slice(), depth, 64, true);
    value.encode(out);
}

/// Appends an extension node for the nibbles of `path` from `depth` on.
pub(crate) fn write_extension(out: &mut Vec<u8>, path: &Nibbles, depth: usize, node: &NodeRef) {
    let payload_length = path_length(path.len() - depth) + reference_length(node);
    Header { list: true, payload_length }.encode(out);
    write_path(out, path.padded(), depth, path.len(), false);
    write_reference(out, node);
}

/// Appends a branch node. Keys have one length, so no branch has a value of its own.
pub(crate) fn write_branch(out: &mut Vec<u8>, slots: &Slots) {
    let children = (0..16).map(|nibble| slots.reference(nibble));
    let payload_length =
        1 + children.clone().map(|child| child.map_or(1, reference_length)).sum::<usize>();
    out.reserve(payload_length + 3);
    Header { list: true, payload_length }.encode(out);
    for child in children {
        match child {
            Some(node) => write_reference(out, node),
            None => out.push(EMPTY_STRING_CODE),
        }
    }
    out.push(EMPTY_STRING_CODE);
}

/// The children that a branch node names, by their nibbles, and where in the node: the hash, or the
/// child itself.
pub(crate) fn references(branch: &[u8]) -> impl Iterator<Item = (usize, Range<usize>)> {
    // The header of a list tells its length in the first byte, or in as many more as that says.
    let mut at = 1 + usize::from(branch[0].saturating_sub(0xf7));
    (0..16).filter_map(move |nibble| {
        let reference = match branch[at] {
            EMPTY_STRING_CODE => at..at,
            HASH_CODE => at + 1..at + 33,
            list => at..at + 1 + usize::from(list - EMPTY_LIST_CODE),
        };
        at = reference.end.max(at + 1);
        (!reference.is_empty()).then_some((nibble, reference))
    })
}

fn reference_length(node: &NodeRef) -> usize {
    node.as_slice().len() + usize::from(!node.is_inline())
}

fn write_reference(out: &mut Vec<u8>, node: &NodeRef) {
    match node.as_hash() {
        Some(hash) => {
            out.push(HASH_CODE);
            out.extend_from_slice(hash.as_slice());
        }
        None => out.extend_from_slice(node.as_slice()),
    }
}

/// The length of a path of that many nibbles in hex-prefix encoding, as an RLP string.
fn path_length(nibbles: usize) -> usize {
    match 1 + nibbles / 2 {
        1 => 1,
        bytes => 1 + bytes,
    }
}

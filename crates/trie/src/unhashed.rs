//! Nodes that are encoded and not yet hashed.
//!
//! Many messages hashed together cost a fraction of what each costs alone, but a node cannot be
//! hashed before the nodes that it names. So nodes are collected here with gaps where hashes will
//! be, and hashed level by level, lowest first. Whether a node stands for itself is known at once:
//! below 32 bytes it has no room for a hash.

use std::num::NonZeroUsize;

use zvm_core::B256;

use crate::{
    Nibbles,
    branch::{NodeRef, Slots},
    keccak::{BLOCK, keccak256_many},
    node::{references, write_branch, write_extension, write_leaf},
};

/// How a node is named by its parent.
#[derive(Clone, Copy)]
pub(crate) enum Name {
    Known(NodeRef),
    /// By a hash still to be computed.
    Waiting(NodeId),
}

/// A node that waits for its hash.
#[derive(Clone, Copy)]
pub(crate) struct NodeId(NonZeroUsize);

impl NodeId {
    /// The first of all.
    pub(crate) const FIRST: Self = Self(NonZeroUsize::MIN);

    fn at(index: usize) -> Self {
        Self(NonZeroUsize::MIN.saturating_add(index))
    }

    fn index(self) -> usize {
        self.0.get() - 1
    }
}

/// How many nodes are hashed in one call: at least as many as the widest registers take.
const TOGETHER: usize = 16;

/// Nodes in the order they were added, each behind those that it names.
#[derive(Default)]
pub(crate) struct Unhashed {
    /// The RLP of all of them, one behind the other.
    rlp: Vec<u8>,
    nodes: Vec<Node>,
}

struct Node {
    /// Where its RLP ends.
    end: usize,
    /// How many levels are to be hashed before it.
    level: u8,
    hash: Place,
}

/// Where the hash of a node belongs.
#[derive(Clone, Copy)]
enum Place {
    /// Here, as no other node names it.
    Here(B256),
    /// Into the node that names it, so many bytes from the start of all.
    Gap(usize),
}

impl Name {
    /// What to write until the hash is known.
    pub(crate) fn reference(&self) -> NodeRef {
        match self {
            Self::Known(node) => *node,
            Self::Waiting(_) => NodeRef::hash(B256::ZERO),
        }
    }

    pub(crate) fn waiting(&self) -> Option<NodeId> {
        match self {
            Self::Known(_) => None,
            Self::Waiting(id) => Some(*id),
        }
    }
}

impl Unhashed {
    /// Adds a leaf that hangs `depth` nibbles down.
    pub(crate) fn leaf(&mut self, key: &B256, depth: usize, value: &[u8]) -> Name {
        write_leaf(&mut self.rlp, key, depth, value);
        self.push(0)
    }

    /// Adds what hangs `depth` nibbles down above the branch node at `path`: an extension, or nothing.
    pub(crate) fn extension(&mut self, path: &Nibbles, depth: usize, node: Name) -> Name {
        if depth >= path.len() {
            return node;
        }
        write_extension(&mut self.rlp, path, depth, &node.reference());
        let level = match node {
            Name::Known(_) => 0,
            Name::Waiting(id) => self.nodes[id.index()].belongs_at(self.rlp.len() - 32),
        };
        self.push(level)
    }

    /// Adds a branch node alone. Some of its children may be `waiting`.
    pub(crate) fn branch(&mut self, slots: &Slots, waiting: &[Option<NodeId>; 16]) -> Name {
        let start = self.rlp.len();
        write_branch(&mut self.rlp, slots);
        let mut level = 0;
        for (nibble, reference) in references(&self.rlp[start..]) {
            if let Some(id) = waiting[nibble] {
                level = level.max(self.nodes[id.index()].belongs_at(start + reference.start));
            }
        }
        self.push(level)
    }

    /// Adds what stands behind the last node.
    fn push(&mut self, level: u8) -> Name {
        let start = self.end();
        let node = &self.rlp[start..];
        if node.len() < 32 {
            let node = NodeRef::of(node);
            self.rlp.truncate(start);
            return Name::Known(node);
        }
        let id = self.next();
        self.nodes.push(Node { end: self.rlp.len(), level, hash: Place::Here(B256::ZERO) });
        Name::Waiting(id)
    }

    /// The node that comes next.
    pub(crate) fn next(&self) -> NodeId {
        NodeId::at(self.nodes.len())
    }

    /// Bytes held by the nodes from `first` on.
    pub(crate) fn bytes_from(&self, first: NodeId) -> usize {
        self.end() - self.start(first.index())
    }

    /// Hashes all nodes from `first` on, none of which is named by an earlier one.
    pub(crate) fn hash_from(&mut self, first: NodeId) {
        // Level, then blocks, then place, in one number because that sorts fastest.
        let mut order: Vec<u64> = (first.index()..self.nodes.len())
            .map(|index| {
                let blocks = (self.node(index).len() / BLOCK) as u64;
                u64::from(self.nodes[index].level) << 56 | blocks.min(0xffff) << 40 | index as u64
            })
            .collect();
        order.sort_unstable();
        let index_of = |key: &u64| (key & ((1 << 40) - 1)) as usize;
        for level in order.chunk_by(|a, b| a >> 56 == b >> 56) {
            for some in level.chunks(TOGETHER) {
                let (mut messages, mut hashes) = ([&[][..]; TOGETHER], [B256::ZERO; TOGETHER]);
                for (message, key) in messages.iter_mut().zip(some) {
                    *message = self.node(index_of(key));
                }
                keccak256_many(&messages[..some.len()], &mut hashes[..some.len()]);
                for (key, hash) in some.iter().zip(hashes) {
                    match &mut self.nodes[index_of(key)].hash {
                        Place::Here(place) => *place = hash,
                        Place::Gap(at) => self.rlp[*at..*at + 32].copy_from_slice(hash.as_slice()),
                    }
                }
            }
        }
    }

    /// The name of a node that is hashed.
    pub(crate) fn known(&self, name: Name) -> NodeRef {
        match name {
            Name::Known(node) => node,
            Name::Waiting(id) => NodeRef::hash(match self.nodes[id.index()].hash {
                Place::Here(hash) => hash,
                Place::Gap(at) => B256::from_slice(&self.rlp[at..at + 32]),
            }),
        }
    }

    /// The RLP of a node.
    pub(crate) fn rlp(&self, id: NodeId) -> &[u8] {
        self.node(id.index())
    }

    /// Forgets the nodes from `first` on.
    pub(crate) fn forget_from(&mut self, first: NodeId) {
        self.rlp.truncate(self.start(first.index()));
        self.nodes.truncate(first.index());
    }

    fn node(&self, index: usize) -> &[u8] {
        &self.rlp[self.start(index)..self.nodes[index].end]
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.nodes[before].end)
    }

    fn end(&self) -> usize {
        self.start(self.nodes.len())
    }
}

impl Node {
    /// Notes where its hash belongs. The level of the node there is at least what this gives.
    fn belongs_at(&mut self, gap: usize) -> u8 {
        self.hash = Place::Gap(gap);
        self.level + 1
    }
}

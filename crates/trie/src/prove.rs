//! Proofs out of a stored trie.

use std::{collections::BTreeMap, ops::ControlFlow};

use alloy_primitives::Bytes;
use zvm_core::{B256, DbError};

use crate::{
    Branch, Child, LeafVisitor, Nibbles, RecordBuilder, TrieReader,
    branch::NodeRef,
    error::InconsistentTrie,
    nibbles::key_nibble,
    node::{write_branch, write_extension, write_leaf},
};

/// The proof of `key`, which is the keccak-256 of an address or slot: the nodes from the root
/// towards it as RLP, as far as the trie goes.
///
/// It proves the value of the key, or that the trie has no such key. Nodes below 32 bytes are within
/// their parents and not listed. The proof out of an empty trie is empty.
///
/// Other than for an update, records and leaves of `reader` must be of the same moment.
///
/// # Errors
///
/// Those of `reader`; and [`InconsistentTrie`] in a [`DbError::Engine`] where records and leaves do
/// not fit together.
pub fn prove(reader: &dyn TrieReader, key: B256) -> Result<Vec<Bytes>, DbError> {
    Ok(prove_many(reader, &[key])?.pop().unwrap_or_default())
}

/// The proofs of many keys, in the order of `keys`. What they have in common is read once.
///
/// # Errors
///
/// As [`prove`].
pub fn prove_many(reader: &dyn TrieReader, keys: &[B256]) -> Result<Vec<Vec<Bytes>>, DbError> {
    let mut targets: Vec<_> = keys.iter().copied().zip(0..).collect();
    targets.sort_unstable();
    let mut prover = Prover { proofs: vec![Vec::new(); keys.len()] };
    prover.subtree(reader, &Nibbles::EMPTY, true, &targets)?;
    Ok(prover.proofs)
}

/// A key, and its place among those asked for.
type Target = (B256, usize);

struct Prover {
    proofs: Vec<Vec<Bytes>>,
}

impl Prover {
    /// Goes on at a node that hangs at `path`; `is_listed` unless it is within its parent.
    fn subtree(
        &mut self,
        reader: &dyn TrieReader,
        path: &Nibbles,
        is_listed: bool,
        targets: &[Target],
    ) -> Result<(), DbError> {
        if targets.is_empty() {
            return Ok(());
        }
        match reader.branch(path)? {
            Some(branch) => self.branch(reader, path, &branch, is_listed, targets),
            None => self.small(reader, path, is_listed, targets),
        }
    }

    /// Goes on at a node without a record.
    fn small(
        &mut self,
        reader: &dyn TrieReader,
        path: &Nibbles,
        is_listed: bool,
        targets: &[Target],
    ) -> Result<(), DbError> {
        let rebuilt = Rebuilt::below(reader, path)?;
        if let Some((key, value)) = rebuilt.only_leaf() {
            if is_listed {
                let mut leaf = Vec::new();
                write_leaf(&mut leaf, key, path.len(), value);
                self.list(leaf, targets);
            }
            return Ok(());
        }
        match rebuilt.branch(path)? {
            Some(branch) => self.branch(&rebuilt, path, &branch, is_listed, targets),
            None => Ok(()),
        }
    }

    fn branch(
        &mut self,
        reader: &dyn TrieReader,
        path: &Nibbles,
        branch: &Branch,
        is_listed: bool,
        targets: &[Target],
    ) -> Result<(), DbError> {
        let end = branch.end(path)?;
        let mut node = Vec::new();
        write_branch(&mut node, &branch.unpack());
        let mut targets = targets;
        if branch.extension().is_empty() {
            if is_listed {
                self.list(node, targets);
            }
        } else {
            let reference = NodeRef::of(&node);
            if is_listed {
                let mut extension = Vec::new();
                write_extension(&mut extension, &end, path.len(), &reference);
                self.list(extension, targets);
            }
            let (first, last) = (end.first_key(), end.last_key());
            targets = &targets[targets.partition_point(|target| target.0 < first)..];
            targets = &targets[..targets.partition_point(|target| target.0 <= last)];
            if !reference.is_inline() {
                self.list(node, targets);
            }
        }
        let depth = end.len();
        for below in targets.chunk_by(|a, b| key_nibble(&a.0, depth) == key_nibble(&b.0, depth)) {
            let nibble = key_nibble(&below[0].0, depth);
            let hang = end.child(nibble);
            match branch.child(nibble) {
                Child::Empty => {}
                Child::Leaf(node) => self.leaf(reader, &hang, &node, below)?,
                Child::Small(node) => self.small(reader, &hang, !node.is_inline(), below)?,
                Child::Branch(node) => self.subtree(reader, &hang, !node.is_inline(), below)?,
            }
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        reader: &dyn TrieReader,
        path: &Nibbles,
        node: &NodeRef,
        targets: &[Target],
    ) -> Result<(), DbError> {
        if node.is_inline() {
            return Ok(());
        }
        let mut leaf = Vec::new();
        reader.leaves(path, &mut |key, value| {
            write_leaf(&mut leaf, &key, path.len(), value);
            Ok(ControlFlow::Break(()))
        })?;
        if leaf.is_empty() {
            return Err(InconsistentTrie::MissingLeaf { path: *path }.into());
        }
        self.list(leaf, targets);
        Ok(())
    }

    /// Adds a node to the proofs of all `targets`.
    fn list(&mut self, node: Vec<u8>, targets: &[Target]) {
        let node = Bytes::from(node);
        for (_, place) in targets {
            self.proofs[*place].push(node.clone());
        }
    }
}

/// A subtree without records, built again from its leaves.
struct Rebuilt {
    leaves: BTreeMap<B256, Vec<u8>>,
    records: BTreeMap<Nibbles, Branch>,
}

impl Rebuilt {
    fn below(reader: &dyn TrieReader, path: &Nibbles) -> Result<Self, DbError> {
        let mut leaves = BTreeMap::new();
        reader.leaves(path, &mut |key, value| {
            if !path.is_prefix_of(&key) {
                return Err(InconsistentTrie::LeafOrder { path: *path, key }.into());
            }
            leaves.insert(key, value.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        let mut records = BTreeMap::new();
        let mut builder = RecordBuilder::new(0, |hang: Nibbles, mut branch: Branch| {
            // Built as a trie of its own, the top hangs at the root instead of at `path`.
            let below = if hang.is_empty() { path.len() } else { 0 };
            branch.set_extension(branch.extension().suffix(below));
            records.insert(if hang.is_empty() { *path } else { hang }, branch);
            Ok(())
        });
        for (key, value) in &leaves {
            builder.push(*key, value)?;
        }
        builder.finish()?;
        Ok(Self { leaves, records })
    }

    fn only_leaf(&self) -> Option<(&B256, &Vec<u8>)> {
        self.leaves.first_key_value().filter(|_| self.leaves.len() == 1)
    }
}

impl TrieReader for Rebuilt {
    fn branch(&self, path: &Nibbles) -> Result<Option<Branch>, DbError> {
        Ok(self.records.get(path).cloned())
    }

    fn leaves(&self, path: &Nibbles, visit: &mut LeafVisitor<'_>) -> Result<(), DbError> {
        for (key, value) in self.leaves.range(path.first_key()..=path.last_key()) {
            if visit(*key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

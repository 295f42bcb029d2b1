//! One pass over all leaves to a root and every branch record.

use zvm_core::{B256, DbError, EMPTY_ROOT};

use crate::{
    Branch, Nibbles,
    branch::{NodeRef, Slots},
    nibbles::{common_nibbles, key_nibble},
    node::NodeWriter,
    update::Present,
};

/// Builds the records of a trie from its leaves in ascending key order, and its root.
///
/// Memory is bounded by the depth of the trie: what is held are the branches on the path to the
/// latest leaf. They come out as they are completed, each after those below it. The records are
/// exactly those that updates with the same `small_max` would have left behind.
///
/// ```
/// # use zvm_core::{B256, DbError};
/// use zvm_trie::RecordBuilder;
///
/// let mut records = Vec::new();
/// let mut trie = RecordBuilder::new(0, |path, branch| {
///     records.push((path, branch.encode()));
///     Ok(())
/// });
/// trie.push(B256::repeat_byte(0x11), b"one")?;
/// trie.push(B256::repeat_byte(0x22), b"two")?;
/// trie.finish()?;
/// assert_eq!(records.len(), 1);
/// # Ok::<(), DbError>(())
/// ```
pub struct RecordBuilder<F> {
    small_max: u64,
    emit: F,
    writer: NodeWriter,
    /// Branches on the path to the latest leaf, outermost first.
    open: Vec<Open>,
    /// The latest leaf. Its value is empty as long as there is none.
    key: B256,
    value: Vec<u8>,
}

/// A branch that is being filled.
struct Open {
    /// Nibbles of the key above the branch node.
    depth: usize,
    slots: Slots,
    leaf_count: u64,
}

/// A complete subtree.
struct Done {
    node: NodeRef,
    present: Present,
    leaf_count: u64,
}

impl<F: FnMut(Nibbles, Branch) -> Result<(), DbError>> RecordBuilder<F> {
    /// A trie whose records go to `emit`, except those of subtrees of at most `small_max` leaves.
    pub fn new(small_max: u64, emit: F) -> Self {
        Self {
            small_max,
            emit,
            writer: NodeWriter::default(),
            open: Vec::new(),
            key: B256::ZERO,
            value: Vec::new(),
        }
    }

    /// Adds a leaf: a hashed key and the RLP of its value. An empty value is an absent leaf and is
    /// passed over.
    ///
    /// # Errors
    ///
    /// Those of `emit`.
    ///
    /// # Panics
    ///
    /// If `key` is not above the key pushed before.
    pub fn push(&mut self, key: B256, value: &[u8]) -> Result<(), DbError> {
        if value.is_empty() {
            return Ok(());
        }
        if !self.value.is_empty() {
            assert!(self.key < key, "leaves of a trie come in ascending order, each once");
            let parting = common_nibbles(&self.key, &key);
            let mut top = self.branch_at_least(parting);
            let mut done = self.leaf(top.depth + 1);
            loop {
                top.add(key_nibble(&self.key, top.depth), &done);
                if top.depth <= parting {
                    self.open.push(top);
                    break;
                }
                let above = self.branch_at_least(parting);
                done = self.close(&top, above.depth + 1)?;
                top = above;
            }
        }
        self.key = key;
        self.value.clear();
        self.value.extend_from_slice(value);
        Ok(())
    }

    /// The root over all leaves pushed; [`EMPTY_ROOT`] if there were none.
    ///
    /// # Errors
    ///
    /// Those of the function that takes the records.
    pub fn finish(mut self) -> Result<B256, DbError> {
        if self.value.is_empty() {
            return Ok(EMPTY_ROOT);
        }
        let mut done = self.leaf(self.open.last().map_or(0, |open| open.depth + 1));
        while let Some(mut top) = self.open.pop() {
            top.add(key_nibble(&self.key, top.depth), &done);
            done = self.close(&top, self.open.last().map_or(0, |open| open.depth + 1))?;
        }
        Ok(done.node.root())
    }

    /// Takes the innermost open branch, or a new one at `depth` if all are above it.
    fn branch_at_least(&mut self, depth: usize) -> Open {
        self.open.pop_if(|open| open.depth >= depth).unwrap_or_else(|| Open {
            depth,
            slots: Slots::default(),
            leaf_count: 0,
        })
    }

    /// The latest leaf, hanging `hang` nibbles down.
    fn leaf(&mut self, hang: usize) -> Done {
        let node = self.writer.leaf(&self.key, hang, &self.value);
        Done { node, present: Present::Leaf, leaf_count: 1 }
    }

    /// Completes `branch`, on the path to the latest leaf, which hangs `hang` nibbles down.
    fn close(&mut self, branch: &Open, hang: usize) -> Result<Done, DbError> {
        let end = Nibbles::of_key(&self.key, branch.depth);
        let node = self.writer.branch(&branch.slots);
        let node = self.writer.extension(&end, hang, node);
        let leaf_count = branch.leaf_count;
        let present = match leaf_count > self.small_max {
            true => Present::Branch,
            false => Present::Small,
        };
        if let Present::Branch = present {
            (self.emit)(end.prefix(hang), branch.slots.pack(end.suffix(hang), leaf_count))?;
        }
        Ok(Done { node, present, leaf_count })
    }
}

impl Open {
    fn add(&mut self, nibble: u8, child: &Done) {
        self.slots.set(usize::from(nibble), child.node, child.present);
        self.leaf_count += child.leaf_count;
    }
}

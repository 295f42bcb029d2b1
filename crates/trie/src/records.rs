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
    /// The latest leaf, or the greatest there can be below the latest branch.
    key: B256,
    /// Empty if that is a branch, or nothing.
    value: Vec<u8>,
    /// The latest branch, if no leaf came behind it.
    branch: Option<Hung>,
}

/// A branch that is being filled.
struct Open {
    /// Nibbles of the key above the branch node.
    depth: usize,
    slots: Slots,
    leaf_count: u64,
}

/// A branch that was pushed.
struct Hung {
    /// Where it was.
    path: Nibbles,
    /// Where its node is, and what names that.
    end: Nibbles,
    node: NodeRef,
    branch: Branch,
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
            branch: None,
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
        self.close_before(&key)?;
        self.key = key;
        self.value.clear();
        self.value.extend_from_slice(value);
        Ok(())
    }

    /// Adds all leaves below `path`, of which `branch` is the record that hangs there. It comes out
    /// again only if nothing is beside it, under the path where it hangs then.
    ///
    /// # Errors
    ///
    /// Those of `emit`; and [`InconsistentTrie`] in a [`DbError::Engine`] if the record ends below the
    /// keys.
    ///
    /// # Panics
    ///
    /// If `path` is not behind what was pushed before.
    pub fn push_branch(&mut self, path: Nibbles, branch: &Branch) -> Result<(), DbError> {
        self.close_before(&path.first_key())?;
        let (end, node) = (branch.end(&path)?, self.writer.branch(&branch.unpack()));
        self.key = path.last_key();
        self.value.clear();
        self.branch = Some(Hung { path, end, node, branch: branch.clone() });
        Ok(())
    }

    /// The root over all leaves pushed; [`EMPTY_ROOT`] if there were none.
    ///
    /// # Errors
    ///
    /// Those of the function that takes the records.
    pub fn finish(mut self) -> Result<B256, DbError> {
        if self.is_empty() {
            return Ok(EMPTY_ROOT);
        }
        let mut done = self.latest(self.open.last().map_or(0, |open| open.depth + 1))?;
        while let Some(mut top) = self.open.pop() {
            top.add(key_nibble(&self.key, top.depth), &done);
            done = self.close(&top, self.open.last().map_or(0, |open| open.depth + 1))?;
        }
        Ok(done.node.root())
    }

    /// Whether nothing was pushed.
    fn is_empty(&self) -> bool {
        self.value.is_empty() && self.branch.is_none()
    }

    /// Completes the branches that have nothing at `key` or behind it.
    fn close_before(&mut self, key: &B256) -> Result<(), DbError> {
        if self.is_empty() {
            return Ok(());
        }
        assert!(self.key < *key, "leaves of a trie come in ascending order, each once");
        let parting = common_nibbles(&self.key, key);
        let mut top = self.branch_at_least(parting);
        let mut done = self.latest(top.depth + 1)?;
        loop {
            top.add(key_nibble(&self.key, top.depth), &done);
            if top.depth <= parting {
                self.open.push(top);
                return Ok(());
            }
            let above = self.branch_at_least(parting);
            done = self.close(&top, above.depth + 1)?;
            top = above;
        }
    }

    /// Takes the innermost open branch, or a new one at `depth` if all are above it.
    fn branch_at_least(&mut self, depth: usize) -> Open {
        self.open.pop_if(|open| open.depth >= depth).unwrap_or_else(|| Open {
            depth,
            slots: Slots::default(),
            leaf_count: 0,
        })
    }

    /// The latest leaf or branch, hanging `hang` nibbles down.
    fn latest(&mut self, hang: usize) -> Result<Done, DbError> {
        let Some(Hung { path, end, node, mut branch }) = self.branch.take() else {
            let node = self.writer.leaf(&self.key, hang, &self.value);
            return Ok(Done { node, present: Present::Leaf, leaf_count: 1 });
        };
        let node = self.writer.extension(&end, hang, node);
        let leaf_count = branch.leaf_count();
        if hang < path.len() {
            branch.set_extension(end.suffix(hang));
            (self.emit)(end.prefix(hang), branch)?;
        }
        Ok(Done { node, present: Present::Branch, leaf_count })
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
        self.leaf_count = self.leaf_count.saturating_add(child.leaf_count);
    }
}

//! The trie after a set of changes: its root, and the records that differ.
//!
//! One recursion over the changes in key order visits the branches above them and no others. On the
//! way back a subtree is handed up as a [`Node`] that does not know yet where it will hang, because
//! the branch above may turn out to have no other child and disappear.

use std::{borrow::Cow, ops::ControlFlow};

use zvm_core::{B256, DbError, EMPTY_ROOT};

use crate::{
    Branch, Nibbles, TrieReader,
    branch::{NodeRef, Slots},
    error::InconsistentTrie,
    nibbles::{common_nibbles, key_nibble},
    parallel,
    unhashed::{Name, NodeId, Unhashed},
};

/// Bytes of nodes below a child that are hashed before the next child is looked at: enough to fill
/// all lanes at most levels, and little enough to stay in a processor's cache.
pub(crate) const HASH_BYTES: usize = 64 * 1024;

/// What happens to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The hashed key.
    pub key: B256,
    /// Whether the trie of the records has a leaf with this key. It saves looking for the key behind
    /// a leaf whose record holds no more than the hash. If it is wrong, so is the root.
    pub existed: bool,
    /// RLP of the new value. `None`, or no bytes: the leaf is removed.
    pub value: Option<&'a [u8]>,
}

/// How a trie is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateOptions {
    /// Subtrees of at most this many leaves have no records; they are built again from the leaves
    /// when a change meets them. It must not change during the life of a stored trie.
    pub small_max: u64,
    /// Threads for the sixteen subtrees below the root. The result does not depend on it.
    pub threads: usize,
}

impl UpdateOptions {
    /// The trie of accounts: no records for up to twelve of them, one thread.
    pub const ACCOUNTS: Self = Self { small_max: 12, threads: 1 };

    /// The trie of an account's storage: none for up to eight slots, one thread.
    pub const STORAGE: Self = Self { small_max: 8, threads: 1 };
}

/// Records to write, or (`None`) to delete, in order of their paths, each once.
pub type BranchUpdates = Vec<(Nibbles, Option<Branch>)>;

/// What an update comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrieUpdate {
    /// The new root.
    pub root: B256,
    /// The records that differ.
    pub branches: BranchUpdates,
}

/// Computes the trie after `changes`, which come in ascending key order, each key once.
///
/// The leaves of `reader` may be those before the changes, those after them, or anything between:
/// whatever it says about a changed key is passed over. So records that lag behind the leaves are
/// brought up to date by the changes since.
///
/// # Errors
///
/// Those of `reader`; and [`InconsistentTrie`] in a [`DbError::Engine`] where records and leaves do
/// not fit together.
///
/// # Panics
///
/// If the keys do not ascend.
pub fn update(
    reader: &dyn TrieReader,
    changes: &[Change<'_>],
    options: UpdateOptions,
) -> Result<TrieUpdate, DbError> {
    let (node, branches) = updated(reader, Nibbles::EMPTY, changes, options)?;
    Ok(TrieUpdate { root: node.map_or(EMPTY_ROOT, |node| node.root()), branches })
}

/// The records below `path` that differ after `changes`, all of which are below it, as if nothing were
/// beside it: the topmost hangs at `path`.
///
/// # Errors
///
/// Those of [`update`].
///
/// # Panics
///
/// If the keys do not ascend, or are not below `path`.
pub fn update_below(
    reader: &dyn TrieReader,
    path: Nibbles,
    changes: &[Change<'_>],
    options: UpdateOptions,
) -> Result<BranchUpdates, DbError> {
    let ends = changes.first().into_iter().chain(changes.last());
    assert!(ends.into_iter().all(|change| path.is_prefix_of(&change.key)), "changes beside a path");
    Ok(updated(reader, path, changes, options)?.1)
}

/// What hangs at `path` after `changes`, and the records below it that differ.
fn updated(
    reader: &dyn TrieReader,
    path: Nibbles,
    changes: &[Change<'_>],
    options: UpdateOptions,
) -> Result<(Option<NodeRef>, BranchUpdates), DbError> {
    check_order(changes);
    // Removing what is not there would only send the recursion to places that stay as they are.
    let effective: Cow<'_, [Change<'_>]> = if changes.iter().any(Change::is_idle) {
        changes.iter().filter(|change| !change.is_idle()).copied().collect()
    } else {
        changes.into()
    };

    let mut worker = Worker::new(reader, options);
    let start = worker.here();
    let node = worker.subtree(path, &effective)?;
    let node = worker.hang(&path, node).map(|(name, _)| worker.hash_from(start, name));
    let mut records = worker.records;
    records.retain(|record| record.was_stored || record.branch.is_some());
    // In order already but where a branch was pulled up into its parent's place.
    records.sort_by_key(|record| record.path);
    let branches = records.into_iter().map(|record| (record.path, record.branch)).collect();
    Ok((node, branches))
}

/// Panics if the keys do not ascend.
pub(crate) fn check_order(changes: &[Change<'_>]) {
    assert!(
        changes.is_sorted_by(|a, b| a.key < b.key),
        "changes of a trie come in ascending order, each key once"
    );
}

impl<'a> Change<'a> {
    /// The new value, if there is one.
    fn put(&self) -> Option<&'a [u8]> {
        self.value.filter(|value| !value.is_empty())
    }

    /// Whether it removes what is not there.
    fn is_idle(&self) -> bool {
        !self.existed && self.put().is_none()
    }
}

/// By how much `changes` alter the number of leaves.
fn growth(changes: &[Change<'_>]) -> i64 {
    changes.iter().map(|change| i64::from(change.put().is_some()) - i64::from(change.existed)).sum()
}

/// A subtree that does not know where it will hang.
pub(crate) enum Node<'a> {
    Empty,
    Leaf { key: B256, value: Cow<'a, [u8]> },
    Branch(Floating),
}

/// A branch node without the extension that may come above it.
pub(crate) struct Floating {
    /// Where the branch node is.
    path: Nibbles,
    name: Name,
    /// Which of the [`Worker`]'s records is its own; `None` for a small subtree.
    record: Option<usize>,
}

/// The place of a record that was visited.
pub(crate) struct Record {
    path: Nibbles,
    was_stored: bool,
    branch: Option<Branch>,
    /// The node that the references of `branch` are still to be taken from.
    waiting: Option<NodeId>,
}

/// A branch whose children are being replaced.
pub(crate) struct Open<'a> {
    /// Where the branch node is.
    pub(crate) path: Nibbles,
    /// The children that stay, and the new ones that have been hung.
    slots: Slots,
    /// Those of them that are not hashed yet.
    waiting: [Option<NodeId>; 16],
    /// The first new child, as long as it is the only child of all.
    pending: Option<(u8, Node<'a>)>,
}

/// Where in a [`Worker`] the nodes and records of a subtree begin.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    node: NodeId,
    record: usize,
}

/// What is at the path of a child.
#[derive(Clone, Copy)]
pub(crate) enum Present {
    Empty,
    Leaf,
    /// A branch without a record.
    Small,
    Branch,
}

/// The recursion. Each thread has its own.
pub(crate) struct Worker<'r> {
    reader: &'r dyn TrieReader,
    options: UpdateOptions,
    pub(crate) unhashed: Unhashed,
    /// In order of their paths, as they are visited on the way down.
    records: Vec<Record>,
}

impl<'r> Worker<'r> {
    pub(crate) fn new(reader: &'r dyn TrieReader, options: UpdateOptions) -> Self {
        Self { reader, options, unhashed: Unhashed::default(), records: Vec::new() }
    }

    /// A worker for a part of the same update, on a thread of its own.
    pub(crate) fn part(&self) -> Self {
        Self::new(self.reader, UpdateOptions { threads: 1, ..self.options })
    }

    /// What is at `path` after `changes`, all of them below it.
    pub(crate) fn child<'c>(
        &mut self,
        path: Nibbles,
        present: Present,
        changes: &[Change<'c>],
    ) -> Result<Node<'c>, DbError> {
        match present {
            Present::Empty => self.grow(path, changes),
            // The only leaf here is among the changes.
            Present::Leaf if changes.iter().any(|change| change.existed) => {
                self.grow(path, changes)
            }
            Present::Leaf => {
                let (key, value) = self.leaf_beside(&path, changes)?;
                let mut leaves = changes.to_vec();
                leaves.push(Change { key, existed: true, value: Some(&value) });
                leaves.sort_unstable_by_key(|change| change.key);
                Ok(self.build(path, &leaves)?.into_owned())
            }
            Present::Small => self.rebuild(path, changes),
            Present::Branch => self.subtree(path, changes),
        }
    }

    /// A branch that hangs at `path`, or whatever the leaves below it say.
    fn subtree<'c>(&mut self, path: Nibbles, changes: &[Change<'c>]) -> Result<Node<'c>, DbError> {
        let Some(branch) = self.reader.branch(&path)? else {
            return self.rebuild(path, changes);
        };
        let record = self.record(path, true);
        let end = branch.end(&path)?;
        self.branch(record, end, &branch, changes)
    }

    /// Changes a branch node at `end`, whose place among the records is `record`.
    fn branch<'c>(
        &mut self,
        record: usize,
        end: Nibbles,
        stored: &Branch,
        changes: &[Change<'c>],
    ) -> Result<Node<'c>, DbError> {
        let leaf_count_after = stored.leaf_count().saturating_add_signed(growth(changes));
        let parting = match changes {
            [first, .., last] => parting(&end, &first.key).min(parting(&end, &last.key)),
            [only] => parting(&end, &only.key),
            [] => end.len(),
        };
        if parting == end.len() {
            let mut open = Open::new(end, stored.unpack());
            self.descend(&mut open, changes)?;
            return self.close(Some(record), &mut open, leaf_count_after);
        }
        // A new key leaves the extension: a new branch there, with the old one below it.
        let mut open = Open::new(end.prefix(parting), Slots::default());
        let along = end.get(parting);
        let below = |change: &Change<'_>| key_nibble(&change.key, parting);
        let (before, rest) = changes.split_at(changes.partition_point(|c| below(c) < along));
        let (inside, behind) = rest.split_at(rest.partition_point(|c| below(c) == along));
        self.descend(&mut open, before)?;
        let lower = open.path.child(along);
        let lower_record = self.record(lower, false);
        let node = self.branch(lower_record, end, stored, inside)?;
        self.add(&mut open, along, node);
        self.descend(&mut open, behind)?;
        self.close(Some(record), &mut open, leaf_count_after)
    }

    /// Replaces the children of `open` that `changes` concern.
    fn descend<'c>(&mut self, open: &mut Open<'c>, changes: &[Change<'c>]) -> Result<(), DbError> {
        let depth = open.path.len();
        let groups =
            changes.chunk_by(|a, b| key_nibble(&a.key, depth) == key_nibble(&b.key, depth));
        let before = open.slots.kinds();
        for group in groups.clone() {
            open.slots.clear(usize::from(key_nibble(&group[0].key, depth)));
        }
        if depth == 0 && parallel::pays(self.options.threads, changes.len()) {
            let groups: Vec<_> = groups
                .map(|group| {
                    let nibble = key_nibble(&group[0].key, 0);
                    (nibble, before.at(nibble), group)
                })
                .collect();
            for (nibble, mut node, records) in
                parallel::children(self, self.options.threads, &groups)?
            {
                node.shift_record(self.records.len());
                self.records.extend(records);
                self.add(open, nibble, node);
            }
            return Ok(());
        }
        for group in groups {
            let nibble = key_nibble(&group[0].key, depth);
            let start = self.here();
            let mut node = self.child(open.path.child(nibble), before.at(nibble), group)?;
            if self.unhashed.bytes_from(start.node) > HASH_BYTES {
                self.complete(start, &mut node);
            }
            self.add(open, nibble, node);
        }
        Ok(())
    }

    /// A subtree of nothing but `changes`.
    pub(crate) fn grow<'c>(
        &mut self,
        path: Nibbles,
        changes: &[Change<'c>],
    ) -> Result<Node<'c>, DbError> {
        if changes.iter().all(|change| change.put().is_some()) {
            return self.build(path, changes);
        }
        let leaves: Vec<_> =
            changes.iter().filter(|change| change.put().is_some()).copied().collect();
        self.build(path, &leaves)
    }

    /// A subtree of these leaves, all of them with values.
    fn build<'c>(&mut self, path: Nibbles, leaves: &[Change<'c>]) -> Result<Node<'c>, DbError> {
        let (first, last) = match leaves {
            [] => return Ok(Node::Empty),
            [leaf] => {
                let value = Cow::Borrowed(leaf.value.unwrap_or_default());
                return Ok(Node::Leaf { key: leaf.key, value });
            }
            [first, .., last] => (first, last),
        };
        let leaf_count = leaves.len() as u64;
        let record = (leaf_count > self.options.small_max).then(|| self.record(path, false));
        let end = common_nibbles(&first.key, &last.key);
        let mut open = Open::new(Nibbles::of_key(&first.key, end), Slots::default());
        self.descend(&mut open, leaves)?;
        self.close(record, &mut open, leaf_count)
    }

    /// A subtree without records: the leaves there are, and `changes`.
    fn rebuild<'c>(&mut self, path: Nibbles, changes: &[Change<'c>]) -> Result<Node<'c>, DbError> {
        let mut values = Vec::new();
        let mut present: Vec<(B256, usize)> = Vec::new();
        self.leaves(&path, changes, &mut |key, value| {
            values.extend_from_slice(value);
            present.push((key, values.len()));
            ControlFlow::Continue(())
        })?;
        if present.is_empty() {
            return self.grow(path, changes);
        }
        let mut leaves: Vec<_> =
            changes.iter().filter(|change| change.put().is_some()).copied().collect();
        let mut start = 0;
        for (key, end) in present {
            leaves.push(Change { key, existed: true, value: Some(&values[start..end]) });
            start = end;
        }
        leaves.sort_unstable_by_key(|leaf| leaf.key);
        Ok(self.build(path, &leaves)?.into_owned())
    }

    /// The leaf below `path` that is not among `changes`.
    fn leaf_beside(
        &self,
        path: &Nibbles,
        changes: &[Change<'_>],
    ) -> Result<(B256, Vec<u8>), DbError> {
        let mut found = None;
        self.leaves(path, changes, &mut |key, value| {
            found = Some((key, value.to_vec()));
            ControlFlow::Break(())
        })?;
        Ok(found.ok_or(InconsistentTrie::MissingLeaf { path: *path })?)
    }

    /// Visits the leaves below `path` that are not among `changes`.
    fn leaves(
        &self,
        path: &Nibbles,
        changes: &[Change<'_>],
        visit: &mut dyn FnMut(B256, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), DbError> {
        let mut last = None;
        self.reader.leaves(path, &mut |key, value| {
            if !path.is_prefix_of(&key) || last.is_some_and(|last| last >= key) {
                return Err(InconsistentTrie::LeafOrder { path: *path, key }.into());
            }
            last = Some(key);
            if value.is_empty() || changes.binary_search_by_key(&key, |change| change.key).is_ok() {
                return Ok(ControlFlow::Continue(()));
            }
            Ok(visit(key, value))
        })
    }

    /// Gives `open` a child.
    fn add<'c>(&mut self, open: &mut Open<'c>, nibble: u8, node: Node<'c>) {
        if matches!(node, Node::Empty) {
            return;
        }
        if open.slots.children == 0 && open.pending.is_none() {
            open.pending = Some((nibble, node));
            return;
        }
        if let Some((nibble, node)) = open.pending.take() {
            self.settle(open, nibble, node);
        }
        self.settle(open, nibble, node);
    }

    fn settle(&mut self, open: &mut Open<'_>, nibble: u8, node: Node<'_>) {
        if let Some((name, present)) = self.hang(&open.path.child(nibble), node) {
            let nibble = usize::from(nibble);
            open.slots.set(nibble, name.reference(), present);
            open.waiting[nibble] = name.waiting();
        }
    }

    /// All children are known: a branch, or less if there are fewer than two.
    fn close<'c>(
        &mut self,
        record: Option<usize>,
        open: &mut Open<'c>,
        leaf_count: u64,
    ) -> Result<Node<'c>, DbError> {
        let mut only = match open.pending.take() {
            Some((_, node)) => node,
            None if open.slots.children == 0 => return Ok(Node::Empty),
            None if open.slots.children.is_power_of_two() => self.only_child(open)?,
            None => {
                let name = self.unhashed.branch(&open.slots, &open.waiting);
                let record = record.filter(|_| leaf_count > self.options.small_max);
                if let Some(record) = record {
                    let record = &mut self.records[record];
                    record.waiting = name.waiting();
                    record.branch = Some(match record.waiting {
                        Some(_) => open.slots.outline(leaf_count),
                        None => open.slots.pack(Nibbles::EMPTY, leaf_count),
                    });
                }
                return Ok(Node::Branch(Floating { path: open.path, name, record }));
            }
        };
        // It takes the place of this branch.
        if let (Node::Branch(Floating { record: lower @ Some(_), .. }), Some(record)) =
            (&mut only, record)
        {
            let from = lower.replace(record).expect("matched above");
            self.records[record].branch = self.records[from].branch.take();
            self.records[record].waiting = self.records[from].waiting.take();
        }
        Ok(only)
    }

    /// The one child of `open`, which no change concerned.
    fn only_child<'c>(&mut self, open: &Open<'c>) -> Result<Node<'c>, DbError> {
        let nibble = open.slots.children.trailing_zeros() as u8;
        let path = open.path.child(nibble);
        match open.slots.kinds().at(nibble) {
            Present::Branch => self.subtree(path, &[]),
            Present::Small => self.rebuild(path, &[]),
            Present::Empty | Present::Leaf => {
                let (key, value) = self.leaf_beside(&path, &[])?;
                Ok(Node::Leaf { key, value: value.into() })
            }
        }
    }

    /// Hangs `node` at `path`: its reference, and what it is.
    pub(crate) fn hang(&mut self, path: &Nibbles, node: Node<'_>) -> Option<(Name, Present)> {
        match node {
            Node::Empty => None,
            Node::Leaf { key, value } => {
                Some((self.unhashed.leaf(&key, path.len(), &value), Present::Leaf))
            }
            Node::Branch(floating) => {
                let branch =
                    floating.record.and_then(|record| self.records[record].branch.as_mut());
                let present = match branch {
                    Some(branch) => {
                        branch.set_extension(floating.path.suffix(path.len()));
                        Present::Branch
                    }
                    None => Present::Small,
                };
                let name = self.unhashed.extension(&floating.path, path.len(), floating.name);
                Some((name, present))
            }
        }
    }

    /// Notes that the record at `path` is visited, before any below it.
    fn record(&mut self, path: Nibbles, was_stored: bool) -> usize {
        self.records.push(Record { path, was_stored, branch: None, waiting: None });
        self.records.len() - 1
    }

    /// Where nodes and records of the next subtree begin.
    pub(crate) fn here(&self) -> Start {
        Start { node: self.unhashed.next(), record: self.records.len() }
    }

    /// Hashes the nodes of the subtree that began at `start` and has come to `node`.
    pub(crate) fn complete(&mut self, start: Start, node: &mut Node<'_>) {
        if let Node::Branch(floating) = node {
            floating.name = Name::Known(self.hash_from(start, floating.name));
        }
    }

    /// Hashes all nodes since `start`, the last of which has this name.
    fn hash_from(&mut self, start: Start, name: Name) -> NodeRef {
        self.unhashed.hash_from(start.node);
        for record in &mut self.records[start.record..] {
            if let (Some(branch), Some(id)) = (&mut record.branch, record.waiting.take()) {
                branch.set_references(self.unhashed.rlp(id));
            }
        }
        let node = self.unhashed.known(name);
        self.unhashed.forget_from(start.node);
        node
    }

    pub(crate) fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }
}

impl Open<'_> {
    fn new(path: Nibbles, slots: Slots) -> Self {
        Self { path, slots, waiting: [None; 16], pending: None }
    }
}

impl Node<'_> {
    fn into_owned<'c>(self) -> Node<'c> {
        match self {
            Node::Empty => Node::Empty,
            Node::Leaf { key, value } => Node::Leaf { key, value: value.into_owned().into() },
            Node::Branch(floating) => Node::Branch(floating),
        }
    }

    /// Its record comes behind `offset` others.
    fn shift_record(&mut self, offset: usize) {
        if let Node::Branch(Floating { record: Some(record), .. }) = self {
            *record += offset;
        }
    }
}

/// How far `key` goes along `path`.
fn parting(path: &Nibbles, key: &B256) -> usize {
    common_nibbles(path.padded(), key).min(path.len())
}

//! Roots of many small tries at once.

use zvm_core::{B256, EMPTY_ROOT};

use crate::{
    Change, EmptyTrie, Nibbles, UpdateOptions,
    unhashed::{Name, NodeId},
    update::{HASH_BYTES, Worker, check_order},
};

/// The roots of many tries that are each made of a few leaves and keep no records.
///
/// One such trie has too few nodes to hash them together; the nodes of many tries have company.
///
/// ```
/// # use zvm_core::keccak256;
/// use zvm_trie::{Change, SmallRoots, trie_root};
///
/// let leaf = Change { key: keccak256("slot"), existed: false, value: Some(&[42]) };
/// let mut tries = SmallRoots::default();
/// tries.push(&[leaf]);
/// tries.push(&[]);
/// assert_eq!(tries.finish(), [trie_root([(leaf.key, [42])]), zvm_core::EMPTY_ROOT]);
/// ```
pub struct SmallRoots {
    worker: Worker<'static>,
    roots: Vec<B256>,
    /// Which of `roots` wait for the hash of which node.
    waiting: Vec<(usize, NodeId)>,
}

impl Default for SmallRoots {
    fn default() -> Self {
        let options = UpdateOptions { small_max: u64::MAX, threads: 1 };
        let worker = Worker::new(&EmptyTrie, options);
        Self { worker, roots: Vec::new(), waiting: Vec::new() }
    }
}

impl SmallRoots {
    /// Adds the trie that `leaves` make of nothing, as [`update`](crate::update()) of an [`EmptyTrie`]
    /// would. They come in ascending key order, each key once, and are copied.
    ///
    /// # Panics
    ///
    /// If the keys do not ascend.
    pub fn push(&mut self, leaves: &[Change<'_>]) {
        check_order(leaves);
        let node = self.worker.grow(Nibbles::EMPTY, leaves).expect("an empty trie does not fail");
        self.roots.push(match self.worker.hang(&Nibbles::EMPTY, node) {
            None => EMPTY_ROOT,
            Some((Name::Known(node), _)) => node.root(),
            Some((Name::Waiting(id), _)) => {
                self.waiting.push((self.roots.len(), id));
                B256::ZERO
            }
        });
        if self.worker.unhashed.bytes_from(NodeId::FIRST) > HASH_BYTES {
            self.hash();
        }
    }

    /// The roots, in the order of the tries.
    pub fn finish(mut self) -> Vec<B256> {
        self.hash();
        self.roots
    }

    fn hash(&mut self) {
        let unhashed = &mut self.worker.unhashed;
        unhashed.hash_from(NodeId::FIRST);
        for (trie, id) in self.waiting.drain(..) {
            self.roots[trie] = unhashed.known(Name::Waiting(id)).root();
        }
        unhashed.forget_from(NodeId::FIRST);
    }
}

//! Where the hashes of a log are read from.

use zvm_core::{B256, DbError};

use super::{Frontier, prove::Missing};

/// The complete subtrees of a log. They never change once they are there.
pub trait LogNodes {
    /// The root of the subtree over the `2^level` entries from `index · 2^level` on, all of which
    /// are in the log.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn node(&self, level: u32, index: u64) -> Result<B256, DbError>;
}

/// A log held in memory as a whole, for tests and for small ones.
#[derive(Clone, Debug, Default)]
pub struct MemoryNodes {
    levels: Vec<Vec<B256>>,
    frontier: Frontier,
}

impl MemoryNodes {
    /// A log with these entries, given by their hashes.
    #[must_use]
    pub fn new(leaves: impl IntoIterator<Item = B256>) -> Self {
        let mut nodes = Self::default();
        leaves.into_iter().for_each(|leaf| nodes.push(leaf));
        nodes
    }

    /// Appends an entry by its hash.
    pub fn push(&mut self, leaf: B256) {
        let levels = &mut self.levels;
        self.frontier.push_with(leaf, |level, _, root| {
            if levels.len() <= level as usize {
                levels.push(Vec::new());
            }
            levels[level as usize].push(root);
        });
    }

    /// The right edge.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }
}

impl LogNodes for MemoryNodes {
    fn node(&self, level: u32, index: u64) -> Result<B256, DbError> {
        let nodes = self.levels.get(level as usize);
        let index_in = usize::try_from(index).unwrap_or(usize::MAX);
        let node = nodes.and_then(|nodes| nodes.get(index_in));
        node.copied().ok_or_else(|| Missing { level, index }.into())
    }
}

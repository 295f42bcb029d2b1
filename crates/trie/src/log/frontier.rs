//! The right edge of a log.

use zvm_core::B256;

use super::{EMPTY_LOG, TreeHead, node_hash};

/// What appending to a log needs: the roots of the complete subtrees that its entries fall into, the
/// largest first. There is one for each bit of the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<B256>,
}

/// Roots that cannot be those of a log of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} subtrees, expected {expected} in a log of {size} entries")]
pub struct FrontierError {
    /// Number of entries.
    pub size: u64,
    /// Roots given.
    pub found: usize,
    /// Roots of such a log.
    pub expected: u32,
}

impl Frontier {
    /// That of a log without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// That of a log of `size` entries whose complete subtrees have the roots `peaks`, the largest
    /// first.
    ///
    /// # Errors
    ///
    /// If there are more or fewer than one for each bit of `size`.
    pub fn from_peaks(size: u64, peaks: Vec<B256>) -> Result<Self, FrontierError> {
        match peaks.len() == size.count_ones() as usize {
            true => Ok(Self { size, peaks }),
            false => Err(FrontierError { size, found: peaks.len(), expected: size.count_ones() }),
        }
    }

    /// Appends an entry by its hash. `complete` hears of each subtree that is complete with it: how
    /// often entries were paired for it, its index among those of its level, and its root.
    pub fn push_with(&mut self, leaf: B256, mut complete: impl FnMut(u32, u64, B256)) {
        let (mut level, mut index, mut root) = (0, self.size, leaf);
        complete(level, index, root);
        while index % 2 == 1 {
            // Each one bit of the size has its peak.
            let Some(left) = self.peaks.pop() else { break };
            root = node_hash(left, root);
            level += 1;
            index /= 2;
            complete(level, index, root);
        }
        self.peaks.push(root);
        self.size += 1;
    }

    /// Appends an entry by its hash.
    pub fn push(&mut self, leaf: B256) {
        self.push_with(leaf, |_, _, _| {});
    }

    /// Number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[B256] {
        &self.peaks
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let root = self.peaks.iter().rev().copied().reduce(|right, left| node_hash(left, right));
        TreeHead { size: self.size, root: root.unwrap_or(EMPTY_LOG) }
    }
}

impl Extend<B256> for Frontier {
    fn extend<I: IntoIterator<Item = B256>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl FromIterator<B256> for Frontier {
    fn from_iter<I: IntoIterator<Item = B256>>(leaves: I) -> Self {
        let mut frontier = Self::new();
        frontier.extend(leaves);
        frontier
    }
}

//! Proofs, and verifying them by the algorithms of RFC 9162, which need no log.

use serde::{Deserialize, Serialize};
use zvm_core::B256;

use super::{EMPTY_LOG, node_hash};

/// That an entry is in a log (RFC 9162, 2.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// Index of the entry.
    pub index: u64,
    /// Number of entries in the log.
    pub size: u64,
    /// The subtrees beside the way from the entry to the root.
    pub path: Vec<B256>,
}

/// That a log begins with an earlier one (RFC 9162, 2.1.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyProof {
    /// Number of entries in the earlier log.
    pub old_size: u64,
    /// Number of entries in the later one.
    pub size: u64,
    /// Subtrees from which both roots follow.
    pub path: Vec<B256>,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogProofError {
    /// The entry is not within the log.
    #[error("entry {index} of a log of {size}")]
    Index {
        /// Index of the entry.
        index: u64,
        /// Number of entries.
        size: u64,
    },

    /// The earlier log is the larger one.
    #[error("a log of {old_size} entries before one of {size}")]
    Order {
        /// Size of the earlier log.
        old_size: u64,
        /// Size of the later one.
        size: u64,
    },

    /// The path has hashes that the sizes leave no place for.
    #[error("a path of {found} hashes, {expected} lead to the root")]
    TooLong {
        /// Hashes in the path.
        found: usize,
        /// How many are used.
        expected: usize,
    },

    /// The path ends below the root.
    #[error("a path of {found} hashes ends below the root")]
    TooShort {
        /// Hashes in the path.
        found: usize,
    },

    /// The path leads to another root.
    #[error("root {found}, expected {expected}")]
    Root {
        /// Where the path leads.
        found: B256,
        /// The root to prove under.
        expected: B256,
    },

    /// The path leads to another root of the earlier log.
    #[error("root {found} of the earlier log, expected {expected}")]
    OldRoot {
        /// Where the path leads.
        found: B256,
        /// The root of the earlier log.
        expected: B256,
    },
}

impl InclusionProof {
    /// Verifies that the entry with hash `leaf` is in the log under `root`.
    ///
    /// # Errors
    ///
    /// If that is not what this proves.
    pub fn verify(&self, leaf: B256, root: B256) -> Result<(), LogProofError> {
        let Self { index, size, path } = self;
        if index >= size {
            return Err(LogProofError::Index { index: *index, size: *size });
        }
        let mut place = Place { node: *index, last: *size - 1 };
        let mut found = leaf;
        for (used, sibling) in path.iter().enumerate() {
            found = match place.step(used, path.len())? {
                Side::Left => node_hash(*sibling, found),
                Side::Right => node_hash(found, *sibling),
            };
        }
        place.check_top(path.len())?;
        match found == root {
            true => Ok(()),
            false => Err(LogProofError::Root { found, expected: root }),
        }
    }
}

impl ConsistencyProof {
    /// Verifies that the log under `root` begins with that under `old_root`.
    ///
    /// # Errors
    ///
    /// If that is not what this proves.
    pub fn verify(&self, old_root: B256, root: B256) -> Result<(), LogProofError> {
        let Self { old_size, size, path } = self;
        let (old_size, size, count) = (*old_size, *size, path.len());
        if old_size > size {
            return Err(LogProofError::Order { old_size, size });
        }
        // Nothing to prove, and nothing may be given.
        let known = match old_size {
            0 => Some(EMPTY_LOG),
            _ if old_size == size => Some(root),
            _ => None,
        };
        if let Some(found) = known {
            if count > 0 {
                return Err(LogProofError::TooLong { found: count, expected: 0 });
            }
            return check_old(found, old_root);
        }

        let mut place = Place { node: old_size - 1, last: size - 1 };
        // Up to the largest subtree that ends where the old log ends.
        let skipped = place.node.trailing_ones();
        place = Place { node: place.node >> skipped, last: place.last >> skipped };
        // If that is all of the old log, its root is where the path begins.
        let (first, rest) = match old_size.is_power_of_two() {
            true => (old_root, path.as_slice()),
            false => {
                let (first, rest) =
                    path.split_first().ok_or(LogProofError::TooShort { found: 0 })?;
                (*first, rest)
            }
        };
        let before = count - rest.len();
        let (mut found_old, mut found) = (first, first);
        for (used, sibling) in rest.iter().enumerate() {
            match place.step(used + before, count)? {
                Side::Left => {
                    found_old = node_hash(*sibling, found_old);
                    found = node_hash(*sibling, found);
                }
                Side::Right => found = node_hash(found, *sibling),
            }
        }
        place.check_top(count)?;
        check_old(found_old, old_root)?;
        match found == root {
            true => Ok(()),
            false => Err(LogProofError::Root { found, expected: root }),
        }
    }
}

fn check_old(found: B256, expected: B256) -> Result<(), LogProofError> {
    match found == expected {
        true => Ok(()),
        false => Err(LogProofError::OldRoot { found, expected }),
    }
}

/// On which side of the way to the root a hash of the path is.
enum Side {
    Left,
    Right,
}

/// How far up a way is: the index of its node on that level, and of the last node there (`fn` and
/// `sn` in RFC 9162).
struct Place {
    node: u64,
    last: u64,
}

impl Place {
    /// Goes up past a sibling, and says on which side that is. The path has `count` hashes, of which
    /// `used` are below.
    fn step(&mut self, used: usize, count: usize) -> Result<Side, LogProofError> {
        if self.last == 0 {
            return Err(LogProofError::TooLong { found: count, expected: used });
        }
        let is_right = !self.node.is_multiple_of(2);
        let is_last = self.node == self.last;
        if is_last && !is_right {
            // The last node of a level goes up unpaired, to where it is a right one.
            let unpaired = self.node.trailing_zeros().min(63);
            self.node >>= unpaired;
            self.last >>= unpaired;
        }
        self.node >>= 1;
        self.last >>= 1;
        Ok(if is_right || is_last { Side::Left } else { Side::Right })
    }

    fn check_top(&self, count: usize) -> Result<(), LogProofError> {
        match self.last {
            0 => Ok(()),
            _ => Err(LogProofError::TooShort { found: count }),
        }
    }
}

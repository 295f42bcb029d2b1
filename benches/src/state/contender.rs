//! What is measured.

use std::{error::Error, fmt, path::Path, str::FromStr};

use zvm_core::{AccountInfo, Address, B256, StateDiff, U256};
use zvm_state::kv::Engine;

#[cfg(feature = "nomt")]
use super::nomt::NomtStore;
use super::{recompute::Recompute, zvm::Zvm};

/// Why a measurement ended early.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A store of a state.
pub trait Contender {
    /// Adds to the state, before the first block.
    fn seed(&mut self, diff: &StateDiff) -> Result<(), Failure>;

    /// Called once after the last [`seed`](Self::seed).
    fn finish_seed(&mut self) -> Result<(), Failure>;

    /// Makes the state that of the next block. It is on disk afterwards.
    fn commit(&mut self, diff: &StateDiff) -> Result<Committed, Failure>;

    /// The account at `address`.
    fn account(&self, address: Address) -> Result<Option<AccountInfo>, Failure>;

    /// The word at `slot` of `address`.
    fn slot(&self, address: Address, slot: U256) -> Result<U256, Failure>;
}

/// What a commit did.
#[derive(Clone, Copy, Debug)]
pub struct Committed {
    /// The root of the state.
    pub root: B256,
    /// How many leaves of its tries changed.
    pub leaves: usize,
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// zvm's store on an engine.
    Zvm(Engine),
    /// The crate of that name.
    #[cfg(feature = "nomt")]
    Nomt,
    /// No store: all leaves are hashed again for each block.
    Recompute,
}

impl Kind {
    /// Every store in this build.
    pub const ALL: &[Self] = &[
        Self::Zvm(Engine::Redb),
        #[cfg(feature = "rocksdb")]
        Self::Zvm(Engine::RocksDb),
        #[cfg(feature = "nomt")]
        Self::Nomt,
        Self::Recompute,
    ];

    /// Opens the store in `folder`, or makes an empty one.
    pub fn open(self, folder: &Path) -> Result<Box<dyn Contender>, Failure> {
        Ok(match self {
            Self::Zvm(engine) => Box::new(Zvm::open(engine, folder)?),
            #[cfg(feature = "nomt")]
            Self::Nomt => Box::new(NomtStore::open(folder)?),
            Self::Recompute => Box::new(Recompute::default()),
        })
    }

    /// Whether there is something on disk to be opened again.
    #[must_use]
    pub fn is_stored(self) -> bool {
        self != Self::Recompute
    }

    /// Whether [`Committed::root`] is that of Ethereum's trie.
    #[must_use]
    pub fn has_ethereum_root(self) -> bool {
        match self {
            Self::Zvm(_) | Self::Recompute => true,
            #[cfg(feature = "nomt")]
            Self::Nomt => false,
        }
    }

    /// How many of `blocks` are worth the wait.
    #[must_use]
    pub fn blocks(self, blocks: u64) -> u64 {
        match self {
            Self::Recompute => blocks.min(3),
            _ => blocks,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Zvm(Engine::Redb) => "redb",
            #[cfg(feature = "rocksdb")]
            Self::Zvm(Engine::RocksDb) => "rocksdb",
            #[cfg(feature = "nomt")]
            Self::Nomt => "nomt",
            Self::Recompute => "recompute",
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|kind| kind.to_string() == name);
        found.copied().ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(Self::to_string).collect();
            format!("no store {name:?} in this build, which has {}", all.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Workload;

    #[test]
    fn every_store_reads_alike_and_ethereum_roots_agree() {
        let workload = Workload { accounts: 300 };
        let mut seen = Vec::new();
        for kind in Kind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let mut store = kind.open(&folder.path().join("store")).unwrap();
            for diff in workload.seed() {
                store.seed(&diff).unwrap();
            }
            store.finish_seed().unwrap();
            let mut roots = Vec::new();
            for number in 0..2 {
                let diff = workload.block(number, &*store).unwrap();
                roots.push(store.commit(&diff).unwrap().root);
            }
            let read = |(address, slot)| {
                (store.account(address).unwrap(), store.slot(address, slot).unwrap())
            };
            let reads: Vec<_> = workload.places(100).into_iter().map(read).collect();
            seen.push((kind.has_ethereum_root().then_some(roots), reads));
        }
        let (first, others) = seen.split_first().unwrap();
        for (roots, reads) in others {
            assert!(roots.is_none() || *roots == first.0);
            assert_eq!(*reads, first.1);
        }
    }

    #[test]
    fn names_read_back_as_written() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), *kind);
        }
        assert!("paper".parse::<Kind>().unwrap_err().contains("recompute"));
    }
}

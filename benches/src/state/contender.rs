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

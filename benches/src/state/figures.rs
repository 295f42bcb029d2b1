//! What came out.

use serde::{Deserialize, Serialize};
use zvm_core::B256;

/// All of one contender at one size.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Its name.
    pub contender: String,
    /// Accounts before the first block.
    pub accounts: u64,
    /// Making the state; `None` where it was there already.
    pub seed: Option<SeedFigures>,
    /// Committing blocks.
    pub blocks: BlockFigures,
    /// Reading at random; `None` where nothing is stored.
    pub reads: Option<ReadFigures>,
}

/// Making the state before the first block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeedFigures {
    /// Seconds on the clock.
    pub wall_s: f64,
    /// Seconds of CPU time of all threads, with the making of the accounts.
    pub cpu_s: f64,
    /// The most memory the process had, in bytes.
    pub peak_rss: u64,
}

/// Committing blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockFigures {
    /// The number of the first block, those to warm up included.
    pub first: u64,
    /// The root after each block from `first` on.
    pub roots: Vec<B256>,
    /// How many blocks were measured.
    pub measured: u64,
    /// Leaves of tries that these changed.
    pub leaves: u64,
    /// Seconds of CPU time of all threads that these took.
    pub cpu_s: f64,
    /// The part of it that the committing thread had.
    pub main_cpu_s: f64,
    /// Milliseconds on the clock for each commit, sorted.
    pub wall_ms: Vec<f64>,
    /// Bytes sent to be written.
    pub written: u64,
    /// The most memory the process had, in bytes.
    pub peak_rss: u64,
    /// Bytes on disk at the end.
    pub disk: u64,
}

/// Reading accounts and slots at random places, each by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadFigures {
    /// Microseconds on the clock for an account, at the median, from disk.
    pub cold_account_us: f64,
    /// The same for a slot.
    pub cold_slot_us: f64,
    /// Bytes that came from the disk for each cold read.
    pub cold_bytes: f64,
    /// The same account once more.
    pub warm_account_us: f64,
    /// The same slot once more.
    pub warm_slot_us: f64,
}

impl BlockFigures {
    /// Microseconds of CPU time for a changed leaf.
    #[must_use]
    pub fn cpu_us_per_leaf(&self) -> f64 {
        self.cpu_s * 1e6 / self.leaves as f64
    }

    /// Milliseconds of CPU time for a block.
    #[must_use]
    pub fn cpu_ms_per_block(&self) -> f64 {
        self.cpu_s * 1e3 / self.measured as f64
    }

    /// How long a commit takes on the clock, in milliseconds: the time that `percent` of them stay
    /// below.
    #[must_use]
    pub fn wall_ms(&self, percent: usize) -> f64 {
        let last = self.wall_ms.len().saturating_sub(1);
        let at = (self.wall_ms.len() * percent / 100).min(last);
        self.wall_ms.get(at).copied().unwrap_or_default()
    }
}

//! Stores of a large state side by side: what it costs to commit a block, and to read.
//!
//! ```text
//! cargo bench -p zvm-benches --bench state -- --accounts 1000000 --blocks 100
//! cargo bench -p zvm-benches --features nomt,rocksdb --bench state -- --series 100000,1000000,5000000
//! ```
//!
//! Each [`Contender`] gets the same state and the same blocks from a [`Workload`]: 1,000,000 accounts
//! with up to four slots; blocks that change 5,000 accounts and 5,000 slots at random places and make
//! 500 accounts. Every block is on disk, with its root, before the next begins; values before it are
//! read first, outside of the measured time, as execution does. Roots must agree where they are
//! roots of the same trie.
//!
//! | contender | |
//! |---|---|
//! | `redb`, `rocksdb` | [`FileDb`](zvm_state::FileDb) with default options on that engine (`rocksdb` is a feature of this crate) |
//! | `nomt` | the crate of that name with default options: one binary trie under BLAKE3 with a page store of its own, no past (a feature of this crate) |
//! | `recompute` | no store: the state in memory, its root from all leaves with alloy-trie, three blocks |
//!
//! Every [stage](stages) of a contender runs in a process of its own, so that its memory is its
//! own. CPU time is that of all threads, user and system, compaction between commits included and
//! the making of the changes not. Cold reads follow after the files were put out of the page cache.

mod contender;
mod figures;
mod meter;
#[cfg(feature = "nomt")]
mod nomt;
mod recompute;
pub mod stages;
mod table;
mod workload;
mod zvm;

pub use contender::{Committed, Contender, Failure, Kind};
pub use figures::{BlockFigures, Figures, ReadFigures, SeedFigures};
pub use table::{print_series, print_table};
pub use workload::Workload;

//! zvm beside revm: the same transactions, results compared and time measured.
//!
//! A [`Case`] is a transaction with its whole world. [`machine`] and [`peer`] execute it on zvm and
//! on revm and tell what came of it as an [`Observation`], in words that both can answer in. The
//! differential fuzzer (`zvm-tests`) is built on that; here, time is measured:
//!
//! ```text
//! cargo bench -p zvm-benches                         # all groups, a table and geometric means
//! cargo bench -p zvm-benches -- --json --ms 300 main # one JSON line per case of one group
//! ```
//!
//! Groups: `main` and `micro` of the archive `evm-benchmarks`, from the folder in `ZVM_FIXTURES`
//! (`../shared/fixtures` by default), and `contracts` from `ZVM_BENCH` (`../shared/bench`). Both
//! engines run in one process, by turns, on one thread, with fat LTO and their fastest features.
//! Both do the same: from transaction and in-memory state to result and state changes, on warm
//! code (zvm: decoded; revm: analysed, with its buffers and journal kept). Gas, status, output,
//! logs and state must agree before anything is timed. Times are the shortest run, in thread CPU
//! time; freeing results is not part of them.
//!
//! To compare whole runs over the official state tests, unpack some and time both programs, built
//! with `cargo build --profile release-dist -p zvm-cli` and `cargo install revme`:
//!
//! ```text
//! zvm statetest FOLDER
//! revme statetest --keep-going --omit-progress FOLDER
//! ```
//!
//! revme searches folders for `.json` files, runs on all cores, leaves out Constantinople and a
//! list of slow or special files, and reads neither archives nor VMTests.
//!
//! Real blocks have a bench of their own, `blocks`: whole blocks of mainnet from known senders to
//! receipts and state changes, beside revm on its `State` (as clients run it) and on its journal.
//!
//! Stores of a large state have a bench of their own, `state`.

pub mod blocks;
mod case;
pub mod machine;
mod observe;
pub mod peer;
#[cfg(feature = "state")]
pub mod state;
pub mod timing;

pub use case::{Case, World, WorldAccount, WorldDb, block_hash};
pub use observe::{Ending, Observation, PostAccount, Ran, Rule, differences};

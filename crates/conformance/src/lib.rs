//! The official Ethereum test fixtures, executed by zvm: state tests of all hard forks, the
//! VMTests of old, and blockchain tests.
//!
//! [`run`] reads folders, JSON files and `.tar.zst` archives, and returns a [`Report`]. What a
//! file is, its content decides; files of other suites are counted and passed over. Every unit in
//! the files (one combination of hard fork, data, gas limit and value) is passed, failed, skipped
//! with a reason, or left out by the filter: the counts add up.
//!
//! ```no_run
//! use zvm_conformance::{Options, Progress, run};
//!
//! let report = run(&["state-tests.tar.zst".into()], &Options::default(), &Progress::default())?;
//! print!("{report}");
//! assert!(report.is_success());
//! # Ok::<(), zvm_conformance::UsageError>(())
//! ```
//!
//! Not here: the command line (`bin/zvm`).

mod basic;
mod blocks;
mod difference;
mod error;
mod exceptions;
mod logs;
mod network;
mod queue;
mod refusals;
mod replay;
mod report;
mod run;
mod shape;
mod source;
mod state;
mod suite;
pub mod t8n;
mod transaction;
mod values;
mod vm;
mod workload;
mod world;

pub use basic::Basic;
pub use error::{FixtureError, UsageError};
pub use replay::{Replay, ReplayAccount, ReplayState, Replays, replays};
pub use report::{Failure, Report, Unit, Verdict};
pub use run::{Options, Progress, run};
pub use shape::Shape;
pub use state::Indexes;
pub use suite::Suite;
pub use workload::{Workload, WorkloadAccount, WorkloadError, Workloads, workloads};

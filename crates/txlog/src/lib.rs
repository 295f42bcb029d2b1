//! The transaction log: blocks, receipts and events beside the state, with proofs over all of it.
//!
//! A block is committed in one batch with its state: header, body, receipts, what each transaction
//! changed, index entries, and the hashes of an append-only Merkle log. After any crash a store is at
//! the block before or at the block after, and a head never lacks a part.
//!
//! ```
//! use zvm_core::{Block, Header, StateBackend, StateDiff, U256};
//! use zvm_state::MemoryDb;
//! use zvm_txlog::{Beside, Log, LogError, LogWriter, NewBlock};
//!
//! let mut store = Beside::new(MemoryDb::new());
//! let genesis = Block { header: Header::default(), ..Block::default() };
//! LogWriter::new(&mut store).commit(&NewBlock {
//!     block: &genesis,
//!     hash: genesis.hash(),
//!     total_difficulty: U256::ZERO,
//!     senders: &[],
//!     receipts: &[],
//!     start_diff: &StateDiff::default(),
//!     tx_diffs: &[],
//!     diff: &StateDiff::default(),
//! })?;
//!
//! let log = Log::new(&store);
//! assert_eq!(log.head()?.map(|head| head.hash), Some(genesis.hash()));
//! assert_eq!(log.block(genesis.hash())?, Some(genesis));
//! assert_eq!(log.tree_head()?.size, 1);
//! # Ok::<(), LogError>(())
//! ```
//!
//! * [`LogStore`] is where a log is kept: a [`FileDb`](zvm_state::FileDb), or any backend with its log
//!   in memory, [`Beside`].
//! * [`LogWriter`] commits blocks, and stores those of side chains.
//! * [`Log`] looks things up: blocks, transactions, receipts, [events](Log::events), the
//!   [history of an address](Log::history), states [between two transactions](Log::between). It makes
//!   [proofs](Log::prove_transaction) and [verifies](Log::verify) all there is.
//! * [`Chain`] takes blocks in: it checks and executes them, and decides which branch counts.
//!
//! Not here: what makes a block valid (`zvm-evm`), and where blocks come from.

mod between;
mod chain;
mod entry;
mod error;
mod events;
mod history;
mod index;
mod keys;
mod log;
mod mine;
mod records;
mod rules;
mod select;
mod store;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
mod tiles;
mod verify;
mod writer;

pub use between::Between;
pub use chain::{Chain, ChainError, Imported};
pub use entry::{EntryProof, LogEntry};
pub use error::LogError;
pub use events::{Event, EventFilter, EventLimits, Events};
pub use history::{Appearance, HistoryPage, Roles};
pub use log::{Log, MinedTransaction};
pub use mine::{BlockAttributes, Mined, NextBlock, Rejected};
pub use store::{Beside, LogStore};
pub use verify::{FaultKind, LogPart, Senders, Verified, VerifyError};
pub use writer::{LogWriter, NewBlock};

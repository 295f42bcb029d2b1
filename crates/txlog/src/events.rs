//! Events: what contracts have logged, found by address and topics.

mod filter;
mod search;

use serde::{Deserialize, Serialize};
use zvm_core::{B256, BlockId, Log as LogData};

pub use filter::EventFilter;
pub use search::Events;

/// What a contract has logged, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The block.
    pub block: BlockId,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Index of the transaction in the block.
    pub transaction_index: u32,
    /// Index of the event in the block.
    pub index: u32,
    /// Address, topics and data.
    pub log: LogData,
}

/// How much a search may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLimits {
    /// Events found. Those of a block come together, so the last block may bring more.
    pub events_max: u64,
    /// Blocks whose receipts are read.
    pub blocks_max: u64,
}

impl Default for EventLimits {
    /// None.
    fn default() -> Self {
        Self { events_max: u64::MAX, blocks_max: u64::MAX }
    }
}

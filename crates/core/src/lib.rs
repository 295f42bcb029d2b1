//! The vocabulary of zvm: hard forks, the two database traits, the state diff, and what a
//! transaction and its block environment look like to the machine.
//!
//! Everything in the house speaks in these types. A [`Database`] is read, execution yields a
//! [`StateDiff`], and a [`StateBackend`] commits it.
//!
//! ```
//! use zvm_core::{AccountDiff, AccountInfo, Address, StateDiff, U256};
//!
//! let alice = Address::repeat_byte(0xa1);
//! let rich = AccountInfo { balance: U256::from(10), ..AccountInfo::default() };
//! let mut mint = StateDiff::default();
//! mint.accounts.insert(alice, AccountDiff { new: Some(rich), ..AccountDiff::default() });
//!
//! // Diffs compose: minting and then undoing it leaves nothing.
//! let nothing = mint.clone().then(mint.invert());
//! assert!(nothing.is_empty());
//! ```
//!
//! Not here: any I/O. Backends live in `zvm-state`, execution in `zvm-evm`.

mod account;
mod assemble;
mod batch;
mod block;
mod block_env;
mod chain;
pub mod compact;
mod database;
mod diff;
mod envelope;
pub mod genesis;
mod header;
mod quantity;
mod receipt;
pub mod rlp;
mod signature;
mod signed;
mod spec;
mod transaction;
pub mod varint;

pub use alloy_primitives::{
    Address, B64, B256, Bloom, Bytes, Log, LogData, TxKind, U256, address, b256, bytes, hex,
    keccak256, map, uint,
};

pub use account::{Account, AccountInfo, EMPTY_ROOT, KECCAK_EMPTY};
pub use assemble::{Assembled, assemble};
pub use batch::Batch;
pub use block::{Block, Withdrawal};
pub use block_env::{BlobParams, BlockEnv};
pub use chain::{ChainConfig, ChainPoint, ChangedRule};
pub use database::{BlockId, Database, DbError, SnapshotId, StateBackend, VisitAccount, VisitSlot};
pub use diff::{AccountDiff, DecodeDiffError, SlotDiff, StateDiff};
pub use genesis::{EMPTY_REQUESTS_HASH, Genesis, INITIAL_BASE_FEE};
pub use header::{EMPTY_OMMERS_HASH, Header};
pub use receipt::{Receipt, ReceiptOutcome};
pub use signature::{InvalidKey, Signature, SigningKey};
pub use signed::{AuthorizationTuple, SenderError, SignedTransaction, UnsignedTransaction};
pub use spec::{SpecId, UnknownSpec};
pub use transaction::{AccessListItem, Authorization, SignedAuthorization, Transaction, TxType};

//! Run Ethereum contracts inside a program or a test: open an engine on a database, deploy, call,
//! inspect, snapshot, revert, persist.
//!
#![cfg_attr(feature = "sol", doc = "```")]
#![cfg_attr(not(feature = "sol"), doc = "```ignore")]
//! use zvm::{Address, Error, RevertReason, U256, Zvm, hex, sol};
//!
//! // What the contract offers, in Solidity. It becomes Rust types: no ABI files, no build script.
//! sol! {
//!     function increment();
//!     function decrement();
//!     function number() returns (uint256);
//!     event Changed(address indexed by, uint256 from, uint256 to);
//! }
//! # const COUNTER: &str = include_str!("../../../contracts/artifacts/Counter.json");
//! # let artifact: serde_json::Value = serde_json::from_str(COUNTER)?;
//! # let mut initcode = hex::decode(artifact["bytecode"].as_str().unwrap())?;
//! # initcode.extend([0; 32]);
//!
//! let mut zvm = Zvm::memory(); // or Zvm::open("file:./state")?
//! let counter = zvm.deploy(initcode)?;
//!
//! // A transaction changes the state and tells what it did.
//! let receipt = zvm.transact(counter, incrementCall {})?;
//! assert_eq!(receipt.events::<Changed>()[0].to, U256::from(1));
//! assert!(receipt.gas_used > 21_000);
//!
//! // A call answers in Rust's types and changes nothing.
//! assert_eq!(zvm.call(counter, numberCall {})?, U256::from(1));
//!
//! // Anybody may be the sender; nobody needs ether for gas.
//! let alice = Address::repeat_byte(0xa1);
//! let before = zvm.snapshot()?;
//! zvm.from(alice).transact(counter, decrementCall {})?;
//!
//! // What goes wrong says why: below zero, Solidity panics.
//! let error = zvm.transact(counter, decrementCall {}).unwrap_err();
//! assert_eq!(error.to_string(), "reverted: panic 0x11: arithmetic overflow or underflow");
//! assert!(matches!(error, Error::Revert { reason: RevertReason::Panic(_), .. }));
//!
//! // And what went wrong can be undone.
//! zvm.revert(before)?;
//! assert_eq!(zvm.call(counter, numberCall {})?, U256::from(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rules of the house
//!
//! * **Sender.** Without [`Zvm::from`] it is [`DEFAULT_SENDER`]. Contracts may send, too.
//! * **Gas is free**, because the price is zero; it is counted exactly all the same. Wei sent along
//!   must be there: give it with [`Zvm::set_balance`].
//! * **A failed transaction still happened.** Its error carries the result, and the sender's nonce
//!   has grown, as on a chain.
//! * **Blocks stand still.** Number and time are whatever [`Zvm::block_mut`] made them.
//! * [`Zvm::execute`] takes a whole [`Transaction`] and applies every rule of consensus to it.
//!
//! # Blocks
//!
//! Where it matters that blocks follow each other, that gas is paid and that transactions are signed,
//! [`ChainZvm`] takes the place of [`Zvm`]: transactions wait until a block is mined, and have
//! receipts. Calls and types are the same. Choose [`Zvm`] to try out contracts, and [`ChainZvm`] to
//! see them as they will live on a chain.
//!
#![cfg_attr(feature = "sol", doc = "```")]
#![cfg_attr(not(feature = "sol"), doc = "```ignore")]
//! use zvm::{ChainZvm, Genesis, SigningKey, U256, decode_events, hex, sol};
//!
//! sol! {
//!     function increment();
//!     function number() returns (uint256);
//!     event Changed(address indexed by, uint256 from, uint256 to);
//! }
//! # const COUNTER: &str = include_str!("../../../contracts/artifacts/Counter.json");
//! # let artifact: serde_json::Value = serde_json::from_str(COUNTER)?;
//! # let mut initcode = hex::decode(artifact["bytecode"].as_str().unwrap())?;
//! # initcode.extend([0; 32]);
//!
//! // The latest rules, and an account with ether. A genesis.json does as well:
//! // serde_json::from_str::<Genesis>(&text)?
//! let alice = SigningKey::new(&[0xa1; 32])?;
//! let ether = U256::from(10).pow(U256::from(18));
//! let mut chain = ChainZvm::memory(&Genesis::dev([(alice.address(), ether)]))?;
//!
//! // Nothing happens until a block is mined; then both happen in it, by nonce.
//! let (_, counter) = chain.from(&alice).deploy(initcode)?;
//! let hash = chain.send(&alice, counter, incrementCall {})?;
//! assert!(chain.receipt(hash)?.is_none());
//! let block = chain.mine()?;
//! assert_eq!(block.transactions.len(), 2);
//!
//! let mined = chain.receipt(hash)?.expect("it was mined");
//! assert_eq!((mined.block, mined.succeeded()), (block.id, Some(true)));
//! assert_eq!(decode_events::<Changed>(&mined.receipt.logs)[0].to, U256::from(1));
//! assert_eq!(chain.call(counter, numberCall {})?, U256::from(1));
//!
//! // Gas is paid for, at a price that follows demand.
//! assert!(chain.balance(alice.address())? < ether);
//! let header = chain.block(1)?.expect("just mined").header;
//! assert_eq!((header.timestamp, header.base_fee_per_gas), (12, Some(875_000_000)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Fork`] has the state of a remote node. Not here: networks of peers. The command line is `zvm-cli`, the machine alone is `zvm-evm`.

mod builder;
mod calldata;
mod chain;
mod cheats;
mod database;
#[cfg(all(doctest, feature = "sol"))]
mod docs;
mod error;
mod forking;
mod receipt;
mod request;
mod retrace;
mod revert;
mod zvm;

#[cfg(feature = "sol")]
pub use alloy_sol_types;
pub use zvm_core::{
    Account, AccountDiff, AccountInfo, Address, B256, Block, BlockEnv, BlockId, Bytes, ChainConfig,
    Database, DbError, Genesis, Header, Log, LogData, SenderError, SignedTransaction, SigningKey,
    SlotDiff, SnapshotId, SpecId, StateBackend, StateDiff, Transaction, TxKind, TxType, U256,
    UnknownSpec, UnsignedTransaction, address, b256, bytes, genesis, hex, keccak256, uint,
};
pub use zvm_evm::{
    Executed, Halt, InvalidTransaction, NoTracer, Outcome, SuccessReason, Tracer, tracers,
};
pub use zvm_fork::Traffic;
pub use zvm_state::BlockRef;
pub use zvm_state::DatabaseConfig;
pub use zvm_txlog::{BlockAttributes, Chain, ChainError, MinedTransaction, NextBlock, Rejected};

pub use builder::Builder;
pub use calldata::{Calldata, Raw};
pub use chain::{ChainRequest, ChainZvm, MinedBlock};
pub use cheats::expect_revert;
pub use database::{Fork, OpenedDatabase};
pub use error::Error;
pub use forking::{ForkBlock, ForkBuilder};
pub use receipt::Receipt;
#[cfg(feature = "sol")]
pub use receipt::decode_events;
pub use request::Request;
use request::answer;
pub use retrace::{Difference, Retrace, StateBefore};
pub use revert::RevertReason;
pub use zvm::{DEFAULT_SENDER, Zvm};

/// Declares Solidity functions, events, errors and types as Rust types. See
/// [`alloy_sol_types::sol`](https://docs.rs/alloy-sol-types/latest/alloy_sol_types/macro.sol.html);
/// this one needs no dependency beside `zvm` and derives `Debug`, `Default`, `PartialEq`, `Eq` and
/// `Hash` where it can.
#[cfg(feature = "sol")]
#[macro_export]
macro_rules! sol {
    ($($declarations:tt)*) => {
        $crate::alloy_sol_types::sol! {
            #![sol(alloy_sol_types = $crate::alloy_sol_types, all_derives = true)]
            $($declarations)*
        }
    };
}

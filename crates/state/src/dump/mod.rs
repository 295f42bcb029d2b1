//! A whole state as text, out of any backend and into any other.
//!
//! [`dump`] writes JSON lines: a header with block and root, then the accounts in the order of
//! keccak-256 of their addresses, each with its slots in the order of keccak-256 of theirs. Equal
//! states at equal blocks are equal bytes, whatever backend they are in.
//!
//! ```text
//! {"format":"zvm-state","version":1,"block":{"number":7,"hash":"0x…"},"root":"0x…"}
//! {"address":"0x…","nonce":"0x1","balance":"0xa","code":"0x6001…","storage":{"0x0":"0x2a"}}
//! {"address":"0x…","storage":{"0x5":"0x1"}}
//! ```
//!
//! Code and storage are left out where there are none. An account with more than
//! [`SLOTS_PER_LINE`] slots goes on in further lines, which have only its address and the next
//! slots. Memory is bounded by a line, both ways.
//!
//! [`load`] reads that, a geth `genesis.json`, and what anvil's `anvil_dumpState` and
//! `--dump-state` write; each also compressed with gzip.

mod document;
mod error;
mod hexed;
mod lines;
mod load;
mod seeder;
mod write;

#[cfg(test)]
mod tests;

pub use error::{DumpError, LoadError};
pub use load::{Loaded, load, load_new};
pub use write::{Dumped, dump};

pub(crate) use seeder::Seeder;

/// Most slots in one line of a dump.
pub const SLOTS_PER_LINE: usize = 1000;

/// What the first line of a dump says it is.
const FORMAT: &str = "zvm-state";
/// The form of the lines. Those with a higher number are refused.
const VERSION: u64 = 1;

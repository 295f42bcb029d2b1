//! The state of a remote Ethereum node, as of one block.
//!
//! Everything that is read of a remote state goes through a [`Source`], which answers many
//! [`Read`]s at once; sources are layers over each other. A [`Node`] asks over JSON-RPC.
//!
//! Not here: execution (`zvm-evm`), and the databases of other zvm processes.

mod ahead;
mod db;
mod json;
mod kept;
mod node;
mod open;
mod placed;
mod prestate;
mod proofs;
mod recording;
mod root;
mod rpc;
mod rules;
mod source;
#[cfg(test)]
mod testing;
mod verified;

pub use db::ForkDb;
pub use kept::{DiskCache, Kept, KeptStats};
pub use node::Node;
pub use open::{Opened, open, open_recorded};
pub use placed::{PlacedTransaction, ReportedOutcome};
pub use prestate::{Prestate, PrestateAccount, PrestateDb};
pub use recording::{
    Conflict, MergeError, Proven, Recorder, Recording, RecordingError, RecordingSize, Replay,
    VerifyError,
};
pub use rpc::{RESPONSE_BYTES_MAX, Traffic};
pub use rules::{chain_of, is_pos};
pub use source::{Found, Origin, ProofRequest, Read, RemoteAccount, Source};
pub use verified::Verified;

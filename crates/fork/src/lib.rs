//! The state of a remote Ethereum node, as of one block.
//!
//! Everything that is read of a remote state goes through a [`Source`], which answers many
//! [`Read`]s at once; sources are layers over each other.
//!
//! Not here: execution (`zvm-evm`), and the databases of other zvm processes.

mod kept;
mod proofs;
mod recording;
mod source;
#[cfg(test)]
mod testing;
mod verified;

pub use kept::{DiskCache, Kept, KeptStats};
pub use recording::{
    Conflict, MergeError, Proven, Recorder, Recording, RecordingError, RecordingSize, Replay,
    VerifyError,
};
pub use source::{Found, Origin, ProofRequest, Read, RemoteAccount, Source};
pub use verified::Verified;

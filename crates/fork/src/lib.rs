//! The state of a remote Ethereum node, as of one block.
//!
//! Everything that is read of a remote state goes through a [`Source`], which answers many
//! [`Read`]s at once; sources are layers over each other.
//!
//! Not here: execution (`zvm-evm`), and the databases of other zvm processes.

mod source;

pub use source::{Found, Origin, ProofRequest, Read, RemoteAccount, Source};

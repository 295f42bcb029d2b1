//! The messages, as they are generated from `proto/state.proto`.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "written by a program")]

include!("generated.rs");

/// The version of what is said.
pub(crate) const PROTOCOL: u32 = 1;

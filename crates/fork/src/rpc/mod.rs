//! A small client of JSON-RPC over HTTP, for reading.
//!
//! Every call is asked as often as it takes within one time-out: dropped connections, bodies cut
//! short, garbage, overload and errors of single calls in a batch are tried again, and only what
//! failed. Calls are reads, so asking twice is never wrong. What a node wants is honoured: its
//! `Retry-After`, and how large a batch it takes.

mod client;
mod fault;
mod flight;
mod http;
mod pace;
mod traffic;
mod weather;
mod wire;

use serde_json::value::RawValue;
use zvm_core::DbError;

pub(crate) use client::{Client, Expected};
pub use traffic::Traffic;

/// Most bytes of a response that are read.
pub const RESPONSE_BYTES_MAX: u64 = 64 << 20;

/// A call: a method and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    method: &'static str,
    /// A JSON array.
    params: String,
}

/// What a node answered to one call: the JSON of a result, or that it refuses.
pub(crate) type Answer = Result<Box<RawValue>, CallError>;

/// The error object of JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    /// The code; those of JSON-RPC itself are at -32768 to -32000.
    pub(crate) code: i64,
    /// What the node says, without line ends and not too long.
    pub(crate) message: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcError {
    /// Scheme and host.
    pub(crate) endpoint: String,
    /// What went wrong last, and how often it was tried.
    pub(crate) what: String,
}

impl Call {
    /// A call whose parameters are the JSON `params`.
    pub(crate) fn new(method: &'static str, params: &[&str]) -> Self {
        Self { method, params: format!("[{}]", params.join(",")) }
    }

    /// The method.
    pub(crate) fn method(&self) -> &'static str {
        self.method
    }
}

impl CallError {
    /// A call that was refused by a status of HTTP, which is an invalid request.
    fn of_http(what: &str) -> Self {
        Self { code: -32600, message: what.to_owned() }
    }

    /// Whether the parameters are what is wrong.
    pub(crate) fn is_invalid_params(&self) -> bool {
        self.code == -32602
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error {}: {}", self.code, self.message)
    }
}

impl From<RpcError> for DbError {
    fn from(RpcError { endpoint, what }: RpcError) -> Self {
        Self::Remote { endpoint, what }
    }
}

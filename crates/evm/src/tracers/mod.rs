//! Ready-made tracers: what ran, who called whom, where the gas went, what was touched.
//!
//! Each is a [`Tracer`](crate::Tracer); two in one run are a pair of them.

mod access;
mod calls;
mod eip3155;
mod flamegraph;
mod profile;
#[cfg(test)]
mod script;

pub use access::AccessCollector;
pub use calls::{CallFrame, CallLog, CallNode, CallTracer};
pub use eip3155::{Eip3155, Summary};
pub use flamegraph::flame_graph;
pub use profile::{ContractGas, GasProfile, OpcodeGas};

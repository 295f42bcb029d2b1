//! The interpreter: one set of opcode bodies, two loops.
//!
//! [`raw`] runs bytecode as it is, checking gas and stack before every opcode. First runs,
//! initcode and traced runs go there. [`decoded`] runs the slots made by
//! [`decode`](crate::decode): gas and stack are checked once per block, operands and results are
//! named by place, and jumps are resolved.
//!
//! The decoded loop never decides that a frame fails. Where a check does not pass, it returns the
//! gas of what it has not run and hands over to the raw loop at that very opcode, which finds the
//! exact reason. So an opcode body changes nothing before everything that can fail has passed.

pub(crate) mod decoded;
mod dispatch;
mod ops;
pub(crate) mod raw;
mod stack;
mod vm;
pub(crate) mod word;

pub(crate) use stack::StackArena;
pub(crate) use vm::{CallRequest, CreateRequest, Exit, TxEnv, Vm};

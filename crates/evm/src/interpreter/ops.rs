//! The opcode bodies.
//!
//! A body finds its operands on the stack and static gas charged; it charges what is dynamic. It
//! changes nothing, not even registers, before all that can fault has passed: both loops may run
//! the opcode again (see the [module above](super)).
//!
//! # Safety
//!
//! Every `unsafe fn` here asks of its caller that the stack check of its opcode has passed, the
//! invariant of [`Regs`].
#![allow(unsafe_op_in_unsafe_fn, reason = "each body is stack access by the one invariant above")]

mod accounts;
mod frames;
mod memory;
mod storage;
mod words;

pub(super) use accounts::*;
pub(super) use frames::*;
pub(super) use memory::*;
pub(super) use storage::*;
pub(super) use words::*;

use super::vm::Fault;

/// What a body that returns no value answers.
type Done = Result<(), Fault>;

//! Tests that need more than one crate, above all the differential fuzzer.
//!
//! [`generate`] makes a random [`Program`]: contracts that call each other, a transaction of any
//! type, a block, a hard fork. [`Differ`] runs it on zvm and on revm and compares result class,
//! halt, gas, refund, output, logs, created address, the rule an invalid transaction breaks, and
//! the world afterwards, account by account and slot by slot. zvm runs it more than once, so that
//! the raw loop and the loop over decoded code are both compared. What differs is
//! [shrunk](shrink()) to a program that a reader can follow.
//!
//! ```text
//! cargo run --release -p zvm-tests --example fuzz_diff -- --cases 1000000 --seed 1
//! ```
//!
//! Each mismatch is printed with the options that bring it back. `--stats` shows what the programs
//! come to (successes, reverts, halts) and whether every opcode of every hard fork was reached.
//!
//! Constantinople is left out, because revm does not have it, and so are pre-states that EIP-7610
//! is about, because revm does not look at storage when it creates.

mod asm;
mod differ;
mod fuzz;
mod generate;
mod program;
mod rng;
mod shrink;
mod stats;

pub use asm::{Code, Op};
pub use differ::{Differ, Mismatch};
pub use fuzz::{Findings, Fuzz};
pub use generate::{SPECS, generate};
pub use program::{Actor, Program};
pub use rng::Rng;
pub use shrink::shrink;
pub use stats::Stats;

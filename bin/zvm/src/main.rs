//! The command line of zvm: arguments and wiring.
//!
//! Exit codes: 0 success; 1 the thing failed (a revert, a halt, a file that cannot be read); 2 wrong
//! use (an argument or an input that is not what it should be).

mod abi;
mod account;
mod artifact;
mod bench;
mod chain;
mod commands;
mod db;
mod demo;
mod disasm;
mod engine;
mod failure;
mod fork;
mod interact;
mod log;
mod output;
mod prestate;
mod progress;
mod replay;
mod report;
mod run;
mod source;
mod suite;
mod t8n;
mod tx;
mod value;
mod watch;

use std::process::ExitCode;

use clap::Parser;

/// A store reads and drops pages by the ten thousand, which costs a commit a quarter with the
/// allocator of most C libraries.
#[cfg(feature = "fast")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::Cli::try_parse() {
        Ok(cli) => {
            let code = cli.command.run().unwrap_or_else(|error| failure::report(&error));
            engine::report_traffic();
            code
        }
        Err(error) => failure::report_arguments(&error),
    }
}

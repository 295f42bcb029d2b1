//! The tree of commands.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use zvm_conformance::Suite;

use crate::{
    account, bench, chain, db, demo, disasm, fork, interact, log, output::Output, replay, run,
    suite, t8n, tx,
};

/// Runs, deploys and calls Ethereum contracts on an embedded database.
#[derive(Debug, Parser)]
#[command(name = "zvm", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 success, 1 the thing failed, 2 wrong use.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run bytecode once, on an empty state or a given one
    Run(run::RunArgs),
    /// Create a contract and keep it in the database
    Deploy(interact::DeployArgs),
    /// Send a transaction and keep what it changes
    Send(interact::SendArgs),
    /// Ask a contract; nothing changes
    Call(interact::CallArgs),
    /// Show an account
    Account(account::AccountArgs),
    /// Show one word of an account's storage, or all of it
    Storage(account::StorageArgs),
    /// Show bytecode as instructions
    Disasm(disasm::DisasmArgs),
    /// Execute official state tests: folders, JSON files and .tar.zst archives
    Statetest(suite::SuiteArgs),
    /// Judge official transaction tests: folders, JSON files and .tar.zst archives
    Txtest(suite::SuiteArgs),
    /// Execute official blockchain tests: folders, JSON files and .tar.zst archives
    Blocktest(suite::SuiteArgs),
    /// Execute real blocks of mainnet and compare with their headers
    Replay(replay::ReplayArgs),
    /// Execute a block on a state that is given whole, in the manner of geth's `evm t8n`
    T8n(Box<t8n::T8nArgs>),
    /// Sign transactions, send them, read signed ones, and trace those of other chains
    #[command(subcommand)]
    Tx(tx::TxCommand),
    /// Look at whole databases, and move their state out, in and elsewhere
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Show what a fork of a remote state is of, and record what is read of it
    #[command(subcommand)]
    Fork(fork::ForkCommand),
    /// Look at the blocks beside a state, their events and transactions
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Prove what is in the log of blocks, and verify all of it
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Deploy a token, use it, and read it back from a reopened database
    Demo(demo::DemoArgs),
    /// Measure how long the transactions of state tests take
    Bench(bench::BenchArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(args) => run::run(args),
            Self::Deploy(args) => interact::deploy(args),
            Self::Send(args) => interact::send(args),
            Self::Call(args) => interact::call(args),
            Self::Account(args) => account::account(&args),
            Self::Storage(args) => account::storage(&args),
            Self::Disasm(args) => disasm::run(&args),
            Self::Statetest(args) => suite::run(Suite::State, args),
            Self::Txtest(args) => suite::run(Suite::Transaction, args),
            Self::Blocktest(args) => suite::run(Suite::Block, args),
            Self::Replay(args) => replay::run(&args),
            Self::T8n(args) => Ok(t8n::run(&args)),
            Self::Tx(command) => command.run(),
            Self::Db(command) => command.run(),
            Self::Fork(command) => command.run(),
            Self::Chain(command) => command.run(),
            Self::Log(command) => command.run(),
            Self::Demo(args) => demo::run(&args),
            Self::Bench(args) => bench::run(&args),
            Self::Completions { shell } => completions(shell),
        }
    }
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    // Into memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "zvm", &mut script);
    let mut out = Output::stdout();
    out.bytes(&script)?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}

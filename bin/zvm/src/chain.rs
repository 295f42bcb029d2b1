//! `zvm chain`: blocks, and what they have of events and addresses.

mod search;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Find events by address and topics, as eth_getLogs does
    Logs(search::LogsArgs),
    /// List the transactions that concern an address
    History(search::HistoryArgs),
}

impl ChainCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Logs(args) => search::logs(&args)?,
            Self::History(args) => search::history(&args)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

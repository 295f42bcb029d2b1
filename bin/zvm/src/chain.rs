//! `zvm chain`: blocks, and what they have of events and addresses.

mod blocks;
mod search;
mod show;

pub(crate) use show::{print, receipt_json};

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Begin a chain with the first block that a genesis.json describes
    Init(blocks::InitArgs),
    /// Check and execute blocks, and make them part of the chain
    Import(blocks::ImportArgs),
    /// Write the blocks of the chain to a file
    Export(blocks::ExportArgs),
    /// Show the last block
    Head(show::HeadArgs),
    /// Show a block
    Block(show::BlockArgs),
    /// Show a transaction
    Tx(show::TxArgs),
    /// Show what came of a transaction
    Receipt(show::TxArgs),
    /// Find events by address and topics, as eth_getLogs does
    Logs(search::LogsArgs),
    /// List the transactions that concern an address
    History(search::HistoryArgs),
}

impl ChainCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Init(args) => blocks::init(&args)?,
            Self::Import(args) => blocks::import(&args)?,
            Self::Export(args) => blocks::export(&args)?,
            Self::Head(args) => show::head(&args)?,
            Self::Block(args) => show::show_block(&args)?,
            Self::Tx(args) => show::transaction(&args)?,
            Self::Receipt(args) => show::receipt(&args)?,
            Self::Logs(args) => search::logs(&args)?,
            Self::History(args) => search::history(&args)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

//! `zvm account` and `zvm storage`: looking into a database.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};
use zvm::{Address, U256};

use crate::{
    engine::{AtArgs, DbArgs},
    failure::usage,
    output::Output,
    value,
};

#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    /// Whose account
    #[arg(value_parser = value::address)]
    address: Address,
    /// Give the account this balance first, such as 5, 20gwei or 1.5ether
    #[arg(long, value_name = "WEI", value_parser = value::wei, conflicts_with = "block")]
    set_balance: Option<U256>,
    #[command(flatten)]
    at: AtArgs,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StorageArgs {
    /// Whose storage
    #[arg(value_parser = value::address)]
    address: Address,
    /// Which word, in decimal or as hex after 0x; without it, all that are not zero
    #[arg(value_parser = value::word)]
    slot: Option<U256>,
    #[command(flatten)]
    at: AtArgs,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn account(args: &AccountArgs) -> anyhow::Result<ExitCode> {
    let address = args.address;
    let mut zvm = match args.set_balance {
        Some(_) => args.db.open(None)?,
        None => args.db.open_existing(None)?,
    };
    if let Some(wei) = args.set_balance {
        zvm.set_balance(address, wei)?;
    }
    let state = zvm.at(args.at.number(&zvm)?)?;
    let account = state.account(address)?;
    let code_size = match &account {
        Some(account) if account.has_code() => state.code(account.code_hash)?.len(),
        _ => 0,
    };
    let mut out = Output::stdout();
    if args.json {
        let info = account.unwrap_or_default();
        out.json(&json!({
            "address": address,
            "exists": account.is_some(),
            "nonce": info.nonce,
            "balance": info.balance.to_string(),
            "code_hash": info.code_hash,
            "code_size": code_size,
            "has_storage": info.has_storage,
        }))?;
    } else if let Some(account) = account {
        out.field("address", address.to_string())?;
        out.field("nonce", account.nonce.to_string())?;
        out.field("balance", format!("{} wei", account.balance))?;
        out.field(
            "code",
            match code_size {
                0 => "none".to_owned(),
                size => format!("{size} bytes, keccak-256 {}", account.code_hash),
            },
        )?;
        out.field("storage", if account.has_storage { "yes (`zvm storage`)" } else { "empty" })?;
    } else {
        out.line(format!("{address} does not exist in {}", args.db.db))?;
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn storage(args: &StorageArgs) -> anyhow::Result<ExitCode> {
    let zvm = args.db.open_existing(None)?;
    let mut out = Output::stdout();
    if let Some(slot) = args.slot {
        let word = zvm.at(args.at.number(&zvm)?)?.storage(args.address, slot)?;
        if args.json {
            out.json(&json!(word))?;
        } else {
            out.line(format!("{word:#066x}"))?;
        }
    } else {
        if args.at.block.is_some() {
            return Err(usage("--at: name a slot; only the latest state lists all of them"));
        }
        let entries = zvm.storage_entries(args.address)?;
        if args.json {
            let words: Map<_, _> =
                entries.iter().map(|(slot, word)| (format!("{slot:#x}"), json!(word))).collect();
            out.json(&Value::Object(words))?;
        } else {
            for (slot, word) in entries {
                out.line(format!("{slot:#066x} {word:#066x}"))?;
            }
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

//! `zvm db proof` and `zvm db verify-proof`: proofs made from a store, and checked without one.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use zvm::{Address, B256, StateBackend, U256};
use zvm_state::{AccountProof, kv::Access};

use super::open_existing;
use crate::{engine::DbArgs, failure::usage, output::Output, source::Source, value};

#[derive(Debug, Args)]
pub(crate) struct ProofArgs {
    /// Whose account
    #[arg(value_parser = value::address)]
    address: Address,
    /// Slots to prove too, in decimal or as hex after 0x
    #[arg(value_name = "SLOT", value_parser = value::word)]
    slots: Vec<U256>,
    #[command(flatten)]
    db: DbArgs,
    /// Print the JSON object in one line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// What `zvm db proof` or `eth_getProof` answered; - is standard input
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// State root to verify against [default: the stateRoot in the file]
    #[arg(long, value_name = "HASH", value_parser = value::hash)]
    root: Option<B256>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The answer to `eth_getProof`, with the block and the state root beside it.
pub(super) fn proof(args: &ProofArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let head = db.head()?;
    let mut object = serde_json::to_value(db.proof(args.address, &args.slots)?)?;
    object["blockNumber"] = json!(format!("{:#x}", head.number));
    object["blockHash"] = json!(head.hash);
    object["stateRoot"] = json!(db.state_root()?);
    let mut out = Output::stdout();
    match args.json {
        true => out.json(&object)?,
        false => out.line(serde_json::to_string_pretty(&object)?)?,
    }
    Ok(out.finish()?)
}

/// What stands beside a proof.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Beside {
    state_root: Option<B256>,
}

/// An answer of JSON-RPC.
#[derive(Deserialize)]
struct Answer<T> {
    result: T,
}

pub(super) fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let source = Source::path(&args.input)?;
    let (proof, beside) = read(&source.text)
        .map_err(|error| usage(format!("{}: {error}; expected a proof", source.name)))?;
    let root = args.root.or(beside.state_root).ok_or_else(|| {
        usage(format!("{}: no stateRoot in it; --root HASH gives one", source.name))
    })?;
    let account = proof
        .verify(root)
        .map_err(|error| anyhow::anyhow!("{}: not proven: {error}", source.name))?;

    let mut out = Output::stdout();
    if args.json {
        let slots = proof.storage_proof.iter().map(|slot| {
            json!({ "slot": B256::from(slot.key), "value": slot.value, "exists": !slot.value.is_zero() })
        });
        let mut object = json!({
            "state_root": root,
            "address": proof.address,
            "exists": account.is_some(),
            "slots": slots.collect::<Vec<Value>>(),
        });
        if let Some(info) = account {
            object["nonce"] = json!(info.nonce);
            object["balance"] = json!(info.balance.to_string());
            object["code_hash"] = json!(info.code_hash);
            object["storage_root"] = json!(proof.storage_hash);
        }
        out.json(&object)?;
        return Ok(out.finish()?);
    }
    out.field("state root", root.to_string())?;
    match account {
        None => out.field("account", format!("{} does not exist: proven", proof.address))?,
        Some(info) => {
            out.field("account", format!("{} exists: proven", proof.address))?;
            out.field("nonce", info.nonce.to_string())?;
            out.field("balance", format!("{} wei", info.balance))?;
            out.field("code hash", info.code_hash.to_string())?;
            out.field("storage root", proof.storage_hash.to_string())?;
        }
    }
    for slot in &proof.storage_proof {
        let what = match slot.value.is_zero() {
            true => "absent: proven".to_owned(),
            false => format!("{:#x}: proven", slot.value),
        };
        out.field(&format!("slot {:#x}", slot.key), what)?;
    }
    Ok(out.finish()?)
}

/// Reads a proof, in an answer of JSON-RPC or on its own.
fn read(text: &str) -> serde_json::Result<(AccountProof, Beside)> {
    // Parsed once more for each part: through a value in between, errors would lose their place.
    let is_answer = serde_json::from_str::<Answer<serde::de::IgnoredAny>>(text).is_ok();
    if is_answer {
        let proof: Answer<AccountProof> = serde_json::from_str(text)?;
        let beside: Answer<Beside> = serde_json::from_str(text)?;
        return Ok((proof.result, beside.result));
    }
    Ok((serde_json::from_str(text)?, serde_json::from_str(text)?))
}

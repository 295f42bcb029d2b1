//! `zvm tx send`: a transaction into a new block of a chain in a store.

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::{Value, json};
use zvm::{
    Address, BlockAttributes, ChainZvm, NextBlock, SignedTransaction, SpecId, U256,
    UnsignedTransaction,
};
use zvm_state::{kv::Access, open_store};
use zvm_txlog::Chain;

use super::{KeyArgs, signed};
use crate::{
    chain::{print, receipt_json},
    engine::{DbArgs, check_exists},
    failure::{FAILED, usage},
    source::Source,
    value,
};

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// A signed transaction in hex digits, or one to sign as in JSON-RPC, in which the chain fills
    /// what is missing: an argument, a file, or - for standard input
    #[arg(value_name = "TRANSACTION")]
    transaction: String,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    db: DbArgs,
    /// Time of the block, in seconds since 1970 [default: now, or a second after the last block]
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<u64>,
    /// Who gets the fees
    #[arg(long, value_name = "ADDRESS", default_value_t, value_parser = value::address)]
    beneficiary: Address,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn send(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let source = Source::argument("TRANSACTION", &args.transaction)?;
    check_exists(&args.db.db)?;
    let store = open_store(&args.db.db, Access::Write)?;
    let mut chain = ChainZvm::from_chain(Chain::open(Box::new(store))?);
    let attributes = attributes(&chain, args)?;
    let transaction = match source.text.trim_start().starts_with('{') {
        true => sign(&chain, &attributes, &source, &args.key)?,
        false => signed(&source)?,
    };
    // A block is made once it is known that the transaction can be in it.
    chain.simulate(&transaction, &attributes)?;
    let hash = chain.submit(transaction)?;
    chain.mine_with(&attributes)?;
    let mined = chain.receipt(hash)?.ok_or_else(|| anyhow!("{hash} is not in the block"))?;
    print(&receipt_json(&mined), args.json)?;
    Ok(match mined.succeeded() {
        Some(false) => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    })
}

/// What the block is made with: now, but after the last one.
fn attributes(chain: &ChainZvm, args: &SendArgs) -> anyhow::Result<BlockAttributes> {
    let head = chain.head()?.number;
    let head = chain.block(head)?.with_context(|| format!("no block {head}"))?;
    let timestamp = args.timestamp.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        now.max(head.header.timestamp.saturating_add(1))
    });
    let beneficiary = args.beneficiary;
    Ok(BlockAttributes { timestamp, beneficiary, ..BlockAttributes::default() })
}

/// Signs a transaction, having filled in what the chain knows.
fn sign(
    chain: &ChainZvm,
    attributes: &BlockAttributes,
    source: &Source,
    key: &KeyArgs,
) -> anyhow::Result<SignedTransaction> {
    let fault = |error| usage(format!("{}: not a transaction: {error}", source.name));
    let mut fields: Value = serde_json::from_str(&source.text).map_err(fault)?;
    let key = key.read()?;
    let next = chain.chain().next_block(attributes)?;
    if let Value::Object(fields) = &mut fields {
        let has = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
        let mut missing = Vec::new();
        if !has(&["nonce"]) {
            missing.push(("nonce", json!(format!("{:#x}", chain.nonce(key.address())?))));
        }
        if !has(&["chainId"]) && next.config.spec().has(SpecId::SPURIOUS_DRAGON) {
            missing.push(("chainId", json!(format!("{:#x}", next.config.chain_id))));
        }
        if !has(&["gas", "gasLimit"]) {
            missing.push(("gas", json!(format!("{:#x}", next.gas_max()))));
        }
        if !has(&["gasPrice", "maxFeePerGas"]) {
            missing.extend(fees(&next, fields.get("type")));
        }
        fields.extend(missing.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    let body: UnsignedTransaction = serde_json::from_value(fields).map_err(fault)?;
    Ok(body.sign(&key))
}

/// The fields of the fees that a transaction is given that has none.
fn fees(next: &NextBlock, tx_type: Option<&Value>) -> Vec<(&'static str, Value)> {
    let (cap, tip) = next.usual_fees();
    let hex = |wei: U256| json!(format!("{wei:#x}"));
    let has_one_price = match tx_type.and_then(Value::as_str) {
        Some(tx_type) => matches!(tx_type, "0x0" | "0x1"),
        None => !next.config.spec().has(SpecId::LONDON),
    };
    match has_one_price {
        true => vec![("gasPrice", hex(cap))],
        false => vec![("maxFeePerGas", hex(cap)), ("maxPriorityFeePerGas", hex(tip))],
    }
}

//! `zvm chain head`, `block`, `tx` and `receipt`: looking blocks up.

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};
use zvm::{Address, B256, TxKind};
use zvm_core::{Block, ReceiptOutcome};
use zvm_state::{FileDb, kv::Access};
use zvm_txlog::{Log, MinedTransaction};

use crate::{db::open_existing, engine::DbArgs, output::Output, value};

#[derive(Debug, Args)]
pub(crate) struct HeadArgs {
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BlockArgs {
    /// Number or hash
    #[arg(value_parser = block)]
    block: Which,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TxArgs {
    /// Hash of the transaction
    #[arg(value_parser = value::hash)]
    hash: B256,
    #[command(flatten)]
    db: DbArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A block by what it is asked for.
#[derive(Clone, Copy, Debug)]
enum Which {
    Number(u64),
    Hash(B256),
}

fn block(text: &str) -> Result<Which, String> {
    match text.parse() {
        Ok(number) => Ok(Which::Number(number)),
        Err(_) => value::hash(text).map(Which::Hash),
    }
}

pub(super) fn head(args: &HeadArgs) -> anyhow::Result<()> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let head = Log::new(&db).head()?;
    let head = head.ok_or_else(|| anyhow!("no chain here: there is no first block"))?;
    print_block(&db, Which::Hash(head.hash), args.json)
}

pub(super) fn show_block(args: &BlockArgs) -> anyhow::Result<()> {
    print_block(&open_existing(&args.db.db, Access::Read)?, args.block, args.json)
}

pub(super) fn transaction(args: &TxArgs) -> anyhow::Result<()> {
    let found = find(args)?;
    print(&transaction_json(&found), args.json)
}

pub(super) fn receipt(args: &TxArgs) -> anyhow::Result<()> {
    let found = find(args)?;
    print(&receipt_json(&found), args.json)
}

fn find(args: &TxArgs) -> anyhow::Result<MinedTransaction> {
    let db = open_existing(&args.db.db, Access::Read)?;
    let found = Log::new(&db).transaction(args.hash)?;
    found.ok_or_else(|| anyhow!("no transaction {} in the chain", args.hash))
}

fn print_block(db: &FileDb, which: Which, as_json: bool) -> anyhow::Result<()> {
    let log = Log::new(db);
    let (found, name) = match which {
        Which::Number(number) => (log.block_at(number)?, number.to_string()),
        Which::Hash(hash) => (log.block(hash)?, hash.to_string()),
    };
    print(&block_json(&found.ok_or_else(|| anyhow!("no block {name}"))?)?, as_json)
}

/// Prints an object: as it is, or a field per line.
pub(crate) fn print(object: &Value, as_json: bool) -> anyhow::Result<()> {
    let mut out = Output::stdout();
    match object {
        Value::Object(fields) if !as_json => {
            for (name, value) in fields {
                match value {
                    Value::String(text) => out.line(format!("{name:<22} {text}"))?,
                    value => out.line(format!("{name:<22} {value}"))?,
                }
            }
        }
        object => out.json(object)?,
    }
    Ok(out.finish()?)
}

fn quantity(number: impl std::fmt::LowerHex) -> Value {
    Value::String(format!("{number:#x}"))
}

/// As eth_getBlockByNumber answers it, with the hashes of the transactions.
fn block_json(block: &Block) -> anyhow::Result<Value> {
    let mut object = serde_json::to_value(&block.header)?;
    object["hash"] = json!(block.hash());
    object["transactions"] = block.transactions.iter().map(|tx| json!(tx.hash())).collect();
    object["uncles"] = block.ommers.iter().map(|ommer| json!(ommer.hash())).collect();
    if let Some(withdrawals) = &block.withdrawals {
        object["withdrawals"] = json!(withdrawals);
    }
    Ok(object)
}

/// As eth_getTransactionByHash answers it, its signature without.
fn transaction_json(found: &MinedTransaction) -> Value {
    let body = &found.transaction.body;
    json!({
        "hash": found.hash,
        "blockHash": found.block.hash,
        "blockNumber": quantity(found.block.number),
        "transactionIndex": quantity(found.index),
        "type": quantity(body.tx_type as u8),
        "chainId": body.chain_id.map(quantity),
        "from": found.sender,
        "to": recipient(found),
        "nonce": quantity(body.nonce),
        "gas": quantity(body.gas_limit),
        "gasPrice": quantity(body.gas_price),
        "value": quantity(body.value),
        "input": body.data,
    })
}

fn recipient(found: &MinedTransaction) -> Option<Address> {
    match found.transaction.body.to {
        TxKind::Call(to) => Some(to),
        TxKind::Create => None,
    }
}

/// As eth_getTransactionReceipt answers it.
pub(crate) fn receipt_json(found: &MinedTransaction) -> Value {
    let receipt = &found.receipt;
    let logs = (found.first_log..).zip(&receipt.logs).map(|(index, log)| {
        json!({
            "address": log.address,
            "topics": log.topics(),
            "data": log.data.data,
            "logIndex": quantity(index),
        })
    });
    let mut object = json!({
        "transactionHash": found.hash,
        "blockHash": found.block.hash,
        "blockNumber": quantity(found.block.number),
        "transactionIndex": quantity(found.index),
        "type": quantity(receipt.tx_type as u8),
        "from": found.sender,
        "to": recipient(found),
        "contractAddress": found.created(),
        "gasUsed": quantity(found.gas_used),
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used),
        "logsBloom": receipt.bloom,
        "logs": logs.collect::<Value>(),
    });
    match receipt.outcome {
        ReceiptOutcome::Status(success) => object["status"] = quantity(u8::from(success)),
        ReceiptOutcome::Root(root) => object["root"] = json!(root),
    }
    object
}

//! What a transition leaves: the state, and what a header would say.

use std::ops::ControlFlow;

use serde_json::{Map, Value, json};
use zvm_core::{
    Address, B256, BlockEnv, Bytes, Database, Receipt, ReceiptOutcome, SignedTransaction, SpecId,
    StateBackend, U256, Withdrawal,
    rlp::{Rlp, write_items},
};
use zvm_evm::block::{ExecutedBlock, requests_hash};
use zvm_state::MemoryDb;
use zvm_trie::ordered_root;

use super::T8nError;
use crate::logs;

/// What came of the block.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The accounts afterwards.
    pub alloc: Value,
    /// Roots, receipts, rejected transactions and the rest of a header.
    pub result: Value,
    /// RLP of the list of transactions that are in the block.
    pub body: Bytes,
}

/// An executed block with what is not in it.
pub(super) struct Outcome {
    pub(super) block: ExecutedBlock,
    pub(super) included: Vec<Included>,
    /// Transactions that were passed over, by their place in the input.
    pub(super) rejected: Vec<(usize, String)>,
}

/// A transaction in the block.
pub(super) struct Included {
    pub(super) signed: SignedTransaction,
    pub(super) hash: B256,
    /// Address of the contract it creates.
    pub(super) contract: Option<Address>,
    pub(super) gas_used: u64,
}

fn quantity(number: u64) -> Value {
    format!("{number:#x}").into()
}

impl Transition {
    pub(super) fn of(
        outcome: &Outcome,
        env: &BlockEnv,
        spec: SpecId,
        withdrawals: Option<&[Withdrawal]>,
        state_root: B256,
        db: &MemoryDb,
    ) -> Result<Self, T8nError> {
        let Outcome { block, included, rejected } = outcome;
        let all: Vec<_> = included.iter().map(|tx| tx.signed.encode_2718()).collect();
        let events: Vec<_> =
            block.receipts.iter().flat_map(|receipt| &receipt.logs).cloned().collect();
        let mut receipts = Vec::new();
        let mut log_index = 0;
        for (index, (receipt, tx)) in block.receipts.iter().zip(included).enumerate() {
            receipts.push(shown(receipt, tx, index, env.number, &mut log_index));
        }
        let mut result = Map::new();
        let mut put = |field: &str, value: Value| drop(result.insert(field.to_owned(), value));
        put("stateRoot", json!(state_root));
        put("txRoot", json!(ordered_root(&all)));
        put("receiptsRoot", json!(block.receipts_root()));
        put("logsHash", json!(logs::hash(&events)));
        put("logsBloom", json!(block.logs_bloom()));
        put("receipts", receipts.into());
        put("gasUsed", quantity(block.gas_used));
        if !rejected.is_empty() {
            let entry = |(index, error): &(usize, String)| json!({"index": index, "error": error});
            put("rejected", rejected.iter().map(entry).collect());
        }
        let has_difficulty = !spec.has(SpecId::PARIS);
        put(
            "currentDifficulty",
            has_difficulty.then_some(env.difficulty).map_or(Value::Null, |d| json!(d)),
        );
        if spec.has(SpecId::LONDON) {
            put("currentBaseFee", quantity(env.base_fee));
        }
        if let Some(withdrawals) = withdrawals {
            let encoded: Vec<_> = withdrawals.iter().map(Rlp::encode).collect();
            put("withdrawalsRoot", json!(ordered_root(&encoded)));
        }
        if spec.has(SpecId::CANCUN) {
            put("currentExcessBlobGas", quantity(env.excess_blob_gas));
            put("blobGasUsed", quantity(block.blob_gas_used));
        }
        if let Some(requests) = &block.requests {
            put("requestsHash", json!(requests_hash(requests)));
            put("requests", json!(requests));
        }
        let signed: Vec<_> = included.iter().map(|tx| tx.signed.clone()).collect();
        let mut body = Vec::new();
        write_items(&mut body, &signed);
        Ok(Self { alloc: accounts(db)?, result: result.into(), body: body.into() })
    }
}

/// A receipt as geth shows it. The hash of the block is not known.
fn shown(
    receipt: &Receipt,
    tx: &Included,
    index: usize,
    number: u64,
    log_index: &mut u64,
) -> Value {
    let index = quantity(index as u64);
    let logs: Vec<_> = receipt
        .logs
        .iter()
        .map(|log| {
            let place = *log_index;
            *log_index += 1;
            json!({
                "address": log.address,
                "topics": log.topics(),
                "data": log.data.data,
                "blockNumber": quantity(number),
                "transactionHash": tx.hash,
                "transactionIndex": index,
                "blockHash": B256::ZERO,
                "logIndex": quantity(place),
                "removed": false,
            })
        })
        .collect();
    let (root, status) = match receipt.outcome {
        ReceiptOutcome::Status(is_success) => (json!("0x"), u64::from(is_success)),
        ReceiptOutcome::Root(root) => (json!(root), 0),
    };
    json!({
        "type": quantity(receipt.tx_type as u64),
        "root": root,
        "status": quantity(status),
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used),
        "logsBloom": receipt.bloom,
        "logs": logs,
        "transactionHash": tx.hash,
        "contractAddress": tx.contract.unwrap_or_default(),
        "gasUsed": quantity(tx.gas_used),
        "effectiveGasPrice": Value::Null,
        "blockHash": B256::ZERO,
        "transactionIndex": index,
    })
}

/// Every account. What is zero or empty is left out, but for the balance.
fn accounts(db: &MemoryDb) -> Result<Value, T8nError> {
    let mut all = Map::new();
    db.for_each_account(B256::ZERO, &mut |_, address, info| {
        let mut account = Map::new();
        account.insert("balance".to_owned(), json!(info.balance));
        if info.nonce > 0 {
            account.insert("nonce".to_owned(), quantity(info.nonce));
        }
        if info.has_code() {
            account.insert("code".to_owned(), json!(db.code(info.code_hash)?));
        }
        let words = db.storage_entries(address)?;
        if !words.is_empty() {
            let word = |word: U256| json!(B256::from(word));
            let entry = |(slot, value)| (B256::from(slot).to_string(), word(value));
            let storage: Map<_, _> = words.into_iter().map(entry).collect();
            account.insert("storage".to_owned(), storage.into());
        }
        // Not in the mixed case that alloy shows addresses in.
        all.insert(format!("{address:#x}"), account.into());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(all.into())
}

//! Transactions of the chain that a node serves, and the states that they met.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use zvm_core::{AccountInfo, Address, B256, Bytes, DbError, KECCAK_EMPTY, Log, U256, keccak256};

use super::{Node, answers};
use crate::{PlacedTransaction, Prestate, PrestateAccount, ReportedOutcome, json, rpc::Call};

/// Where a transaction is, as `eth_getTransactionByHash` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    block_hash: Option<B256>,
    transaction_index: Option<U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    transaction_hash: B256,
    block_hash: B256,
    status: Option<U256>,
    gas_used: U256,
    logs: Vec<Log>,
}

#[derive(Deserialize)]
struct Transactions<'a> {
    #[serde(borrow)]
    transactions: Vec<&'a RawValue>,
}

/// An account as `prestateTracer` answers it; what is left out is zero or empty.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reached {
    balance: U256,
    /// A JSON number.
    nonce: u64,
    code: Bytes,
    storage: BTreeMap<B256, B256>,
}

impl Node {
    /// The transaction with `hash`, which must be in a block, and that block. Nothing is believed
    /// that hashes can tell: those of the transaction and of the block, and the root of the block's
    /// transactions.
    pub(super) fn placed(&self, hash: B256) -> Result<PlacedTransaction, DbError> {
        let named = format!("transaction {hash}");
        let wrong = |what: String| self.fault(&named, &what);
        let parameter = format!("\"{hash}\"");
        let [transaction, receipt] = ["eth_getTransactionByHash", "eth_getTransactionReceipt"];
        let calls = [transaction, receipt].map(|method| Call::new(method, &[&parameter]));
        let mut answers = self.client.batch(&calls)?.into_iter();
        let found = self.result(answers.next(), transaction)?;
        if found.get() == "null" {
            return Err(wrong("the node knows none".to_owned()));
        }
        let place: Place = answers::parse(&found).map_err(wrong)?;
        let (Some(block), Some(index)) = (place.block_hash, place.transaction_index) else {
            return Err(wrong("it waits, and is in no block so far".to_owned()));
        };
        let receipt = self.result(answers.next(), receipt)?;
        let outcome = outcome(&receipt, hash, block).map_err(wrong)?;
        let call = Call::new("eth_getBlockByHash", &[&format!("\"{block}\""), "true"]);
        let found = self.one(&call)?;
        let (_, header) = answers::header(&found).map_err(wrong)?;
        if header.hash() != block {
            let found = header.hash();
            return Err(wrong(format!("the header of its block has hash {found}, not {block}")));
        }
        let items = answers::parse::<Transactions<'_>>(&found).map_err(wrong)?.transactions;
        let read = |(place, item): (usize, &&RawValue)| {
            let fault = |error| format!("transaction {place} of its block: {error}");
            serde_json::from_str(item.get()).map_err(fault)
        };
        let transactions = items.iter().enumerate().map(read).collect::<Result<_, _>>();
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let placed = transactions
            .and_then(|transactions| PlacedTransaction::new(header, transactions, index, outcome));
        let placed = placed.map_err(wrong)?;
        let signature = placed.transactions().get(index).map(|signed| signed.signature);
        if signature.is_some_and(|signature| signature.r.is_zero() && signature.s.is_zero()) {
            let what =
                "it has no signature, as those of impersonated senders: nothing says whose it is";
            return Err(wrong(what.to_owned()));
        }
        if placed.hash() != hash {
            let found = placed.hash();
            return Err(wrong(format!("transaction {index} of its block has hash {found}")));
        }
        Ok(placed)
    }

    /// The state that the transaction with `hash` met; `None` where the node does not tell.
    pub(super) fn reached(&self, hash: B256) -> Result<Option<Prestate>, DbError> {
        let call = Call::new(
            "debug_traceTransaction",
            &[&format!("\"{hash}\""), r#"{"tracer":"prestateTracer"}"#],
        );
        let Ok(found) = self.client.call(&call)? else { return Ok(None) };
        let accounts: BTreeMap<Address, Reached> =
            answers::parse(&found).map_err(|what| self.fault("debug_traceTransaction", &what))?;
        let account = |Reached { balance, nonce, code, storage }| {
            let code_hash = if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) };
            let info = AccountInfo { nonce, balance, code_hash };
            let word = |(slot, word): (B256, B256)| (slot.into(), word.into());
            PrestateAccount { info, code, storage: storage.into_iter().map(word).collect() }
        };
        Ok(Some(
            accounts.into_iter().map(|(address, reached)| (address, account(reached))).collect(),
        ))
    }
}

/// What a receipt says, if it is that of the transaction.
fn outcome(receipt: &RawValue, hash: B256, block: B256) -> Result<ReportedOutcome, String> {
    if receipt.get() == "null" {
        return Err("the node has no receipt of it".to_owned());
    }
    let Receipt { transaction_hash, block_hash, status, gas_used, logs } =
        answers::parse(receipt).map_err(|what| format!("its receipt: {what}"))?;
    if (transaction_hash, block_hash) != (hash, block) {
        return Err(format!(
            "the receipt of transaction {transaction_hash} in block {block_hash} instead of its own"
        ));
    }
    let succeeded = match status {
        None => None,
        Some(status) if status <= U256::ONE => Some(!status.is_zero()),
        Some(status) => return Err(format!("its receipt: status {status:#x}, expected 0 or 1")),
    };
    let gas_used = u64::try_from(gas_used)
        .map_err(|_| format!("its receipt: gas {}", json::shortened(&gas_used.to_string())))?;
    Ok(ReportedOutcome { succeeded, gas_used, logs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_receipt_must_be_that_of_the_transaction() {
        let (hash, block) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let receipt = |hash: B256, more: &str| {
            raw(&format!(
                r#"{{"transactionHash":"{hash}","blockHash":"{block}","gasUsed":"0x5208",
                "logs":[{{"address":"{}","topics":["{block}"],"data":"0x07"}}]{more}}}"#,
                Address::ZERO
            ))
        };
        let of = |receipt: &RawValue| outcome(receipt, hash, block);
        let good = of(&receipt(hash, r#","status":"0x1""#)).unwrap();
        assert_eq!((good.succeeded, good.gas_used, good.logs.len()), (Some(true), 21_000, 1));
        assert_eq!(of(&receipt(hash, r#","root":"0x00""#)).unwrap().succeeded, None);
        for (wrong, expected) in [
            (receipt(block, ""), "instead of its own"),
            (receipt(hash, r#","status":"0x2""#), "status 0x2, expected 0 or 1"),
            (raw("null"), "no receipt"),
            (raw("{}"), "its receipt"),
        ] {
            let error = of(&wrong).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}

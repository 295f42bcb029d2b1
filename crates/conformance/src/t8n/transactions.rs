//! Transactions as fillers bring them: signed, or with the key to sign with.

use serde::Deserialize;
use serde_json::value::RawValue;
use zvm_core::{
    B256, ChainConfig, SignedTransaction, SigningKey, SpecId, Transaction, UnsignedTransaction,
    hex,
    rlp::{Reader, Rlp},
};

use super::T8nError;

/// A transaction with its sender told, or why it is none.
pub(super) type Source = Result<(SignedTransaction, Transaction), String>;

/// What a filler adds to a transaction it wants signed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Signing {
    secret_key: Option<B256>,
    /// Whether a legacy transaction is for one chain alone (EIP-155).
    protected: Option<bool>,
}

/// Reads the list of transactions. One that does not read is rejected by itself.
pub(super) fn read(text: &str, chain: &ChainConfig, spec: SpecId) -> Result<Vec<Source>, T8nError> {
    let error = |error: serde_json::Error| T8nError::json("txs", &error);
    let text = text.trim();
    let signed: Vec<Result<SignedTransaction, String>> = if text.starts_with('"') {
        let digits: String = serde_json::from_str(text).map_err(error)?;
        let wrong = |what: String| T8nError::Json { input: "txs", what };
        let bytes = hex::decode(digits).map_err(|error| wrong(error.to_string()))?;
        let mut outermost = Reader::new(&bytes);
        let list = outermost.list("transactions").and_then(|mut list| {
            let mut items = Vec::new();
            while !list.is_empty() {
                items.push(list.item("transaction")?);
            }
            outermost.finish("transactions")?;
            Ok(items)
        });
        let items = list.map_err(|error| wrong(error.to_string()))?;
        let decode = |item: &zvm_core::rlp::Item<'_>| {
            SignedTransaction::decode(item.all).map_err(|error| error.to_string())
        };
        items.iter().map(decode).collect()
    } else {
        let all: Option<Vec<Box<RawValue>>> = serde_json::from_str(text).map_err(error)?;
        all.unwrap_or_default().iter().map(|raw| sign(raw.get(), chain, spec)).collect()
    };
    let recover = |signed: Result<SignedTransaction, String>| {
        let signed = signed?;
        let tx = signed.recover(spec).map_err(|error| error.to_string())?;
        Ok((signed, tx))
    };
    Ok(signed.into_iter().map(recover).collect())
}

/// Reads a transaction, and signs it if it comes with a key.
fn sign(text: &str, chain: &ChainConfig, spec: SpecId) -> Result<SignedTransaction, String> {
    let readable = |error: serde_json::Error| error.to_string();
    let Signing { secret_key, protected } = serde_json::from_str(text).map_err(readable)?;
    let Some(secret) = secret_key else {
        return serde_json::from_str(text).map_err(readable);
    };
    let key = SigningKey::new(&secret).map_err(|error| error.to_string())?;
    let mut body: UnsignedTransaction = serde_json::from_str(text).map_err(readable)?;
    if body.tx_type == zvm_core::TxType::Legacy {
        let is_protected = protected.unwrap_or(true) && spec.has(SpecId::SPURIOUS_DRAGON);
        body.chain_id = is_protected.then_some(chain.chain_id);
    }
    Ok(body.sign(&key))
}

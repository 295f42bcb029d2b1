//! The rules of a chain and what it was about to do, kept beside its blocks.

use zvm_core::{B256, ChainConfig};
use zvm_state::kv::{
    Table, WriteBatch,
    records::{get, put},
};

use crate::{Log, LogError, LogStore, records};

/// Under which name the rules are stored.
const CONFIG: &[u8] = b"chain_config";

/// Under which name the head is stored that a change of branches began at.
const LEAVING: &[u8] = b"chain_leaving";

impl Log<'_> {
    /// The rules of the chain, as its `genesis.json` has them; `None` in a log without a chain.
    pub fn chain_config(&self) -> Result<Option<ChainConfig>, LogError> {
        let decode = |body: &[u8]| serde_json::from_slice(body).map_err(|error| error.to_string());
        Ok(get(self.kv(), Table::Meta, CONFIG, decode)?)
    }

    /// The head that a change of branches has left, if it has not come to its end.
    pub(crate) fn leaving(&self) -> Result<Option<B256>, LogError> {
        Ok(get(self.kv(), Table::Meta, LEAVING, records::hash)?)
    }
}

/// Stores the rules of the chain.
pub(crate) fn write_config(store: &mut dyn LogStore, config: &ChainConfig) -> Result<(), LogError> {
    // The order of the fields is that of the type, so equal rules are equal bytes.
    let body =
        serde_json::to_vec(config).map_err(|error| LogError::Rules { what: error.to_string() })?;
    let mut batch = WriteBatch::new();
    put(&mut batch, Table::Meta, CONFIG, &body);
    Ok(store.write_log(batch)?)
}

/// Stores the head that is left for another branch, or that none is.
pub(crate) fn write_leaving(store: &mut dyn LogStore, head: Option<B256>) -> Result<(), LogError> {
    let mut batch = WriteBatch::new();
    match head {
        Some(head) => put(&mut batch, Table::Meta, LEAVING, head.as_slice()),
        None => batch.delete(Table::Meta, LEAVING),
    }
    Ok(store.write_log(batch)?)
}

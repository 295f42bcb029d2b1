//! Genesis blocks: from a genesis file, and the one of mainnet.

use serde::Deserialize;
use serde_json::{Map, Value};
use zvm_core::{AccountInfo, B256, Block, hex, keccak256, rlp::Rlp};

use super::{expect, read};
use crate::FixtureError;

/// A genesis file with its block.
#[derive(Debug)]
pub(crate) struct Genesis {
    genesis: zvm_core::Genesis,
    /// RLP of the block.
    result: String,
}

impl Genesis {
    /// The block stands among the fields of the genesis file.
    pub(super) fn parse(text: &str, whole: &str) -> Result<Self, FixtureError> {
        let mut fields: Map<String, Value> = read(text, whole)?;
        // Once zero was written without a digit.
        if let Some(timestamp) = fields.get_mut("timestamp").filter(|value| **value == "0x") {
            *timestamp = "0x0".into();
        }
        let result = fields.remove("result").unwrap_or_default();
        let error = |error| FixtureError::json(&error, text, whole);
        Ok(Self {
            genesis: serde_json::from_value(fields.into()).map_err(error)?,
            result: serde_json::from_value(result).map_err(error)?,
        })
    }

    pub(super) fn run(&self) -> Result<(), String> {
        let accounts = self.genesis.alloc.iter().map(|(address, account)| {
            let info = AccountInfo {
                nonce: account.nonce,
                balance: account.balance,
                code_hash: keccak256(&account.code),
            };
            let storage = account.storage.iter().map(|(slot, word)| (*slot, *word));
            (*address, info, zvm_trie::storage_root(storage))
        });
        let header = self.genesis.header(zvm_trie::state_root(accounts));
        let block = Block { header, ..Block::default() };
        expect("the block", &hex::encode(block.encode()), &self.result)
    }
}

/// A genesis block with its hash.
#[derive(Debug, Deserialize)]
pub(crate) struct Hash {
    genesis_rlp_hex: String,
    genesis_state_root: B256,
    genesis_hash: B256,
}

impl Hash {
    pub(super) fn run(&self) -> Result<(), String> {
        let bytes = hex::decode(&self.genesis_rlp_hex).map_err(|error| error.to_string())?;
        let block = Block::decode(&bytes).map_err(|error| error.to_string())?;
        expect("the state root", block.header.state_root, self.genesis_state_root)?;
        expect("the hash", block.hash(), self.genesis_hash)
    }
}

//! Cases of shape `transaction`: whether bytes are a valid transaction, by the rules of several
//! hard forks.

use serde::Deserialize;
use zvm_core::{Address, B256, BlockEnv, Bytes, SignedTransaction, SpecId, U256};
use zvm_evm::{Config, Requirements};

use crate::{
    FixtureError,
    exceptions::{self, Rejection},
    values::{Data, Entries, Word},
};

/// A case as the file has it.
#[derive(Debug, Deserialize)]
struct Raw {
    txbytes: Data,
    result: Entries<String, Expected>,
}

/// What must come of it under one hard fork.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    exception: Option<String>,
    sender: Option<Address>,
    hash: Option<B256>,
    #[serde(default)]
    intrinsic_gas: Word,
}

/// A case ready to run.
#[derive(Debug)]
pub(crate) struct Case {
    bytes: Bytes,
    entries: Vec<(String, Expected)>,
}

/// What is told of a valid transaction.
struct Valid {
    sender: Address,
    hash: B256,
    intrinsic_gas: u64,
}

impl Case {
    /// Reads a case from its JSON.
    pub(crate) fn parse(text: &str, whole: &str) -> Result<Self, FixtureError> {
        let raw: Raw =
            serde_json::from_str(text).map_err(|error| FixtureError::json(&error, text, whole))?;
        Ok(Self { bytes: raw.txbytes.0, entries: raw.result.0 })
    }

    /// Number of hard forks.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Label of the hard fork of an entry.
    pub(crate) fn label(&self, entry: usize) -> &str {
        &self.entries[entry].0
    }

    /// The hard fork an entry runs by, if zvm has it.
    pub(crate) fn spec(&self, entry: usize) -> Option<SpecId> {
        self.label(entry).parse().ok()
    }

    /// Judges the transaction; `Err` says in one line what is not as expected.
    pub(crate) fn run(&self, entry: usize) -> Result<(), String> {
        let (label, expected) = &self.entries[entry];
        let spec = label.parse::<SpecId>().map_err(|error| error.to_string())?;
        let config = Config::new(spec).map_err(|error| error.to_string())?;
        match (judge(&self.bytes, &config), &expected.exception) {
            (Ok(valid), None) => expected.compare(&valid),
            (Ok(_), Some(name)) => Err(format!("valid, expected {name}")),
            (Err(rejection), None) => Err(format!("rejected ({rejection}), expected it valid")),
            (Err(rejection), Some(name)) => match exceptions::is_expected(name, &rejection)? {
                true => Ok(()),
                false => Err(format!("rejected ({rejection}), expected {name}")),
            },
        }
    }
}

impl Expected {
    fn compare(&self, valid: &Valid) -> Result<(), String> {
        let Valid { sender, hash, intrinsic_gas } = *valid;
        if Some(sender) != self.sender {
            return Err(format!("sender {sender}, expected {:?}", self.sender));
        }
        if Some(hash) != self.hash {
            return Err(format!("hash {hash}, expected {:?}", self.hash));
        }
        if Word(U256::from(intrinsic_gas)) != self.intrinsic_gas {
            let expected = self.intrinsic_gas.0;
            return Err(format!("intrinsic gas {intrinsic_gas}, expected {expected}"));
        }
        Ok(())
    }
}

/// Every check that needs no state.
fn judge(bytes: &[u8], config: &Config) -> Result<Valid, Rejection> {
    let signed = SignedTransaction::decode_2718(bytes).map_err(Rejection::Encoding)?;
    let tx = signed.recover(config.spec()).map_err(Rejection::Sender)?;
    // A block that refuses nothing by itself.
    let block = BlockEnv { gas_limit: u64::MAX, ..BlockEnv::default() };
    let needs = Requirements::of(&tx, &block, config).map_err(Rejection::Invalid)?;
    let Requirements { intrinsic_gas, .. } = needs;
    // With the value it may: whether that can be paid is a matter of state.
    if tx.gas_price.checked_mul(U256::from(tx.gas_limit)).is_none() {
        return Err(Rejection::Unpayable);
    }
    Ok(Valid { sender: tx.sender, hash: signed.hash(), intrinsic_gas })
}

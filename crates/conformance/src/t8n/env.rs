//! The block around the transactions. What is not given follows from the parent.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error};
use zvm_core::{
    Address, B256, BlobParams, BlockEnv, ChainConfig, EMPTY_OMMERS_HASH, INITIAL_BASE_FEE, SpecId,
    U256, Withdrawal, genesis::Number,
};
use zvm_evm::block::{
    ParentBlobGas, ParentDifficulty, next_base_fee, next_difficulty, next_excess_blob_gas,
};

use super::T8nError;

/// The environment as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Env {
    current_coinbase: Address,
    current_gas_limit: Number,
    current_number: Number,
    current_timestamp: Number,
    current_difficulty: Option<Number>,
    current_random: Option<Number>,
    current_base_fee: Option<Number>,
    current_excess_blob_gas: Option<Number>,
    parent_difficulty: Option<Number>,
    parent_timestamp: Option<Number>,
    parent_uncle_hash: Option<B256>,
    parent_base_fee: Option<Number>,
    parent_gas_used: Option<Number>,
    parent_gas_limit: Option<Number>,
    parent_excess_blob_gas: Option<Number>,
    parent_blob_gas_used: Option<Number>,
    pub(super) parent_beacon_block_root: Option<B256>,
    #[serde(default)]
    pub(super) block_hashes: Hashes,
    #[serde(default, deserialize_with = "list")]
    pub(super) ommers: Vec<Ommer>,
    #[serde(default, deserialize_with = "list")]
    pub(super) withdrawals: Vec<Withdrawal>,
}

/// Reads blob parameters.
pub(super) fn blob_params(text: &str) -> Result<BlobParams, T8nError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Written {
        #[serde(deserialize_with = "short")]
        target: u64,
        #[serde(deserialize_with = "short")]
        max: u64,
        #[serde(deserialize_with = "short")]
        base_fee_update_fraction: u64,
    }
    let Written { target, max, base_fee_update_fraction } =
        serde_json::from_str(text).map_err(|error| T8nError::json("blobParams", &error))?;
    Ok(BlobParams { target, max, base_fee_update_fraction })
}

/// An ommer: whose it is, and how many blocks behind.
#[derive(Debug, Deserialize)]
pub(super) struct Ommer {
    #[serde(deserialize_with = "short")]
    pub(super) delta: u64,
    pub(super) address: Address,
}

/// Hashes of blocks by number.
#[derive(Debug, Default)]
pub(super) struct Hashes(pub(super) BTreeMap<u64, B256>);

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hashes = Option::<BTreeMap<String, B256>>::deserialize(deserializer)?;
        let read = |(key, hash): (String, B256)| {
            let number = match key.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => key.parse(),
            };
            number.map(|number| (number, hash)).map_err(|_| key)
        };
        let read: Result<_, _> = hashes.unwrap_or_default().into_iter().map(read).collect();
        read.map(Self).map_err(|key| D::Error::custom(format!("{key:?} is no block number")))
    }
}

fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Number::deserialize(deserializer)?.short().map_err(D::Error::custom)
}

impl Env {
    /// The hash of the block before, or zero if it is not given.
    pub(super) fn parent_hash(&self) -> B256 {
        let number = self.current_number.short().unwrap_or(0).checked_sub(1);
        number.and_then(|number| self.block_hashes.0.get(&number).copied()).unwrap_or_default()
    }

    /// What the transactions are told of their block.
    pub(super) fn block(&self, chain: &ChainConfig, spec: SpecId) -> Result<BlockEnv, T8nError> {
        let given = |number: Number, field| {
            number
                .short()
                .map_err(|error| T8nError::Json { input: "env", what: format!("{field}: {error}") })
        };
        let maybe =
            |number: Option<Number>, field| number.map(|number| given(number, field)).transpose();
        let needed = |number: Option<Number>, field: &'static str| {
            let what = || format!("{field} is missing, and what it follows from");
            maybe(number, field)?.ok_or_else(|| T8nError::Json { input: "env", what: what() })
        };
        let number = given(self.current_number, "currentNumber")?;
        let timestamp = given(self.current_timestamp, "currentTimestamp")?;
        let difficulty = match self.current_difficulty {
            _ if spec.has(SpecId::PARIS) => U256::ZERO,
            Some(difficulty) => difficulty.0,
            None => {
                let parent = ParentDifficulty {
                    difficulty: self.parent_difficulty.unwrap_or(Number(U256::ZERO)).0,
                    timestamp: needed(self.parent_timestamp, "currentDifficulty")?,
                    has_ommers: self
                        .parent_uncle_hash
                        .is_some_and(|hash| hash != EMPTY_OMMERS_HASH && hash != B256::ZERO),
                };
                next_difficulty(spec, chain.bomb_delay_at(number), number, timestamp, &parent)
            }
        };
        let base_fee = match maybe(self.current_base_fee, "currentBaseFee")? {
            _ if !spec.has(SpecId::LONDON) => 0,
            Some(base_fee) => base_fee,
            None => match maybe(self.parent_base_fee, "parentBaseFee")? {
                Some(parent) => {
                    let gas_limit = needed(self.parent_gas_limit, "parentGasLimit")?;
                    let gas_used = needed(self.parent_gas_used, "parentGasUsed")?;
                    next_base_fee(gas_limit, gas_used, parent)
                }
                None => INITIAL_BASE_FEE,
            },
        };
        let excess_blob_gas = match maybe(self.current_excess_blob_gas, "currentExcessBlobGas")? {
            Some(excess) => excess,
            None => match chain.blob_params_at(timestamp) {
                None => 0,
                Some(params) => {
                    let parent = ParentBlobGas {
                        excess_blob_gas: maybe(self.parent_excess_blob_gas, "parentExcessBlobGas")?
                            .unwrap_or(0),
                        blob_gas_used: maybe(self.parent_blob_gas_used, "parentBlobGasUsed")?
                            .unwrap_or(0),
                        base_fee: maybe(self.parent_base_fee, "parentBaseFee")?.unwrap_or(0),
                    };
                    next_excess_blob_gas(spec, &params, &parent)
                }
            },
        };
        Ok(BlockEnv {
            number,
            timestamp,
            beneficiary: self.current_coinbase,
            gas_limit: given(self.current_gas_limit, "currentGasLimit")?,
            difficulty,
            prevrandao: self.current_random.unwrap_or(Number(U256::ZERO)).0.into(),
            base_fee,
            excess_blob_gas,
        })
    }
}

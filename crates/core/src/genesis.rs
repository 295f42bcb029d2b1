//! The first block of a chain, as geth's `genesis.json` describes it.
//!
//! ```
//! use zvm_core::{EMPTY_ROOT, genesis::Genesis};
//!
//! let text = r#"{
//!     "config": {"chainId": 7, "homesteadBlock": 0, "londonBlock": 100},
//!     "difficulty": "0x20000",
//!     "gasLimit": "0x2fefd8",
//!     "alloc": {"00000000000000000000000000000000000000a1": {"balance": "1000", "nonce": "0x1"}}
//! }"#;
//! let genesis: Genesis = serde_json::from_str(text)?;
//! assert_eq!(genesis.alloc.values().next().map(|account| account.nonce), Some(1));
//! assert_eq!(genesis.header(EMPTY_ROOT).gas_limit, 3_141_592);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod alloc;
mod dev;

pub use alloc::{Alloc, AllocAccount, Number, NumberTooLong, StorageWord, code};

use alloy_primitives::{Address, B64, B256, Bytes, U256, b256, keccak256};
use serde::{Deserialize, Deserializer};

use crate::{
    AccountDiff, AccountInfo, ChainConfig, EMPTY_ROOT, Header, KECCAK_EMPTY, SlotDiff, StateDiff,
};

/// SHA-256 of nothing: the requests hash of a block without requests (EIP-7685).
pub const EMPTY_REQUESTS_HASH: B256 =
    b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

/// Base fee of the first block with one, in wei per gas (EIP-1559).
pub const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// Gas limit of a genesis that has none.
const GAS_LIMIT: u64 = 4_712_388;

/// Difficulty of a genesis that has none.
const DIFFICULTY: u64 = 131_072;

/// A chain before its first transaction. Numbers are read in every form of [`Number`]; fields that
/// are not listed are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Genesis {
    /// The chain's rules.
    pub config: ChainConfig,
    /// Nonce of the proof of work.
    #[serde(deserialize_with = "nonce")]
    pub nonce: B64,
    /// Unix time in seconds.
    #[serde(deserialize_with = "short")]
    pub timestamp: u64,
    /// What its maker liked to say.
    #[serde(deserialize_with = "code")]
    pub extra_data: Bytes,
    /// Gas all transactions may use together; 4,712,388 if there is none.
    #[serde(deserialize_with = "short_or_none")]
    pub gas_limit: Option<u64>,
    /// Proof-of-work difficulty; 131,072 if there is none.
    #[serde(deserialize_with = "number_or_none")]
    pub difficulty: Option<U256>,
    /// Mix hash of the proof of work; PREVRANDAO from Paris on.
    pub mix_hash: B256,
    /// Who gets the fees of block 0, which has none.
    pub coinbase: Address,
    /// Height; 0 but in tests.
    #[serde(deserialize_with = "short")]
    pub number: u64,
    /// Gas used; 0 but in tests.
    #[serde(deserialize_with = "short")]
    pub gas_used: u64,
    /// Hash of the block before; zero but in tests.
    pub parent_hash: B256,
    /// Base fee in wei per gas; that of EIP-1559 from London on if there is none.
    #[serde(deserialize_with = "short_or_none")]
    pub base_fee_per_gas: Option<u64>,
    /// Excess blob gas; 0 from Cancun on if there is none.
    #[serde(deserialize_with = "short_or_none")]
    pub excess_blob_gas: Option<u64>,
    /// Blob gas used; 0 from Cancun on if there is none.
    #[serde(deserialize_with = "short_or_none")]
    pub blob_gas_used: Option<u64>,
    /// Accounts there are from the beginning.
    pub alloc: Alloc,
}

/// The state that `alloc` lists, as the change that makes it of an empty one.
#[must_use]
pub fn state_of(alloc: &Alloc) -> StateDiff {
    let mut diff = StateDiff::default();
    for (address, listed) in alloc {
        let code_hash = match listed.code.is_empty() {
            true => KECCAK_EMPTY,
            false => keccak256(&listed.code),
        };
        if !listed.code.is_empty() {
            diff.code.insert(code_hash, listed.code.clone());
        }
        let info = AccountInfo { nonce: listed.nonce, balance: listed.balance, code_hash };
        let words = listed.storage.iter().filter(|(_, word)| !word.is_zero());
        let words = words.map(|(slot, word)| (*slot, SlotDiff { old: U256::ZERO, new: *word }));
        let change =
            AccountDiff { new: Some(info), storage: words.collect(), ..AccountDiff::default() };
        diff.accounts.insert(*address, change);
    }
    diff
}

impl Genesis {
    /// The header, over the root of the state that [`alloc`](Self::alloc) makes.
    ///
    /// As geth does, only London must hold for the fields that Shanghai and later forks add, not
    /// Paris: the first block is no matter of total difficulty.
    #[must_use]
    pub fn header(&self, state_root: B256) -> Header {
        let config = &self.config;
        let is_london = config.london_block.is_some_and(|at| at <= self.number);
        let has_come = |at: Option<u64>| is_london && at.is_some_and(|at| at <= self.timestamp);
        let is_cancun = has_come(config.cancun_time);
        Header {
            parent_hash: self.parent_hash,
            beneficiary: self.coinbase,
            state_root,
            difficulty: self.difficulty.unwrap_or(U256::from(DIFFICULTY)),
            number: self.number,
            gas_limit: self.gas_limit.unwrap_or(GAS_LIMIT),
            gas_used: self.gas_used,
            timestamp: self.timestamp,
            extra_data: self.extra_data.clone(),
            mix_hash: self.mix_hash,
            nonce: self.nonce,
            base_fee_per_gas: is_london.then(|| self.base_fee_per_gas.unwrap_or(INITIAL_BASE_FEE)),
            withdrawals_root: has_come(config.shanghai_time).then_some(EMPTY_ROOT),
            blob_gas_used: is_cancun.then(|| self.blob_gas_used.unwrap_or(0)),
            excess_blob_gas: is_cancun.then(|| self.excess_blob_gas.unwrap_or(0)),
            parent_beacon_block_root: is_cancun.then_some(B256::ZERO),
            requests_hash: has_come(config.prague_time).then_some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }
}

fn nonce<'de, D: Deserializer<'de>>(deserializer: D) -> Result<B64, D::Error> {
    short(deserializer).map(|number| B64::new(number.to_be_bytes()))
}

fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Number::deserialize(deserializer)?.short().map_err(serde::de::Error::custom)
}

fn short_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<Number>::deserialize(deserializer)?
        .map(|number| number.short().map_err(serde::de::Error::custom))
        .transpose()
}

fn number_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<U256>, D::Error> {
    Ok(Option::<Number>::deserialize(deserializer)?.map(|Number(number)| number))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{b256, bytes};

    use super::*;

    #[test]
    fn the_public_networks_begin_with_their_known_hash() {
        let mainnet = Genesis {
            config: ChainConfig::mainnet(),
            nonce: B64::new(0x42_u64.to_be_bytes()),
            extra_data: bytes!("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"),
            gas_limit: Some(5000),
            difficulty: Some(U256::from(0x4_0000_0000_u64)),
            ..Genesis::default()
        };
        let sepolia = Genesis {
            config: ChainConfig::sepolia(),
            timestamp: 1_633_267_481,
            extra_data: b"Sepolia, Athens, Attica, Greece!".into(),
            gas_limit: Some(30_000_000),
            difficulty: Some(U256::from(0x20000)),
            ..Genesis::default()
        };
        let holesky = Genesis {
            config: ChainConfig::holesky(),
            nonce: B64::new(0x1234_u64.to_be_bytes()),
            timestamp: 1_695_902_100,
            gas_limit: Some(25_000_000),
            difficulty: Some(U256::from(1)),
            ..Genesis::default()
        };
        let hoodi = Genesis {
            config: ChainConfig::hoodi(),
            timestamp: 1_742_212_800,
            gas_limit: Some(36_000_000),
            ..holesky.clone()
        };
        for (genesis, state_root, hash) in [
            (
                mainnet,
                b256!("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"),
                b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"),
            ),
            (
                sepolia,
                b256!("5eb6e371a698b8d68f665192350ffcecbbbf322916f4b51bd79bb6887da3f494"),
                b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9"),
            ),
            (
                holesky,
                b256!("69d8c9d72f6fa4ad42d4702b433707212f90db395eb54dc20bc85de253788783"),
                b256!("b5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4"),
            ),
            (
                hoodi,
                b256!("da87d7f5f91c51508791bbcbd4aa5baf04917830b86985eeb9ad3d5bfb657576"),
                b256!("bbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b"),
            ),
        ] {
            assert_eq!(
                genesis.header(state_root).hash(),
                hash,
                "chain {}",
                genesis.config.chain_id
            );
        }
    }

    #[test]
    fn absent_and_null_fields_have_their_defaults() {
        let text =
            r#"{"baseFeePerGas": null, "excessBlobGas": null, "config": {"londonBlock": 0}}"#;
        let header = serde_json::from_str::<Genesis>(text).unwrap().header(EMPTY_ROOT);
        assert_eq!(header.base_fee_per_gas, Some(INITIAL_BASE_FEE));
        assert_eq!((header.gas_limit, header.difficulty), (GAS_LIMIT, U256::from(DIFFICULTY)));
        assert_eq!(header.excess_blob_gas, None);
    }
}

//! What a block tells the transactions inside it.

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

/// The environment a block gives to execution (Yellow Paper, `H` in section 9.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockEnv {
    /// Height; answers `NUMBER`.
    pub number: u64,
    /// Unix time in seconds; answers `TIMESTAMP`.
    pub timestamp: u64,
    /// Who gets the fees; answers `COINBASE`.
    pub beneficiary: Address,
    /// Gas all transactions of the block may use together; answers `GASLIMIT`.
    pub gas_limit: u64,
    /// Proof-of-work difficulty; answers `DIFFICULTY` before Paris.
    pub difficulty: U256,
    /// Randomness of the beacon chain; answers `PREVRANDAO` from Paris on (EIP-4399).
    pub prevrandao: B256,
    /// Base fee per gas in wei (EIP-1559, from London on).
    pub base_fee: u64,
    /// Running excess of blob gas, from which the blob base fee follows (EIP-4844).
    pub excess_blob_gas: u64,
}

impl Default for BlockEnv {
    /// Block 1 with a gas limit of 60 million and no fees.
    fn default() -> Self {
        Self {
            number: 1,
            timestamp: 1,
            beneficiary: Address::ZERO,
            gas_limit: 60_000_000,
            difficulty: U256::ZERO,
            prevrandao: B256::ZERO,
            base_fee: 0,
            excess_blob_gas: 0,
        }
    }
}

/// One entry of a blob schedule (EIP-7840): how many blobs a block holds and how their price moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobParams {
    /// Blobs per block at which the price stays as it is.
    pub target: u64,
    /// Most blobs a block may hold.
    pub max: u64,
    /// `BLOB_BASE_FEE_UPDATE_FRACTION`: the larger, the slower the price moves.
    pub base_fee_update_fraction: u64,
}

impl BlobParams {
    /// EIP-4844, mainnet's values from Cancun on.
    pub const CANCUN: Self = Self { target: 3, max: 6, base_fee_update_fraction: 3_338_477 };
    /// EIP-7691, mainnet's values from Prague on.
    pub const PRAGUE: Self = Self { target: 6, max: 9, base_fee_update_fraction: 5_007_716 };
    /// EIP-7892: first blob-parameter-only fork.
    pub const BPO1: Self = Self { target: 10, max: 15, base_fee_update_fraction: 8_346_193 };
    /// EIP-7892: second blob-parameter-only fork.
    pub const BPO2: Self = Self { target: 14, max: 21, base_fee_update_fraction: 11_684_671 };
}

//! What sets one chain apart from another: its number, when its hard forks come, its blobs.

mod change;
mod presets;

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use crate::{BlobParams, SpecId};

pub use change::{ChainPoint, ChangedRule};

/// The rules of a chain. JSON is the `config` of geth's `genesis.json`.
///
/// A fork is in force from the block or the time (in seconds) that its field has, and never
/// without one. Fields that are not listed are passed over: Clique's, ethash's, and those of hard
/// forks after Osaka, whose blocks have headers that do not decode.
///
/// ```
/// use zvm_core::{ChainConfig, SpecId};
///
/// let mainnet = ChainConfig::mainnet();
/// assert_eq!(mainnet.spec_at(12_965_000, 1_628_166_822, false), SpecId::LONDON);
/// assert_eq!(mainnet.spec_at(19_426_587, 1_710_338_135, true), SpecId::CANCUN);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChainConfig {
    /// Answers `CHAINID`; transactions are signed for it (EIP-155).
    pub chain_id: u64,
    /// First block of Homestead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homestead_block: Option<u64>,
    /// The block at which the DAO's ether moves, on chains that split over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dao_fork_block: Option<u64>,
    /// Whether this chain is the one that moved it.
    pub dao_fork_support: bool,
    /// First block of Tangerine Whistle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eip150_block: Option<u64>,
    /// First block of the first half of Spurious Dragon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eip155_block: Option<u64>,
    /// First block of the second half of Spurious Dragon, which is what counts here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eip158_block: Option<u64>,
    /// First block of Byzantium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byzantium_block: Option<u64>,
    /// First block of Constantinople.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constantinople_block: Option<u64>,
    /// First block of Petersburg; that of Constantinople if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub petersburg_block: Option<u64>,
    /// First block of Istanbul.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istanbul_block: Option<u64>,
    /// First block of Muir Glacier, which delays the difficulty bomb (EIP-2384).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muir_glacier_block: Option<u64>,
    /// First block of Berlin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub berlin_block: Option<u64>,
    /// First block of London.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub london_block: Option<u64>,
    /// First block of Arrow Glacier, which delays the difficulty bomb (EIP-4345).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrow_glacier_block: Option<u64>,
    /// First block of Gray Glacier, which delays the difficulty bomb (EIP-5133).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gray_glacier_block: Option<u64>,
    /// A block that splits networks after the merge. Changes no rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_netsplit_block: Option<u64>,
    /// Paris holds for blocks whose parent has at least this total difficulty (EIP-3675).
    #[serde(with = "total_difficulty", skip_serializing_if = "Option::is_none")]
    pub terminal_total_difficulty: Option<U256>,
    /// When Shanghai comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shanghai_time: Option<u64>,
    /// When Cancun comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancun_time: Option<u64>,
    /// When Prague comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prague_time: Option<u64>,
    /// When Osaka comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osaka_time: Option<u64>,
    /// When the first blob-parameter-only fork comes (EIP-7892).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpo1_time: Option<u64>,
    /// When the second comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpo2_time: Option<u64>,
    /// When the third comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpo3_time: Option<u64>,
    /// When the fourth comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpo4_time: Option<u64>,
    /// When the fifth comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpo5_time: Option<u64>,
    /// Blob parameters by fork, in lower case (EIP-7840). A fork that is not listed keeps those of
    /// the fork before; Cancun and Prague have mainnet's unless listed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub blob_schedule: BTreeMap<String, BlobParams>,
    /// The contract whose logs are deposits to the beacon chain (EIP-6110); no deposits without.
    #[serde(rename = "depositContractAddress", skip_serializing_if = "Option::is_none")]
    pub deposit_contract: Option<Address>,
}

impl ChainConfig {
    /// The hard fork whose rules a block has. `is_pos`: proof of stake, see
    /// [`is_pos`](Self::is_pos).
    #[must_use]
    pub fn spec_at(&self, number: u64, timestamp: u64, is_pos: bool) -> SpecId {
        let has_come = |at: Option<u64>, now: u64| at.is_some_and(|at| at <= now);
        let by_time = [
            (self.osaka_time, SpecId::OSAKA),
            (self.prague_time, SpecId::PRAGUE),
            (self.cancun_time, SpecId::CANCUN),
            (self.shanghai_time, SpecId::SHANGHAI),
            (Some(0), SpecId::PARIS),
        ];
        let by_number = [
            (self.london_block, SpecId::LONDON),
            (self.berlin_block, SpecId::BERLIN),
            (self.istanbul_block, SpecId::ISTANBUL),
            (self.petersburg_block.or(self.constantinople_block), SpecId::PETERSBURG),
            (self.constantinople_block, SpecId::CONSTANTINOPLE),
            (self.byzantium_block, SpecId::BYZANTIUM),
            (self.eip158_block, SpecId::SPURIOUS_DRAGON),
            (self.eip150_block, SpecId::TANGERINE),
            (self.homestead_block, SpecId::HOMESTEAD),
        ];
        let of_time = by_time.into_iter().find(|(at, _)| is_pos && has_come(*at, timestamp));
        let of_number = || by_number.into_iter().find(|(at, _)| has_come(*at, number));
        of_time.or_else(of_number).map_or(SpecId::FRONTIER, |(_, spec)| spec)
    }

    /// Whether a block is made by proof of stake, by the total difficulty up to its parent.
    #[must_use]
    pub fn is_pos(&self, parent_total_difficulty: U256) -> bool {
        self.terminal_total_difficulty.is_some_and(|terminal| parent_total_difficulty >= terminal)
    }

    /// How many blobs a block of this time may hold, and how their price moves. `None` before
    /// Cancun.
    #[must_use]
    pub fn blob_params_at(&self, timestamp: u64) -> Option<BlobParams> {
        [
            ("bpo5", self.bpo5_time, None),
            ("bpo4", self.bpo4_time, None),
            ("bpo3", self.bpo3_time, None),
            ("bpo2", self.bpo2_time, None),
            ("bpo1", self.bpo1_time, None),
            ("osaka", self.osaka_time, None),
            ("prague", self.prague_time, Some(BlobParams::PRAGUE)),
            ("cancun", self.cancun_time, Some(BlobParams::CANCUN)),
        ]
        .into_iter()
        .filter(|(_, at, _)| at.is_some_and(|at| at <= timestamp))
        .find_map(|(fork, _, standard)| self.blob_schedule.get(fork).copied().or(standard))
    }

    /// By how many blocks the difficulty bomb is delayed at `number` (EIP-649, 1234, 2384, 3554,
    /// 4345, 5133).
    #[must_use]
    pub fn bomb_delay_at(&self, number: u64) -> u64 {
        [
            (self.gray_glacier_block, 11_400_000),
            (self.arrow_glacier_block, 10_700_000),
            (self.london_block, 9_700_000),
            (self.muir_glacier_block, 9_000_000),
            (self.constantinople_block, 5_000_000),
            (self.byzantium_block, 3_000_000),
        ]
        .into_iter()
        .find(|(at, _)| at.is_some_and(|at| at <= number))
        .map_or(0, |(_, delay)| delay)
    }
}

/// JSON numbers beyond 64 bits, which mainnet's terminal total difficulty needs.
mod total_difficulty {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};

    pub(super) fn serialize<S: Serializer>(
        number: &Option<U256>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let short = number.map(u128::try_from).transpose();
        short.map_err(|_| S::Error::custom("a total difficulty past 2^128"))?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<U256>, D::Error> {
        Ok(Option::<u128>::deserialize(deserializer)?.map(U256::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fork_starts_with_its_block_or_time() {
        let mainnet = ChainConfig::mainnet();
        for (number, before, from) in [
            (1_150_000, SpecId::FRONTIER, SpecId::HOMESTEAD),
            (2_463_000, SpecId::HOMESTEAD, SpecId::TANGERINE),
            (2_675_000, SpecId::TANGERINE, SpecId::SPURIOUS_DRAGON),
            (4_370_000, SpecId::SPURIOUS_DRAGON, SpecId::BYZANTIUM),
            (7_280_000, SpecId::BYZANTIUM, SpecId::PETERSBURG),
            (9_069_000, SpecId::PETERSBURG, SpecId::ISTANBUL),
            (12_244_000, SpecId::ISTANBUL, SpecId::BERLIN),
            (12_965_000, SpecId::BERLIN, SpecId::LONDON),
        ] {
            assert_eq!(mainnet.spec_at(number - 1, u64::MAX, false), before);
            assert_eq!(mainnet.spec_at(number, u64::MAX, false), from);
        }
        for (time, before, from) in [
            (1_681_338_455, SpecId::PARIS, SpecId::SHANGHAI),
            (1_710_338_135, SpecId::SHANGHAI, SpecId::CANCUN),
            (1_746_612_311, SpecId::CANCUN, SpecId::PRAGUE),
            (1_764_798_551, SpecId::PRAGUE, SpecId::OSAKA),
        ] {
            assert_eq!(mainnet.spec_at(20_000_000, time - 1, true), before);
            assert_eq!(mainnet.spec_at(20_000_000, time, true), from);
        }
    }

    #[test]
    fn paris_comes_with_the_terminal_total_difficulty() {
        let mainnet = ChainConfig::mainnet();
        let terminal = mainnet.terminal_total_difficulty.unwrap();
        assert!(mainnet.is_pos(terminal) && !mainnet.is_pos(terminal - U256::from(1)));
        assert!(!ChainConfig::at(SpecId::LONDON).is_pos(U256::MAX));
    }

    #[test]
    fn blobs_follow_the_schedule() {
        let mainnet = ChainConfig::mainnet();
        for (time, expected) in [
            (1_710_338_134, None),
            (1_710_338_135, Some(BlobParams::CANCUN)),
            (1_746_612_311, Some(BlobParams::PRAGUE)),
            (1_764_798_551, Some(BlobParams::PRAGUE)),
            (1_765_290_071, Some(BlobParams::BPO1)),
            (1_767_747_671, Some(BlobParams::BPO2)),
        ] {
            assert_eq!(mainnet.blob_params_at(time), expected, "{time}");
        }
    }

    #[test]
    fn the_bomb_is_put_off_six_times() {
        let mainnet = ChainConfig::mainnet();
        for (number, delay) in [
            (4_369_999, 0),
            (4_370_000, 3_000_000),
            (7_280_000, 5_000_000),
            (9_200_000, 9_000_000),
            (12_965_000, 9_700_000),
            (13_773_000, 10_700_000),
            (15_050_000, 11_400_000),
        ] {
            assert_eq!(mainnet.bomb_delay_at(number), delay, "{number}");
        }
    }

    #[test]
    fn configurations_survive_json() {
        for config in [
            ChainConfig::mainnet(),
            ChainConfig::sepolia(),
            ChainConfig::holesky(),
            ChainConfig::hoodi(),
            ChainConfig::dev(),
            ChainConfig::default(),
        ] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ChainConfig>(&text).unwrap(), config, "{text}");
        }
    }

    #[test]
    fn every_spec_can_hold_from_the_first_block() {
        for spec in SpecId::ALL {
            let config = ChainConfig::at(spec);
            let is_pos = config.is_pos(U256::ZERO);
            assert_eq!(config.spec_at(0, 0, is_pos), spec);
            assert_eq!(config.blob_params_at(0).is_some(), spec.has(SpecId::CANCUN));
        }
    }
}

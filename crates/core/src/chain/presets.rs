//! The chains everybody knows.

use alloy_primitives::{Address, U256, address, uint};

use super::ChainConfig;
use crate::{BlobParams, SpecId};

/// Mainnet's deposit contract.
const DEPOSIT_CONTRACT: Address = address!("00000000219ab540356cbb839cbe05303d7705fa");

impl ChainConfig {
    /// A chain with the rules of `spec` from its first block on. Its number is 1, its deposit
    /// contract that of mainnet.
    #[must_use]
    pub fn at(spec: SpecId) -> Self {
        let from = |fork: SpecId| spec.has(fork).then_some(0);
        // Before Petersburg there was a Constantinople of its own.
        let petersburg = if spec == SpecId::CONSTANTINOPLE { u64::MAX } else { 0 };
        Self {
            chain_id: 1,
            homestead_block: from(SpecId::HOMESTEAD),
            eip150_block: from(SpecId::TANGERINE),
            eip155_block: from(SpecId::SPURIOUS_DRAGON),
            eip158_block: from(SpecId::SPURIOUS_DRAGON),
            byzantium_block: from(SpecId::BYZANTIUM),
            constantinople_block: from(SpecId::CONSTANTINOPLE),
            petersburg_block: from(SpecId::CONSTANTINOPLE).map(|_| petersburg),
            istanbul_block: from(SpecId::ISTANBUL),
            muir_glacier_block: from(SpecId::BERLIN),
            berlin_block: from(SpecId::BERLIN),
            london_block: from(SpecId::LONDON),
            arrow_glacier_block: from(SpecId::PARIS),
            gray_glacier_block: from(SpecId::PARIS),
            terminal_total_difficulty: spec.has(SpecId::PARIS).then_some(U256::ZERO),
            shanghai_time: from(SpecId::SHANGHAI),
            cancun_time: from(SpecId::CANCUN),
            prague_time: from(SpecId::PRAGUE),
            osaka_time: from(SpecId::OSAKA),
            deposit_contract: Some(DEPOSIT_CONTRACT),
            ..Self::default()
        }
    }

    /// A chain to develop on: number 1337, the latest rules from its first block on.
    #[must_use]
    pub fn dev() -> Self {
        Self { chain_id: 1337, ..Self::at(SpecId::OSAKA) }
    }

    /// Ethereum mainnet.
    #[must_use]
    pub fn mainnet() -> Self {
        Self {
            chain_id: 1,
            homestead_block: Some(1_150_000),
            dao_fork_block: Some(1_920_000),
            dao_fork_support: true,
            eip150_block: Some(2_463_000),
            eip155_block: Some(2_675_000),
            eip158_block: Some(2_675_000),
            byzantium_block: Some(4_370_000),
            constantinople_block: Some(7_280_000),
            petersburg_block: Some(7_280_000),
            istanbul_block: Some(9_069_000),
            muir_glacier_block: Some(9_200_000),
            berlin_block: Some(12_244_000),
            london_block: Some(12_965_000),
            arrow_glacier_block: Some(13_773_000),
            gray_glacier_block: Some(15_050_000),
            terminal_total_difficulty: Some(uint!(58_750_000_000_000_000_000_000_U256)),
            shanghai_time: Some(1_681_338_455),
            cancun_time: Some(1_710_338_135),
            prague_time: Some(1_746_612_311),
            osaka_time: Some(1_764_798_551),
            bpo1_time: Some(1_765_290_071),
            bpo2_time: Some(1_767_747_671),
            deposit_contract: Some(DEPOSIT_CONTRACT),
            ..Self::public()
        }
    }

    /// Sepolia, the test network that began with proof of work.
    #[must_use]
    pub fn sepolia() -> Self {
        Self {
            chain_id: 11_155_111,
            merge_netsplit_block: Some(1_735_371),
            terminal_total_difficulty: Some(uint!(17_000_000_000_000_000_U256)),
            shanghai_time: Some(1_677_557_088),
            cancun_time: Some(1_706_655_072),
            prague_time: Some(1_741_159_776),
            osaka_time: Some(1_760_427_360),
            bpo1_time: Some(1_761_017_184),
            bpo2_time: Some(1_761_607_008),
            deposit_contract: Some(address!("7f02c3e3c98b133055b8b348b2ac625669ed295d")),
            ..Self::test_network()
        }
    }

    /// Holesky, the test network for validators before Hoodi.
    #[must_use]
    pub fn holesky() -> Self {
        Self {
            chain_id: 17_000,
            terminal_total_difficulty: Some(U256::ZERO),
            shanghai_time: Some(1_696_000_704),
            cancun_time: Some(1_707_305_664),
            prague_time: Some(1_740_434_112),
            osaka_time: Some(1_759_308_480),
            bpo1_time: Some(1_759_800_000),
            bpo2_time: Some(1_760_389_824),
            deposit_contract: Some(address!("4242424242424242424242424242424242424242")),
            ..Self::test_network()
        }
    }

    /// Hoodi, the test network for validators.
    #[must_use]
    pub fn hoodi() -> Self {
        Self {
            chain_id: 560_048,
            terminal_total_difficulty: Some(U256::ZERO),
            shanghai_time: Some(0),
            cancun_time: Some(0),
            prague_time: Some(1_742_999_832),
            osaka_time: Some(1_761_677_592),
            bpo1_time: Some(1_762_365_720),
            bpo2_time: Some(1_762_955_544),
            deposit_contract: Some(DEPOSIT_CONTRACT),
            ..Self::test_network()
        }
    }

    /// What the test networks share: the forks that come by number from the first block on, but
    /// for those that only delay the bomb after London.
    fn test_network() -> Self {
        let london = Self::at(SpecId::LONDON);
        Self { blob_schedule: Self::public().blob_schedule, deposit_contract: None, ..london }
    }

    /// What the public networks share.
    fn public() -> Self {
        let schedule = [
            ("cancun", BlobParams::CANCUN),
            ("prague", BlobParams::PRAGUE),
            ("osaka", BlobParams::PRAGUE),
            ("bpo1", BlobParams::BPO1),
            ("bpo2", BlobParams::BPO2),
        ];
        let blob_schedule = schedule.map(|(fork, blobs)| (fork.to_owned(), blobs)).into();
        Self { blob_schedule, ..Self::default() }
    }
}

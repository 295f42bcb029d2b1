//! The rules that a network label of a blockchain test asks for.

use serde::Deserialize;
use zvm_core::{BlobParams, ChainConfig, SpecId, U256};

use crate::values::{Entries, Short};

/// What newer files say of the chain.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FixtureConfig {
    pub(crate) chainid: Option<Short>,
    blob_schedule: Entries<String, BlobSchedule>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlobSchedule {
    target: Short,
    max: Short,
    base_fee_update_fraction: Short,
}

impl FixtureConfig {
    /// Blob parameters listed under a fork label.
    pub(crate) fn blob_params(&self, label: &str) -> Option<BlobParams> {
        let listed = self.blob_schedule.0.iter().find(|(fork, _)| fork == label);
        listed.map(|(_, schedule)| schedule.params())
    }
}

impl BlobSchedule {
    fn params(&self) -> BlobParams {
        BlobParams {
            target: self.target.0,
            max: self.max.0,
            base_fee_update_fraction: self.base_fee_update_fraction.0,
        }
    }
}

/// What a label comes to.
#[derive(Clone, Debug)]
pub(crate) enum Network {
    /// The hard fork it ends with, and the rules.
    Known(SpecId, Box<ChainConfig>),
    /// A development network: known, and not built.
    Amsterdam,
    Unknown,
}

impl Network {
    /// Reads `label`: a hard fork, or two with the block, time or total difficulty of the second
    /// (`FrontierToHomesteadAt5`, `ParisToShanghaiAtTime15k`, `ArrowGlacierToParisAtDiffC0000`).
    pub(crate) fn of(label: &str, fixture: &FixtureConfig) -> Self {
        if label.contains("Amsterdam") {
            return Self::Amsterdam;
        }
        Self::read(label, fixture).unwrap_or(Self::Unknown)
    }

    fn read(label: &str, fixture: &FixtureConfig) -> Option<Self> {
        let (from, to) = match label.split_once("To") {
            Some((from, rest)) => {
                let (to, at) = rest.split_once("At")?;
                (from, Some((to, At::read(at)?)))
            }
            None => (label, None),
        };
        let mut last = spec_of(from)?;
        let mut chain = ChainConfig::at(last);
        add_blobs(&mut chain, from, 0);
        if let Some((to, at)) = to {
            last = at.begin(&mut chain, to)?;
        }
        if let Some(chain_id) = fixture.chainid {
            chain.chain_id = chain_id.0;
        }
        for (fork, listed) in &fixture.blob_schedule.0 {
            chain.blob_schedule.insert(fork.to_lowercase(), listed.params());
        }
        Some(Self::Known(last, Box::new(chain)))
    }
}

/// Forks of blob parameters are Osaka by another name, and those of glaciers the fork before with the
/// bomb put off.
fn spec_of(label: &str) -> Option<SpecId> {
    match label {
        "BPO1" | "BPO2" => Some(SpecId::OSAKA),
        "MuirGlacier" => Some(SpecId::ISTANBUL),
        "ArrowGlacier" | "GrayGlacier" => Some(SpecId::LONDON),
        _ => label.parse().ok(),
    }
}

/// Lets a fork of blob parameters hold from `time` on.
fn add_blobs(chain: &mut ChainConfig, label: &str, time: u64) {
    match label {
        "BPO1" => {
            chain.bpo1_time = Some(time);
            chain.blob_schedule.insert("bpo1".to_owned(), BlobParams::BPO1);
        }
        "BPO2" => {
            chain.bpo2_time = Some(time);
            chain.blob_schedule.insert("bpo2".to_owned(), BlobParams::BPO2);
        }
        "MuirGlacier" => chain.muir_glacier_block = Some(0),
        "ArrowGlacier" => chain.arrow_glacier_block = Some(0),
        "GrayGlacier" => chain.gray_glacier_block = Some(0),
        _ => {}
    }
}

/// When the second fork of a label comes.
#[derive(Clone, Copy, Debug)]
enum At {
    Block(u64),
    Time(u64),
    TotalDifficulty(U256),
}

impl At {
    /// Reads `5`, `Time15k` or `DiffC0000`.
    fn read(text: &str) -> Option<Self> {
        if let Some(time) = text.strip_prefix("Time") {
            return Some(Self::Time(match time.strip_suffix('k') {
                Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1000)?,
                None => time.parse().ok()?,
            }));
        }
        match text.strip_prefix("Diff") {
            Some(digits) => U256::from_str_radix(digits, 16).ok().map(Self::TotalDifficulty),
            None => text.parse().ok().map(Self::Block),
        }
    }

    /// Adds the fork `label` to `chain`.
    fn begin(self, chain: &mut ChainConfig, label: &str) -> Option<SpecId> {
        match (self, label) {
            (Self::Block(block), "Dao") => {
                chain.dao_fork_block = Some(block);
                chain.dao_fork_support = true;
                return Some(SpecId::HOMESTEAD);
            }
            (Self::Block(block), "Homestead") => chain.homestead_block = Some(block),
            (Self::Block(block), "EIP150") => chain.eip150_block = Some(block),
            (Self::Block(block), "Byzantium") => chain.byzantium_block = Some(block),
            (Self::Block(block), "ConstantinopleFix") => {
                chain.constantinople_block = Some(block);
                chain.petersburg_block = Some(block);
            }
            (Self::Block(block), "London") => chain.london_block = Some(block),
            (Self::TotalDifficulty(terminal), "Paris") => {
                chain.terminal_total_difficulty = Some(terminal);
            }
            (Self::Time(time), "Shanghai") => chain.shanghai_time = Some(time),
            (Self::Time(time), "Cancun") => chain.cancun_time = Some(time),
            (Self::Time(time), "Prague") => chain.prague_time = Some(time),
            (Self::Time(time), "Osaka") => chain.osaka_time = Some(time),
            (Self::Time(time), "BPO1" | "BPO2") => add_blobs(chain, label, time),
            _ => return None,
        }
        spec_of(label)
    }
}

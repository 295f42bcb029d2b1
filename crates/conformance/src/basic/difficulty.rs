//! Difficulties of blocks by that of their parents.

use serde::Deserialize;
use zvm_core::{B256, ChainConfig, EMPTY_OMMERS_HASH, SpecId, genesis::Number};
use zvm_evm::block::{ParentDifficulty, next_difficulty};

use super::read;
use crate::{FixtureError, values::Entries};

/// A case ready to run.
#[derive(Debug)]
pub(crate) struct Case {
    entries: Vec<(Option<String>, ChainConfig, Entry)>,
}

/// A block, its parent, and the difficulty that follows.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    parent_timestamp: Number,
    parent_difficulty: Number,
    /// Hash of the list of ommers, or whether there are any.
    parent_uncles: Option<String>,
    current_timestamp: Number,
    current_block_number: Number,
    current_difficulty: Number,
}

/// A case of today's files: entries by name under the network.
#[derive(Deserialize)]
struct Networks(Entries<String, serde_json::Value>);

/// Whether `label` is a network of these files.
pub(super) fn is_network(label: &str) -> bool {
    network(label).is_some()
}

/// The rules of a network.
fn network(label: &str) -> Option<ChainConfig> {
    let with = |arrow_glacier_block, gray_glacier_block| ChainConfig {
        arrow_glacier_block,
        gray_glacier_block,
        ..ChainConfig::at(SpecId::LONDON)
    };
    Some(match label {
        "Frontier" | "Homestead" | "Byzantium" | "Constantinople" | "Berlin" | "London" => {
            ChainConfig::at(label.parse().ok()?)
        }
        "ArrowGlacier" => with(Some(0), None),
        "GrayGlacier" => with(Some(0), Some(0)),
        _ => return None,
    })
}

/// The rules of an old file, by its name.
fn network_of_file(file: &str) -> ChainConfig {
    let name = file.rsplit('/').next().unwrap_or(file);
    match name {
        "difficultyRopsten.json" => ChainConfig {
            homestead_block: Some(0),
            byzantium_block: Some(1_700_000),
            constantinople_block: Some(4_230_000),
            ..ChainConfig::default()
        },
        "difficultyCustomHomestead.json" => ChainConfig::at(SpecId::HOMESTEAD),
        _ => ChainConfig::mainnet(),
    }
}

impl Case {
    pub(super) fn parse(text: &str, whole: &str, file: &str) -> Result<Self, FixtureError> {
        let Networks(networks) = read(text, whole)?;
        if networks.0.iter().any(|(key, _)| key == "currentDifficulty") {
            let entry = (None, network_of_file(file), read(text, whole)?);
            return Ok(Self { entries: vec![entry] });
        }
        let mut entries = Vec::new();
        for (label, value) in networks.0 {
            let Some(config) = network(&label) else { continue };
            let named: Entries<String, Entry> = serde_json::from_value(value)
                .map_err(|error| FixtureError::json(&error, text, whole))?;
            entries.extend(
                named
                    .0
                    .into_iter()
                    .map(|(name, entry)| (Some(format!("{label} {name}")), config.clone(), entry)),
            );
        }
        Ok(Self { entries })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Network and name of a unit, where the file has more than one in a case.
    pub(super) fn label(&self, unit: usize) -> Option<&str> {
        self.entries.get(unit)?.0.as_deref()
    }

    pub(super) fn run(&self, unit: usize) -> Result<(), String> {
        let (_, config, entry) = &self.entries[unit];
        entry.judge(config)
    }
}

impl Entry {
    fn judge(&self, config: &ChainConfig) -> Result<(), String> {
        let short = |number: Number| number.short().map_err(|error| error.to_string());
        let number = short(self.current_block_number)?;
        let timestamp = short(self.current_timestamp)?;
        let has_ommers = self.parent_uncles.as_deref().is_some_and(|ommers| {
            let is_none = |hash: B256| hash == EMPTY_OMMERS_HASH;
            ommers != "0x00" && !ommers.parse().is_ok_and(is_none)
        });
        let parent = ParentDifficulty {
            difficulty: self.parent_difficulty.0,
            timestamp: short(self.parent_timestamp)?,
            has_ommers,
        };
        let spec = config.spec_at(number, timestamp, false);
        let delay = config.bomb_delay_at(number);
        let found = next_difficulty(spec, delay, number, timestamp, &parent);
        super::expect("the difficulty", found, self.current_difficulty.0)
    }
}

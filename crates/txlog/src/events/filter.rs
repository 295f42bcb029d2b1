//! Which events are asked for.

use serde::{Deserialize, Serialize};
use zvm_core::{Address, B256, Bloom, Log as LogData};

use crate::keys::EventKey;

/// Which events are asked for, as `eth_getLogs` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct EventFilter {
    /// The first block.
    pub from_block: u64,
    /// The last block; the head if `None`, and never beyond.
    pub to_block: Option<u64>,
    /// Who logged: any of these, or anyone if there are none.
    pub addresses: Vec<Address>,
    /// For each place the topics that may be there; if there are none, any. An event with fewer
    /// topics than there are places here does not match.
    pub topics: Vec<Vec<B256>>,
}

impl EventFilter {
    /// Whether `log` is asked for, whatever its block.
    #[must_use]
    pub fn matches(&self, log: &LogData) -> bool {
        let topics = log.topics();
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.len() <= topics.len()
            && self
                .topics
                .iter()
                .zip(topics)
                .all(|(wanted, topic)| wanted.is_empty() || wanted.contains(topic))
    }

    /// Whether a block with that bloom may have such events.
    pub(crate) fn may_match(&self, bloom: &Bloom) -> bool {
        let has = |bytes: &[u8]| bloom.contains_input(alloy_primitives::BloomInput::Raw(bytes));
        let addresses = &self.addresses;
        (addresses.is_empty() || addresses.iter().any(|address| has(address.as_slice())))
            && self
                .topics
                .iter()
                .all(|wanted| wanted.is_empty() || wanted.iter().any(|topic| has(topic.as_slice())))
    }

    /// What a block must have for such events: something of each list. Without lists, nothing.
    pub(crate) fn keys(&self) -> Vec<Vec<EventKey>> {
        let addresses = self.addresses.iter().map(|address| EventKey::address(*address)).collect();
        let topics = self.topics.iter().enumerate().map(|(place, wanted)| {
            wanted.iter().map(|topic| EventKey::topic(place, *topic)).collect()
        });
        let lists = std::iter::once(addresses).chain(topics);
        lists.filter(|list: &Vec<EventKey>| !list.is_empty()).collect()
    }
}

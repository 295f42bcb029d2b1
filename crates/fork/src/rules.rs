//! The rules that a block of a remote chain has.

use zvm_core::{ChainConfig, DbError, Header, SpecId, U256};
use zvm_state::ForkConfig;

use crate::{node::refused, source::known_chains};

/// The rules of the chain with the number `chain_id`, of which `header` is a block: as `config` says,
/// by the chain's number, or such that the block has the hard fork whose headers look like this one.
pub fn chain_of(
    config: &ForkConfig,
    chain_id: u64,
    header: &Header,
) -> Result<ChainConfig, DbError> {
    let at = |spec| ChainConfig { chain_id, ..ChainConfig::at(spec) };
    if let Some(spec) = config.spec {
        return Ok(at(spec));
    }
    let mut known = known_chains().into_iter();
    let Some(name) = &config.chain else {
        let of_number = known.map(|(_, chain)| chain).find(|chain| chain.chain_id == chain_id);
        return Ok(of_number.unwrap_or_else(|| at(by_shape(header))));
    };
    match known.find(|(known, _)| known == name) {
        Some((_, chain)) => Ok(ChainConfig { chain_id, ..chain }),
        None => {
            let names = known_chains().map(|(name, _)| name).join(", ");
            Err(refused(config, &format!("chain={name}: expected one of {names}")))
        }
    }
}

/// The hard fork of a block, by the same.
pub(crate) fn spec_of(
    config: &ForkConfig,
    chain_id: u64,
    header: &Header,
) -> Result<SpecId, DbError> {
    let chain = chain_of(config, chain_id, header)?;
    Ok(chain.spec_at(header.number, header.timestamp, is_pos(&chain, header)))
}

/// Whether a block of `chain` was made by proof of stake.
#[must_use]
pub fn is_pos(chain: &ChainConfig, header: &Header) -> bool {
    // Total difficulties are not told any more, but no block after Paris has a difficulty.
    let has_paris = chain.terminal_total_difficulty.is_some();
    chain.is_pos(U256::ZERO) || has_paris && header.number > 0 && header.difficulty.is_zero()
}

/// The last hard fork whose headers have these fields.
fn by_shape(header: &Header) -> SpecId {
    if header.requests_hash.is_some() {
        SpecId::OSAKA
    } else if header.parent_beacon_block_root.is_some() {
        SpecId::CANCUN
    } else if header.withdrawals_root.is_some() {
        SpecId::SHANGHAI
    } else if header.base_fee_per_gas.is_none() {
        SpecId::BERLIN
    } else if header.difficulty.is_zero() {
        SpecId::PARIS
    } else {
        SpecId::LONDON
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ForkConfig {
        let config = format!("fork:http://localhost{text}").parse().unwrap();
        let zvm_state::DatabaseConfig::Fork(config) = config else { panic!("{config:?}") };
        *config
    }

    #[test]
    fn the_hard_fork_follows_the_chain_or_the_header() {
        let header = |number, timestamp, difficulty: u64| Header {
            number,
            timestamp,
            difficulty: U256::from(difficulty),
            ..Header::default()
        };
        for (text, chain_id, header, expected) in [
            ("", 1, header(1, 1, 1), SpecId::FRONTIER),
            ("", 1, header(12_965_000, 1_628_166_822, 1), SpecId::LONDON),
            ("", 1, header(19_426_587, 1_710_338_135, 0), SpecId::CANCUN),
            ("", 560_048, header(0, 0, 1), SpecId::CANCUN),
            ("", 5, header(9, 9, 1), SpecId::BERLIN),
            ("?spec=Istanbul", 1, header(1, 1, 1), SpecId::ISTANBUL),
            ("?chain=mainnet", 1337, header(19_426_587, 1_710_338_135, 0), SpecId::CANCUN),
        ] {
            assert_eq!(spec_of(&config(text), chain_id, &header).unwrap(), expected, "{text}");
        }
        let cancun = Header { base_fee_per_gas: Some(1), ..header(9, 9, 0) };
        assert_eq!(by_shape(&cancun), SpecId::PARIS);
        let error = spec_of(&config("?chain=moon"), 1, &header(1, 1, 1)).unwrap_err().to_string();
        assert!(error.contains("chain=moon: expected one of mainnet"), "{error}");
    }

    #[test]
    fn the_number_of_the_chain_stays_whatever_its_rules_are() {
        let header = Header { number: 9, ..Header::default() };
        for text in ["", "?chain=mainnet", "?spec=Prague"] {
            assert_eq!(chain_of(&config(text), 77, &header).unwrap().chain_id, 77, "{text}");
        }
        assert_eq!(chain_of(&config(""), 1, &header).unwrap(), ChainConfig::mainnet());
    }
}

//! Whether a chain can go on under other rules.

use std::fmt::Display;

use alloy_primitives::U256;

use super::ChainConfig;

/// How far a chain has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainPoint {
    /// Number of its last block.
    pub number: u64,
    /// Time of that block, in seconds.
    pub timestamp: u64,
    /// Difficulties of all blocks, summed up.
    pub total_difficulty: U256,
}

/// A rule that blocks of a chain were judged by, and that is another one now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} was {used} for blocks of this chain, and is {given} here")]
pub struct ChangedRule {
    /// The field of the configuration.
    pub rule: &'static str,
    /// What it was.
    pub used: String,
    /// What it is now.
    pub given: String,
}

impl ChangedRule {
    fn unless_same<T: PartialEq + Display>(
        rule: &'static str,
        used: Option<T>,
        given: Option<T>,
    ) -> Result<(), Self> {
        if used == given {
            return Ok(());
        }
        let show = |value: Option<T>| value.map_or("absent".to_owned(), |value| value.to_string());
        Err(Self { rule, used: show(used), given: show(given) })
    }
}

impl ChainConfig {
    /// Checks that a chain that was made under these rules up to `point` can go on under `given`:
    /// what has come stays, and what has not may come at another time or never.
    ///
    /// ```
    /// use zvm_core::{ChainConfig, ChainPoint};
    ///
    /// let (used, point) = (ChainConfig::dev(), ChainPoint { number: 9, ..ChainPoint::default() });
    /// let later = ChainConfig { bpo1_time: Some(100), ..used.clone() };
    /// assert!(used.check_change(&later, point).is_ok());
    /// let other = ChainConfig { london_block: Some(5), ..used.clone() };
    /// assert_eq!(used.check_change(&other, point).unwrap_err().rule, "londonBlock");
    /// ```
    pub fn check_change(&self, given: &Self, point: ChainPoint) -> Result<(), ChangedRule> {
        ChangedRule::unless_same("chainId", Some(self.chain_id), Some(given.chain_id))?;
        for (now, used, given) in [
            (point.number, self.by_number(), given.by_number()),
            (point.timestamp, self.by_time(), given.by_time()),
        ] {
            for ((rule, used), (_, given)) in used.into_iter().zip(given) {
                if [used, given].into_iter().flatten().any(|at| at <= now) {
                    ChangedRule::unless_same(rule, used, given)?;
                }
            }
        }
        let (used, other) = (self.terminal_total_difficulty, given.terminal_total_difficulty);
        if [used, other].into_iter().flatten().any(|at| at <= point.total_difficulty) {
            ChangedRule::unless_same("terminalTotalDifficulty", used, other)?;
        }
        if self.dao_fork_block.is_some_and(|at| at <= point.number) {
            let (used, given) = (self.dao_fork_support, given.dao_fork_support);
            ChangedRule::unless_same("daoForkSupport", Some(used), Some(given))?;
        }
        if self.prague_time.is_some_and(|at| at <= point.timestamp) {
            let (used, given) = (self.deposit_contract, given.deposit_contract);
            ChangedRule::unless_same("depositContractAddress", used, given)?;
        }
        // The parameters change where a fork begins and nowhere else.
        let starts = self.by_time().into_iter().filter_map(|(_, at)| at);
        for at in starts.filter(|at| *at <= point.timestamp) {
            let params =
                |config: &Self| config.blob_params_at(at).map(|blobs| format!("{blobs:?}"));
            ChangedRule::unless_same("blobSchedule", params(self), params(given))?;
        }
        Ok(())
    }

    /// The forks that come with a block, and what they are called in a `genesis.json`.
    fn by_number(&self) -> Vec<(&'static str, Option<u64>)> {
        let petersburg = self.petersburg_block.or(self.constantinople_block);
        vec![
            ("homesteadBlock", self.homestead_block),
            ("daoForkBlock", self.dao_fork_block),
            ("eip150Block", self.eip150_block),
            ("eip155Block", self.eip155_block),
            ("eip158Block", self.eip158_block),
            ("byzantiumBlock", self.byzantium_block),
            ("constantinopleBlock", self.constantinople_block),
            ("petersburgBlock", petersburg),
            ("istanbulBlock", self.istanbul_block),
            ("muirGlacierBlock", self.muir_glacier_block),
            ("berlinBlock", self.berlin_block),
            ("londonBlock", self.london_block),
            ("arrowGlacierBlock", self.arrow_glacier_block),
            ("grayGlacierBlock", self.gray_glacier_block),
        ]
    }

    /// The forks that come with a time.
    fn by_time(&self) -> Vec<(&'static str, Option<u64>)> {
        vec![
            ("shanghaiTime", self.shanghai_time),
            ("cancunTime", self.cancun_time),
            ("pragueTime", self.prague_time),
            ("osakaTime", self.osaka_time),
            ("bpo1Time", self.bpo1_time),
            ("bpo2Time", self.bpo2_time),
            ("bpo3Time", self.bpo3_time),
            ("bpo4Time", self.bpo4_time),
            ("bpo5Time", self.bpo5_time),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlobParams, SpecId};

    #[test]
    fn what_has_come_stays_and_what_has_not_may_move() {
        let used = ChainConfig {
            homestead_block: Some(10),
            shanghai_time: Some(100),
            terminal_total_difficulty: Some(U256::from(1000)),
            ..ChainConfig::at(SpecId::LONDON)
        };
        let before = ChainPoint { number: 9, timestamp: 99, total_difficulty: U256::from(999) };
        let after = ChainPoint { number: 10, timestamp: 100, total_difficulty: U256::from(1000) };
        let support = ChainConfig { dao_fork_support: true, ..used.clone() };
        assert_eq!(used.check_change(&support, after), Ok(()));
        for (given, rule) in [
            (ChainConfig { homestead_block: Some(11), ..used.clone() }, "homesteadBlock"),
            (ChainConfig { homestead_block: None, ..used.clone() }, "homesteadBlock"),
            (ChainConfig { shanghai_time: Some(101), ..used.clone() }, "shanghaiTime"),
            (
                ChainConfig { terminal_total_difficulty: None, ..used.clone() },
                "terminalTotalDifficulty",
            ),
        ] {
            assert_eq!(used.check_change(&given, before), Ok(()));
            assert_eq!(used.check_change(&given, after).unwrap_err().rule, rule);
        }
        // Not only later: what comes now must not have come before.
        let earlier = ChainConfig { shanghai_time: Some(98), ..used.clone() };
        assert_eq!(used.check_change(&earlier, before).unwrap_err().rule, "shanghaiTime");
        let other = ChainConfig { chain_id: 2, ..used.clone() };
        let changed = used.check_change(&other, ChainPoint::default()).unwrap_err();
        assert_eq!(changed.to_string(), "chainId was 1 for blocks of this chain, and is 2 here");
    }

    #[test]
    fn blobs_and_the_deposit_contract_stay_once_they_count() {
        let used = ChainConfig { bpo1_time: Some(50), ..ChainConfig::dev() };
        let [now, later] =
            [49, 50].map(|timestamp| ChainPoint { timestamp, ..ChainPoint::default() });
        let mut given = used.clone();
        given.blob_schedule.insert("bpo1".to_owned(), BlobParams::BPO1);
        assert_eq!(used.check_change(&given, now), Ok(()));
        assert_eq!(used.check_change(&given, later).unwrap_err().rule, "blobSchedule");
        let given = ChainConfig { deposit_contract: None, ..used.clone() };
        assert_eq!(used.check_change(&given, now).unwrap_err().rule, "depositContractAddress");
    }

    #[test]
    fn a_petersburg_left_out_is_that_of_constantinople() {
        let used = ChainConfig::at(SpecId::ISTANBUL);
        let given = ChainConfig { petersburg_block: None, ..used.clone() };
        assert_eq!(used.check_change(&given, ChainPoint::default()), Ok(()));
    }
}

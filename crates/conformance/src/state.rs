//! Cases of shape `state`: one transaction on a state, for several hard forks.

mod diagnosis;
mod transaction;

use std::fmt;

use serde::{Deserialize, de::IgnoredAny};
use zvm_core::{
    AccountDiff, AccountInfo, Address, B256, BlobParams, BlockEnv, SpecId, StateDiff, Transaction,
};
use zvm_evm::{Config, Evm, ExecError, Executed, Tracer};

use crate::{
    FixtureError,
    exceptions::{self, Rejection},
    logs,
    network::FixtureConfig,
    values::{Entries, Short, Word},
    world::{Alloc, World},
};
use transaction::Template;

/// A case as the file has it.
#[derive(Debug, Deserialize)]
struct Raw {
    env: Env,
    pre: Alloc,
    transaction: Template,
    post: Entries<String, Vec<Post>>,
    #[serde(default)]
    config: FixtureConfig,
}

/// The block around the transaction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Env {
    current_coinbase: Address,
    current_gas_limit: Short,
    current_number: Short,
    current_timestamp: Short,
    current_difficulty: Option<Word>,
    current_random: Option<Word>,
    current_base_fee: Option<Short>,
    current_excess_blob_gas: Option<Short>,
}

/// One combination to run and what must come of it. `state` and `receipt` of newer files are
/// passed over here and read again by [`Case::explain`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    hash: B256,
    logs: B256,
    indexes: Indexes,
    txbytes: Option<IgnoredAny>,
    expect_exception: Option<String>,
}

/// Which element of the transaction's lists to take, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Indexes {
    /// In `data` and `accessLists`.
    pub data: usize,
    /// In `gasLimit`.
    pub gas: usize,
    /// In `value`.
    pub value: usize,
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{} g{} v{}", self.data, self.gas, self.value)
    }
}

/// A case ready to run.
#[derive(Debug)]
pub(crate) struct Case {
    env: Env,
    world: World,
    template: Template,
    config: FixtureConfig,
    entries: Vec<(Fork, Post)>,
}

/// The label of a post list, and what it asks for.
#[derive(Clone, Debug)]
struct Fork {
    label: String,
    rules: Rules,
}

#[derive(Clone, Copy, Debug)]
enum Rules {
    /// Rules of a hard fork; BPO forks bring their own blob parameters.
    Spec(SpecId, Option<BlobParams>),
    /// A development network: known, and not built.
    Amsterdam,
    Unknown,
}

impl Rules {
    fn of(label: &str) -> Self {
        match label {
            "BPO1" => Self::Spec(SpecId::OSAKA, Some(BlobParams::BPO1)),
            "BPO2" => Self::Spec(SpecId::OSAKA, Some(BlobParams::BPO2)),
            "Amsterdam" => Self::Amsterdam,
            _ => label.parse().map_or(Self::Unknown, |spec| Self::Spec(spec, None)),
        }
    }
}

/// Reason of a skip.
pub(crate) const AMSTERDAM: &str = "Amsterdam: rules of a development network, not implemented";

/// How a run ended, for those who print more than the verdict.
pub(crate) struct Run {
    /// Absent for a rejected transaction.
    pub(crate) executed: Option<Executed>,
    /// Root of the state afterwards.
    pub(crate) state_root: B256,
    /// `Err` says in one line what is not as expected.
    pub(crate) verdict: Result<(), String>,
}

impl Case {
    /// Reads a case from its JSON.
    pub(crate) fn parse(text: &str, whole: &str) -> Result<Self, FixtureError> {
        let raw: Raw =
            serde_json::from_str(text).map_err(|error| FixtureError::json(&error, text, whole))?;
        let forks = raw.post.0.into_iter().flat_map(|(label, posts)| {
            let fork = Fork { rules: Rules::of(&label), label };
            posts.into_iter().map(move |post| (fork.clone(), post))
        });
        Ok(Self {
            env: raw.env,
            world: World::new(raw.pre),
            template: raw.transaction,
            config: raw.config,
            entries: forks.collect(),
        })
    }

    /// Number of post entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Label of the hard fork, and indexes of an entry.
    pub(crate) fn label(&self, entry: usize) -> (&str, Indexes) {
        let (fork, post) = &self.entries[entry];
        (&fork.label, post.indexes)
    }

    /// The hard fork an entry runs by, if zvm has it.
    pub(crate) fn spec(&self, entry: usize) -> Option<SpecId> {
        match self.entries[entry].0.rules {
            Rules::Spec(spec, _) => Some(spec),
            Rules::Amsterdam | Rules::Unknown => None,
        }
    }

    /// Why an entry is not run, if so.
    pub(crate) fn skip_reason(&self, entry: usize) -> Option<&'static str> {
        matches!(self.entries[entry].0.rules, Rules::Amsterdam).then_some(AMSTERDAM)
    }

    /// Runs an entry. `Err` is a fault of the fixture or of the machine below the transaction.
    pub(crate) fn run<T: Tracer>(
        &self,
        entry: usize,
        evm: &mut Evm,
        tracer: &mut T,
    ) -> Result<Run, String> {
        let (fork, post) = &self.entries[entry];
        let (spec, config) = self.rules(fork)?;
        let block = self.block(spec);
        let transaction = self
            .template
            .transaction(post.indexes, config.chain_id)
            .map_err(|error| error.to_string())?;
        let outcome = match transaction {
            Err(rejection) => Err(rejection),
            Ok(transaction) => {
                match evm.execute(&transaction, &block, &config, &self.world, tracer) {
                    Ok(executed) => Ok(executed),
                    Err(ExecError::Invalid(invalid)) => Err(Rejection::Invalid(invalid)),
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        let after_rejection = self.after_rejection(spec, &block, post);
        let diff = outcome.as_ref().map_or(&after_rejection, |executed| &executed.diff);
        let state_root = self.world.root_after(diff);
        let verdict = post.check(&outcome.as_ref(), state_root);
        Ok(Run { executed: outcome.ok(), state_root, verdict })
    }

    /// What a block without its only transaction changes. The filler paid the fee recipient its
    /// reward of nothing, which before EIP-161 leaves an empty account.
    fn after_rejection(&self, spec: SpecId, block: &BlockEnv, post: &Post) -> StateDiff {
        let mut diff = StateDiff::default();
        let is_touched = post.expect_exception.is_some() && !spec.has(SpecId::SPURIOUS_DRAGON);
        if is_touched && self.world.info(block.beneficiary).is_none() {
            let new = Some(AccountInfo::default());
            let change = AccountDiff { new, ..AccountDiff::default() };
            diff.accounts.insert(block.beneficiary, change);
        }
        diff
    }

    /// What it takes to run an entry elsewhere, or why there is nothing to run.
    pub(crate) fn set_up(&self, entry: usize) -> Result<(Config, BlockEnv, Transaction), String> {
        let (fork, post) = &self.entries[entry];
        if let Some(reason) = self.skip_reason(entry) {
            return Err(reason.to_owned());
        }
        if let Some(expected) = &post.expect_exception {
            return Err(format!("to be rejected: {expected}"));
        }
        let (spec, config) = self.rules(fork)?;
        let transaction = self
            .template
            .transaction(post.indexes, config.chain_id)
            .map_err(|error| error.to_string())?
            .map_err(|rejection| rejection.to_string())?;
        Ok((config, self.block(spec), transaction))
    }

    /// The state before every entry.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Compares an execution that took place elsewhere with what the fixture expects.
    pub(crate) fn judge(&self, entry: usize, executed: &Executed) -> Result<(), String> {
        let state_root = self.world.root_after(&executed.diff);
        self.entries[entry].1.check(&Ok(executed), state_root)
    }

    /// The configuration a fork label and the fixture ask for.
    fn rules(&self, fork: &Fork) -> Result<(SpecId, Config), String> {
        let Rules::Spec(spec, blob) = fork.rules else {
            return Err(format!("unknown hard fork {:?}", fork.label));
        };
        let mut config = Config::new(spec).map_err(|error| error.to_string())?;
        if let Some(chain_id) = self.config.chainid {
            config.chain_id = chain_id.0;
        }
        if let Some(blob) = self.config.blob_params(&fork.label).or(blob) {
            config.blob = blob;
        }
        Ok((spec, config))
    }

    fn block(&self, spec: SpecId) -> BlockEnv {
        let env = &self.env;
        let base_fee = env.current_base_fee.filter(|_| spec.has(SpecId::LONDON));
        BlockEnv {
            number: env.current_number.0,
            timestamp: env.current_timestamp.0,
            beneficiary: env.current_coinbase,
            gas_limit: env.current_gas_limit.0,
            difficulty: env.current_difficulty.unwrap_or_default().0,
            prevrandao: env.current_random.unwrap_or_default().into(),
            base_fee: base_fee.unwrap_or_default().0,
            excess_blob_gas: env.current_excess_blob_gas.unwrap_or_default().0,
        }
    }
}

impl Post {
    /// Compares what happened with what the fixture expects.
    fn check(
        &self,
        outcome: &Result<&Executed, &Rejection>,
        state_root: B256,
    ) -> Result<(), String> {
        match (&self.expect_exception, outcome) {
            (Some(expected), Ok(_)) => return Err(format!("executed, expected {expected}")),
            (Some(expected), Err(rejection)) => {
                if !exceptions::is_expected(expected, rejection)? {
                    return Err(format!("rejected ({rejection}), expected {expected}"));
                }
            }
            // The oldest files, those without `txbytes`, do not say that they expect a rejection:
            // there the root alone tells.
            (None, Err(rejection)) if self.txbytes.is_some() => {
                return Err(format!("rejected ({rejection}), expected to be executed"));
            }
            (None, _) => {}
        }
        if state_root != self.hash {
            let rejected = match outcome {
                Ok(_) => String::new(),
                Err(rejection) => format!(" after a rejection ({rejection})"),
            };
            return Err(format!("state root {state_root}, expected {}{rejected}", self.hash));
        }
        let emitted = outcome.as_ref().map_or(&[][..], |executed| &executed.logs);
        let logs_hash = logs::hash(emitted);
        if logs_hash != self.logs {
            return Err(format!(
                "logs hash {logs_hash} of {} events, expected {}",
                emitted.len(),
                self.logs
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! A block executed by itself, on a state that is given whole: geth's `evm t8n`.
//!
//! Test fillers drive it: they bring accounts, an environment and transactions, and take the state
//! afterwards and what a header would say of the block.

mod env;
mod output;
mod transactions;

use std::{fs::File, io::BufWriter, path::PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use zvm_core::{
    AccountDiff, AccountInfo, DbError, KECCAK_EMPTY, SlotDiff, StateBackend, StateDiff, TxKind,
    U256, genesis::Alloc, keccak256,
};
use zvm_evm::{
    Evm, ExecError, NoTracer,
    block::{BlockContext, BlockError, BlockExecutor, Consensus},
    tracers::{Eip3155, Summary},
};
use zvm_state::MemoryDb;

use crate::network::{FixtureConfig, Network};
use env::Env;
pub use output::Transition;
use output::{Included, Outcome};
use transactions::Source;

/// The forks that may come with blob parameters of their own; whichever is in force has those given.
const BLOB_FORKS: [&str; 5] = ["cancun", "prague", "osaka", "bpo1", "bpo2"];

/// What to execute by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// A hard fork by its name in fixtures, such as `Cancun`, or a transition such as
    /// `BerlinToLondonAt5`.
    pub fork: String,
    /// Chain that transactions are signed for.
    pub chain_id: u64,
    /// Wei for the block before Paris; `None` pays nothing and touches nobody.
    pub reward: Option<U256>,
    /// Folder for a trace of each transaction, `trace-INDEX-HASH.jsonl` (EIP-3155).
    pub traces: Option<PathBuf>,
    /// What traces show.
    pub shows: Shows,
}

/// Parts of a trace that may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shows {
    /// Memory at each step.
    pub memory: bool,
    /// No stack.
    pub no_stack: bool,
    /// Return data at each step.
    pub return_data: bool,
}

/// The three inputs, as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Accounts by address.
    pub alloc: &'a str,
    /// The block around the transactions.
    pub env: &'a str,
    /// Transactions: a list of objects, or the RLP of a list as a string of hex digits.
    pub txs: &'a str,
    /// Blob parameters in place of those of the fork: `target`, `max` and `baseFeeUpdateFraction`.
    pub blob_params: Option<&'a str>,
}

/// All inputs in one document, as they come by standard input.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Document {
    /// See [`Inputs::alloc`].
    pub alloc: Option<Box<RawValue>>,
    /// See [`Inputs::env`].
    pub env: Option<Box<RawValue>>,
    /// See [`Inputs::txs`].
    pub txs: Option<Box<RawValue>>,
    /// The RLP of a list of transactions.
    pub txs_rlp: Option<Box<RawValue>>,
    /// See [`Inputs::blob_params`].
    pub blob_params: Option<Box<RawValue>>,
}

/// Why there is no transition.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum T8nError {
    /// The block cannot be made: a contract of the protocol is missing or failed, or a precompile
    /// is not compiled in.
    #[error(transparent)]
    Block(BlockError),
    /// The machine failed.
    #[error(transparent)]
    Execution(ExecError),
    /// A fork that zvm does not have.
    #[error("unknown fork {fork:?}")]
    Fork {
        /// Its name.
        fork: String,
    },
    /// `BLOCKHASH` asked for a hash that is not in the environment.
    #[error("no hash of block {number} in the environment")]
    MissingBlockHash {
        /// The block.
        number: u64,
    },
    /// An input is not the JSON it should be.
    #[error("{input}: {what}")]
    Json {
        /// Which input.
        input: &'static str,
        /// What was found and what was expected.
        what: String,
    },
    /// A trace cannot be written.
    #[error("{}: cannot write the trace: {source}", path.display())]
    Trace {
        /// The file.
        path: PathBuf,
        /// The refusal.
        source: std::io::Error,
    },
}

impl From<DbError> for T8nError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::MissingBlockHash { number } => Self::MissingBlockHash { number },
            error => Self::Block(error.into()),
        }
    }
}

impl From<BlockError> for T8nError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Database(error) => error.into(),
            error => Self::Block(error),
        }
    }
}

impl T8nError {
    fn json(input: &'static str, error: &serde_json::Error) -> Self {
        Self::Json { input, what: error.to_string() }
    }

    /// The exit code that the makers of `t8n` gave it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Block(_) | Self::Execution(_) => 2,
            Self::Fork { .. } => 3,
            Self::MissingBlockHash { .. } => 4,
            Self::Json { .. } => 10,
            Self::Trace { .. } => 11,
        }
    }
}

/// Executes the block.
pub fn transition(inputs: Inputs<'_>, rules: &Rules) -> Result<Transition, T8nError> {
    let alloc: Alloc =
        serde_json::from_str(inputs.alloc).map_err(|error| T8nError::json("alloc", &error))?;
    let env: Env =
        serde_json::from_str(inputs.env).map_err(|error| T8nError::json("env", &error))?;
    let (spec, mut chain) = match Network::of(&rules.fork, &FixtureConfig::default()) {
        Network::Known(spec, chain) => (spec, *chain),
        _ => return Err(T8nError::Fork { fork: rules.fork.clone() }),
    };
    chain.chain_id = rules.chain_id;
    if let Some(given) = inputs.blob_params {
        let given = env::blob_params(given)?;
        for fork in BLOB_FORKS {
            chain.blob_schedule.insert(fork.to_owned(), given);
        }
    }
    let is_pos = chain.terminal_total_difficulty.is_some();
    let consensus = if is_pos { Consensus::ProofOfStake } else { Consensus::ProofOfWork };
    let sources = transactions::read(inputs.txs, &chain, spec)?;
    let mut db = state(alloc)?;
    for (number, hash) in &env.block_hashes.0 {
        db.set_block_hash(*number, *hash)?;
    }
    let block = env.block(&chain, spec)?;
    let outcome = {
        let root_after = |diff: &StateDiff| db.root_after(diff);
        let context = BlockContext {
            chain: &chain,
            consensus,
            env: block.clone(),
            parent_hash: env.parent_hash(),
            parent_beacon_root: env.parent_beacon_block_root,
            db: &db,
            root_after: Some(&root_after),
        };
        execute(context, sources, &env, rules)?
    };
    let state_root = db.root_after(&outcome.block.diff)?;
    db.commit(&outcome.block.diff)?;
    let withdrawals = chain.shanghai_time.map(|_| env.withdrawals.as_slice());
    Transition::of(&outcome, &block, spec, withdrawals, state_root, &db)
}

/// Runs the transactions; those that are refused are listed and passed over.
fn execute(
    context: BlockContext<'_>,
    sources: Vec<Source>,
    env: &Env,
    rules: &Rules,
) -> Result<Outcome, T8nError> {
    let mut evm = Evm::new();
    let mut included = Vec::new();
    let mut rejected = Vec::new();
    let consensus = context.consensus;
    let number = context.env.number;
    let mut executor = BlockExecutor::begin(&mut evm, context)?;
    for (index, source) in sources.into_iter().enumerate() {
        let (signed, tx) = match source {
            Ok(recovered) => recovered,
            Err(what) => {
                rejected.push((index, what));
                continue;
            }
        };
        let hash = signed.hash();
        let result = match &rules.traces {
            None => executor.transact(&tx, &mut NoTracer),
            Some(folder) => {
                let path = folder.join(format!("trace-{}-{hash}.jsonl", included.len()));
                let failed = |source| T8nError::Trace { path: path.clone(), source };
                let file = BufWriter::new(File::create(&path).map_err(failed)?);
                let mut trace = Eip3155::new(file, executor.config().spec());
                if rules.shows.memory {
                    trace = trace.with_memory();
                }
                if rules.shows.no_stack {
                    trace = trace.without_stack();
                }
                if rules.shows.return_data {
                    trace = trace.with_return_data();
                }
                let result = executor.transact(&tx, &mut trace);
                if let Ok(executed) = &result {
                    trace.summary(&Summary::of(executed));
                }
                trace.finish().map_err(failed)?;
                result
            }
        };
        match result {
            Ok(executed) => {
                let contract = match tx.to {
                    TxKind::Create => Some(tx.sender.create(tx.nonce)),
                    TxKind::Call(_) => None,
                };
                included.push(Included { signed, hash, contract, gas_used: executed.gas_used });
            }
            Err(ExecError::Invalid(invalid)) => rejected.push((index, invalid.to_string())),
            Err(ExecError::Database(error)) => return Err(error.into()),
            Err(error) => return Err(T8nError::Execution(error)),
        }
    }
    if let (Consensus::ProofOfWork, Some(reward)) = (consensus, rules.reward) {
        let ommers =
            env.ommers.iter().map(|ommer| (number.saturating_sub(ommer.delta), ommer.address));
        executor.pay(reward, ommers)?;
    }
    let block = executor.finish_unpaid(&env.withdrawals)?;
    Ok(Outcome { block, included, rejected })
}

/// The state that the accounts make.
fn state(alloc: Alloc) -> Result<MemoryDb, T8nError> {
    let mut diff = StateDiff::default();
    for (address, account) in alloc {
        let mut code_hash = KECCAK_EMPTY;
        if !account.code.is_empty() {
            code_hash = keccak256(&account.code);
            diff.code.insert(code_hash, account.code);
        }
        let info = AccountInfo { nonce: account.nonce, balance: account.balance, code_hash };
        let words = account.storage.into_iter().filter(|(_, word)| !word.is_zero());
        let storage = words.map(|(slot, new)| (slot, SlotDiff { old: U256::ZERO, new })).collect();
        let change = AccountDiff { new: Some(info), storage, ..AccountDiff::default() };
        diff.accounts.insert(address, change);
    }
    let mut db = MemoryDb::new();
    db.commit(&diff)?;
    Ok(db)
}

//! A transaction of a remote chain, executed again at its place in its block.

use std::{fmt, ops::Range, sync::Arc};

use zvm_core::{B256, ChainConfig, Database, DbError, SignedTransaction, SpecId, Transaction};
use zvm_evm::{
    Config, Evm, ExecError, Executed, NoTracer, Tracer,
    block::{
        BEACON_ROOTS_CONTRACT, BlockContext, BlockError, BlockExecutor, Consensus, HISTORY_CONTRACT,
    },
};
use zvm_fork::{ForkDb, PlacedTransaction, PrestateDb, Read, Source, chain_of, is_pos};
use zvm_state::{BlockRef, DatabaseConfig, ForkConfig, ForkSource};
use zvm_txlog::ChainError;

use crate::{Error, OpenedDatabase};

/// Where the state comes from that a transaction met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateBefore {
    /// From the node if it tells and the outcome is that of the receipt, otherwise by replaying.
    #[default]
    Auto,
    /// By executing whatever came before in the block, from the state after the block before.
    Replay,
    /// As the node tells it, by `debug_traceTransaction` with `prestateTracer`.
    Prestate,
}

/// A transaction that has been executed somewhere else, ready to be executed again here: with its
/// block's rules, on the state it met there.
///
/// ```no_run
/// use zvm::{Retrace, b256, tracers::CallTracer};
///
/// let hash = b256!("5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060");
/// let retrace = Retrace::open("fork:https://mainnet.example/KEY", hash)?;
/// let mut calls = CallTracer::new();
/// let executed = retrace.run(&mut calls)?;
/// assert!(retrace.differences(&executed).is_empty(), "the receipt says otherwise");
/// println!("{calls}");
/// # Ok::<(), zvm::Error>(())
/// ```
pub struct Retrace {
    placed: PlacedTransaction,
    source: Arc<dyn Source>,
    chain: ChainConfig,
    consensus: Consensus,
    config: Config,
    /// Whether nothing but the fields of the header tells the hard fork.
    is_guessed: bool,
    /// The transaction itself.
    transaction: Transaction,
    /// Those before it in the block, if they are replayed.
    earlier: Vec<Transaction>,
    /// The state that the node tells, if that is used.
    given: Option<PrestateDb>,
}

/// What is not as the receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub what: String,
    /// What it is here.
    pub here: String,
    /// What the receipt says.
    pub receipt: String,
}

impl Retrace {
    /// The transaction with `hash` of the chain whose node `config` names, such as `fork:URL`.
    ///
    /// # Errors
    ///
    /// Where the node knows no such transaction, or it is in no block, or the node contradicts itself,
    /// or nothing can be executed at that place.
    pub fn open(config: &str, hash: B256) -> Result<Self, Error> {
        let config: DatabaseConfig = config.parse()?;
        let source = source(OpenedDatabase::open(&config)?, &config)?;
        let placed = source.transaction(hash)?;
        let before = Self::config_before(&config, &placed)?;
        let opened = OpenedDatabase::open(&before)?;
        Self::new(&before, opened, placed, StateBefore::Auto)
    }

    /// The configuration of the state after the block before that of `placed`, with all options of
    /// `config`. A block in `config` must be one of the two.
    pub fn config_before(
        config: &DatabaseConfig,
        placed: &PlacedTransaction,
    ) -> Result<DatabaseConfig, Error> {
        let mut before = config.clone();
        let Some(fork) = fork_of(&mut before) else { return Err(no_fork(config)) };
        if let ForkSource::Recording(_) = fork.source {
            return Ok(before);
        }
        let header = placed.header();
        let (number, own, parent) = (header.number, header.hash(), header.parent_hash);
        let is_hash = |hash: B256| hash == own || hash == parent;
        let is_block = match fork.block {
            BlockRef::Latest => true,
            BlockRef::Number(asked) => asked == number || asked.checked_add(1) == Some(number),
            BlockRef::Hash(asked) => is_hash(asked),
            BlockRef::Safe | BlockRef::Finalized | BlockRef::Earliest => false,
        };
        if !is_block || !fork.hash.is_none_or(is_hash) {
            let what = format!(
                "the transaction is in block {number} ({own}); expected that block, the one before \
                 ({parent}), or none"
            );
            return Err(DbError::Config { config: config.to_string(), what }.into());
        }
        // The block is known by its hash, and has that of its parent in it.
        (fork.block, fork.hash) = (BlockRef::Hash(parent), None);
        Ok(before)
    }

    /// Makes `placed` ready on `before`, the state after the block before, which was opened by
    /// `config`.
    pub fn new(
        config: &DatabaseConfig,
        before: OpenedDatabase,
        placed: PlacedTransaction,
        state: StateBefore,
    ) -> Result<Self, Error> {
        let fork = before.fork.ok_or_else(|| no_fork(config))?;
        let (source, recorder) = (fork.source, fork.recorder);
        let header = placed.header();
        let (found, expected) = (source.origin().block.hash, header.parent_hash);
        if found != expected {
            let what =
                format!("is of block {found}; the transaction needs the state of {expected}");
            return Err(DbError::Config { config: config.to_string(), what }.into());
        }
        let mut config = config.clone();
        let Some(fork) = fork_of(&mut config) else { return Err(no_fork(&config)) };
        let chain = chain_of(fork, source.origin().chain_id, header)?;
        let is_said = fork.spec.is_some() || fork.chain.is_some();
        let is_guessed = !is_said && source.origin().chain().is_none();
        let consensus = match is_pos(&chain, header) {
            true => Consensus::ProofOfStake,
            false => Consensus::ProofOfWork,
        };
        let (number, timestamp) = (header.number, header.timestamp);
        let config = zvm_evm::block::config(&chain, consensus, number, timestamp)?;
        let own = placed.index()..placed.index() + 1;
        // There is one, see `PlacedTransaction::new`.
        let transaction = recovered(&placed, own, config.spec())?.pop().unwrap_or_default();
        let (earlier, given) = (Vec::new(), None);
        let mut retrace = Self {
            placed,
            source,
            chain,
            consensus,
            config,
            is_guessed,
            transaction,
            earlier,
            given,
        };
        if let Some(recorder) = recorder {
            recorder.insert(&retrace.placed)?;
        }
        retrace.settle(state)?;
        Ok(retrace)
    }

    /// Executes it, and commits nothing. Failing is one of the outcomes.
    pub fn run<T: Tracer>(&self, tracer: &mut T) -> Result<Executed, Error> {
        match &self.given {
            Some(given) => self.run_on(given, tracer),
            None => self.replay(&ForkDb::new(self.source.clone()), tracer),
        }
    }

    /// What of an outcome is not as the receipt says.
    #[must_use]
    pub fn differences(&self, executed: &Executed) -> Vec<Difference> {
        let receipt = self.placed.outcome();
        let mut differences = Vec::new();
        let mut compare = |what: String, here: String, receipt: String| {
            if here != receipt {
                differences.push(Difference { what, here, receipt });
            }
        };
        let show = |succeeded: bool| if succeeded { "success" } else { "failure" }.to_owned();
        if let Some(succeeded) = receipt.succeeded {
            compare("status".to_owned(), show(executed.is_success()), show(succeeded));
        }
        let gas = [executed.gas_used, receipt.gas_used].map(|gas| gas.to_string());
        let [here, there] = gas;
        compare("gas used".to_owned(), here, there);
        let [here, there] = [&executed.logs, &receipt.logs].map(|logs| logs.len().to_string());
        compare("number of logs".to_owned(), here, there);
        for (index, (here, there)) in executed.logs.iter().zip(&receipt.logs).enumerate() {
            let show = |log: &zvm_core::Log| {
                format!("{} {:?} {}", log.address, log.data.topics(), log.data.data)
            };
            compare(format!("log {index}"), show(here), show(there));
        }
        differences
    }

    /// The transaction and its block.
    #[must_use]
    pub fn placed(&self) -> &PlacedTransaction {
        &self.placed
    }

    /// The transaction as it is executed.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The hard fork.
    #[must_use]
    pub fn spec(&self) -> SpecId {
        self.config.spec()
    }

    /// Whether the hard fork is the latest whose headers look like this one, because nobody says which
    /// it is: where the outcome differs from the receipt, it may be an earlier one.
    #[must_use]
    pub fn is_spec_guessed(&self) -> bool {
        self.is_guessed
    }

    /// [`StateBefore::Prestate`] or [`StateBefore::Replay`], whichever it came to.
    #[must_use]
    pub fn state(&self) -> StateBefore {
        match self.given {
            Some(_) => StateBefore::Prestate,
            None => StateBefore::Replay,
        }
    }

    /// Decides where the state comes from, and fetches it.
    fn settle(&mut self, state: StateBefore) -> Result<(), Error> {
        let hash = self.placed.hash();
        match state {
            StateBefore::Replay => self.read_ahead(),
            StateBefore::Prestate => {
                let accounts = self.source.prestate(hash)?.filter(|_| self.knows_no_empty());
                let accounts = accounts.ok_or_else(|| DbError::Unsupported {
                    backend: self.source.name().into(),
                    action: "give the state that a transaction met (debug_traceTransaction)".into(),
                })?;
                self.given = Some(PrestateDb::new(accounts, self.source.clone()));
                Ok(())
            }
            StateBefore::Auto => {
                // Whatever keeps the node from telling, the state can be had in another way.
                let accounts = self.source.prestate(hash).ok().flatten();
                if let Some(accounts) = accounts.filter(|_| self.knows_no_empty()) {
                    let given = PrestateDb::new(accounts, self.source.clone());
                    let outcome = self.run_on(&given, &mut NoTracer);
                    if outcome.is_ok_and(|executed| self.differences(&executed).is_empty()) {
                        self.given = Some(given);
                        return Ok(());
                    }
                }
                self.read_ahead()
            }
        }
    }

    /// Whether no account is empty, which a node's answer would not tell from one that is not there.
    fn knows_no_empty(&self) -> bool {
        self.config.spec().has(SpecId::SPURIOUS_DRAGON)
    }

    /// Fetches what replaying reads, in few requests.
    fn read_ahead(&mut self) -> Result<(), Error> {
        self.earlier = recovered(&self.placed, 0..self.placed.index(), self.spec())?;
        let db = ForkDb::new(self.source.clone());
        // What is known beforehand. With true nonces and balances fewer runs go astray.
        let mut reads = vec![Read::Account(self.placed.header().beneficiary)];
        reads.extend([BEACON_ROOTS_CONTRACT, HISTORY_CONTRACT].map(Read::Account));
        for tx in self.earlier.iter().chain([&self.transaction]) {
            reads.push(Read::Account(tx.sender));
            reads.extend(tx.to.to().copied().map(Read::Account));
            for item in &tx.access_list {
                reads.push(Read::Account(item.address));
                let slots = item.storage_keys.iter();
                reads.extend(slots.map(|key| Read::Slot(item.address, (*key).into())));
            }
        }
        db.prefetch(&reads)?;
        db.run_ahead(|db| drop(self.replay(db, &mut NoTracer)))?;
        Ok(())
    }

    /// Executes the block from its beginning up to the transaction.
    ///
    /// A transaction that is refused does not end it: ahead of the answers, those behind it say what
    /// they read all the same.
    fn replay<T: Tracer>(&self, db: &dyn Database, tracer: &mut T) -> Result<Executed, Error> {
        let header = self.placed.header();
        let context = BlockContext {
            chain: &self.chain,
            consensus: self.consensus,
            env: header.env(),
            parent_hash: header.parent_hash,
            parent_beacon_root: header.parent_beacon_block_root,
            db,
            root_after: None,
        };
        let mut evm = Evm::new();
        let mut block = BlockExecutor::begin(&mut evm, context).map_err(|error| match error {
            BlockError::Database(error) => Error::Database(error),
            BlockError::Precompiles(missing) => missing.into(),
            BlockError::Invalid(rule) => {
                let (hash, source) = (header.hash(), Box::new(rule));
                ChainError::Invalid { hash, source }.into()
            }
        })?;
        let mut first = None;
        for (index, tx) in self.earlier.iter().enumerate() {
            if let Err(error) = block.transact(tx, &mut NoTracer) {
                first.get_or_insert((index, error));
            }
        }
        let executed = self.run_on(block.state(), tracer);
        match first {
            Some((index, error @ ExecError::Invalid(_))) => {
                Err(refused(&self.placed, index, error.into()))
            }
            Some((_, error)) => Err(error.into()),
            None => executed,
        }
    }

    fn run_on<T: Tracer>(&self, db: &dyn Database, tracer: &mut T) -> Result<Executed, Error> {
        let env = self.placed.header().env();
        let executed = Evm::new().execute(&self.transaction, &env, &self.config, db, tracer);
        executed.map_err(|error| match error {
            ExecError::Invalid(_) => refused(&self.placed, self.placed.index(), error.into()),
            error => error.into(),
        })
    }
}

/// The transactions at some places of the block, with their senders told from their signatures.
fn recovered(
    placed: &PlacedTransaction,
    places: Range<usize>,
    spec: SpecId,
) -> Result<Vec<Transaction>, Error> {
    let signed = placed.transactions().get(places.clone()).unwrap_or_default();
    let recover = |(index, signed): (usize, &SignedTransaction)| {
        signed.recover(spec).map_err(|error| refused(placed, index, error.into()))
    };
    places.zip(signed).map(recover).collect()
}

fn refused(placed: &PlacedTransaction, index: usize, source: Error) -> Error {
    let hash = placed.transactions().get(index).map(SignedTransaction::hash);
    Error::Retrace { index, hash: hash.unwrap_or_default(), source: Box::new(source) }
}

fn source(opened: OpenedDatabase, config: &DatabaseConfig) -> Result<Arc<dyn Source>, Error> {
    Ok(opened.fork.ok_or_else(|| no_fork(config))?.source)
}

fn no_fork(config: &DatabaseConfig) -> Error {
    let what = "has no transactions of another chain; expected fork:URL or fork:FILE".to_owned();
    DbError::Config { config: config.to_string(), what }.into()
}

/// The fork below whatever caches.
fn fork_of(config: &mut DatabaseConfig) -> Option<&mut ForkConfig> {
    match config {
        DatabaseConfig::Fork(fork) => Some(fork),
        DatabaseConfig::Cached { inner, .. } => fork_of(inner),
        _ => None,
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, here, receipt } = self;
        write!(f, "{what}: {here} here, {receipt} in the receipt")
    }
}

impl fmt::Debug for Retrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, number) = (self.placed.index(), self.placed.header().number);
        f.debug_struct("Retrace")
            .field("hash", &self.placed.hash())
            .field("block", &number)
            .field("index", &index)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

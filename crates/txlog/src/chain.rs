//! A chain: which blocks are valid, and which of several branches counts.

use zvm_core::{
    Address, B256, Block, BlockId, ChainConfig, DbError, StateBackend, StateDiff, U256,
    genesis::{Genesis, state_of},
    map::B256Map,
};
use zvm_evm::{
    Evm, NoTracer, Tracer,
    block::{
        Ancestor, BlockContext, BlockError, Consensus, ExecutedBlock, InvalidBlock,
        OMMER_GENERATIONS, execute_block, recover_transactions, validate_body, validate_header,
        validate_ommers,
    },
};
use zvm_precompiles::MissingPrecompiles;
use zvm_state::MemoryDb;

use crate::{Log, LogError, LogStore, LogWriter, NewBlock};

/// Invalid blocks that are remembered, at most.
const INVALID_MAX: usize = 1024;

/// A chain of blocks with its branches, in a store whose state is that of its head.
///
/// ```
/// use zvm_core::{ChainConfig, Genesis};
/// use zvm_state::MemoryDb;
/// use zvm_txlog::{Beside, Chain, ChainError};
///
/// let genesis = Genesis { config: ChainConfig::dev(), ..Genesis::default() };
/// let chain = Chain::init(Box::new(Beside::new(MemoryDb::new())), &genesis)?;
/// assert_eq!(chain.head()?.number, 0);
/// # Ok::<(), ChainError>(())
/// ```
pub struct Chain {
    pub(crate) config: ChainConfig,
    pub(crate) store: Box<dyn LogStore>,
    /// Blocks that break a rule, and which.
    invalid: B256Map<InvalidBlock>,
    pub(crate) evm: Evm,
}

/// What became of a valid block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is the head now.
    Head,
    /// It is on a branch beside the chain.
    Side,
    /// It was known before.
    Known,
}

/// Why a block did not become part of a chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The store has no first block.
    #[error("no chain here: there is no first block")]
    NoGenesis,
    /// The store has a first block already, and it is another one.
    #[error(
        "there is a chain here already, whose first block is {found}; this one's is {expected}"
    )]
    OtherGenesis {
        /// Hash of the first block of the store.
        found: B256,
        /// Hash of the one that was asked for.
        expected: B256,
    },
    /// The block before is not known.
    #[error("unknown parent {parent}")]
    UnknownParent {
        /// Its hash.
        parent: B256,
    },
    /// The block is not known.
    #[error("unknown block {hash}")]
    UnknownBlock {
        /// Its hash.
        hash: B256,
    },
    /// A block breaks a rule: the one at hand, or one before it.
    #[error("block {hash} is invalid: {source}")]
    Invalid {
        /// Hash of the block that does.
        hash: B256,
        /// The rule.
        source: Box<InvalidBlock>,
    },
    /// This build cannot execute the block's hard fork; nothing is known of the block.
    #[error(transparent)]
    Precompiles(#[from] MissingPrecompiles),
    /// The store failed; nothing is known of the block.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ChainError {
    pub(crate) fn invalid(hash: B256, source: InvalidBlock) -> Self {
        Self::Invalid { hash, source: Box::new(source) }
    }
}

impl From<DbError> for ChainError {
    fn from(error: DbError) -> Self {
        Self::Log(error.into())
    }
}

impl Chain {
    /// The chain in `store`.
    pub fn open(store: Box<dyn LogStore>, config: ChainConfig) -> Result<Self, ChainError> {
        if Log::new(&*store).head()?.is_none() {
            return Err(ChainError::NoGenesis);
        }
        Ok(Self { config, store, invalid: B256Map::default(), evm: Evm::new() })
    }

    /// A chain as `genesis` describes it, in an empty store. A store that has this first block
    /// already is opened.
    pub fn init(store: Box<dyn LogStore>, genesis: &Genesis) -> Result<Self, ChainError> {
        let alloc = state_of(&genesis.alloc);
        // Of nothing, whatever the store has by now.
        let header = genesis.header(MemoryDb::new().root_after(&alloc)?);
        let withdrawals = header.withdrawals_root.map(|_| Vec::new());
        let block = Block { header, withdrawals, ..Block::default() };
        Self::begin(store, genesis.config.clone(), &block, &alloc)
    }

    /// A chain that begins with the block `genesis`, whose state is what `alloc` makes of an empty
    /// one. A store that has this first block already is opened.
    pub fn begin(
        mut store: Box<dyn LogStore>,
        config: ChainConfig,
        genesis: &Block,
        alloc: &StateDiff,
    ) -> Result<Self, ChainError> {
        let hash = genesis.hash();
        if let Some(first) = Log::new(&*store).first()? {
            return match Log::new(&*store).canonical_hash(first)? {
                Some(found) if found != hash => {
                    Err(ChainError::OtherGenesis { found, expected: hash })
                }
                _ => Self::open(store, config),
            };
        }
        let (found, expected) = (genesis.header.state_root, store.root_after(alloc)?);
        if found != expected {
            let source = InvalidBlock::StateRoot { found, expected };
            return Err(ChainError::invalid(hash, source));
        }
        LogWriter::new(&mut *store).commit(&NewBlock {
            block: genesis,
            hash,
            total_difficulty: genesis.header.difficulty,
            senders: &[],
            receipts: &[],
            start_diff: alloc,
            tx_diffs: &[],
            diff: alloc,
        })?;
        Self::open(store, config)
    }

    /// The rules of the chain.
    #[must_use]
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// The last block.
    pub fn head(&self) -> Result<BlockId, ChainError> {
        self.log().head()?.ok_or(ChainError::NoGenesis)
    }

    /// All there is of blocks.
    #[must_use]
    pub fn log(&self) -> Log<'_> {
        Log::new(&*self.store)
    }

    /// The state after the last block, and the log beside it.
    #[must_use]
    pub fn store(&self) -> &dyn LogStore {
        &*self.store
    }

    /// Checks `block` and makes it part of the chain, or of a branch beside it.
    ///
    /// Before Paris the branch of the highest total difficulty is the chain, and of two equal ones
    /// that which was first. A block beside the chain is executed all the same, for which the state
    /// goes to its branch and back.
    ///
    /// From Paris on a block that follows the head becomes the head. Others are kept, and executed
    /// when they are [selected](Self::select).
    pub fn import(&mut self, block: &Block) -> Result<Imported, ChainError> {
        self.import_traced(block, &mut NoTracer)
    }

    /// [`import`](Self::import), with a tracer that watches the transactions that are executed.
    pub fn import_traced<T: Tracer>(
        &mut self,
        block: &Block,
        tracer: &mut T,
    ) -> Result<Imported, ChainError> {
        let (hash, parent_hash) = (block.hash(), block.header.parent_hash);
        for hash in [hash, parent_hash] {
            if let Some(source) = self.invalid.get(&hash) {
                return Err(ChainError::invalid(hash, source.clone()));
            }
        }
        if self.log().number(hash)?.is_some() {
            return Ok(Imported::Known);
        }
        let (Some(parent), Some(before)) =
            (self.log().header(parent_hash)?, self.log().total_difficulty(parent_hash)?)
        else {
            return Err(ChainError::UnknownParent { parent: parent_hash });
        };
        let consensus = self.consensus_after(before);
        validate_header(&self.config, consensus, &block.header, &parent)
            .map_err(|source| self.refuse(hash, source))?;
        // Not remembered: the right body may come yet.
        validate_body(&self.config, consensus, block)
            .map_err(|source| ChainError::invalid(hash, source))?;
        let ancestors = self.ancestors(block)?;
        validate_ommers(&self.config, block, &ancestors)
            .map_err(|source| self.refuse(hash, source))?;

        let head = self.head()?;
        if parent_hash == head.hash {
            self.advance(block, tracer)?;
            return Ok(Imported::Head);
        }
        let total = before.saturating_add(block.header.difficulty);
        LogWriter::new(&mut *self.store).insert(block, hash, total)?;
        if consensus == Consensus::ProofOfStake {
            return Ok(Imported::Side);
        }
        let best = self.total_difficulty(head.hash)?;
        self.select_traced(hash, tracer)?;
        if total > best && !self.config.is_pos(best) {
            return Ok(Imported::Head);
        }
        self.select(head.hash)?;
        Ok(Imported::Side)
    }

    /// Makes a known block the head: goes back to where its branch leaves the chain, and executes
    /// the branch. If a block there is invalid, the head is again the one before.
    ///
    /// The store goes through every block on the way; a process that ends meanwhile leaves it at
    /// one of them.
    pub fn select(&mut self, hash: B256) -> Result<(), ChainError> {
        self.select_traced(hash, &mut NoTracer)
    }

    /// [`select`](Self::select), with a tracer that watches the transactions of the branch.
    pub fn select_traced<T: Tracer>(
        &mut self,
        hash: B256,
        tracer: &mut T,
    ) -> Result<(), ChainError> {
        let (fork, branch) = self.branch_to(hash)?;
        let abandoned = self.chain_after(fork)?;
        self.unwind(fork)?;
        let Err(error) = self.advance_all(&branch, tracer) else { return Ok(()) };
        self.unwind(fork)?;
        self.advance_all(&abandoned, &mut NoTracer)?;
        Err(error)
    }

    pub(crate) fn consensus_after(&self, total_difficulty: U256) -> Consensus {
        match self.config.is_pos(total_difficulty) {
            true => Consensus::ProofOfStake,
            false => Consensus::ProofOfWork,
        }
    }

    /// Remembers a block that breaks a rule.
    fn refuse(&mut self, hash: B256, source: InvalidBlock) -> ChainError {
        if self.invalid.len() >= INVALID_MAX {
            self.invalid.clear();
        }
        self.invalid.insert(hash, source.clone());
        ChainError::invalid(hash, source)
    }

    fn block(&self, hash: B256) -> Result<Block, ChainError> {
        self.log().block(hash)?.ok_or(ChainError::UnknownBlock { hash })
    }

    pub(crate) fn total_difficulty(&self, hash: B256) -> Result<U256, ChainError> {
        self.log().total_difficulty(hash)?.ok_or(ChainError::UnknownBlock { hash })
    }

    /// The blocks before `block` that its ommers are judged by, nearest first.
    fn ancestors(&self, block: &Block) -> Result<Vec<Ancestor>, ChainError> {
        let mut ancestors = Vec::new();
        let mut hash = block.header.parent_hash;
        while !block.ommers.is_empty() && ancestors.len() < OMMER_GENERATIONS {
            let Some(block) = self.log().block(hash)? else { break };
            let ommers = block.ommers.iter().map(|ommer| ommer.hash()).collect();
            let next = block.header.parent_hash;
            ancestors.push(Ancestor { hash, header: block.header, ommers });
            hash = next;
        }
        Ok(ancestors)
    }

    /// The last block of the chain that is an ancestor of `hash`, and the blocks from there to
    /// `hash`.
    fn branch_to(&self, mut hash: B256) -> Result<(u64, Vec<B256>), ChainError> {
        let mut branch = Vec::new();
        loop {
            let header = self.log().header(hash)?.ok_or(ChainError::UnknownBlock { hash })?;
            if self.log().is_canonical(BlockId { number: header.number, hash })? {
                branch.reverse();
                return Ok((header.number, branch));
            }
            branch.push(hash);
            hash = header.parent_hash;
        }
    }

    /// The blocks of the chain after block `fork`.
    fn chain_after(&self, fork: u64) -> Result<Vec<B256>, ChainError> {
        let numbers = fork.saturating_add(1)..=self.head()?.number;
        let hashes = numbers.filter_map(|number| self.log().canonical_hash(number).transpose());
        Ok(hashes.collect::<Result<_, _>>()?)
    }

    fn unwind(&mut self, number: u64) -> Result<(), ChainError> {
        if self.head()?.number != number {
            self.store.unwind(number)?;
        }
        Ok(())
    }

    fn advance_all<T: Tracer>(
        &mut self,
        branch: &[B256],
        tracer: &mut T,
    ) -> Result<(), ChainError> {
        branch.iter().try_for_each(|hash| {
            let block = self.block(*hash)?;
            self.advance(&block, tracer)
        })
    }

    /// Executes a block on the head, whose child it is, and commits it.
    fn advance<T: Tracer>(&mut self, block: &Block, tracer: &mut T) -> Result<(), ChainError> {
        let hash = block.hash();
        let before = self.total_difficulty(block.header.parent_hash)?;
        let consensus = self.consensus_after(before);
        let (senders, executed) = match self.execute(consensus, block, tracer) {
            Ok(executed) => executed,
            Err(BlockError::Invalid(source)) => return Err(self.refuse(hash, source)),
            Err(BlockError::Database(error)) => return Err(error.into()),
            Err(BlockError::Precompiles(error)) => return Err(error.into()),
        };
        self.commit(block, hash, before, &senders, &executed)
    }

    /// Makes an executed block the head; `before` is the total difficulty of its parent.
    pub(crate) fn commit(
        &mut self,
        block: &Block,
        hash: B256,
        before: U256,
        senders: &[Address],
        executed: &ExecutedBlock,
    ) -> Result<(), ChainError> {
        LogWriter::new(&mut *self.store).commit(&NewBlock {
            block,
            hash,
            total_difficulty: before.saturating_add(block.header.difficulty),
            senders,
            receipts: &executed.receipts,
            start_diff: &executed.start_diff,
            tx_diffs: &executed.tx_diffs,
            diff: &executed.diff,
        })?;
        Ok(())
    }

    /// Executes a block on the head; who sent its transactions, and what came of it.
    fn execute<T: Tracer>(
        &mut self,
        consensus: Consensus,
        block: &Block,
        tracer: &mut T,
    ) -> Result<(Vec<Address>, ExecutedBlock), BlockError> {
        let header = &block.header;
        let transactions = recover_transactions(&self.config, consensus, block)?;
        let store = &*self.store;
        let context = BlockContext {
            chain: &self.config,
            consensus,
            env: header.env(),
            parent_hash: header.parent_hash,
            parent_beacon_root: header.parent_beacon_block_root,
            db: store,
            root_after: Some(&|diff| store.root_after(diff)),
        };
        let executed = execute_block(&mut self.evm, context, block, &transactions, tracer)?;
        let (found, expected) = (header.state_root, store.root_after(&executed.diff)?);
        if found != expected {
            return Err(InvalidBlock::StateRoot { found, expected }.into());
        }
        Ok((transactions.iter().map(|transaction| transaction.sender).collect(), executed))
    }
}

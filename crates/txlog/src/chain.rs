//! A chain: which blocks are valid, and which of several branches counts.

use zvm_core::{
    Address, B256, Block, BlockId, ChainConfig, ChainPoint, ChangedRule, DbError, StateBackend,
    StateDiff, U256,
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

use crate::{Log, LogError, LogStore, LogWriter, NewBlock, rules};

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
    /// The store has blocks and not the rules of their chain.
    #[error("the rules of the chain are not stored with it; a genesis.json gives them")]
    NoConfig,
    /// The rules given are not those of the blocks there are.
    #[error(transparent)]
    Rule(#[from] ChangedRule),
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
    /// The chain in `store`, by the rules that are stored with it.
    pub fn open(store: Box<dyn LogStore>) -> Result<Self, ChainError> {
        let log = Log::new(&*store);
        log.head()?.ok_or(ChainError::NoGenesis)?;
        let config = log.chain_config()?.ok_or(ChainError::NoConfig)?;
        let mut chain = Self { config, store, invalid: B256Map::default(), evm: Evm::new() };
        chain.resume()?;
        Ok(chain)
    }

    /// The chain in `store`, which goes on by the rules `config` from now on.
    ///
    /// # Errors
    ///
    /// [`ChainError::Rule`] if the blocks there are were judged by other rules, as far as those had
    /// come. Where there is but the first block, all may change.
    pub fn open_with(
        mut store: Box<dyn LogStore>,
        config: &ChainConfig,
    ) -> Result<Self, ChainError> {
        let log = Log::new(&*store);
        let head = log.head()?.ok_or(ChainError::NoGenesis)?;
        let used = log.chain_config()?;
        if used.as_ref() != Some(config) {
            if let Some(used) = used
                && log.first()? != Some(head.number)
            {
                used.check_change(config, point(&log, head)?)?;
            }
            rules::write_config(&mut *store, config)?;
        }
        Self::open(store)
    }

    /// A chain as `genesis` describes it, in an empty store. A store that has this first block
    /// already is opened, see [`open_with`](Self::open_with).
    pub fn init(store: Box<dyn LogStore>, genesis: &Genesis) -> Result<Self, ChainError> {
        let alloc = state_of(&genesis.alloc);
        // Of nothing, whatever the store has by now.
        let header = genesis.header(MemoryDb::new().root_after(&alloc)?);
        let withdrawals = header.withdrawals_root.map(|_| Vec::new());
        let block = Block { header, withdrawals, ..Block::default() };
        Self::begin(store, genesis.config.clone(), &block, &alloc)
    }

    /// A chain that begins with the block `genesis`, whose state is what `alloc` makes of an empty
    /// one. A store that has this first block already is opened, see [`open_with`](Self::open_with).
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
                _ => Self::open_with(store, &config),
            };
        }
        let (found, expected) = (genesis.header.state_root, store.root_after(alloc)?);
        if found != expected {
            let source = InvalidBlock::StateRoot { found, expected };
            return Err(ChainError::invalid(hash, source));
        }
        // Before the first block, so that no chain is without its rules.
        rules::write_config(&mut *store, &config)?;
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
        Self::open(store)
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
        // A known block can be better than the head where its branch was never tried to the end.
        if let Some(total) = self.log().total_difficulty(hash)?
            && !self.is_better(total)?
        {
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
        let is_better = self.is_better(total)?;
        match self.try_branch(hash, is_better, tracer)? {
            true => Ok(Imported::Head),
            false => Ok(Imported::Side),
        }
    }

    /// Whether a branch of that total difficulty takes the place of the chain; by proof of stake none
    /// does.
    fn is_better(&self, total: U256) -> Result<bool, ChainError> {
        let best = self.total_difficulty(self.head()?.hash)?;
        Ok(total > best && !self.config.is_pos(best))
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

    pub(crate) fn block(&self, hash: B256) -> Result<Block, ChainError> {
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

    /// Executes a block on the head, whose child it is, and commits it.
    pub(crate) fn advance<T: Tracer>(
        &mut self,
        block: &Block,
        tracer: &mut T,
    ) -> Result<(), ChainError> {
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

/// How far the chain has come with `head`.
fn point(log: &Log<'_>, head: BlockId) -> Result<ChainPoint, ChainError> {
    let unknown = || ChainError::UnknownBlock { hash: head.hash };
    let header = log.header(head.hash)?.ok_or_else(unknown)?;
    let total_difficulty = log.total_difficulty(head.hash)?.ok_or_else(unknown)?;
    Ok(ChainPoint { number: head.number, timestamp: header.timestamp, total_difficulty })
}

#[cfg(test)]
mod tests {
    use zvm_core::SpecId;
    use zvm_state::FileDb;

    use super::*;
    use crate::BlockAttributes;

    #[test]
    fn a_chain_knows_its_rules_when_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = || Box::new(FileDb::open(folder.path()).unwrap());
        let config = ChainConfig { shanghai_time: Some(100), ..ChainConfig::at(SpecId::PARIS) };
        let genesis = Genesis {
            config,
            difficulty: Some(U256::ZERO),
            gas_limit: Some(30_000_000),
            ..Genesis::default()
        };
        assert!(matches!(Chain::open(store()), Err(ChainError::NoGenesis)));
        drop(Chain::init(store(), &genesis).unwrap());

        // Nothing was judged by the rules yet.
        let london = ChainConfig { london_block: Some(1), ..genesis.config.clone() };
        drop(Chain::open_with(store(), &london).unwrap());
        drop(Chain::init(store(), &genesis).unwrap());

        let mut chain = Chain::open(store()).unwrap();
        assert_eq!(chain.config(), &genesis.config);
        let attributes = BlockAttributes { timestamp: 99, ..BlockAttributes::default() };
        chain.mine(&attributes, Vec::new()).unwrap();
        drop(chain);
        let Err(ChainError::Rule(changed)) = Chain::open_with(store(), &london) else {
            panic!("expected a rule that has changed")
        };
        assert_eq!(changed.rule, "londonBlock");
        assert_eq!(Chain::open(store()).unwrap().config(), &genesis.config);

        // What is still to come may come at another time.
        let later = ChainConfig { shanghai_time: Some(200), ..genesis.config.clone() };
        drop(Chain::open_with(store(), &later).unwrap());
        assert_eq!(Chain::open(store()).unwrap().config(), &later);
    }

    #[test]
    fn a_log_without_rules_needs_to_be_told_them() {
        let mut store = crate::Beside::new(MemoryDb::new());
        let genesis = Genesis { config: ChainConfig::at(SpecId::LONDON), ..Genesis::default() };
        let header = genesis.header(zvm_core::EMPTY_ROOT);
        let block = Block { header, ..Block::default() };
        let nothing = StateDiff::default();
        let new = NewBlock {
            block: &block,
            hash: block.hash(),
            total_difficulty: block.header.difficulty,
            senders: &[],
            receipts: &[],
            start_diff: &nothing,
            tx_diffs: &[],
            diff: &nothing,
        };
        LogWriter::new(&mut store).commit(&new).unwrap();
        let found = Chain::open(Box::new(store.clone()));
        assert!(matches!(found, Err(ChainError::NoConfig)));
        let chain = Chain::init(Box::new(store), &genesis).unwrap();
        assert_eq!(chain.log().chain_config().unwrap(), Some(genesis.config));
    }
}

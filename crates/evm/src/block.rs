//! Blocks: what their headers and bodies must be, and what executing them does.
//!
//! * [`validate_header`], [`validate_body`] and [`validate_ommers`] check all that can be known
//!   without executing.
//! * [`execute_block`] executes a block and compares the outcome with its header.
//! * [`BlockExecutor`] is below it, for those who make blocks: begin, transact, finish.
//!
//! Not here: which of several chains counts, and keeping anything. The root of the state after a
//! block is known to the backend alone, so the last comparison is the caller's.

mod bloom;
mod body;
mod dao;
mod difficulty;
mod error;
mod executor;
mod fees;
mod header;
mod overlay;
mod requests;
mod rewards;
mod system;

use zvm_core::{B256, Block, Bloom, ChainConfig, Header, Receipt, SpecId, Transaction};
use zvm_precompiles::MissingPrecompiles;
use zvm_trie::ordered_root;

use crate::{Config, Evm, ExecError, Tracer};

pub use body::{
    Ancestor, OMMER_GENERATIONS, transactions_root, validate_body, validate_ommers,
    withdrawals_root,
};
pub use difficulty::{ParentDifficulty, next_difficulty};
pub use error::{BlockError, InvalidBlock};
pub use executor::{BlockContext, BlockExecutor, ExecutedBlock, RootAfter};
pub use fees::{ParentBlobGas, next_base_fee, next_excess_blob_gas};
pub use header::{Consensus, child_of, validate_header};
pub use requests::requests_hash;
pub use rewards::block_reward;
pub use system::{
    BEACON_ROOTS_CONTRACT, CONSOLIDATION_CONTRACT, HISTORY_CONTRACT, WITHDRAWAL_CONTRACT,
};

/// The rules by which the block of a chain at `number` and `timestamp` is executed. Fails where a
/// precompile of them is not compiled in.
pub fn config(
    chain: &ChainConfig,
    consensus: Consensus,
    number: u64,
    timestamp: u64,
) -> Result<Config, MissingPrecompiles> {
    let is_pos = consensus == Consensus::ProofOfStake;
    let mut config = Config::new(chain.spec_at(number, timestamp, is_pos))?;
    config.chain_id = chain.chain_id;
    if let Some(blob) = chain.blob_params_at(timestamp) {
        config.blob = blob;
    }
    Ok(config)
}

/// The hard fork of a block.
fn spec_of(chain: &ChainConfig, consensus: Consensus, header: &Header) -> SpecId {
    let is_pos = consensus == Consensus::ProofOfStake;
    chain.spec_at(header.number, header.timestamp, is_pos)
}

/// The first block of the DAO fork, on a chain that took it.
fn dao_block(chain: &ChainConfig) -> Option<u64> {
    chain.dao_fork_block.filter(|_| chain.dao_fork_support)
}

/// Tells the senders of all transactions of `block` from their signatures.
pub fn recover_transactions(
    chain: &ChainConfig,
    consensus: Consensus,
    block: &Block,
) -> Result<Vec<Transaction>, InvalidBlock> {
    let spec = spec_of(chain, consensus, &block.header);
    let recover = |(index, tx): (usize, &zvm_core::SignedTransaction)| {
        tx.recover(spec).map_err(|source| InvalidBlock::Sender { index, source })
    };
    block.transactions.iter().enumerate().map(recover).collect()
}

/// Executes `block` with its `transactions`, as [`recover_transactions`] gives them, and compares
/// what came of it with the header: everything but the root of the state.
pub fn execute_block<T: Tracer>(
    evm: &mut Evm,
    context: BlockContext<'_>,
    block: &Block,
    transactions: &[Transaction],
    tracer: &mut T,
) -> Result<ExecutedBlock, BlockError> {
    let mut executor = BlockExecutor::begin(evm, context)?;
    for (index, transaction) in transactions.iter().enumerate() {
        executor.transact(transaction, tracer).map_err(|error| match error {
            ExecError::Invalid(source) => InvalidBlock::Transaction { index, source }.into(),
            ExecError::Database(error) => BlockError::Database(error),
        })?;
    }
    let withdrawals = block.withdrawals.as_deref().unwrap_or_default();
    let executed = executor.finish(&block.ommers, withdrawals)?;
    executed.check(&block.header)?;
    Ok(executed)
}

impl ExecutedBlock {
    /// Root of the list of receipts.
    #[must_use]
    pub fn receipts_root(&self) -> B256 {
        let encoded: Vec<_> = self.receipts.iter().map(Receipt::encode_2718).collect();
        ordered_root(&encoded)
    }

    /// Bloom of all logs.
    #[must_use]
    pub fn logs_bloom(&self) -> Bloom {
        self.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom)
    }

    /// Compares the outcome with what the header says of it.
    fn check(&self, header: &Header) -> Result<(), InvalidBlock> {
        let (found, expected) = (header.gas_used, self.gas_used);
        if found != expected {
            return Err(InvalidBlock::GasUsed { found, expected });
        }
        let (found, expected) = (header.blob_gas_used.unwrap_or(0), self.blob_gas_used);
        if found != expected {
            return Err(InvalidBlock::BlobGasUsed { found, expected });
        }
        let (found, expected) = (header.receipts_root, self.receipts_root());
        if found != expected {
            return Err(InvalidBlock::ReceiptsRoot { found, expected });
        }
        if header.logs_bloom != self.logs_bloom() {
            return Err(InvalidBlock::LogsBloom);
        }
        if let (Some(found), Some(requests)) = (header.requests_hash, &self.requests) {
            let expected = requests_hash(requests);
            if found != expected {
                return Err(InvalidBlock::RequestsHash { found, expected });
            }
        }
        Ok(())
    }
}

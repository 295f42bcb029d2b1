//! Which of several branches is the chain: going from one to another.

use zvm_core::{B256, BlockId};
use zvm_evm::{NoTracer, Tracer, block::Consensus};

use crate::{Chain, ChainError, rules};

impl Chain {
    /// Makes a known block the head: goes back to where its branch leaves the chain, and executes
    /// the branch. If a block there is invalid, the head is again the one before.
    ///
    /// The store goes through every block on the way. If the process ends meanwhile, whoever opens
    /// the chain next finds the head before.
    pub fn select(&mut self, hash: B256) -> Result<(), ChainError> {
        self.select_traced(hash, &mut NoTracer)
    }

    /// [`select`](Self::select), with a tracer that watches the transactions of the branch.
    pub fn select_traced<T: Tracer>(
        &mut self,
        hash: B256,
        tracer: &mut T,
    ) -> Result<(), ChainError> {
        self.leave(|chain| chain.go_to(hash, tracer))
    }

    /// Executes the branch of a known block, and stays there if it is better than the chain: whether
    /// that is so.
    pub(crate) fn try_branch<T: Tracer>(
        &mut self,
        hash: B256,
        is_better: bool,
        tracer: &mut T,
    ) -> Result<bool, ChainError> {
        let head = self.head()?;
        self.leave(|chain| {
            chain.go_to(hash, tracer)?;
            if !is_better {
                chain.go_to(head.hash, &mut NoTracer)?;
            }
            Ok(is_better)
        })
    }

    /// Ends a change of branches that a process did not live to end: back to the head before it,
    /// unless the chain is better already.
    pub(crate) fn resume(&mut self) -> Result<(), ChainError> {
        let Some(before) = self.log().leaving()? else { return Ok(()) };
        let (best, now) =
            (self.total_difficulty(before)?, self.total_difficulty(self.head()?.hash)?);
        if self.consensus_after(best) == Consensus::ProofOfStake || now <= best {
            self.go_to(before, &mut NoTracer)?;
        }
        Ok(rules::write_leaving(&mut *self.store, None)?)
    }

    /// Does what may leave the head, having noted where it is. Only where the store itself fails is
    /// the note left behind.
    fn leave<R>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<R, ChainError>,
    ) -> Result<R, ChainError> {
        let head = self.head()?;
        rules::write_leaving(&mut *self.store, Some(head.hash))?;
        let done = change(self);
        if !matches!(done, Err(ChainError::Log(_))) {
            rules::write_leaving(&mut *self.store, None)?;
        }
        done
    }

    fn go_to<T: Tracer>(&mut self, hash: B256, tracer: &mut T) -> Result<(), ChainError> {
        let (fork, branch) = self.branch_to(hash)?;
        let abandoned = self.chain_after(fork)?;
        self.unwind(fork)?;
        let Err(error) = self.advance_all(&branch, tracer) else { return Ok(()) };
        self.unwind(fork)?;
        self.advance_all(&abandoned, &mut NoTracer)?;
        Err(error)
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
}

#[cfg(test)]
mod tests {
    use zvm_core::{Block, ChainConfig, Genesis, SpecId, U256};
    use zvm_state::{FileDb, MemoryDb};

    use super::*;
    use crate::{Beside, BlockAttributes, Imported, LogWriter, Senders};

    fn genesis() -> Genesis {
        Genesis { config: ChainConfig::at(SpecId::BERLIN), ..Genesis::default() }
    }

    /// Blocks of a chain of its own; the sooner they come, the more difficult they are.
    fn blocks(count: u64, seconds: u64) -> Vec<Block> {
        let store = Beside::new(MemoryDb::new());
        let mut chain = Chain::init(Box::new(store), &genesis()).unwrap();
        (1..=count)
            .map(|number| {
                let timestamp = number * seconds;
                let attributes = BlockAttributes { timestamp, ..BlockAttributes::default() };
                let id = chain.mine(&attributes, Vec::new()).unwrap().id;
                chain.log().block(id.hash).unwrap().unwrap()
            })
            .collect()
    }

    /// The chain in a folder, as whoever opens it next finds it.
    fn open(folder: &tempfile::TempDir) -> Chain {
        let store = FileDb::open(folder.path().join("chain")).unwrap();
        Chain::init(Box::new(store), &genesis()).unwrap()
    }

    /// Leaves the chain on its way to another branch: at `unwound`, and `advanced` blocks of `branch`
    /// from there, as if the process had ended then.
    fn crash_on_the_way(
        folder: &tempfile::TempDir,
        branch: &[Block],
        unwound: u64,
        advanced: usize,
    ) {
        let mut chain = open(folder);
        let head = chain.head().unwrap();
        rules::write_leaving(&mut *chain.store, Some(head.hash)).unwrap();
        for block in branch {
            let total = chain.total_difficulty(block.header.parent_hash).unwrap();
            let total = total + block.header.difficulty;
            LogWriter::new(&mut *chain.store).insert(block, block.hash(), total).unwrap();
        }
        chain.unwind(unwound).unwrap();
        let hashes: Vec<_> = branch[..advanced].iter().map(|block| block.hash()).collect();
        chain.advance_all(&hashes, &mut NoTracer).unwrap();
    }

    #[test]
    fn a_crash_between_branches_ends_at_the_best_head_and_the_other_branch_can_still_win() {
        // The branch is the better one with its last block.
        let (slow, fast) = (blocks(4, 30), blocks(4, 5));
        let total = |blocks: &[Block]| {
            blocks.iter().fold(U256::ZERO, |total, block| total + block.header.difficulty)
        };
        for advanced in 0..=4 {
            let folder = tempfile::tempdir().unwrap();
            let mut chain = open(&folder);
            for block in &slow {
                assert_eq!(chain.import(block).unwrap(), Imported::Head);
            }
            drop(chain);
            crash_on_the_way(&folder, &fast, 0, advanced);

            let mut chain = open(&folder);
            let is_better = total(&fast[..advanced]) > total(&slow);
            assert_eq!(is_better, advanced == 4);
            let expected = if is_better { &fast[3] } else { &slow[3] };
            assert_eq!(chain.head().unwrap().hash, expected.hash(), "{advanced} blocks");
            assert_eq!(chain.log().leaving().unwrap(), None);
            chain.log().verify(&[], Senders::Recover, &mut |_| {}).unwrap();
            // Blocks that are known were never judged.
            for block in &fast {
                chain.import(block).unwrap();
            }
            assert_eq!(chain.head().unwrap().hash, fast[3].hash());
        }
    }

    #[test]
    fn a_head_that_was_selected_is_no_longer_left() {
        let (one, other) = (blocks(2, 30), blocks(3, 5));
        let store = Beside::new(MemoryDb::with_history(usize::MAX));
        let mut chain = Chain::init(Box::new(store), &genesis()).unwrap();
        for block in one.iter().chain(&other) {
            chain.import(block).unwrap();
        }
        assert_eq!(chain.head().unwrap().hash, other[2].hash());
        chain.select(one[1].hash()).unwrap();
        assert_eq!(chain.head().unwrap().hash, one[1].hash());
        assert_eq!(chain.log().leaving().unwrap(), None);
    }
}

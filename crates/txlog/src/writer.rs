//! Committing blocks, and forgetting those that were gone back from.

use zvm_core::{Address, B256, Block, BlockId, Receipt, StateDiff, U256, keccak256};
use zvm_state::kv::{Order, Table, WriteBatch, records::put};
use zvm_trie::log::TreeHead;

use crate::{
    Log, LogEntry, LogError, LogStore,
    index::Indexed,
    keys::{block_key, ends_section, last_number, section_of, section_start, step_key},
    records::{StoredReceipt, body_body, header_body, place_body, receipts_body, tree_head_body},
};

/// Blocks whose entries are removed in one batch, at most.
const CLEARED: usize = 64;

/// A log to be written.
pub struct LogWriter<'a> {
    store: &'a mut dyn LogStore,
}

/// A block that was executed, with what came of it.
#[derive(Clone, Copy, Debug)]
pub struct NewBlock<'a> {
    /// The block.
    pub block: &'a Block,
    /// Its hash.
    pub hash: B256,
    /// The difficulties of it and all before it, summed up.
    pub total_difficulty: U256,
    /// Who signed each transaction.
    pub senders: &'a [Address],
    /// One for each transaction.
    pub receipts: &'a [Receipt],
    /// What was changed before the first transaction.
    pub start_diff: &'a StateDiff,
    /// What each transaction changed.
    pub tx_diffs: &'a [StateDiff],
    /// What the whole block changed.
    pub diff: &'a StateDiff,
}

impl<'a> LogWriter<'a> {
    /// The log of `store`.
    pub fn new(store: &'a mut dyn LogStore) -> Self {
        Self { store }
    }

    /// Makes a block the head: its state, and all that the log has of it, in one batch. Answers what
    /// the Merkle log is then.
    ///
    /// The first block may have any number that the state takes.
    ///
    /// # Errors
    ///
    /// If it does not follow the head, or the store refuses it; nothing has changed then but that
    /// entries of blocks gone back from may have been removed.
    pub fn commit(&mut self, new: &NewBlock<'_>) -> Result<TreeHead, LogError> {
        new.check_counts()?;
        let block = new.id();
        match Log::new(self.store).head()? {
            Some(head) => {
                let (number, parent) = (block.number, new.block.header.parent_hash);
                if head.number.checked_add(1) != Some(number) || head.hash != parent {
                    return Err(LogError::NotNext { number, parent, head });
                }
                self.clear_from(number)?;
            }
            None => self.clear_from(0)?,
        }
        let mut batch = WriteBatch::new();
        let head = self.stage(new, &mut batch)?;
        self.store.commit_with_log(block, new.diff, batch)?;
        Ok(head)
    }

    /// Stores a block that does not lead to the head, without executing it.
    pub fn insert(
        &mut self,
        block: &Block,
        hash: B256,
        total_difficulty: U256,
    ) -> Result<(), LogError> {
        let mut batch = WriteBatch::new();
        let id = BlockId { number: block.header.number, hash };
        stage_block(id, block, total_difficulty, &mut batch);
        Ok(self.store.write_log(batch)?)
    }

    /// Adds to `batch` all that the log has of a block that follows its last.
    fn stage(&self, new: &NewBlock<'_>, batch: &mut WriteBatch) -> Result<TreeHead, LogError> {
        let (log, id) = (Log::new(self.store), new.id());
        let number = id.number;
        stage_block(id, new.block, new.total_difficulty, batch);
        put(batch, Table::Canonical, &number.to_be_bytes(), id.hash.as_slice());

        let receipts = new.stored_receipts();
        for (index, stored) in (0..).zip(&receipts) {
            let place = place_body(number, index);
            put(batch, Table::Transactions, stored.hash.as_slice(), &place);
        }
        put(batch, Table::Receipts, &number.to_be_bytes(), &receipts_body(&receipts));
        for (step, diff) in (0..).zip([new.start_diff].into_iter().chain(new.tx_diffs)) {
            put(batch, Table::StepDiffs, &step_key(number, step), &diff.encode());
        }
        self.stage_pruning(batch)?;

        let encoded = new.receipts.iter().map(|receipt| keccak256(receipt.encode_2718()));
        let hashes = receipts.iter().map(|stored| stored.hash).zip(encoded);
        let leaves = LogEntry::all(id, hashes).map(|entry| entry.hash());
        let head = log.tiles().append(log.size_before(number)?, leaves, batch)?;
        put(batch, Table::TreeHeads, &number.to_be_bytes(), &tree_head_body(&head));

        if ends_section(number) {
            let mut section = log.section_before(section_of(number), number)?;
            section.add(&Indexed { number, receipts: &receipts, tx_diffs: new.tx_diffs });
            section.stage(section_of(number), batch);
        }
        Ok(head)
    }

    /// Deletes what transactions changed in blocks before the history of the state. The section that
    /// the history begins in is kept: going back into it, its entries in the indexes are removed and
    /// later made again, and both are worked out from all of its blocks.
    fn stage_pruning(&self, batch: &mut WriteBatch) -> Result<(), LogError> {
        let first = section_start(self.store.floor()?);
        let kv = self.store.log();
        let oldest = kv.iter(Table::StepDiffs, &[], None, Order::Forward)?.next().transpose()?;
        if oldest.is_some_and(|(key, _)| key < step_key(first, 0).to_vec()) {
            batch.delete_range(Table::StepDiffs, &[], Some(&step_key(first, 0)));
        }
        Ok(())
    }

    /// Removes what the log has of blocks from `first` on, which the state has gone back from, the
    /// last first. What was stored of them by hash stays.
    fn clear_from(&mut self, first: u64) -> Result<(), LogError> {
        while Log::new(self.store).last_stored()?.is_some_and(|last| last.number >= first) {
            let mut batch = WriteBatch::new();
            let log = Log::new(self.store);
            let mut cut_to = None;
            for entry in log.kv().iter(Table::Canonical, &[], None, Order::Reverse)?.take(CLEARED) {
                let number = last_number(&entry?.0);
                if number < first {
                    break;
                }
                Self::stage_removal(&log, number, &mut batch)?;
                cut_to = Some(log.size_before(number)?);
            }
            if let Some(size) = cut_to {
                log.tiles().cut(size, &mut batch)?;
            }
            self.store.write_log(batch)?;
        }
        Ok(())
    }

    fn stage_removal(log: &Log<'_>, number: u64, batch: &mut WriteBatch) -> Result<(), LogError> {
        let key = number.to_be_bytes();
        for stored in log.stored_receipts(number)? {
            batch.delete(Table::Transactions, stored.hash.as_slice());
        }
        for table in [Table::Canonical, Table::Receipts, Table::TreeHeads] {
            batch.delete(table, &key);
        }
        batch.delete_prefix(Table::StepDiffs, &key);
        if ends_section(number) {
            let section = section_of(number);
            log.section_before(section, number.saturating_add(1))?.stage_removal(section, batch);
        }
        Ok(())
    }
}

impl NewBlock<'_> {
    fn id(&self) -> BlockId {
        BlockId { number: self.block.header.number, hash: self.hash }
    }

    fn stored_receipts(&self) -> Vec<StoredReceipt> {
        let parts = self.block.transactions.iter().zip(self.senders).zip(self.receipts);
        parts
            .map(|((transaction, sender), receipt)| {
                StoredReceipt::new(transaction.hash(), *sender, transaction.body.to, receipt)
            })
            .collect()
    }

    fn check_counts(&self) -> Result<(), LogError> {
        let expected = self.block.transactions.len();
        let counts = [
            ("senders", self.senders.len()),
            ("receipts", self.receipts.len()),
            ("diffs of transactions", self.tx_diffs.len()),
        ];
        match counts.into_iter().find(|(_, found)| *found != expected) {
            None => Ok(()),
            Some((what, found)) => {
                let number = self.block.header.number;
                Err(LogError::Parts { number, what, found, expected })
            }
        }
    }
}

/// Adds what is stored of a block by its hash.
fn stage_block(id: BlockId, block: &Block, total_difficulty: U256, batch: &mut WriteBatch) {
    let key = block_key(id);
    put(batch, Table::Headers, &key, &header_body(&block.header, total_difficulty));
    put(batch, Table::Bodies, &key, &body_body(block));
    put(batch, Table::BlockNumbers, id.hash.as_slice(), &id.number.to_be_bytes());
}

//! Verifying all of a log: every record against what the blocks commit to.

mod classify;

use zvm_core::{
    B256, BlockId, Bloom, DbError, EMPTY_OMMERS_HASH, Header, U256, keccak256,
    rlp::{Rlp, write_items},
};
use zvm_state::kv::{Order, Table, records};
use zvm_trie::{
    log::{Frontier, LogNodes, TreeHead},
    ordered_root,
};

use crate::{
    Log, LogEntry, LogError,
    index::{IndexedAppearance, Section},
    keys::{address_key, ends_section, last_number, section_of},
    records::{StoredReceipt, bitmap, place},
    tiles::CachedTiles,
};
pub use classify::{FaultKind, LogPart};

/// What verifying has found to be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blocks.
    pub blocks: u64,
    /// Transactions, each with its receipt.
    pub transactions: u64,
    /// Events.
    pub events: u64,
    /// The Merkle log over all of them.
    pub head: TreeHead,
}

/// Why a log is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Something was changed, dropped, inserted or moved since the block was committed.
    #[error("block {block}: {part} {kind}")]
    Fault {
        /// Number of the block.
        block: u64,
        /// What of it.
        part: LogPart,
        /// What was done to it.
        kind: FaultKind,
    },

    /// The log is not the one that a head, known from elsewhere, belongs to.
    #[error("root {found} over the first {size} entries, expected {expected}")]
    Head {
        /// Number of entries.
        size: u64,
        /// Root of this log.
        found: B256,
        /// Root of the head.
        expected: B256,
    },

    /// A record is damaged, or the log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<DbError> for VerifyError {
    fn from(error: DbError) -> Self {
        Self::Log(error.into())
    }
}

/// Whether the sender of each transaction is told again from its signature, which is most of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Senders {
    /// It is.
    #[default]
    Recover,
    /// The senders that were stored are not looked at.
    Trust,
}

impl Log<'_> {
    /// Verifies every block from the first to the head: header, body and receipts against each other,
    /// the Merkle log from its leaves up, both indexes, and that there is nothing besides. What
    /// transactions touched can be compared with the index as long as their diffs are kept.
    ///
    /// Whoever could write the store could have made all of it anew, and that shows by a head known
    /// from elsewhere: the log must begin with every one of `heads`.
    ///
    /// `progress` hears the number of each block.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn verify(
        &self,
        heads: &[TreeHead],
        senders: Senders,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verified, VerifyError> {
        let (Some(first), Some(head)) = (self.first()?, self.head()?) else {
            return self.check_heads(heads).map(|()| Verified::default());
        };
        let mut verifier = Verifier {
            log: *self,
            senders,
            tiles: CachedTiles::new(self.tiles()),
            frontier: Frontier::new(),
            parent: None,
            verified: Verified::default(),
            total_difficulty: None,
            indexed: (0, 0),
            is_whole: true,
        };
        for number in first..=head.number {
            verifier.block(number)?;
            progress(number);
        }
        verifier.check_nothing_besides(head)?;
        self.check_heads(heads)?;
        Ok(verifier.verified)
    }

    fn check_heads(&self, heads: &[TreeHead]) -> Result<(), VerifyError> {
        for &TreeHead { size, root: expected } in heads {
            let found = self.tree_head_of(size)?.root;
            if found != expected {
                return Err(VerifyError::Head { size, found, expected });
            }
        }
        Ok(())
    }
}

/// Says of key and body of a record whether it is wanted, or what is wrong with it.
type IsWanted<'a> = dyn Fn(&[u8], &[u8]) -> Result<bool, String> + 'a;

/// Goes through the blocks in order.
struct Verifier<'a> {
    log: Log<'a>,
    senders: Senders,
    tiles: CachedTiles<'a>,
    /// The Merkle log, made anew.
    frontier: Frontier,
    /// Hash of the block before.
    parent: Option<B256>,
    verified: Verified,
    /// Difficulties of the block before and all before that, summed up.
    total_difficulty: Option<U256>,
    /// Entries that the indexes of events and of addresses should have.
    indexed: (u64, u64),
    /// Whether all diffs from which the latter is made are kept.
    is_whole: bool,
}

impl Verifier<'_> {
    fn block(&mut self, number: u64) -> Result<(), VerifyError> {
        let (block, header) = self.header(number)?;
        let receipts = self.body_and_receipts(block, &header)?;
        self.leaves(block, &receipts)?;
        self.places(number, &receipts)?;
        self.steps(number, receipts.len())?;
        if ends_section(number) {
            self.section(number)?;
        }
        self.parent = Some(block.hash);
        self.verified.blocks += 1;
        self.verified.transactions += receipts.len() as u64;
        self.verified.events += receipts.iter().map(|stored| stored.logs.len() as u64).sum::<u64>();
        Ok(())
    }

    /// The header, which its own hash, its number and the block before vouch for.
    fn header(&mut self, number: u64) -> Result<(BlockId, Header), VerifyError> {
        let fault = |kind| fault(number, LogPart::Block, kind);
        let hash = self.log.stored_canonical(number)?.ok_or(fault(FaultKind::Dropped))?;
        if let Some(found) = self.log.number(hash)?.filter(|found| *found != number) {
            return Err(fault(FaultKind::Moved { from: found }));
        }
        let header = self.log.header(hash)?.ok_or(fault(FaultKind::Dropped))?;
        let follows = self.parent.is_none_or(|parent| parent == header.parent_hash);
        if header.hash() != hash || header.number != number || !follows {
            return Err(fault(FaultKind::Changed));
        }
        let before = match number {
            0 => Some(U256::ZERO),
            _ => self.total_difficulty,
        };
        let total = self.log.total_difficulty(hash)?.unwrap_or_default();
        if before.is_some_and(|before| before.checked_add(header.difficulty) != Some(total)) {
            return Err(self::fault(number, LogPart::TotalDifficulty, FaultKind::Changed));
        }
        self.total_difficulty = Some(total);
        Ok((BlockId { number, hash }, header))
    }

    /// Compares body and receipts with the header and with each other.
    fn body_and_receipts(
        &self,
        id: BlockId,
        header: &Header,
    ) -> Result<Vec<StoredReceipt>, VerifyError> {
        let number = id.number;
        let changed = |part| fault(number, part, FaultKind::Changed);
        let block = self.log.body(id, Header::default())?;
        let receipts = self.log.stored_receipts(number)?;
        let transactions: Vec<Vec<u8>> =
            block.transactions.iter().map(|transaction| transaction.encode_2718()).collect();
        let hashes: Vec<B256> = transactions.iter().map(keccak256).collect();
        let stored: Vec<B256> = receipts.iter().map(|stored| stored.hash).collect();
        let is_whole = ordered_root(&transactions) == header.transactions_root;
        if hashes != stored {
            // The root says which of the two is right, the other which place is wrong.
            let (part, kind) = match is_whole {
                true => classify::place(&hashes, &stored, LogPart::Receipt),
                false => classify::place(&stored, &hashes, LogPart::Transaction),
            };
            return Err(fault(number, part, kind));
        }
        if !is_whole {
            return Err(self.against_leaves(id, &receipts, LogPart::Transaction)?);
        }
        let mut ommers = Vec::new();
        write_items(&mut ommers, &block.ommers);
        let ommers_hash = match block.ommers.is_empty() {
            true => EMPTY_OMMERS_HASH,
            false => keccak256(ommers),
        };
        if ommers_hash != header.ommers_hash {
            return Err(changed(LogPart::Ommers));
        }
        let withdrawals = block.withdrawals.map(|withdrawals| {
            ordered_root(&withdrawals.iter().map(Rlp::encode).collect::<Vec<_>>())
        });
        if withdrawals != header.withdrawals_root {
            return Err(changed(LogPart::Withdrawals));
        }
        let full: Vec<_> = receipts.iter().map(|stored| stored.clone().into_receipt()).collect();
        let encoded: Vec<_> = full.iter().map(|receipt| receipt.encode_2718()).collect();
        let bloom = full.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom);
        if ordered_root(&encoded) != header.receipts_root {
            return Err(self.against_leaves(id, &receipts, LogPart::Receipt)?);
        }
        if bloom != header.logs_bloom {
            return Err(changed(LogPart::Block));
        }
        for ((index, transaction), stored) in (0..).zip(&block.transactions).zip(&receipts) {
            let recovered = match self.senders {
                Senders::Recover => transaction.signature.recover(transaction.body.signing_hash()),
                Senders::Trust => Some(stored.sender),
            };
            if stored.to != transaction.body.to || recovered != Some(stored.sender) {
                return Err(changed(LogPart::Receipt(index)));
            }
        }
        Ok(receipts)
    }

    /// The fault in a block whose transactions or receipts are not those of its header: the first
    /// whose entry the Merkle log does not have in its place, or all of them.
    fn against_leaves(
        &self,
        block: BlockId,
        receipts: &[StoredReceipt],
        part: fn(u32) -> LogPart,
    ) -> Result<VerifyError, VerifyError> {
        let first = self.frontier.size().saturating_add(1);
        for (index, stored) in (0..).zip(receipts) {
            let receipt = stored.receipt_hash();
            let entry = LogEntry::transaction(block, index, stored.hash, receipt);
            if self.tiles.node(0, first + u64::from(index))? != entry.hash() {
                return Ok(fault(block.number, part(index), FaultKind::Changed));
            }
        }
        let kind = FaultKind::Dropped;
        Ok(fault(block.number, part(receipts.len() as u32), kind))
    }

    /// Compares the entries of a block, and what is complete with them, with the Merkle log.
    fn leaves(&mut self, block: BlockId, receipts: &[StoredReceipt]) -> Result<(), VerifyError> {
        let hashes = receipts.iter().map(|stored| (stored.hash, stored.receipt_hash()));
        for (position, entry) in (0..).zip(LogEntry::all(block, hashes)) {
            let mut complete = Vec::new();
            self.frontier.push_with(entry.hash(), |level, index, root| {
                complete.push((level, index, root));
            });
            for (level, index, root) in complete {
                if self.tiles.node(level, index)? != root {
                    let part = match (level, position) {
                        (0, 0) => LogPart::BlockEntry,
                        (0, _) => LogPart::Entry(position - 1),
                        _ => LogPart::Subtree { level, index },
                    };
                    return Err(fault(block.number, part, FaultKind::Changed));
                }
            }
        }
        self.verified.head = self.frontier.head();
        match self.log.tree_head_at(block.number)? == self.verified.head {
            true => Ok(()),
            false => Err(fault(block.number, LogPart::TreeHead, FaultKind::Changed)),
        }
    }

    /// Checks that each transaction is found where it is.
    fn places(&self, number: u64, receipts: &[StoredReceipt]) -> Result<(), VerifyError> {
        for (index, stored) in (0..).zip(receipts) {
            let key = stored.hash.as_slice();
            let kind = match records::get(self.log.kv(), Table::Transactions, key, place)? {
                Some(found) if found == (number, index) => continue,
                Some(_) => FaultKind::Changed,
                None => FaultKind::Dropped,
            };
            return Err(fault(number, LogPart::Place(index), kind));
        }
        Ok(())
    }

    /// Checks that what the steps of a block changed is kept of all of them or of none, and can be
    /// read.
    fn steps(&self, number: u64, transactions: usize) -> Result<(), VerifyError> {
        let mut kept = 0;
        for step in 0..=transactions as u32 {
            kept += usize::from(self.log.step_diff(number, step)?.is_some());
        }
        match kept == 0 || kept == transactions + 1 {
            true => Ok(()),
            false => Err(fault(number, LogPart::Steps, FaultKind::Dropped)),
        }
    }

    /// Compares the entries of a complete section with what its blocks say.
    fn section(&mut self, last: u64) -> Result<(), VerifyError> {
        let (number, kv) = (section_of(last), self.log.kv());
        let expected: Section = self.log.section_before(number, last.saturating_add(1))?;
        for (key, blocks) in expected.events() {
            let kind = match records::get(kv, Table::EventIndex, &key.entry(number), bitmap)? {
                Some(found) if found == *blocks => continue,
                Some(_) => FaultKind::Changed,
                None => FaultKind::Dropped,
            };
            return Err(fault(last, LogPart::EventIndex, kind));
        }
        self.indexed.0 += expected.events().len() as u64;
        self.indexed.1 += expected.addresses().len() as u64;
        self.is_whole &= expected.is_whole();
        for (address, appearances) in expected.addresses() {
            let key = address_key(*address, number);
            let decode = IndexedAppearance::decode_all;
            let found = records::get(kv, Table::AddressIndex, &key, decode)?;
            let part = LogPart::AddressIndex(*address);
            let found = found.ok_or(fault(last, part, FaultKind::Dropped))?;
            // What was touched is known only as long as the diffs are kept.
            let is_right = match expected.is_whole() {
                true => found == *appearances,
                false => {
                    appearances.iter().all(|wanted| found.iter().any(|found| found.covers(wanted)))
                }
            };
            if !is_right {
                return Err(fault(last, part, FaultKind::Changed));
            }
        }
        Ok(())
    }

    /// Checks that there is nothing of these blocks but what was found right, and that no record is
    /// damaged: those of side chains too, and those beyond the head.
    fn check_nothing_besides(&self, head: BlockId) -> Result<(), VerifyError> {
        let open = section_of(head.number.saturating_add(1));
        let is_complete = |key: &[u8], _: &[u8]| Ok(last_number(key) < open);
        let events = self.count(Table::EventIndex, &is_complete)?;
        if events != self.indexed.0 {
            return Err(fault(head.number, LogPart::EventIndex, FaultKind::Inserted));
        }
        let addresses = self.count(Table::AddressIndex, &is_complete)?;
        if self.is_whole && addresses != self.indexed.1 {
            return Err(fault(head.number, LogPart::AddressIndexes, FaultKind::Inserted));
        }
        let is_canonical = |_: &[u8], body: &[u8]| Ok(place(body)?.0 <= head.number);
        if self.count(Table::Transactions, &is_canonical)? != self.verified.transactions {
            return Err(fault(head.number, LogPart::Places, FaultKind::Inserted));
        }
        for table in [
            Table::Headers,
            Table::Bodies,
            Table::BlockNumbers,
            Table::Canonical,
            Table::Receipts,
            Table::StepDiffs,
            Table::TreeHeads,
            Table::LogHashes,
        ] {
            self.count(table, &|_, _| Ok(true))?;
        }
        Ok(())
    }

    /// Number of records of a table that are `wanted`; all are looked at.
    fn count(&self, table: Table, wanted: &IsWanted) -> Result<u64, VerifyError> {
        let (kv, mut count) = (self.log.kv(), 0);
        for entry in kv.iter(table, &[], None, Order::Forward)? {
            let (key, record) = entry?;
            let is_wanted = records::open(kv, table, &key, &record, |body| wanted(&key, body))?;
            count += u64::from(is_wanted);
        }
        Ok(count)
    }
}

fn fault(block: u64, part: LogPart, kind: FaultKind) -> VerifyError {
    VerifyError::Fault { block, part, kind }
}

//! Verifying all of a log: every record against what the blocks commit to.

mod classify;

use zvm_core::{
    B256, BlockId, Bloom, DbError, EMPTY_OMMERS_HASH, Header, keccak256,
    rlp::{Rlp, write_items},
};
use zvm_state::kv::{Order, Table, records};
use zvm_trie::{
    log::{Frontier, TreeHead},
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
            indexed: 0,
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
    /// Entries that the index of events should have.
    indexed: u64,
}

impl Verifier<'_> {
    fn block(&mut self, number: u64) -> Result<(), VerifyError> {
        let (block, header) = self.header(number)?;
        let receipts = self.body_and_receipts(block, &header)?;
        self.leaves(block, &receipts)?;
        self.places(number, &receipts)?;
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
    fn header(&self, number: u64) -> Result<(BlockId, Header), VerifyError> {
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
        Ok((BlockId { number, hash }, header))
    }

    /// Compares body and receipts with the header and with each other.
    fn body_and_receipts(
        &mut self,
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
        &mut self,
        block: BlockId,
        receipts: &[StoredReceipt],
        part: fn(u32) -> LogPart,
    ) -> Result<VerifyError, VerifyError> {
        let first = self.frontier.size().saturating_add(1);
        for (index, stored) in (0..).zip(receipts) {
            let entry = LogEntry::transaction(block, index, stored);
            if self.tiles.node(0, first + u64::from(index))? != entry.hash() {
                return Ok(fault(block.number, part(index), FaultKind::Changed));
            }
        }
        let kind = FaultKind::Dropped;
        Ok(fault(block.number, part(receipts.len() as u32), kind))
    }

    /// Compares the entries of a block, and what is complete with them, with the Merkle log.
    fn leaves(&mut self, block: BlockId, receipts: &[StoredReceipt]) -> Result<(), VerifyError> {
        for (position, entry) in (0..).zip(LogEntry::all(block, receipts)) {
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
        self.indexed += expected.events().len() as u64;
        for (address, appearances) in expected.addresses() {
            let key = address_key(*address, number);
            let decode = IndexedAppearance::decode_all;
            let found = records::get(kv, Table::AddressIndex, &key, decode)?;
            let part = LogPart::AddressIndex(*address);
            let found = found.ok_or(fault(last, part, FaultKind::Dropped))?;
            // What was touched is known only as long as the diffs are kept.
            if !appearances.iter().all(|wanted| found.iter().any(|found| found.covers(wanted))) {
                return Err(fault(last, part, FaultKind::Changed));
            }
        }
        Ok(())
    }

    /// Checks that the index of events and that of transactions hold nothing of these blocks but
    /// what was found right.
    fn check_nothing_besides(&self, head: BlockId) -> Result<(), VerifyError> {
        let kv = self.log.kv();
        let open = section_of(head.number.saturating_add(1));
        let mut found = 0;
        for entry in kv.iter(Table::EventIndex, &[], None, Order::Forward)? {
            found += u64::from(last_number(&entry?.0) < open);
        }
        if found != self.indexed {
            return Err(fault(head.number, LogPart::EventIndex, FaultKind::Inserted));
        }
        let mut found = 0;
        for entry in kv.iter(Table::Transactions, &[], None, Order::Forward)? {
            let (key, record) = entry?;
            let (number, index) = records::open(kv, Table::Transactions, &key, &record, place)?;
            if number <= head.number {
                found += 1;
                if found > self.verified.transactions {
                    return Err(fault(number, LogPart::Place(index), FaultKind::Inserted));
                }
            }
        }
        Ok(())
    }
}

fn fault(block: u64, part: LogPart, kind: FaultKind) -> VerifyError {
    VerifyError::Fault { block, part, kind }
}

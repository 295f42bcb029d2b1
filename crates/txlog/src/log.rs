//! Look-ups.

use zvm_core::{
    Address, B256, Block, BlockId, DbError, Header, Receipt, ReceiptOutcome, SignedTransaction,
    StateDiff, TxKind, U256,
};
use zvm_state::kv::{
    KvReader, Order, Table,
    records::{corrupt_at, exact, get, open},
};
use zvm_trie::log::TreeHead;

use crate::{
    LogError, LogStore,
    keys::{block_key, last_number, step_key},
    records::{self, StoredReceipt},
    tiles::Tiles,
};

/// A log to be read.
///
/// Blocks are known by hash, those of side chains too. By number they are those that lead to the
/// head, as are transactions, receipts and events.
#[derive(Clone, Copy)]
pub struct Log<'a> {
    pub(crate) store: &'a dyn LogStore,
}

/// A transaction in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinedTransaction {
    /// The block it is in.
    pub block: BlockId,
    /// Its index there.
    pub index: u32,
    /// Its hash.
    pub hash: B256,
    /// Who signed it.
    pub sender: Address,
    /// The transaction.
    pub transaction: SignedTransaction,
    /// What came of it.
    pub receipt: Receipt,
    /// Gas it used.
    pub gas_used: u64,
    /// Number of logs of the block before its own.
    pub first_log: u32,
}

impl MinedTransaction {
    /// Whether it succeeded; `None` before Byzantium, whose receipts do not tell.
    #[must_use]
    pub fn succeeded(&self) -> Option<bool> {
        match self.receipt.outcome {
            ReceiptOutcome::Status(success) => Some(success),
            ReceiptOutcome::Root(_) => None,
        }
    }

    /// Where the contract is that it was to create; `None` if there is surely none.
    #[must_use]
    pub fn created(&self) -> Option<Address> {
        let body = &self.transaction.body;
        let is_created = body.to == TxKind::Create && self.succeeded() != Some(false);
        is_created.then(|| self.sender.create(body.nonce))
    }
}

impl<'a> Log<'a> {
    /// The log of `store`.
    #[must_use]
    pub fn new(store: &'a dyn LogStore) -> Self {
        Self { store }
    }

    pub(crate) fn kv(&self) -> &'a dyn KvReader {
        self.store.log()
    }

    /// The last block; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`LogError::Detached`] if the state is at a block that is not in the log.
    pub fn head(&self) -> Result<Option<BlockId>, LogError> {
        let head = self.store.head()?;
        match self.stored_canonical(head.number)? {
            Some(hash) if hash == head.hash => Ok(Some(head)),
            // A state without blocks, or one to which none was committed through the log yet.
            _ if head == BlockId::default() || self.last_stored()?.is_none() => Ok(None),
            _ => Err(LogError::Detached { head }),
        }
    }

    /// The first block; `None` if there is none.
    pub fn first(&self) -> Result<Option<u64>, LogError> {
        let Some(head) = self.head()? else { return Ok(None) };
        let first = self.kv().iter(Table::Canonical, &[], None, Order::Forward)?.next();
        let first = first.transpose()?.map(|(key, _)| last_number(&key));
        Ok(first.filter(|first| *first <= head.number))
    }

    /// The hash of block `number`; `None` beyond the head.
    pub fn canonical_hash(&self, number: u64) -> Result<Option<B256>, LogError> {
        match self.head()? {
            Some(head) if number <= head.number => Ok(self.stored_canonical(number)?),
            _ => Ok(None),
        }
    }

    /// Whether the block leads to the head.
    pub fn is_canonical(&self, block: BlockId) -> Result<bool, LogError> {
        Ok(self.canonical_hash(block.number)? == Some(block.hash))
    }

    /// The number of the block with that hash.
    pub fn number(&self, hash: B256) -> Result<Option<u64>, LogError> {
        Ok(get(self.kv(), Table::BlockNumbers, hash.as_slice(), records::number)?)
    }

    /// The header of the block with that hash.
    pub fn header(&self, hash: B256) -> Result<Option<Header>, LogError> {
        Ok(self.header_record(hash)?.map(|(_, header)| header))
    }

    /// The difficulties of the block with that hash and all before it, summed up.
    pub fn total_difficulty(&self, hash: B256) -> Result<Option<U256>, LogError> {
        Ok(self.header_record(hash)?.map(|(total, _)| total))
    }

    /// The block with that hash.
    pub fn block(&self, hash: B256) -> Result<Option<Block>, LogError> {
        let Some(number) = self.number(hash)? else { return Ok(None) };
        let Some(header) = self.header(hash)? else { return Ok(None) };
        Ok(Some(self.body(BlockId { number, hash }, header)?))
    }

    /// Block `number`.
    pub fn block_at(&self, number: u64) -> Result<Option<Block>, LogError> {
        match self.canonical_hash(number)? {
            Some(hash) => self.block(hash),
            None => Ok(None),
        }
    }

    /// The receipts of block `number`.
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<Receipt>>, LogError> {
        let Some(_) = self.canonical_hash(number)? else { return Ok(None) };
        let stored = self.stored_receipts(number)?;
        Ok(Some(stored.into_iter().map(StoredReceipt::into_receipt).collect()))
    }

    /// Where the transaction with that hash is: block and index.
    pub fn locate(&self, hash: B256) -> Result<Option<(u64, u32)>, LogError> {
        let place = get(self.kv(), Table::Transactions, hash.as_slice(), records::place)?;
        let head = self.head()?;
        Ok(place.filter(|place| head.is_some_and(|head| place.0 <= head.number)))
    }

    /// The transaction with that hash.
    pub fn transaction(&self, hash: B256) -> Result<Option<MinedTransaction>, LogError> {
        match self.locate(hash)? {
            Some((number, index)) => self.transaction_at(number, index),
            None => Ok(None),
        }
    }

    /// Transaction `index` of block `number`.
    pub fn transaction_at(
        &self,
        number: u64,
        index: u32,
    ) -> Result<Option<MinedTransaction>, LogError> {
        let Some(hash) = self.canonical_hash(number)? else { return Ok(None) };
        let block = BlockId { number, hash };
        let mut body = self.body(block, Header::default())?;
        let mut receipts = self.stored_receipts(number)?;
        self.check_count(block, "receipts", receipts.len(), body.transactions.len())?;
        let at = index as usize;
        if at >= receipts.len() {
            return Ok(None);
        }
        let before = at.checked_sub(1).map_or(0, |before| receipts[before].cumulative_gas_used);
        let first_log: usize = receipts[..at].iter().map(|receipt| receipt.logs.len()).sum();
        let (transaction, stored) = (body.transactions.swap_remove(at), receipts.swap_remove(at));
        Ok(Some(MinedTransaction {
            block,
            index,
            hash: stored.hash,
            sender: stored.sender,
            transaction,
            gas_used: stored.cumulative_gas_used.saturating_sub(before),
            first_log: first_log as u32,
            receipt: stored.into_receipt(),
        }))
    }

    /// Size and root of the Merkle log at the head.
    pub fn tree_head(&self) -> Result<TreeHead, LogError> {
        match self.head()? {
            Some(head) => self.tree_head_at(head.number),
            None => Ok(TreeHead::default()),
        }
    }

    /// Size and root of the Merkle log when block `number` was its last.
    pub fn tree_head_at(&self, number: u64) -> Result<TreeHead, LogError> {
        let Some(_) = self.canonical_hash(number)? else {
            return Err(LogError::NoBlock { number });
        };
        self.required(Table::TreeHeads, &number.to_be_bytes(), records::tree_head)
    }

    /// Entries of the Merkle log before those of block `number`.
    pub(crate) fn size_before(&self, number: u64) -> Result<u64, LogError> {
        let Some(before) = number.checked_sub(1) else { return Ok(0) };
        let before = get(self.kv(), Table::TreeHeads, &before.to_be_bytes(), records::tree_head)?;
        Ok(before.map_or(0, |before| before.size))
    }

    pub(crate) fn tiles(&self) -> Tiles<'a> {
        Tiles(self.kv())
    }

    /// What a step of block `number` changed; `None` if it is not kept any more.
    pub(crate) fn step_diff(&self, number: u64, step: u32) -> Result<Option<StateDiff>, LogError> {
        let decode = |body: &[u8]| StateDiff::decode(body).map_err(|error| error.to_string());
        Ok(get(self.kv(), Table::StepDiffs, &step_key(number, step), decode)?)
    }

    /// The hash of block `number`, the head or not.
    pub(crate) fn stored_canonical(&self, number: u64) -> Result<Option<B256>, DbError> {
        get(self.kv(), Table::Canonical, &number.to_be_bytes(), records::hash)
    }

    /// The last block that the log has entries of; beyond the head after going back.
    pub(crate) fn last_stored(&self) -> Result<Option<BlockId>, DbError> {
        let last = self.kv().iter(Table::Canonical, &[], None, Order::Reverse)?.next();
        let Some((key, record)) = last.transpose()? else { return Ok(None) };
        let number = u64::from_be_bytes(exact(self.kv(), Table::Canonical, &key)?);
        let hash = open(self.kv(), Table::Canonical, &key, &record, records::hash)?;
        Ok(Some(BlockId { number, hash }))
    }

    pub(crate) fn stored_receipts(&self, number: u64) -> Result<Vec<StoredReceipt>, LogError> {
        self.required(Table::Receipts, &number.to_be_bytes(), records::receipts)
    }

    /// A body, with `header` as its header.
    pub(crate) fn body(&self, block: BlockId, header: Header) -> Result<Block, LogError> {
        let body = self.required(Table::Bodies, &block_key(block), records::body)?;
        Ok(Block { header, ..body })
    }

    /// A record that must be there.
    pub(crate) fn required<T>(
        &self,
        table: Table,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, LogError> {
        let found = get(self.kv(), table, key, decode)?;
        Ok(found.ok_or_else(|| corrupt_at(self.kv(), table, key, "no record"))?)
    }

    /// Checks that a block has as many of `what` as it has transactions.
    fn check_count(
        &self,
        block: BlockId,
        what: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), LogError> {
        let key = block_key(block);
        let fault = || {
            let what = format!("{expected} transactions and {found} {what}");
            corrupt_at(self.kv(), Table::Bodies, &key, what)
        };
        if found == expected { Ok(()) } else { Err(fault().into()) }
    }

    fn header_record(&self, hash: B256) -> Result<Option<(U256, Header)>, LogError> {
        let Some(number) = self.number(hash)? else { return Ok(None) };
        let key = block_key(BlockId { number, hash });
        self.required(Table::Headers, &key, records::header).map(Some)
    }
}

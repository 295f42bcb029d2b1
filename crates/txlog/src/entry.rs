//! Entries of the Merkle log, and proofs of them.

use serde::{Deserialize, Serialize};
use zvm_core::{B256, BlockId};
use zvm_trie::log::{
    ConsistencyProof, InclusionProof, LogProofError, TreeHead, leaf_hash, prove_consistency,
    prove_inclusion, root_at,
};

use crate::{Log, LogError, tiles::CachedTiles};

/// An entry: each block adds one of itself and then one for each of its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LogEntry {
    /// A block.
    Block {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
    },
    /// A transaction and what came of it.
    Transaction {
        /// Number of its block.
        block_number: u64,
        /// Hash of its block.
        block_hash: B256,
        /// Its index in the block.
        index: u32,
        /// Its hash.
        transaction_hash: B256,
        /// keccak-256 of its receipt, the envelope of EIP-2718.
        receipt_hash: B256,
    },
}

impl LogEntry {
    pub(crate) fn block(block: BlockId) -> Self {
        Self::Block { number: block.number, hash: block.hash }
    }

    pub(crate) fn transaction(
        block: BlockId,
        index: u32,
        transaction_hash: B256,
        receipt_hash: B256,
    ) -> Self {
        let BlockId { number: block_number, hash: block_hash } = block;
        Self::Transaction { block_number, block_hash, index, transaction_hash, receipt_hash }
    }

    /// The entries of a block, whose transactions and receipts have these hashes.
    pub(crate) fn all(
        block: BlockId,
        hashes: impl Iterator<Item = (B256, B256)>,
    ) -> impl Iterator<Item = Self> {
        let of_transaction = move |(index, (transaction, receipt))| {
            Self::transaction(block, index, transaction, receipt)
        };
        std::iter::once(Self::block(block)).chain((0..).zip(hashes).map(of_transaction))
    }

    /// The bytes that the log has hashed. Of a block: `0x00 ‖ number u64 ‖ hash`; of a transaction:
    /// `0x01 ‖ block number u64 ‖ block hash ‖ index u32 ‖ transaction hash ‖ receipt hash`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Block { number, hash } => {
                [&[0], number.to_be_bytes().as_slice(), hash.as_slice()].concat()
            }
            Self::Transaction {
                block_number,
                block_hash,
                index,
                transaction_hash,
                receipt_hash,
            } => [
                &[1],
                block_number.to_be_bytes().as_slice(),
                block_hash.as_slice(),
                index.to_be_bytes().as_slice(),
                transaction_hash.as_slice(),
                receipt_hash.as_slice(),
            ]
            .concat(),
        }
    }

    /// The hash of the entry in the Merkle log.
    #[must_use]
    pub fn hash(&self) -> B256 {
        leaf_hash(&self.encode())
    }
}

/// That an entry is in the log, for whoever has a root of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryProof {
    /// The entry.
    pub entry: LogEntry,
    /// Its place, and the way to the root.
    pub inclusion: InclusionProof,
    /// The root that the way leads to. Whoever verifies uses one they trust.
    pub root: B256,
}

impl EntryProof {
    /// Verifies that the entry is in the log under `root`.
    ///
    /// # Errors
    ///
    /// If that is not what this proves.
    pub fn verify(&self, root: B256) -> Result<(), LogProofError> {
        self.inclusion.verify(self.entry.hash(), root)
    }
}

impl Log<'_> {
    /// Proves that transaction `index` of block `number` and its receipt are in the log of `size`
    /// entries; without a size, in all of it.
    pub fn prove_transaction(
        &self,
        number: u64,
        index: u32,
        size: Option<u64>,
    ) -> Result<EntryProof, LogError> {
        let block = self.canonical(number)?;
        let receipts = self.stored_receipts(number)?;
        let stored = receipts.get(index as usize);
        let count = receipts.len();
        let stored = stored.ok_or(LogError::NoTransaction { number, index, count })?;
        let place = self.size_before(number)? + 1 + u64::from(index);
        let entry = LogEntry::transaction(block, index, stored.hash, stored.receipt_hash());
        self.prove(entry, place, size)
    }

    /// Proves that block `number` is in the log of `size` entries; without a size, in all of it.
    pub fn prove_block(&self, number: u64, size: Option<u64>) -> Result<EntryProof, LogError> {
        let block = self.canonical(number)?;
        self.prove(LogEntry::block(block), self.size_before(number)?, size)
    }

    /// Proves that the log of `size` entries, or all of it, begins with that of `old_size`.
    pub fn prove_consistency(
        &self,
        old_size: u64,
        size: Option<u64>,
    ) -> Result<ConsistencyProof, LogError> {
        let (old_size, size) = (self.size(Some(old_size))?, self.size(size)?);
        Ok(prove_consistency(&CachedTiles::new(self.tiles()), old_size, size)?)
    }

    /// Size and root of the log when it had `size` entries.
    pub fn tree_head_of(&self, size: u64) -> Result<TreeHead, LogError> {
        let size = self.size(Some(size))?;
        Ok(TreeHead { size, root: root_at(&self.tiles(), size)? })
    }

    fn prove(
        &self,
        entry: LogEntry,
        place: u64,
        size: Option<u64>,
    ) -> Result<EntryProof, LogError> {
        let size = self.size(size)?;
        let tiles = CachedTiles::new(self.tiles());
        let inclusion = prove_inclusion(&tiles, place, size)?;
        Ok(EntryProof { entry, inclusion, root: root_at(&tiles, size)? })
    }

    /// A size that the log has or has had.
    fn size(&self, size: Option<u64>) -> Result<u64, LogError> {
        let head = self.tree_head()?.size;
        match size {
            Some(size) if size > head => Err(LogError::Size { size, head }),
            size => Ok(size.unwrap_or(head)),
        }
    }

    pub(crate) fn canonical(&self, number: u64) -> Result<BlockId, LogError> {
        let hash = self.canonical_hash(number)?.ok_or(LogError::NoBlock { number })?;
        Ok(BlockId { number, hash })
    }
}

//! Filling an empty backend in bounded parts.

use zvm_core::{
    AccountInfo, Address, B256, BlockId, Bytes, SlotDiff, StateBackend, StateDiff, U256,
};
use zvm_core::{DbError, keccak256};

/// Size of a part. Large enough that a store writes it well, small against any machine's memory.
const PART_BYTES: usize = 8 << 20;

/// About what an account and a slot take in a diff.
const ACCOUNT_BYTES: usize = 300;
const SLOT_BYTES: usize = 150;

/// Accounts and slots on their way into a backend that has no block yet.
pub(crate) struct Seeder<'a> {
    target: &'a mut dyn StateBackend,
    part: StateDiff,
    part_bytes: usize,
    /// Accounts taken.
    pub(crate) accounts: u64,
    /// Slots taken.
    pub(crate) slots: u64,
}

impl<'a> Seeder<'a> {
    /// Starts on `target`, which must not have been committed to.
    pub(crate) fn new(target: &'a mut dyn StateBackend) -> Self {
        Self { target, part: StateDiff::default(), part_bytes: 0, accounts: 0, slots: 0 }
    }

    /// Takes an account, without its storage.
    pub(crate) fn account(&mut self, address: Address, info: AccountInfo) -> Result<(), DbError> {
        self.accounts += 1;
        self.part.accounts.entry(address).or_default().new = Some(info);
        self.weigh(ACCOUNT_BYTES)
    }

    /// Takes code and answers its hash.
    pub(crate) fn code(&mut self, code: Bytes) -> Result<B256, DbError> {
        let hash = keccak256(&code);
        if !code.is_empty() {
            let bytes = code.len();
            self.part.code.insert(hash, code);
            self.weigh(bytes)?;
        }
        Ok(hash)
    }

    /// Takes a slot of an account that was taken before as `info`.
    pub(crate) fn slot(
        &mut self,
        address: Address,
        info: AccountInfo,
        slot: U256,
        word: U256,
    ) -> Result<(), DbError> {
        self.slots += 1;
        let account = self.part.accounts.entry(address).or_default();
        if account.new.is_none() {
            // The account itself went with an earlier part.
            (account.old, account.new) = (Some(info), Some(info));
        }
        account.storage.insert(slot, SlotDiff { old: U256::ZERO, new: word });
        self.weigh(SLOT_BYTES)
    }

    /// Takes the hash of a block.
    pub(crate) fn block_hash(&mut self, number: u64, hash: B256) -> Result<(), DbError> {
        self.target.set_block_hash(number, hash)
    }

    /// Passes on what is left, and answers the root of it all.
    pub(crate) fn root(&mut self) -> Result<B256, DbError> {
        self.pass_on()?;
        self.target.state_root()
    }

    /// Gives the state its block. Until then the target counts as never written.
    pub(crate) fn finish(self, block: BlockId) -> Result<(), DbError> {
        self.target.commit_block(block, &self.part)
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), DbError> {
        self.part_bytes += bytes;
        if self.part_bytes < PART_BYTES { Ok(()) } else { self.pass_on() }
    }

    fn pass_on(&mut self) -> Result<(), DbError> {
        self.part_bytes = 0;
        self.target.seed(&std::mem::take(&mut self.part))
    }
}

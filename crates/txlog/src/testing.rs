//! Blocks made up for tests: of the right form, and executed by nobody.
//!
//! A block follows from a seed, its number and its parent, so the same chain can be made twice.

pub mod crash;

use zvm_core::{
    AccountDiff, AccountInfo, Address, B256, Block, Bloom, Bytes, Header, KECCAK_EMPTY, Log,
    Receipt, ReceiptOutcome, Signature, SigningKey, SlotDiff, StateDiff, TxKind, TxType, U256,
    UnsignedTransaction, Withdrawal, keccak256, rlp::Rlp,
};
use zvm_state::kv::compliance::Random;
use zvm_trie::ordered_root;

use crate::NewBlock;

/// What blocks are like.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    /// What they follow from.
    pub seed: u64,
    /// Transactions of a block, at most.
    pub transactions_max: u64,
    /// Events of a transaction, at most.
    pub events_max: u64,
    /// How many contracts log, and accounts send and receive.
    pub addresses: u64,
    /// How many topics there are for each place.
    pub topics: u64,
    /// Whether transactions are really signed, which takes longer than all the rest.
    pub is_signed: bool,
}

/// A block with all that executing it would have come to.
#[derive(Clone, Debug)]
pub struct MadeBlock {
    /// The block.
    pub block: Block,
    /// Its hash.
    pub hash: B256,
    /// Who signed each transaction.
    pub senders: Vec<Address>,
    /// Receipts.
    pub receipts: Vec<Receipt>,
    /// What is changed before the first transaction.
    pub start_diff: StateDiff,
    /// What each transaction changes.
    pub tx_diffs: Vec<StateDiff>,
    /// All of that.
    pub diff: StateDiff,
}

impl MadeBlock {
    /// As a log takes it.
    #[must_use]
    pub fn as_new(&self) -> NewBlock<'_> {
        NewBlock {
            block: &self.block,
            hash: self.hash,
            total_difficulty: U256::from(self.block.header.number + 1),
            senders: &self.senders,
            receipts: &self.receipts,
            start_diff: &self.start_diff,
            tx_diffs: &self.tx_diffs,
            diff: &self.diff,
        }
    }
}

impl Default for Blocks {
    /// Few of everything, so that much meets.
    fn default() -> Self {
        Self {
            seed: 1,
            transactions_max: 4,
            events_max: 3,
            addresses: 6,
            topics: 3,
            is_signed: false,
        }
    }
}

impl Blocks {
    /// The account or contract with that number.
    #[must_use]
    pub fn address(number: u64) -> Address {
        Address::from_word(keccak256(number.to_be_bytes()))
    }

    /// The topic with that number.
    #[must_use]
    pub fn topic(number: u64) -> B256 {
        B256::from(U256::from(number))
    }

    /// Block `number` on `parent`.
    #[must_use]
    pub fn block(&self, number: u64, parent: B256) -> MadeBlock {
        let mut random = Random::new(self.seed ^ number.rotate_left(20));
        let count = random.below(self.transactions_max + 1);
        let start_diff = self.diff(number, &mut random);
        let mut made = MadeBlock {
            block: Block::default(),
            hash: B256::ZERO,
            senders: Vec::new(),
            receipts: Vec::new(),
            diff: start_diff.clone(),
            start_diff,
            tx_diffs: Vec::new(),
        };
        for index in 0..count {
            self.transaction(number, index, &mut random, &mut made);
        }
        let withdrawal = Withdrawal { index: number, ..Withdrawal::default() };
        made.block.withdrawals = Some(vec![withdrawal]);
        let encoded: Vec<_> = made.block.transactions.iter().map(|tx| tx.encode_2718()).collect();
        let receipts: Vec<_> = made.receipts.iter().map(Receipt::encode_2718).collect();
        made.block.header = Header {
            parent_hash: parent,
            number,
            difficulty: U256::ONE,
            transactions_root: ordered_root(&encoded),
            receipts_root: ordered_root(&receipts),
            logs_bloom: made.receipts.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.bloom),
            withdrawals_root: Some(ordered_root(&[withdrawal.encode()])),
            base_fee_per_gas: Some(7),
            ..Header::default()
        };
        made.hash = made.block.hash();
        made
    }

    fn transaction(&self, number: u64, index: u64, random: &mut Random, made: &mut MadeBlock) {
        let sender = random.below(self.addresses);
        let body = UnsignedTransaction {
            tx_type: TxType::DynamicFee,
            chain_id: Some(1),
            // Not that of the account, but no two transactions are the same.
            nonce: number << 20 | index,
            to: match random.below(8) {
                0 => TxKind::Create,
                _ => TxKind::Call(Self::address(random.below(self.addresses))),
            },
            data: Bytes::copy_from_slice(&random.below(u64::MAX).to_be_bytes()),
            ..UnsignedTransaction::default()
        };
        let (transaction, sender) = match self.is_signed {
            true => {
                let mut secret = keccak256(sender.to_be_bytes());
                secret[0] = 0;
                let key = SigningKey::new(&secret).expect("not zero, and below the order");
                (body.sign(&key), key.address())
            }
            false => {
                let (r, s) = (U256::from(1), U256::from(number));
                let signature = Signature { y_parity: false, r, s };
                (zvm_core::SignedTransaction { body, signature }, Self::address(sender))
            }
        };
        let logs = (0..random.below(self.events_max + 1)).map(|_| self.log(random)).collect();
        let outcome = ReceiptOutcome::Status(random.below(5) > 0);
        let gas = 21_000 * (index + 1);
        made.receipts.push(Receipt::new(TxType::DynamicFee, outcome, gas, logs));
        made.block.transactions.push(transaction);
        made.senders.push(sender);
        let diff = self.diff(number << 8 | index, random);
        made.diff = std::mem::take(&mut made.diff).then(diff.clone());
        made.tx_diffs.push(diff);
    }

    fn log(&self, random: &mut Random) -> Log {
        let address = Self::address(random.below(self.addresses));
        let topics = (0..random.below(5)).map(|_| Self::topic(random.below(self.topics))).collect();
        let data = Bytes::copy_from_slice(&random.below(256).to_be_bytes());
        Log::new(address, topics, data).expect("at most four topics")
    }

    /// A few accounts with a nonce that is nowhere else, and a slot or two.
    fn diff(&self, nonce: u64, random: &mut Random) -> StateDiff {
        let mut diff = StateDiff::default();
        for _ in 0..random.below(3) {
            let address = Self::address(random.below(self.addresses));
            let info = |nonce| AccountInfo { nonce, balance: U256::ONE, code_hash: KECCAK_EMPTY };
            // Nobody compares what was before with what is there, but it must never come back: a
            // diff lists no change from something to itself.
            let mut change = AccountDiff {
                old: Some(info(u64::MAX - nonce)),
                new: Some(info(nonce + 1)),
                ..AccountDiff::default()
            };
            for _ in 0..random.below(3) {
                let (slot, new) = (U256::from(random.below(4)), U256::from(random.below(1000) + 1));
                change.storage.insert(slot, SlotDiff { old: U256::from(2000), new });
            }
            diff.accounts.insert(address, change);
        }
        diff
    }
}

//! Making blocks.

use zvm_core::{
    Address, B256, Block, BlockId, Bytes, Header, SenderError, SignedTransaction, SpecId, U256,
    Withdrawal,
};
use zvm_evm::{
    Config, InvalidTransaction, NoTracer, TRANSACTION_GAS_CAP,
    block::{
        self, BlockContext, BlockError, BlockExecutor, Consensus, child_of, requests_hash,
        transactions_root, validate_body, validate_header, withdrawals_root,
    },
};

use crate::{Chain, ChainError};

/// What transactions usually offer the maker of a block: 1 gwei per gas.
const TIP: U256 = U256::from_limbs([1_000_000_000, 0, 0, 0]);

/// What the maker of a block decides, beside its transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockAttributes {
    /// Unix time in seconds; after the parent's.
    pub timestamp: u64,
    /// Who gets the fees.
    pub beneficiary: Address,
    /// Gas limit; that of the parent by default.
    pub gas_limit: Option<u64>,
    /// Answers `PREVRANDAO` from Paris on.
    pub prevrandao: B256,
    /// Up to 32 bytes of the maker's own.
    pub extra_data: Bytes,
    /// Withdrawals from the beacon chain; from Shanghai on.
    pub withdrawals: Vec<Withdrawal>,
    /// Root of the parent's beacon block; from Cancun on.
    pub parent_beacon_root: B256,
}

/// The block that will follow the head, before anything is in it.
#[derive(Clone, Debug)]
pub struct NextBlock {
    /// Its header so far: number, time, gas limit, base fee.
    pub header: Header,
    /// The rules that its transactions are executed by.
    pub config: Config,
}

/// A block that was made.
#[derive(Debug)]
pub struct Mined {
    /// Its number and hash.
    pub id: BlockId,
    /// Transactions that are not in it, by their index among those given, and why.
    pub rejected: Vec<(usize, Rejected)>,
}

/// Why a transaction is not in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Its signature tells no sender.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// It breaks a rule, or does not fit any more.
    #[error(transparent)]
    Invalid(#[from] InvalidTransaction),
}

impl NextBlock {
    /// The most gas that one of its transactions can have.
    #[must_use]
    pub fn gas_max(&self) -> u64 {
        let is_capped = self.config.spec().has(SpecId::OSAKA);
        self.header.gas_limit.min(if is_capped { TRANSACTION_GAS_CAP } else { u64::MAX })
    }

    /// Most wei per gas, and how much of it for the maker at most, with which a transaction waits
    /// neither long nor in vain: 1 gwei above twice the base fee.
    #[must_use]
    pub fn usual_fees(&self) -> (U256, U256) {
        let base_fee = U256::from(self.header.base_fee_per_gas.unwrap_or(0));
        (base_fee * U256::from(2) + TIP, TIP)
    }
}

impl Chain {
    /// The block that `attributes` make after the head, before anything is in it.
    ///
    /// # Errors
    ///
    /// If the attributes break a rule.
    pub fn next_block(&self, attributes: &BlockAttributes) -> Result<NextBlock, ChainError> {
        let Begun { header, consensus, .. } = self.begin_block(attributes)?;
        let config = block::config(&self.config, consensus, header.number, header.timestamp)?;
        Ok(NextBlock { header, config })
    }

    /// The rules by which the transactions of a known block were executed.
    pub fn rules_of(&self, hash: B256) -> Result<Config, ChainError> {
        let header = self.log().header(hash)?.ok_or(ChainError::UnknownBlock { hash })?;
        let before = self.total_difficulty(hash)?.saturating_sub(header.difficulty);
        let consensus = self.consensus_after(before);
        Ok(block::config(&self.config, consensus, header.number, header.timestamp)?)
    }

    /// Makes a block of those `transactions` that can be executed one after the other, and makes it
    /// the head. On a chain of proof of work it has no seal.
    ///
    /// # Errors
    ///
    /// If the attributes break a rule, or the store refuses the block; nothing has changed then.
    pub fn mine(
        &mut self,
        attributes: &BlockAttributes,
        transactions: Vec<SignedTransaction>,
    ) -> Result<Mined, ChainError> {
        let Begun { mut header, consensus, before } = self.begin_block(attributes)?;
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
        let mut executor = BlockExecutor::begin(&mut self.evm, context).map_err(failed)?;
        let spec = executor.config().spec();
        let (mut included, mut senders, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for (index, signed) in transactions.into_iter().enumerate() {
            let transaction = match signed.recover(spec) {
                Ok(transaction) => transaction,
                Err(error) => {
                    rejected.push((index, error.into()));
                    continue;
                }
            };
            match executor.transact(&transaction, &mut NoTracer) {
                Ok(_) => {
                    senders.push(transaction.sender);
                    included.push(signed);
                }
                Err(error) => rejected.push((index, error.into_invalid()?.into())),
            }
        }
        let executed = executor.finish(&[], &attributes.withdrawals).map_err(failed)?;

        header.gas_used = executed.gas_used;
        header.receipts_root = executed.receipts_root();
        header.logs_bloom = executed.logs_bloom();
        header.transactions_root = transactions_root(&included);
        header.blob_gas_used = header.blob_gas_used.map(|_| executed.blob_gas_used);
        header.requests_hash = executed.requests.as_deref().map(requests_hash);
        header.state_root = store.root_after(&executed.diff)?;
        let withdrawals = header.withdrawals_root.map(|_| attributes.withdrawals.clone());
        header.withdrawals_root = withdrawals.as_deref().map(withdrawals_root);
        let block = Block { header, transactions: included, withdrawals, ..Block::default() };
        let hash = block.hash();
        // Too long, if anything.
        validate_body(&self.config, consensus, &block)
            .map_err(|source| ChainError::invalid(hash, source))?;
        self.commit(&block, hash, before, &senders, &executed)?;
        Ok(Mined { id: BlockId { number: block.header.number, hash }, rejected })
    }

    /// The header of the block that `attributes` make after the head, and what it follows from.
    fn begin_block(&self, attributes: &BlockAttributes) -> Result<Begun, ChainError> {
        let head = self.head()?;
        let unknown = ChainError::UnknownBlock { hash: head.hash };
        let parent = self.log().header(head.hash)?.ok_or(unknown)?;
        let before = self.total_difficulty(head.hash)?;
        let consensus = self.consensus_after(before);

        let mut header = child_of(&self.config, consensus, &parent, attributes.timestamp);
        header.beneficiary = attributes.beneficiary;
        header.gas_limit = attributes.gas_limit.unwrap_or(header.gas_limit);
        header.mix_hash = attributes.prevrandao;
        header.extra_data = attributes.extra_data.clone();
        if let Some(root) = &mut header.parent_beacon_block_root {
            *root = attributes.parent_beacon_root;
        }
        let refused = |source| ChainError::invalid(header.hash(), source);
        validate_header(&self.config, consensus, &header, &parent).map_err(refused)?;
        Ok(Begun { header, consensus, before })
    }
}

/// A block in the making.
struct Begun {
    header: Header,
    consensus: Consensus,
    /// Total difficulty of the parent.
    before: U256,
}

/// A block in the making that cannot be made.
fn failed(error: BlockError) -> ChainError {
    match error {
        // It has no hash yet.
        BlockError::Invalid(source) => ChainError::invalid(B256::ZERO, source),
        BlockError::Database(error) => error.into(),
        BlockError::Precompiles(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use zvm_core::{
        ChainConfig, ReceiptOutcome, SigningKey, TxKind, TxType, UnsignedTransaction,
        genesis::{AllocAccount, Genesis},
    };
    use zvm_state::MemoryDb;

    use super::*;
    use crate::{Beside, Imported};

    fn genesis(spec: SpecId, key: &SigningKey) -> Genesis {
        let rich = AllocAccount { balance: U256::MAX >> 1, ..AllocAccount::default() };
        Genesis {
            config: ChainConfig::at(spec),
            gas_limit: Some(30_000_000),
            base_fee_per_gas: Some(1000),
            alloc: [(key.address(), rich)].into(),
            ..Genesis::default()
        }
    }

    fn chain(genesis: &Genesis) -> Chain {
        Chain::init(Box::new(Beside::new(MemoryDb::new())), genesis).unwrap()
    }

    fn transfer(key: &SigningKey, nonce: u64) -> SignedTransaction {
        let body = UnsignedTransaction {
            tx_type: TxType::DynamicFee,
            chain_id: Some(1),
            nonce,
            gas_price: U256::from(2000),
            gas_limit: 21_000,
            to: TxKind::Call(Address::repeat_byte(0xb0)),
            value: U256::from(7),
            ..UnsignedTransaction::default()
        };
        body.sign(key)
    }

    #[test]
    fn what_is_made_imports_elsewhere_and_what_cannot_be_executed_is_told() {
        let key = SigningKey::new(&[0x46; 32]).unwrap();
        let genesis = genesis(SpecId::CANCUN, &key);
        let (mut maker, mut other) = (chain(&genesis), chain(&genesis));
        let mut base_fees = Vec::new();
        for number in 1..=3_u64 {
            let attributes = BlockAttributes {
                timestamp: 12 * number,
                beneficiary: Address::repeat_byte(0xfe),
                withdrawals: vec![Withdrawal { amount: number, ..Withdrawal::default() }],
                ..BlockAttributes::default()
            };
            // The second one has the nonce of the first.
            let nonce = number - 1;
            let transactions = vec![transfer(&key, nonce), transfer(&key, nonce)];
            let mined = maker.mine(&attributes, transactions).unwrap();
            let too_low = InvalidTransaction::NonceTooLow { found: nonce, expected: number };
            assert_eq!(mined.rejected, [(1, Rejected::Invalid(too_low))]);

            let block = maker.log().block(mined.id.hash).unwrap().unwrap();
            base_fees.push(block.header.base_fee_per_gas.unwrap());
            assert_eq!(other.import(&block).unwrap(), Imported::Head);
            let receipts = other.log().receipts(number).unwrap().unwrap();
            assert_eq!(receipts[0].outcome, ReceiptOutcome::Status(true));
        }
        assert_eq!(other.head().unwrap(), maker.head().unwrap());
        // Nearly empty blocks: down by an eighth, but for what was used.
        assert!(base_fees.is_sorted_by(|a, b| a > b), "{base_fees:?}");
    }

    #[test]
    fn a_block_of_proof_of_work_pays_its_maker() {
        let key = SigningKey::new(&[0x46; 32]).unwrap();
        let mut chain = chain(&genesis(SpecId::BERLIN, &key));
        let maker = Address::repeat_byte(0xfe);
        let attributes =
            BlockAttributes { timestamp: 10, beneficiary: maker, ..BlockAttributes::default() };
        chain.mine(&attributes, Vec::new()).unwrap();
        let ether = U256::from(1_000_000_000_000_000_000_u64);
        let account = chain.store().account(maker).unwrap().unwrap();
        assert_eq!(account.balance, ether * U256::from(2));
    }

    #[test]
    fn a_block_before_its_parent_is_not_made() {
        let key = SigningKey::new(&[0x46; 32]).unwrap();
        let mut chain = chain(&genesis(SpecId::CANCUN, &key));
        let refused = chain.mine(&BlockAttributes::default(), Vec::new()).unwrap_err();
        assert!(matches!(refused, ChainError::Invalid { .. }), "{refused}");
        assert_eq!(chain.head().unwrap().number, 0);
    }
}

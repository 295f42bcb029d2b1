//! Contracts in blocks.

mod pending;
mod request;

use std::fmt;

use zvm_core::{
    Address, B256, Block, BlockId, Bytes, Genesis, KECCAK_EMPTY, SignedTransaction, SigningKey,
    TxKind, U256,
};
use zvm_evm::{Checks, Evm, Executed, InvalidTransaction, Message, NoTracer, Requirements};
use zvm_state::{DatabaseConfig, MemoryDb, kv::Access};
use zvm_txlog::{
    Beside, BlockAttributes, Chain, Log, LogStore, MinedTransaction, NextBlock, Rejected,
};

use crate::{Calldata, DEFAULT_SENDER, Error, answer};
use pending::Pending;
pub use request::ChainRequest;

/// Seconds between a block and the next, unless it is told otherwise: a slot of mainnet.
const BLOCK_SECONDS: u64 = 12;

/// A chain of blocks with contracts on it: what a node does, without a network.
///
/// Transactions are signed, wait until a block is mined, pay for their gas, and have receipts.
///
/// ```
/// use zvm::{Address, ChainZvm, Genesis, Raw, SigningKey, U256};
///
/// let key = SigningKey::new(&[0x46; 32])?;
/// let ether = U256::from(10).pow(U256::from(18));
/// let mut chain = ChainZvm::memory(&Genesis::dev([(key.address(), ether)]))?;
///
/// let bob = Address::repeat_byte(0xb0);
/// let hash = chain.from(&key).value(U256::from(7)).send(bob, Raw(b""))?;
/// let block = chain.mine()?;
///
/// assert_eq!((block.id.number, block.transactions), (1, vec![hash]));
/// assert_eq!(chain.balance(bob)?, U256::from(7));
/// let mined = chain.receipt(hash)?.expect("it was mined");
/// assert_eq!((mined.succeeded(), mined.gas_used), (Some(true), 21_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Rules and first block come from a [`Genesis`]: one to develop on ([`Genesis::dev`]), or geth's
/// `genesis.json` by serde. Hard forks begin at the block or time that its configuration says. The
/// base fee follows EIP-1559, and time grows by 12 seconds a block or as [`BlockAttributes`] say.
pub struct ChainZvm {
    chain: Chain,
    evm: Evm,
    pending: Pending,
}

/// A block that was mined.
#[derive(Debug)]
pub struct MinedBlock {
    /// Its number and hash.
    pub id: BlockId,
    /// Hashes of its transactions.
    pub transactions: Vec<B256>,
    /// Transactions that are not pending any more, because they can be in no block, and why.
    pub rejected: Vec<(B256, Rejected)>,
}

impl ChainZvm {
    /// Begins a chain in memory.
    pub fn memory(genesis: &Genesis) -> Result<Self, Error> {
        Self::init("memory:", genesis)
    }

    /// Begins a chain in a database, such as `file:./chain`, or opens the one that is there.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`] if the chain there began otherwise, or has used rules that `genesis` changes.
    pub fn init(database: &str, genesis: &Genesis) -> Result<Self, Error> {
        Ok(Self::from_chain(Chain::init(store(database, Access::Create)?, genesis)?))
    }

    /// Opens the chain in a database. Its rules are stored with it.
    pub fn open(database: &str) -> Result<Self, Error> {
        Ok(Self::from_chain(Chain::open(store(database, Access::Write)?)?))
    }

    /// Goes on with a chain, nothing pending.
    #[must_use]
    pub fn from_chain(chain: Chain) -> Self {
        Self { chain, evm: Evm::new(), pending: Pending::default() }
    }

    // --- Sending ------------------------------------------------------------------------------

    /// Starts a transaction signed with `key`; wei, gas limit, nonce and fees can follow.
    pub fn from<'a>(&'a mut self, key: &'a SigningKey) -> ChainRequest<'a> {
        ChainRequest::new(self, key)
    }

    /// Signs a transaction with `key` and has it wait for the next block; its hash.
    pub fn send<C: Calldata>(
        &mut self,
        key: &SigningKey,
        to: impl Into<TxKind>,
        data: C,
    ) -> Result<B256, Error> {
        self.from(key).send(to, data)
    }

    /// Has a transaction wait for the next block; its hash.
    ///
    /// A transaction of the same sender with the same nonce is replaced if fee cap and tip are higher
    /// by a tenth. What waits is in memory only, and gone with the process.
    ///
    /// # Errors
    ///
    /// If it breaks a rule that no block will change: [`Error::Invalid`], [`Error::Sender`]; or if it
    /// is to replace another one and offers too little: [`Error::Underpriced`].
    pub fn submit(&mut self, transaction: SignedTransaction) -> Result<B256, Error> {
        let NextBlock { header, mut config } = self.next_block()?;
        let recovered = transaction.recover(config.spec())?;
        // The base fee moves; a higher nonce waits for those before it.
        config.checks = Checks { base_fee: false, ..Checks::ALL };
        let Requirements { cost, .. } = Requirements::of(&recovered, &header.env(), &config)?;
        let sender = recovered.sender;
        let account = self.chain.store().account(sender)?.unwrap_or_default().info;
        let (found, expected) = (recovered.nonce, account.nonce);
        if found < expected {
            return Err(InvalidTransaction::NonceTooLow { found, expected }.into());
        }
        let balance = account.balance;
        if cost.is_none_or(|cost| cost > balance) {
            return Err(InvalidTransaction::InsufficientFunds { sender, balance, cost }.into());
        }
        self.pending.insert(sender, transaction)
    }

    /// [`submit`](Self::submit) of a transaction as it goes over the wire (EIP-2718).
    pub fn submit_raw(&mut self, bytes: &[u8]) -> Result<B256, Error> {
        self.submit(SignedTransaction::decode_2718(bytes)?)
    }

    /// The transactions that wait, by sender and nonce.
    pub fn pending(&self) -> impl Iterator<Item = &SignedTransaction> {
        self.pending.iter()
    }

    // --- Mining -------------------------------------------------------------------------------

    /// Makes a block of what waits, 12 seconds after the last one.
    ///
    /// Transactions of a sender go by nonce; among senders whose turn it is, the one that pays the
    /// maker most per gas is first. What cannot be in this block but in a later one goes on waiting.
    pub fn mine(&mut self) -> Result<MinedBlock, Error> {
        self.mine_with(&self.attributes()?)
    }

    /// [`mine`](Self::mine), with time, beneficiary and the rest as they are given.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`] if the attributes break a rule, such as a time that is not after the last
    /// block; nothing has changed then.
    pub fn mine_with(&mut self, attributes: &BlockAttributes) -> Result<MinedBlock, Error> {
        let next = self.chain.next_block(attributes)?;
        let base_fee = next.header.base_fee_per_gas.unwrap_or(0);
        let store = self.chain.store();
        let turn = self.pending.turn(U256::from(base_fee), |sender| {
            Ok(store.account(sender)?.map_or(0, |account| account.info.nonce))
        })?;
        let given = turn.iter().map(|waiting| waiting.transaction.clone()).collect();
        let mined = self.chain.mine(attributes, given)?;
        let mut whys = mined.rejected.into_iter().peekable();
        let mut block = MinedBlock { id: mined.id, transactions: Vec::new(), rejected: Vec::new() };
        for (index, waiting) in turn.into_iter().enumerate() {
            match whys.next_if(|(rejected, _)| *rejected == index) {
                None => block.transactions.push(waiting.hash),
                Some((_, why)) if pending::can_wait(&why, &waiting.transaction, &next) => continue,
                Some((_, why)) => block.rejected.push((waiting.hash, why)),
            }
            self.pending.remove(&waiting);
        }
        Ok(block)
    }

    /// What [`mine`](Self::mine) makes the next block with.
    pub fn attributes(&self) -> Result<BlockAttributes, Error> {
        let head = self.head_block()?.header;
        let timestamp = head.timestamp.saturating_add(BLOCK_SECONDS);
        Ok(BlockAttributes { timestamp, ..BlockAttributes::default() })
    }

    /// The next block, before anything is in it: its base fee, and the rules that will hold.
    pub fn next_block(&self) -> Result<NextBlock, Error> {
        Ok(self.chain.next_block(&self.attributes()?)?)
    }

    // --- Asking -------------------------------------------------------------------------------

    /// Asks a contract in the last block. Nothing changes.
    pub fn call<C: Calldata>(&mut self, to: Address, data: C) -> Result<C::Return, Error> {
        self.call_from(DEFAULT_SENDER, to, data)
    }

    /// [`call`](Self::call) by somebody in particular; no key is needed.
    pub fn call_from<C: Calldata>(
        &mut self,
        caller: Address,
        to: Address,
        data: C,
    ) -> Result<C::Return, Error> {
        let head = self.chain.head()?;
        let (header, config) = (self.head_block()?.header, self.chain.rules_of(head.hash)?);
        let message = Message {
            caller,
            address: to,
            origin: caller,
            gas_price: U256::ZERO,
            code: None,
            data: data.encode(),
            value: U256::ZERO,
            gas: header.gas_limit,
        };
        let store = self.chain.store();
        let executed = self.evm.call(&message, &header.env(), &config, store, &mut NoTracer)?;
        answer::<C>(to, &Error::unless_success(executed)?)
    }

    /// What a transaction would do as the only one of the block that `attributes` make, by all rules
    /// of consensus. A revert or halt is one of the outcomes.
    pub fn simulate(
        &mut self,
        transaction: &SignedTransaction,
        attributes: &BlockAttributes,
    ) -> Result<Executed, Error> {
        let NextBlock { header, config } = self.chain.next_block(attributes)?;
        let transaction = transaction.recover(config.spec())?;
        let store = self.chain.store();
        Ok(self.evm.execute(&transaction, &header.env(), &config, store, &mut NoTracer)?)
    }

    // --- Looking up ---------------------------------------------------------------------------

    /// Number and hash of the last block.
    pub fn head(&self) -> Result<BlockId, Error> {
        Ok(self.chain.head()?)
    }

    /// Block `number`; `None` beyond the head.
    pub fn block(&self, number: u64) -> Result<Option<Block>, Error> {
        Ok(self.log().block_at(number)?)
    }

    /// A mined transaction with its receipt; `None` as long as it waits.
    pub fn receipt(&self, hash: B256) -> Result<Option<MinedTransaction>, Error> {
        Ok(self.log().transaction(hash)?)
    }

    /// Balance in wei; zero where there is no account.
    pub fn balance(&self, address: Address) -> Result<U256, Error> {
        Ok(self.chain.store().account(address)?.unwrap_or_default().info.balance)
    }

    /// Number of transactions sent in blocks.
    pub fn nonce(&self, address: Address) -> Result<u64, Error> {
        Ok(self.chain.store().account(address)?.unwrap_or_default().info.nonce)
    }

    /// The nonce of the next transaction, those that wait counted.
    pub fn next_nonce(&self, address: Address) -> Result<u64, Error> {
        Ok(self.pending.next_nonce(address, self.nonce(address)?))
    }

    /// Code; empty where there is none.
    pub fn code(&self, address: Address) -> Result<Bytes, Error> {
        let store = self.chain.store();
        match store.account(address)?.unwrap_or_default().info.code_hash {
            KECCAK_EMPTY => Ok(Bytes::new()),
            hash => Ok(store.code(hash)?),
        }
    }

    /// The word at `slot`; zero where none was written.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, Error> {
        Ok(self.chain.store().storage(address, slot)?)
    }

    /// Everything there is of blocks: events, histories of addresses, proofs.
    #[must_use]
    pub fn log(&self) -> Log<'_> {
        self.chain.log()
    }

    /// The chain below: its rules, its state.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The chain below, to import blocks and to go to other branches.
    pub fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }

    fn head_block(&self) -> Result<Block, Error> {
        let head = self.chain.head()?;
        let unknown = zvm_txlog::ChainError::UnknownBlock { hash: head.hash };
        Ok(self.log().block(head.hash)?.ok_or(unknown)?)
    }
}

impl fmt::Debug for ChainZvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainZvm")
            .field("config", self.chain.config())
            .field("pending", &self.pending.iter().count())
            .finish_non_exhaustive()
    }
}

/// Opens what keeps state and blocks together. Caches are for states alone, and left out.
fn store(database: &str, access: Access) -> Result<Box<dyn LogStore>, Error> {
    Ok(match database.parse()? {
        DatabaseConfig::Memory => Box::new(Beside::new(MemoryDb::new())),
        config => Box::new(zvm_state::open_store(&config, access)?),
    })
}

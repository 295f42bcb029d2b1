//! The engine.

use std::fmt;

use zvm_core::{
    Account, AccountInfo, Address, B256, BlockEnv, BlockId, Bytes, Database, KECCAK_EMPTY,
    SnapshotId, SpecId, StateBackend, StateDiff, Transaction, TxKind, U256, address,
};
use zvm_evm::{Config, Evm, Executed, NoTracer};

use crate::{Builder, Calldata, Error, Fork, Receipt, Request};

/// Who sends where nobody else is named.
pub const DEFAULT_SENDER: Address = address!("5a564d0000000000000000000000000000000001");

/// A machine on a database. The [crate](crate) shows it at work.
pub struct Zvm {
    pub(crate) evm: Evm,
    pub(crate) config: Config,
    pub(crate) block: BlockEnv,
    pub(crate) db: Box<dyn StateBackend>,
    pub(crate) fork: Option<Fork>,
}

impl Zvm {
    /// An engine of the latest hard fork on an empty state in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self::builder()
            .build()
            .expect("memory is there, and default features have every precompile")
    }

    /// An engine on a database, such as `file:FOLDER` or `fork:URL@BLOCK`: of the latest hard fork, or
    /// of the one that the forked block had.
    pub fn open(config: &str) -> Result<Self, Error> {
        Self::builder().database(config)?.build()
    }

    /// Starts from the defaults to change some.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_parts(
        config: Config,
        block: BlockEnv,
        db: Box<dyn StateBackend>,
        fork: Option<Fork>,
    ) -> Self {
        Self { evm: Evm::new(), config, block, db, fork }
    }

    // --- Acting -------------------------------------------------------------------------------

    /// Starts a request with another sender; wei, gas limit and tracer can follow.
    pub fn from(&mut self, sender: Address) -> Request<'_> {
        Request::new(self, sender)
    }

    /// Asks a contract. Nothing changes, and no transaction is around it: no intrinsic gas.
    pub fn call<C: Calldata>(&mut self, to: Address, data: C) -> Result<C::Return, Error> {
        self.from(DEFAULT_SENDER).call(to, data)
    }

    /// Asks many contracts, each on the state as it is now. Of a fork, what all of them read is
    /// fetched together, in as few requests as for one. What one of them comes to is its own answer;
    /// that the database failed is that of all.
    ///
    /// ```
    /// # use zvm::{Address, Raw, Zvm};
    /// # let mut zvm = Zvm::memory();
    /// # let (alice, bob) = (Address::repeat_byte(0xa1), Address::repeat_byte(0xb0));
    /// // PUSH1 7 PUSH0 MSTORE PUSH1 32 PUSH0 RETURN, and PUSH0 PUSH0 REVERT
    /// zvm.set_code(alice, [0x60, 7, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3])?;
    /// zvm.set_code(bob, [0x5f, 0x5f, 0xfd])?;
    ///
    /// let answers = zvm.call_all([alice, bob].map(|to| (to, Raw(b""))))?;
    /// assert_eq!(answers[0].as_ref().unwrap().last(), Some(&7));
    /// assert!(answers[1].is_err());
    /// # Ok::<(), zvm::Error>(())
    /// ```
    pub fn call_all<C: Calldata>(
        &mut self,
        calls: impl IntoIterator<Item = (Address, C)>,
    ) -> Result<Vec<Result<C::Return, Error>>, Error> {
        self.from(DEFAULT_SENDER).call_all(calls)
    }

    /// Sends a transaction and commits what it changed. A revert or halt is an error; what it
    /// leaves (the sender's nonce) is committed all the same.
    pub fn transact<C: Calldata>(
        &mut self,
        to: impl Into<TxKind>,
        data: C,
    ) -> Result<Receipt<C::Return>, Error> {
        self.from(DEFAULT_SENDER).transact(to, data)
    }

    /// What [`transact`](Self::transact) would do: result and diff, not committed. A revert or
    /// halt is one of the outcomes.
    pub fn simulate<C: Calldata>(
        &mut self,
        to: impl Into<TxKind>,
        data: C,
    ) -> Result<Executed, Error> {
        self.from(DEFAULT_SENDER).simulate(to, data)
    }

    /// Creates a contract and returns its address. The constructor's arguments are the end of
    /// `initcode`.
    pub fn deploy(&mut self, initcode: impl AsRef<[u8]>) -> Result<Address, Error> {
        self.from(DEFAULT_SENDER).deploy(initcode)
    }

    /// Creates a contract from its bytecode and the arguments of its constructor.
    #[cfg(feature = "sol")]
    pub fn deploy_with<C: alloy_sol_types::SolConstructor>(
        &mut self,
        bytecode: impl AsRef<[u8]>,
        constructor: C,
    ) -> Result<Address, Error> {
        self.from(DEFAULT_SENDER).deploy_with(bytecode, constructor)
    }

    /// Executes and commits `tx` as it stands, by all rules of consensus: nonce, fees, limits. A
    /// revert or halt is one of the outcomes.
    pub fn execute(&mut self, tx: &Transaction) -> Result<Executed, Error> {
        let Self { evm, config, block, db, .. } = self;
        let executed = evm.execute(tx, block, config, &**db, &mut NoTracer)?;
        db.commit(&executed.diff)?;
        Ok(executed)
    }

    /// Commits changes, such as the diff of a simulation.
    pub fn commit(&mut self, diff: &StateDiff) -> Result<(), Error> {
        Ok(self.db.commit(diff)?)
    }

    // --- Going back ---------------------------------------------------------------------------

    /// Remembers the present state. Snapshots nest, and end with the process.
    pub fn snapshot(&mut self) -> Result<SnapshotId, Error> {
        Ok(self.db.snapshot()?)
    }

    /// Returns to a snapshot, forgetting it and all later ones.
    pub fn revert(&mut self, id: SnapshotId) -> Result<(), Error> {
        Ok(self.db.revert(id)?)
    }

    // --- Reading ------------------------------------------------------------------------------

    /// The account at `address`, `None` where there is none.
    pub fn account(&self, address: Address) -> Result<Option<Account>, Error> {
        Ok(self.db.account(address)?)
    }

    /// Balance in wei; zero where there is no account.
    pub fn balance(&self, address: Address) -> Result<U256, Error> {
        Ok(self.info(address)?.balance)
    }

    /// Number of transactions sent; zero where there is no account.
    pub fn nonce(&self, address: Address) -> Result<u64, Error> {
        Ok(self.info(address)?.nonce)
    }

    /// Code; empty where there is none.
    pub fn code(&self, address: Address) -> Result<Bytes, Error> {
        match self.info(address)?.code_hash {
            KECCAK_EMPTY => Ok(Bytes::new()),
            hash => Ok(self.db.code(hash)?),
        }
    }

    /// The word at `slot`; zero where none was written.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, Error> {
        Ok(self.db.storage(address, slot)?)
    }

    /// All non-zero words in the order of slots.
    pub fn storage_entries(&self, address: Address) -> Result<Vec<(U256, U256)>, Error> {
        Ok(self.db.storage_entries(address)?)
    }

    /// Root of the state trie, as a block header has it.
    pub fn state_root(&self) -> Result<B256, Error> {
        Ok(self.db.state_root()?)
    }

    /// The block whose state this is. Every commit makes one, and a new database stands at block 0.
    pub fn head(&self) -> Result<BlockId, Error> {
        Ok(self.db.head()?)
    }

    /// The state after block `number`, to read; [`Request::at`] asks contracts there. How far back
    /// that goes is up to the database: `file:FOLDER?history=all` keeps everything.
    pub fn at(&self, number: u64) -> Result<Box<dyn Database + '_>, Error> {
        Ok(self.db.at(number)?)
    }

    /// The remote state that this is a fork of, if it is one.
    #[must_use]
    pub fn forked(&self) -> Option<&Fork> {
        self.fork.as_ref()
    }

    /// The hard fork.
    #[must_use]
    pub fn spec(&self) -> SpecId {
        self.config.spec()
    }

    /// The block that everything runs in.
    #[must_use]
    pub fn block(&self) -> &BlockEnv {
        &self.block
    }

    // --- Setting up ---------------------------------------------------------------------------

    /// The block that everything runs in, to change it.
    pub fn block_mut(&mut self) -> &mut BlockEnv {
        &mut self.block
    }

    /// Sets the balance in wei.
    pub fn set_balance(&mut self, address: Address, wei: U256) -> Result<(), Error> {
        self.update(address, |info| info.balance = wei)
    }

    /// Sets the number of transactions sent.
    pub fn set_nonce(&mut self, address: Address, nonce: u64) -> Result<(), Error> {
        self.update(address, |info| info.nonce = nonce)
    }

    /// Puts code at an address without running a constructor.
    pub fn set_code(&mut self, address: Address, code: impl AsRef<[u8]>) -> Result<(), Error> {
        let mut info = self.info(address)?;
        let mut batch = self.db.batch();
        info.code_hash = batch.set_code(Bytes::copy_from_slice(code.as_ref()));
        Ok(batch.set_account(address, info).commit()?)
    }

    /// Writes a word of storage.
    pub fn set_storage(&mut self, address: Address, slot: U256, word: U256) -> Result<(), Error> {
        Ok(self.db.batch().set_storage(address, slot, word).commit()?)
    }

    /// Sets what `BLOCKHASH` answers for block `number`.
    pub fn set_block_hash(&mut self, number: u64, hash: B256) -> Result<(), Error> {
        Ok(self.db.set_block_hash(number, hash)?)
    }

    /// The backend, for whatever has no method here.
    pub fn database(&mut self) -> &mut dyn StateBackend {
        &mut *self.db
    }

    fn info(&self, address: Address) -> Result<AccountInfo, Error> {
        Ok(self.db.account(address)?.map(|account| account.info).unwrap_or_default())
    }

    fn update(
        &mut self,
        address: Address,
        change: impl FnOnce(&mut AccountInfo),
    ) -> Result<(), Error> {
        let mut info = self.info(address)?;
        change(&mut info);
        Ok(self.db.batch().set_account(address, info).commit()?)
    }
}

impl fmt::Debug for Zvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zvm")
            .field("config", &self.config)
            .field("block", &self.block)
            .finish_non_exhaustive()
    }
}

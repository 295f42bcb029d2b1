//! revm's side of a comparison of whole blocks, in the two ways that it has.

use std::convert::Infallible;

use revm::{
    Context, DatabaseRef, ExecuteCommitEvm, ExecuteEvm, Journal, MainBuilder,
    bytecode::Bytecode,
    context::{BlockEnv, CfgEnv, TxEnv, result::ExecutionResult},
    database::{BundleState, StateBuilder, WrapDatabaseRef, states::bundle_state::BundleRetention},
    primitives::{AddressMap, HashMap, hardfork::SpecId as PeerSpec},
    state::{AccountInfo, EvmState},
};
use zvm_conformance::Replay;
use zvm_core::{Address, B256, Database, U256};

use crate::peer::{block, cfg, spec, tx};

type PeerContext<DB> = Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, ()>;

/// A block and what it reads, as revm takes it: code analysed, transactions converted.
pub struct PeerBlock {
    db: PeerBlockDb,
    spec: PeerSpec,
    cfg: CfgEnv,
    block: BlockEnv,
    transactions: Vec<TxEnv>,
}

/// How revm keeps the state between the transactions of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// In its `State`, as clients do: changes are committed after each transaction, and in the end
    /// there is a bundle of changes with their reverts.
    State,
    /// In its journal, which is finalised after the last transaction. What each transaction changed
    /// cannot be told.
    Journal,
}

impl PeerBlock {
    /// The block of `replay`; what is wrong where there is none.
    pub fn new(replay: &Replay) -> Result<Self, String> {
        let config = replay.config().map_err(|error| error.to_string())?;
        let peer = spec(config.spec()).ok_or("the peer lacks this hard fork")?;
        let mut db = PeerBlockDb::default();
        for (address, account) in replay.state().accounts() {
            let info = &account.info;
            let code = match info.has_code() {
                true => replay.state().code(info.code_hash).map_err(|error| error.to_string())?,
                false => zvm_core::Bytes::new(),
            };
            let code = Bytecode::new_raw(code);
            db.code.insert(info.code_hash, code.clone());
            let info = AccountInfo::new(info.balance, info.nonce, info.code_hash, code);
            db.accounts.insert(address, info);
            let words = account.storage.iter();
            db.storage.extend(words.map(|(slot, word)| ((address, *slot), *word)));
        }
        db.hashes.extend(replay.state().block_hashes());
        Ok(Self {
            db,
            spec: peer,
            cfg: cfg(peer, config.spec(), config.blob),
            block: block(&replay.header.env(), config.spec(), config.blob),
            transactions: replay.transactions.iter().map(tx).collect(),
        })
    }

    /// Executes all transactions.
    pub fn run(&self, between: Between) -> Result<PeerRan, String> {
        match between {
            Between::State => self.run_on_state(),
            Between::Journal => self.run_on_journal(),
        }
    }

    fn run_on_state(&self) -> Result<PeerRan, String> {
        let mut state =
            StateBuilder::new().with_database_ref(&self.db).with_bundle_update().build();
        let mut results = Vec::with_capacity(self.transactions.len());
        {
            let mut context: PeerContext<_> =
                Context::new(&mut state, self.spec).with_cfg(self.cfg.clone());
            context.block = self.block.clone();
            let mut evm = context.build_mainnet();
            for tx in &self.transactions {
                results.push(evm.transact_commit(tx.clone()).map_err(|e| format!("{e:?}"))?);
            }
        }
        state.merge_transitions(BundleRetention::Reverts);
        let changes = PeerChanges::Bundle(Box::new(state.take_bundle()));
        Ok(PeerRan { results, changes })
    }

    fn run_on_journal(&self) -> Result<PeerRan, String> {
        let mut context: PeerContext<_> =
            Context::new(WrapDatabaseRef(&self.db), self.spec).with_cfg(self.cfg.clone());
        context.block = self.block.clone();
        let mut evm = context.build_mainnet();
        let mut results = Vec::with_capacity(self.transactions.len());
        for tx in &self.transactions {
            results.push(evm.transact_one(tx.clone()).map_err(|error| format!("{error:?}"))?);
        }
        Ok(PeerRan { results, changes: PeerChanges::Journal(evm.finalize()) })
    }
}

/// What came of a block.
pub struct PeerRan {
    results: Vec<ExecutionResult>,
    /// What the block changed.
    pub changes: PeerChanges,
}

/// The changes of a block, in either form.
pub enum PeerChanges {
    /// Of its `State`.
    Bundle(Box<BundleState>),
    /// Of its journal.
    Journal(EvmState),
}

impl PeerRan {
    /// Gas of all transactions.
    #[must_use]
    pub fn gas_used(&self) -> u64 {
        self.results.iter().map(ExecutionResult::tx_gas_used).sum()
    }
}

/// What a block reads, in hash maps.
#[derive(Debug, Default)]
struct PeerBlockDb {
    accounts: AddressMap<AccountInfo>,
    storage: HashMap<(Address, U256), U256>,
    code: HashMap<B256, Bytecode>,
    hashes: HashMap<u64, B256>,
}

impl DatabaseRef for PeerBlockDb {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.accounts.get(&address).cloned())
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.storage.get(&(address, slot)).copied().unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.hashes.get(&number).copied().unwrap_or_default())
    }
}

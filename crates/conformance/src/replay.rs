//! Real blocks with the part of the state that they read.
//!
//! A block is a folder with `block.json` (as `eth_getBlockByNumber` answers, with full transactions),
//! `pre_state.json` and, where the block asks for hashes, `block_hashes.json`. Code is in one
//! `bytecodes.json` for all. There is no trie, so the root of the state cannot be told; gas, receipts
//! and logs can.

mod json;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use zvm_core::{
    Account, AccountInfo, Address, B256, Bytes, ChainConfig, Database, DbError, Header, SpecId,
    Transaction, U256, Withdrawal,
    map::{AddressMap, B256Map, HashMap},
};
use zvm_evm::{
    Config, Evm, NoTracer,
    block::{self, BlockContext, BlockExecutor, Consensus, ExecutedBlock},
};

use crate::{FixtureError, UsageError, source};

/// A block of mainnet, ready to be executed.
#[derive(Debug)]
pub struct Replay {
    /// Its header.
    pub header: Header,
    /// Its transactions, whose senders are known.
    pub transactions: Vec<Transaction>,
    withdrawals: Vec<Withdrawal>,
    consensus: Consensus,
    state: ReplayState,
}

/// What a block reads: a part of the state before it, and hashes of earlier blocks.
#[derive(Debug)]
pub struct ReplayState {
    accounts: AddressMap<ReplayAccount>,
    block_hashes: HashMap<u64, B256>,
    code: Arc<B256Map<Bytes>>,
}

/// An account of a [`ReplayState`].
#[derive(Clone, Debug)]
pub struct ReplayAccount {
    /// Nonce, balance and code hash.
    pub info: AccountInfo,
    /// The slots that the block reads.
    pub storage: HashMap<U256, U256>,
}

/// The blocks below some paths.
#[derive(Debug, Default)]
pub struct Replays {
    /// In the order of numbers.
    pub ready: Vec<Replay>,
    /// Files that cannot be read, and why.
    pub faults: Vec<(String, FixtureError)>,
}

/// Reads all blocks below `paths`: folders and `.tar.zst` archives.
pub fn replays(paths: &[PathBuf]) -> Result<Replays, UsageError> {
    source::check(paths)?;
    let mut replays = Replays::default();
    let mut folders: BTreeMap<String, json::Folder> = BTreeMap::new();
    let mut code = B256Map::default();
    source::read_all(paths, &mut |item| {
        let read = item.and_then(|file| {
            let (folder, name) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
            match name {
                "bytecodes.json" => json::code(&file.text).map(|read| code.extend(read)),
                _ => folders.entry(folder.to_owned()).or_default().add(name, &file.text),
            }
            .map_err(|error| (file.name.clone(), error))
        });
        replays.faults.extend(read.err());
        true
    });
    let code = Arc::new(code);
    for (folder, read) in folders {
        match read.into_replay(&code) {
            Ok(replay) => replays.ready.extend(replay),
            Err(error) => replays.faults.push((folder, error)),
        }
    }
    replays.ready.sort_by_key(|replay| replay.header.number);
    Ok(replays)
}

impl Replay {
    /// The rules of the block.
    pub fn config(&self) -> Result<Config, zvm_precompiles::MissingPrecompiles> {
        let (number, timestamp) = (self.header.number, self.header.timestamp);
        block::config(&ChainConfig::mainnet(), self.consensus, number, timestamp)
    }

    /// What the block reads.
    #[must_use]
    pub fn state(&self) -> &ReplayState {
        &self.state
    }

    /// Executes the block. Ommers are not rewarded: the files do not tell whose they are.
    pub fn run(&self, chain: &ChainConfig, evm: &mut Evm) -> Result<ExecutedBlock, String> {
        let context = BlockContext {
            chain,
            consensus: self.consensus,
            env: self.header.env(),
            parent_hash: self.header.parent_hash,
            parent_beacon_root: self.header.parent_beacon_block_root,
            db: &self.state,
            root_after: None,
        };
        let mut executor = BlockExecutor::begin(evm, context).map_err(|e| e.to_string())?;
        for (index, transaction) in self.transactions.iter().enumerate() {
            executor
                .transact(transaction, &mut NoTracer)
                .map_err(|error| format!("transaction {index}: {error}"))?;
        }
        executor.finish(&[], &self.withdrawals).map_err(|error| error.to_string())
    }

    /// Compares what came of the block with its header: gas, bloom and, from Byzantium on, receipts;
    /// before, receipts hold roots of the state.
    pub fn judge(&self, executed: &ExecutedBlock) -> Result<(), String> {
        let header = &self.header;
        if executed.gas_used != header.gas_used {
            return Err(format!("gas used {}, expected {}", executed.gas_used, header.gas_used));
        }
        if executed.logs_bloom() != header.logs_bloom {
            return Err("another bloom of the logs".to_owned());
        }
        let spec = ChainConfig::mainnet().spec_at(header.number, header.timestamp, false);
        let root = executed.receipts_root();
        if spec.has(SpecId::BYZANTIUM) && root != header.receipts_root {
            return Err(format!("receipts root {root}, expected {}", header.receipts_root));
        }
        Ok(())
    }
}

impl ReplayState {
    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, &ReplayAccount)> {
        self.accounts.iter().map(|(address, account)| (*address, account))
    }

    /// Hashes of blocks by their numbers.
    pub fn block_hashes(&self) -> impl Iterator<Item = (u64, B256)> {
        self.block_hashes.iter().map(|(number, hash)| (*number, *hash))
    }
}

impl Database for ReplayState {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        Ok(self.accounts.get(&address).map(|account| Account {
            info: account.info,
            has_storage: !account.storage.is_empty(),
        }))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, DbError> {
        let account = self.accounts.get(&address);
        Ok(account.and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default())
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        self.code.get(&code_hash).cloned().ok_or(DbError::MissingCode { code_hash })
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        self.block_hashes.get(&number).copied().ok_or(DbError::MissingBlockHash { number })
    }
}

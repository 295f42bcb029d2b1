//! Cases of shape `blockchain`: blocks to import, some of which must be refused.

use serde::{Deserialize, de::IgnoredAny};
use zvm_core::{
    Address, B64, B256, Block, Bloom, Header, SpecId, StateDiff, genesis, hex, rlp::Rlp,
};
use zvm_evm::Tracer;
use zvm_state::MemoryDb;
use zvm_txlog::{Beside, Chain, Imported, LogStore};

use crate::{
    FixtureError, difference,
    network::{FixtureConfig, Network},
    refusals::{self, Refusal},
    values::{Data, Short, Word},
    world::{Alloc, AllocAccount, World, words},
};

/// A case as the file has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    network: String,
    pre: Alloc,
    genesis_block_header: GenesisHeader,
    #[serde(rename = "genesisRLP")]
    genesis_rlp: Option<Data>,
    blocks: Vec<RawBlock>,
    lastblockhash: B256,
    post_state: Option<Alloc>,
    post_state_hash: Option<B256>,
    #[serde(default)]
    seal_engine: String,
    #[serde(default)]
    config: FixtureConfig,
}

/// A header as fixtures spell it. Files without the RLP of the first block are all of old forks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenesisHeader {
    parent_hash: B256,
    uncle_hash: B256,
    coinbase: Address,
    state_root: B256,
    transactions_trie: B256,
    receipt_trie: B256,
    bloom: Bloom,
    difficulty: Word,
    number: Short,
    gas_limit: Short,
    gas_used: Short,
    timestamp: Short,
    extra_data: Data,
    mix_hash: B256,
    nonce: B64,
    base_fee_per_gas: Option<Short>,
    hash: B256,
}

/// A block as the file has it: bytes, and whether they are a valid block.
#[derive(Debug, Deserialize)]
struct RawBlock {
    rlp: String,
    #[serde(rename = "blockHeader")]
    header: Option<IgnoredAny>,
    #[serde(rename = "expectException")]
    exception: Option<String>,
    /// The same in files of several networks.
    #[serde(rename = "expectExceptionALL")]
    exception_for_all: Option<String>,
}

/// A case ready to run.
#[derive(Debug)]
pub(crate) struct Case {
    label: String,
    network: Network,
    raw: Raw,
}

/// Reasons of skips.
const AMSTERDAM: &str = "Amsterdam: rules of a development network, not implemented";
const SEAL: &str = "ethash: the seal of a block must be found wrong, and seals are not checked";

/// What a run found wrong: one line, and the details.
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) details: Vec<String>,
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self { what, details: Vec::new() }
    }
}

impl Case {
    /// Reads a case from its JSON.
    pub(crate) fn parse(text: &str, whole: &str) -> Result<Self, FixtureError> {
        let raw: Raw =
            serde_json::from_str(text).map_err(|error| FixtureError::json(&error, text, whole))?;
        let network = Network::of(&raw.network, &raw.config);
        Ok(Self { label: raw.network.clone(), network, raw })
    }

    /// Label of the network.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The last hard fork of the network, if zvm has it.
    pub(crate) fn spec(&self) -> Option<SpecId> {
        match self.network {
            Network::Known(spec, _) => Some(spec),
            Network::Amsterdam | Network::Unknown => None,
        }
    }

    /// Why the case is not run, if so.
    pub(crate) fn skip_reason(&self) -> Option<&'static str> {
        if matches!(self.network, Network::Amsterdam) {
            return Some(AMSTERDAM);
        }
        // All that is wrong with the blocks of such chains is their seal.
        let has_invalid = self.raw.blocks.iter().any(RawBlock::is_invalid);
        (self.raw.seal_engine == "Ethash" && has_invalid).then_some(SEAL)
    }

    /// Imports all blocks and compares head and state with what is expected.
    pub(crate) fn run<T: Tracer>(&self, tracer: &mut T) -> Result<(), Fault> {
        let raw = &self.raw;
        let Network::Known(_, config) = &self.network else {
            return Err(format!("unknown network {:?}", self.label).into());
        };
        let genesis = raw.genesis()?;
        let store = Beside::new(MemoryDb::with_history(usize::MAX));
        let alloc = diff_of(&raw.pre);
        let mut chain = Chain::begin(Box::new(store), (**config).clone(), &genesis, &alloc)
            .map_err(|error| format!("genesis: {error}"))?;
        for (index, block) in raw.blocks.iter().enumerate() {
            block
                .import(&mut chain, tracer)
                .map_err(|what| format!("block {index} of the file: {what}"))?;
        }
        let head = chain.head().map_err(|error| error.to_string())?;
        if head.hash != raw.lastblockhash {
            let (found, expected) = (head.hash, raw.lastblockhash);
            return Err(format!("head {found}, expected {expected}").into());
        }
        raw.check_state(chain.store())
    }
}

impl Raw {
    /// The first block.
    fn genesis(&self) -> Result<Block, String> {
        let genesis = match &self.genesis_rlp {
            Some(rlp) => Block::decode(&rlp.0).map_err(|error| format!("genesis: {error}"))?,
            None => Block { header: self.genesis_block_header.header(), ..Block::default() },
        };
        let (found, expected) = (genesis.hash(), self.genesis_block_header.hash);
        match found == expected {
            true => Ok(genesis),
            false => Err(format!("genesis: hash {found}, expected {expected}")),
        }
    }

    /// Compares the state of the head with the expected one, which is listed or has its root.
    fn check_state(&self, state: &dyn LogStore) -> Result<(), Fault> {
        let found = state.state_root().map_err(|error| error.to_string())?;
        let world = self.post_state.clone().map(World::new);
        let expected = match (&world, self.post_state_hash) {
            (_, Some(root)) => root,
            (Some(world), None) => world.root_after(&StateDiff::default()),
            (None, None) => return Err("neither postState nor postStateHash".to_owned().into()),
        };
        if found == expected {
            return Ok(());
        }
        let what = format!("state root {found}, expected {expected}");
        let details = match &self.post_state {
            Some(listed) => {
                let found = World::of(state).map_err(|error| error.to_string())?;
                difference::between(&found, &StateDiff::default(), listed.clone())
            }
            None => Vec::new(),
        };
        Err(Fault { what, details })
    }
}

impl GenesisHeader {
    fn header(&self) -> Header {
        Header {
            parent_hash: self.parent_hash,
            ommers_hash: self.uncle_hash,
            beneficiary: self.coinbase,
            state_root: self.state_root,
            transactions_root: self.transactions_trie,
            receipts_root: self.receipt_trie,
            logs_bloom: self.bloom,
            difficulty: self.difficulty.0,
            number: self.number.0,
            gas_limit: self.gas_limit.0,
            gas_used: self.gas_used.0,
            timestamp: self.timestamp.0,
            extra_data: self.extra_data.0.clone(),
            mix_hash: self.mix_hash,
            nonce: self.nonce,
            base_fee_per_gas: self.base_fee_per_gas.map(|fee| fee.0),
            ..Header::default()
        }
    }
}

impl RawBlock {
    fn is_invalid(&self) -> bool {
        self.header.is_none() || self.exception.is_some()
    }

    /// Imports the block, or sees that it is refused for the right reason.
    fn import<T: Tracer>(&self, chain: &mut Chain, tracer: &mut T) -> Result<(), String> {
        match (self.try_import(chain, tracer)?, self.is_invalid()) {
            (Ok(()), false) => Ok(()),
            (Ok(()), true) => {
                Err(format!("imported, expected {}", self.expected().unwrap_or("a refusal")))
            }
            (Err(refusal), false) => Err(format!("refused ({refusal}), expected to be imported")),
            (Err(refusal), true) => match self.expected() {
                Some(expected) if !refusals::is_expected(expected, &refusal) => {
                    Err(format!("refused ({refusal}), expected {expected}"))
                }
                _ => Ok(()),
            },
        }
    }

    fn expected(&self) -> Option<&str> {
        self.exception.as_deref().or(self.exception_for_all.as_deref())
    }

    /// `Err` is a failure of the machine, which is nothing a fixture expects.
    fn try_import<T: Tracer>(
        &self,
        chain: &mut Chain,
        tracer: &mut T,
    ) -> Result<Result<(), Refusal>, String> {
        let bytes = self.rlp.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        let Some(bytes) = bytes else { return Ok(Err(Refusal::NoBytes)) };
        let block = match Block::decode(&bytes) {
            Ok(block) => block,
            Err(error) => return Ok(Err(Refusal::Decode(error))),
        };
        let hash = block.hash();
        // After the merge it is the consensus layer that says which block is the head.
        let is_selected = block.header.difficulty.is_zero();
        let imported = chain.import_traced(&block, tracer).and_then(|imported| match imported {
            Imported::Side if is_selected => chain.select_traced(hash, tracer),
            _ => Ok(()),
        });
        match imported {
            Ok(()) => Ok(Ok(())),
            Err(error) => Refusal::of(hash, error).map(Err),
        }
    }
}

/// The state that `alloc` lists, as the change that makes it.
fn diff_of(alloc: &Alloc) -> StateDiff {
    let account = |listed: &AllocAccount| genesis::AllocAccount {
        nonce: listed.nonce.0,
        balance: listed.balance.0,
        code: listed.code.0.clone(),
        storage: words(listed.storage.clone()).collect(),
    };
    let accounts = alloc.0.iter().map(|(address, listed)| (*address, account(listed)));
    genesis::state_of(&accounts.collect())
}

//! The files of a block.

use std::sync::Arc;

use serde::Deserialize;
use zvm_core::{
    AccessListItem, AccountInfo, Address, B256, Block, Bytes, ChainConfig, Header, KECCAK_EMPTY,
    Signature, SignedTransaction, TxKind, TxType, U256, UnsignedTransaction, Withdrawal,
    map::{B256Map, HashMap},
};
use zvm_evm::block::{Consensus, recover_transactions};

use super::{Replay, ReplayAccount, ReplayState};
use crate::{
    FixtureError,
    values::{Data, Entries, Short, Word},
    world::words,
};

/// Code by its hash.
pub(super) fn code(text: &str) -> Result<B256Map<Bytes>, FixtureError> {
    let code: Entries<B256, Data> = parse(text)?;
    Ok(code.0.into_iter().map(|(hash, code)| (hash, code.0)).collect())
}

/// The files of a folder that have been met so far.
#[derive(Debug, Default)]
pub(super) struct Folder {
    block: Option<RpcBlock>,
    accounts: Option<Entries<Address, PreAccount>>,
    block_hashes: HashMap<u64, B256>,
}

/// A block as JSON-RPC has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcBlock {
    #[serde(flatten)]
    header: Header,
    hash: B256,
    total_difficulty: Word,
    transactions: Vec<RpcTransaction>,
    #[serde(default)]
    withdrawals: Vec<Withdrawal>,
}

/// A transaction as JSON-RPC has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcTransaction {
    hash: B256,
    #[serde(rename = "type")]
    tx_type: Short,
    nonce: Short,
    to: Option<Address>,
    value: Word,
    gas_price: Word,
    gas: Short,
    input: Data,
    r: Word,
    s: Word,
    v: Word,
    chain_id: Option<Short>,
    max_fee_per_gas: Option<Word>,
    max_priority_fee_per_gas: Option<Word>,
    max_fee_per_blob_gas: Option<Word>,
    #[serde(default)]
    access_list: Vec<AccessListItem>,
    #[serde(default)]
    blob_versioned_hashes: Vec<B256>,
}

#[derive(Debug, Deserialize)]
struct PreAccount {
    balance: Word,
    nonce: u64,
    code_hash: Option<B256>,
    #[serde(default)]
    storage: Entries<Word, Word>,
}

impl Folder {
    /// Takes a file of the folder; those of other names are none of ours.
    pub(super) fn add(&mut self, name: &str, text: &str) -> Result<(), FixtureError> {
        match name {
            "block.json" => self.block = Some(parse(text)?),
            "pre_state.json" => self.accounts = Some(parse(text)?),
            "block_hashes.json" => {
                let hashes: Entries<u64, B256> = parse(text)?;
                self.block_hashes.extend(hashes.0);
            }
            _ => {}
        }
        Ok(())
    }

    /// The block, `None` for a folder without one.
    pub(super) fn into_replay(
        self,
        code: &Arc<B256Map<Bytes>>,
    ) -> Result<Option<Replay>, FixtureError> {
        let Some(block) = self.block else { return Ok(None) };
        let expected = "the state before the block";
        let missing = FixtureError::Missing { field: "pre_state.json", expected };
        let mut accounts = zvm_core::map::AddressMap::default();
        for (address, listed) in self.accounts.ok_or(missing)?.0 {
            let info = AccountInfo {
                nonce: listed.nonce,
                balance: listed.balance.0,
                code_hash: listed.code_hash.unwrap_or(KECCAK_EMPTY),
            };
            let storage = words(listed.storage).collect();
            accounts.insert(address, ReplayAccount { info, storage });
        }
        let RpcBlock { header, hash, total_difficulty, transactions, withdrawals } = block;
        let number = header.number;
        let invalid = |what: String| FixtureError::Block { number, what };
        if header.hash() != hash {
            return Err(invalid(format!("the header's hash is {}, not {hash}", header.hash())));
        }
        let chain = ChainConfig::mainnet();
        let before = total_difficulty.0.saturating_sub(header.difficulty);
        let consensus = match chain.is_pos(before) {
            true => Consensus::ProofOfStake,
            false => Consensus::ProofOfWork,
        };
        let signed = transactions.into_iter().map(|transaction| {
            transaction.signed().ok_or_else(|| {
                invalid(format!("transaction {} does not hash to that", transaction.hash))
            })
        });
        let block =
            Block { header, transactions: signed.collect::<Result<_, _>>()?, ..Block::default() };
        let transactions = recover_transactions(&chain, consensus, &block)
            .map_err(|error| invalid(error.to_string()))?;
        let mut block_hashes = self.block_hashes;
        block_hashes.insert(number.saturating_sub(1), block.header.parent_hash);
        let state = ReplayState { accounts, block_hashes, code: code.clone() };
        Ok(Some(Replay { header: block.header, transactions, withdrawals, consensus, state }))
    }
}

impl RpcTransaction {
    /// The transaction, `None` if it is not the one with the hash.
    fn signed(&self) -> Option<SignedTransaction> {
        let tx_type = TxType::from_byte(u8::try_from(self.tx_type.0).ok()?)?;
        let v = self.v.0;
        // EIP-155 puts the chain into `v`.
        let is_odd = match tx_type {
            TxType::Legacy => !v.bit(0),
            _ => v == U256::from(1),
        };
        let has_chain = tx_type != TxType::Legacy || v >= U256::from(35);
        let body = UnsignedTransaction {
            tx_type,
            chain_id: self.chain_id.filter(|_| has_chain).map(|id| id.0),
            nonce: self.nonce.0,
            max_priority_fee: self.max_priority_fee_per_gas.unwrap_or_default().0,
            gas_price: self.max_fee_per_gas.unwrap_or(self.gas_price).0,
            gas_limit: self.gas.0,
            to: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value.0,
            data: self.input.0.clone(),
            access_list: self.access_list.clone(),
            max_fee_per_blob_gas: self.max_fee_per_blob_gas.unwrap_or_default().0,
            blob_hashes: self.blob_versioned_hashes.clone(),
            authorizations: Vec::new(),
        };
        let signature = Signature { y_parity: is_odd, r: self.r.0, s: self.s.0 };
        let signed = SignedTransaction { body, signature };
        (signed.hash() == self.hash).then_some(signed)
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, FixtureError> {
    serde_json::from_str(text).map_err(|error| FixtureError::json(&error, text, text))
}

//! Proofs of the present state, and what a store has to say of itself.

use zvm_core::{Address, B256, BlockId, DbError, EMPTY_ROOT, KECCAK_EMPTY, U256, keccak256};
use zvm_trie::{AccountProof, StorageProof, prove, prove_many};

use super::{
    FileDb,
    keys::{slot_hash, slot_key},
    recover::FORMAT_VERSION,
    storage::{InlineTrie, by_hash, inline_word},
    tries::{AccountTrie, StorageTrie},
};
use crate::kv::KvStats;

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// The last block.
    pub head: BlockId,
    /// Its state root.
    pub root: B256,
    /// The first block whose state can be read.
    pub floor: u64,
    /// Version of the layout.
    pub format: u32,
    /// Sizes by table.
    pub sizes: KvStats,
}

impl FileDb {
    /// The account at `address` and the words at `slots`, each with its proof against the present
    /// [`state_root`](zvm_core::StateBackend::state_root), as `eth_getProof` answers it. The proofs
    /// of what is absent show that it is.
    pub fn proof(&self, address: Address, slots: &[U256]) -> Result<AccountProof, DbError> {
        let (kv, tries) = (&self.kv(), self.tries()?);
        let hash = keccak256(address);
        let record = self.record(&hash)?;
        let account_proof = prove(&AccountTrie { kv, tries }, hash)?;
        let storage_proof = match &record {
            Some(record) if !record.storage.is_empty() => {
                let hashes: Vec<_> = slots.iter().map(|slot| slot_hash(*slot)).collect();
                let proofs = match record.life(&hash) {
                    Some(life) => {
                        let count = Some(record.storage.count());
                        prove_many(&StorageTrie { kv, tries, life, slots: count }, &hashes)?
                    }
                    None => prove_many(&InlineTrie(by_hash(record.inline())), &hashes)?,
                };
                let proven = slots.iter().zip(&hashes).zip(proofs);
                proven
                    .map(|((slot, slot_hash), proof)| {
                        let value = match record.life(&hash) {
                            Some(life) => self.word(&slot_key(&life, slot_hash))?,
                            None => inline_word(record.inline(), *slot),
                        };
                        Ok(StorageProof { key: *slot, value, proof })
                    })
                    .collect::<Result<_, DbError>>()?
            }
            _ => slots
                .iter()
                .map(|slot| StorageProof { key: *slot, value: U256::ZERO, proof: Vec::new() })
                .collect(),
        };
        let info = record.as_ref().map(|record| record.info);
        Ok(AccountProof {
            address,
            balance: info.map_or(U256::ZERO, |info| info.balance),
            code_hash: info.map_or(KECCAK_EMPTY, |info| info.code_hash),
            nonce: info.map_or(0, |info| info.nonce),
            storage_hash: record.map_or(EMPTY_ROOT, |record| record.storage_root),
            account_proof,
            storage_proof,
        })
    }

    /// Head, floor, format and sizes.
    pub fn stat(&self) -> Result<FileStat, DbError> {
        Ok(FileStat {
            head: self.meta.head.block.unwrap_or_default(),
            root: self.meta.head.root,
            floor: self.meta.floor,
            format: FORMAT_VERSION,
            sizes: self.kv.stats()?,
        })
    }
}

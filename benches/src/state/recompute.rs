//! No store at all: what any incremental root must beat.

use std::collections::BTreeMap;

use alloy_trie::{HashBuilder, Nibbles, TrieAccount};
use zvm_core::{AccountInfo, Address, B256, StateDiff, U256, keccak256};

use super::contender::{Committed, Contender, Failure};

/// The state in memory. Its root is computed from all leaves.
#[derive(Default)]
pub(super) struct Recompute(BTreeMap<B256, Account>);

#[derive(Default)]
struct Account {
    info: AccountInfo,
    storage: BTreeMap<B256, U256>,
}

impl Recompute {
    fn root(&self) -> B256 {
        root(self.0.iter().map(|(hash, account)| {
            let words = account.storage.iter();
            let storage = root(words.map(|(hash, word)| (*hash, alloy_rlp::encode(word))));
            let AccountInfo { nonce, balance, code_hash } = account.info;
            let leaf = TrieAccount::new(nonce, balance, storage, code_hash);
            (*hash, alloy_rlp::encode(leaf))
        }))
    }
}

/// The root of the trie with these leaves, which are in order.
fn root(leaves: impl Iterator<Item = (B256, Vec<u8>)>) -> B256 {
    let mut builder = HashBuilder::default();
    for (hash, leaf) in leaves {
        builder.add_leaf(Nibbles::unpack(hash), &leaf);
    }
    builder.root()
}

impl Contender for Recompute {
    fn seed(&mut self, diff: &StateDiff) -> Result<(), Failure> {
        for (address, change) in &diff.accounts {
            let account = self.0.entry(keccak256(address)).or_default();
            account.info = change.new.unwrap_or_default();
            for (slot, word) in &change.storage {
                account.storage.insert(keccak256(slot.to_be_bytes::<32>()), word.new);
            }
        }
        Ok(())
    }

    fn finish_seed(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn commit(&mut self, diff: &StateDiff) -> Result<Committed, Failure> {
        self.seed(diff)?;
        let leaves = diff.accounts.values().map(|account| 1 + account.storage.len()).sum();
        Ok(Committed { root: self.root(), leaves })
    }

    fn account(&self, address: Address) -> Result<Option<AccountInfo>, Failure> {
        Ok(self.0.get(&keccak256(address)).map(|account| account.info))
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, Failure> {
        let account = self.0.get(&keccak256(address));
        let word = account
            .and_then(|account| account.storage.get(&keccak256(slot.to_be_bytes::<32>())).copied());
        Ok(word.unwrap_or_default())
    }
}

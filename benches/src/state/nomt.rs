//! nomt, with accounts and slots as values of 72 and 32 bytes under keys of 32.

use std::path::Path;

use nomt::{KeyReadWrite, Nomt, Options, SessionParams, hasher::Blake3Hasher, trie::KeyPath};
use zvm_core::{AccountInfo, Address, B256, StateDiff, U256, keccak256};

use super::contender::{Committed, Contender, Failure};

pub(super) struct NomtStore(Nomt<Blake3Hasher>);

/// Pages its hash table has room for. A page serves six levels of the trie, so 2^18 do for all
/// states of a few million leaves; the table cannot grow. Holes in its file take no space.
const PAGES: u32 = 1 << 19;

impl NomtStore {
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let mut options = Options::new();
        options.path(folder);
        options.hashtable_buckets(PAGES);
        options.preallocate_ht(false);
        Ok(Self(Nomt::open(options)?))
    }
}

impl Contender for NomtStore {
    fn seed(&mut self, diff: &StateDiff) -> Result<(), Failure> {
        self.commit(diff).map(drop)
    }

    fn finish_seed(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn commit(&mut self, diff: &StateDiff) -> Result<Committed, Failure> {
        let mut writes = Vec::new();
        for (address, change) in &diff.accounts {
            let hash = keccak256(address);
            if change.new != change.old {
                let value = change.new.as_ref().map(account_value);
                writes.push((hash.0, KeyReadWrite::Write(value)));
            }
            for (slot, word) in &change.storage {
                let value = word.new.to_be_bytes_vec();
                writes.push((slot_key(&hash, *slot), KeyReadWrite::Write(Some(value))));
            }
        }
        writes.sort_unstable_by_key(|write| write.0);
        let leaves = writes.len();
        let finished = self.0.begin_session(SessionParams::default()).finish(writes)?;
        let root = B256::new(finished.root().into_inner());
        finished.commit(&self.0)?;
        Ok(Committed { root, leaves })
    }

    fn account(&self, address: Address) -> Result<Option<AccountInfo>, Failure> {
        self.0.read(keccak256(address).0)?.as_deref().map(account_of).transpose()
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, Failure> {
        let value = self.0.read(slot_key(&keccak256(address), slot))?;
        Ok(value.map_or(U256::ZERO, |value| U256::from_be_slice(&value)))
    }
}

fn slot_key(account: &B256, slot: U256) -> KeyPath {
    keccak256([account.0, slot.to_be_bytes()].concat()).0
}

fn account_value(info: &AccountInfo) -> Vec<u8> {
    [&info.nonce.to_be_bytes()[..], &info.balance.to_be_bytes::<32>(), info.code_hash.as_slice()]
        .concat()
}

fn account_of(value: &[u8]) -> Result<AccountInfo, Failure> {
    let fields = value.split_first_chunk::<8>().and_then(|(nonce, rest)| {
        let (balance, hash) = rest.split_first_chunk::<32>()?;
        Some((*nonce, *balance, <[u8; 32]>::try_from(hash).ok()?))
    });
    let (nonce, balance, code_hash) =
        fields.ok_or_else(|| format!("an account of {} bytes, expected 72", value.len()))?;
    Ok(AccountInfo {
        nonce: u64::from_be_bytes(nonce),
        balance: U256::from_be_bytes(balance),
        code_hash: B256::new(code_hash),
    })
}

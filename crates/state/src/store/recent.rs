//! Accounts and slots read lately.
//!
//! An execution reads what it is about to change, and its commit needs to know the same records.
//! They are kept decoded, so that neither reads a page twice.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zvm_core::{B256, DbError, U256};

use super::{
    generations::Generations,
    keys::SlotKey,
    plan::Plan,
    read::{get, get_all},
    record::{AccountRecord, SlotRecord},
};
use crate::kv::{KvReader, Table};

/// Bytes of both caches together.
const BYTES_MAX: usize = 24 << 20;

/// Bytes of a map entry beside key and value, roughly.
const ENTRY_BYTES: usize = 8;

/// What the head has under some keys. Nothing stored is an answer like any other.
#[derive(Debug)]
pub(super) struct Recent {
    accounts: Mutex<Generations<B256, Option<AccountRecord>>>,
    /// Of lives that have not ended: the number of an ended one may be given to another.
    slots: Mutex<Generations<SlotKey, U256>>,
}

impl Default for Recent {
    fn default() -> Self {
        let account = |_: &_, account: &Option<AccountRecord>| {
            let inline = account.as_ref().map_or(0, |account| size_of_val(account.inline()));
            size_of::<(B256, Option<AccountRecord>)>() + ENTRY_BYTES + inline
        };
        let slot = |_: &_, _: &_| size_of::<(SlotKey, U256)>() + ENTRY_BYTES;
        Self {
            accounts: Mutex::new(Generations::new(BYTES_MAX / 3 * 2, account)),
            slots: Mutex::new(Generations::new(BYTES_MAX / 3, slot)),
        }
    }
}

impl Recent {
    /// The account under `hash`.
    pub(super) fn account(
        &self,
        kv: &dyn KvReader,
        hash: &B256,
    ) -> Result<Option<AccountRecord>, DbError> {
        if let Some(found) = lock(&self.accounts).get(hash) {
            return Ok(found);
        }
        let found = get(kv, Table::Accounts, hash.as_slice(), AccountRecord::decode)?;
        lock(&self.accounts).insert(*hash, found.clone());
        Ok(found)
    }

    /// The word under `key`, which is of a life that has not ended.
    pub(super) fn word(&self, kv: &dyn KvReader, key: &SlotKey) -> Result<U256, DbError> {
        if let Some(word) = lock(&self.slots).get(key) {
            return Ok(word);
        }
        let found = get(kv, Table::Storage, key, SlotRecord::decode)?;
        let word = found.map_or(U256::ZERO, |record| record.word);
        lock(&self.slots).insert(*key, word);
        Ok(word)
    }

    /// The accounts under `hashes`, which are sorted for the engine's sake.
    pub(super) fn accounts(
        &self,
        kv: &dyn KvReader,
        hashes: &[&B256],
    ) -> Result<Vec<Option<AccountRecord>>, DbError> {
        known_or_read(&self.accounts, hashes, |missing| {
            get_all(kv, Table::Accounts, missing, AccountRecord::decode)
        })
    }

    /// The words under `keys`, which are sorted for the engine's sake and of lives that have not
    /// ended.
    pub(super) fn words(&self, kv: &dyn KvReader, keys: &[&SlotKey]) -> Result<Vec<U256>, DbError> {
        known_or_read(&self.slots, keys, |missing| {
            let records = get_all(kv, Table::Storage, missing, SlotRecord::decode)?;
            Ok(records.into_iter().map(|slot| slot.map_or(U256::ZERO, |slot| slot.word)).collect())
        })
    }

    /// Follows a block.
    pub(super) fn follow(&mut self, plan: Plan) {
        let mut known = lock(&self.accounts);
        for account in plan.accounts {
            known.insert(account.hash, account.new);
        }
        let mut known = lock(&self.slots);
        if !plan.ended.is_empty() {
            known.clear();
        }
        for slot in plan.slots {
            known.insert(slot.key, slot.new);
        }
    }
}

/// What is known of `keys`, and what `read` makes of the rest. That is not kept: a commit asks, and
/// follows with what comes after it.
fn known_or_read<K: Eq + std::hash::Hash, V: Clone>(
    cache: &Mutex<Generations<K, V>>,
    keys: &[&K],
    read: impl FnOnce(&[&K]) -> Result<Vec<V>, DbError>,
) -> Result<Vec<V>, DbError> {
    let known: Vec<Option<V>> = {
        let mut cache = lock(cache);
        keys.iter().map(|key| cache.get(*key)).collect()
    };
    let missing: Vec<&K> = keys
        .iter()
        .zip(&known)
        .filter_map(|(key, known)| known.is_none().then_some(*key))
        .collect();
    let mut read = read(&missing)?.into_iter();
    Ok(known.into_iter().filter_map(|known| known.or_else(|| read.next())).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change of a cache is complete in itself, so a panic elsewhere leaves it usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

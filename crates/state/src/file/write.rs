//! Applying a diff inside one transaction.

use std::{collections::BTreeMap, path::Path};

use redb::WriteTransaction;
use zvm_core::{AccountDiff, AccountInfo, B256, DbError, StateDiff, U256, keccak256};

use super::{
    ACCOUNTS, BLOCK_HASHES, CODE, PREIMAGES, STORAGE, Table,
    error::{corrupt, fault},
    record::{AccountRecord, seal, slot_hash, storage_key, word_body},
    table::get,
};

/// Writes the new values of `diff`. Nothing counts until the transaction is committed.
pub(super) fn apply(
    transaction: &WriteTransaction,
    path: &Path,
    diff: &StateDiff,
) -> Result<(), DbError> {
    let mut writer = Writer {
        path,
        accounts: open(transaction, path, ACCOUNTS)?,
        storage: open(transaction, path, STORAGE)?,
        preimages: BTreeMap::new(),
    };
    // Pages are dirtied in key order, each once: in address order a large commit takes far longer.
    let by_hash: BTreeMap<B256, _> = diff
        .accounts
        .iter()
        .map(|(address, change)| (keccak256(address), (address, change)))
        .collect();
    for (hash, (address, change)) in by_hash {
        let Some(info) = change.new else {
            writer.delete_account(hash)?;
            continue;
        };
        let is_new = writer.put_account(hash, info, change)?;
        if is_new {
            writer.preimages.insert(hash, address.to_vec());
        }
    }
    let preimages = writer.preimages;
    put_all(
        transaction,
        path,
        PREIMAGES,
        preimages.iter().map(|(hash, bytes)| (hash, &bytes[..])),
    )?;
    put_all(transaction, path, CODE, diff.code.iter().map(|(hash, code)| (hash, &code[..])))
}

/// Writes the hash of a block.
pub(super) fn block_hash(
    transaction: &WriteTransaction,
    path: &Path,
    number: u64,
    hash: B256,
) -> Result<(), DbError> {
    put_all(transaction, path, BLOCK_HASHES, [(number.to_be_bytes(), hash.as_slice())])
}

struct Writer<'t, 'p> {
    path: &'p Path,
    accounts: redb::Table<'t, &'static [u8], &'static [u8]>,
    storage: redb::Table<'t, &'static [u8], &'static [u8]>,
    /// Addresses and slots that were not there before, by their hash.
    preimages: BTreeMap<B256, Vec<u8>>,
}

impl Writer<'_, '_> {
    fn delete_account(&mut self, hash: B256) -> Result<(), DbError> {
        let present = self.present(hash)?;
        self.wipe(hash, present)?;
        self.accounts.remove(hash.as_slice()).map_err(fault("write", self.path))?;
        Ok(())
    }

    /// Writes the account and its changed slots, and says whether there was none before.
    fn put_account(
        &mut self,
        hash: B256,
        info: AccountInfo,
        change: &AccountDiff,
    ) -> Result<bool, DbError> {
        let present = self.present(hash)?;
        let mut slots = present.map_or(0, |record| record.slots);
        if change.wiped {
            self.wipe(hash, present)?;
            slots = 0;
        }
        let by_hash: BTreeMap<B256, _> = change
            .storage
            .iter()
            .map(|(slot, word)| (slot_hash(*slot), (*slot, word.new)))
            .collect();
        for (slot_hash, (slot, word)) in by_hash {
            let key = storage_key(hash, slot_hash);
            let (was_there, is_there) = (self.put_word(&key, word)?, !word.is_zero());
            if is_there && !was_there {
                slots += 1;
                self.preimages.insert(slot_hash, slot.to_be_bytes::<32>().to_vec());
            } else if was_there && !is_there {
                slots = slots.checked_sub(1).ok_or_else(|| {
                    corrupt(self.path, format!("accounts {hash}: fewer slots than in storage"))
                })?;
            }
        }
        let record = AccountRecord { info, slots };
        if present != Some(record) {
            let record = seal(hash.as_slice(), &record.encode());
            self.accounts
                .insert(hash.as_slice(), record.as_slice())
                .map_err(fault("write", self.path))?;
        }
        Ok(present.is_none())
    }

    fn present(&self, hash: B256) -> Result<Option<AccountRecord>, DbError> {
        get(self.path, &self.accounts, hash.as_slice(), AccountRecord::decode)
    }

    /// Writes or, if zero, removes a word, and says whether there was one before.
    fn put_word(&mut self, key: &[u8], word: U256) -> Result<bool, DbError> {
        let before = if word.is_zero() {
            self.storage.remove(key)
        } else {
            self.storage.insert(key, seal(key, &word_body(word)).as_slice())
        };
        Ok(before.map_err(fault("write", self.path))?.is_some())
    }

    /// Removes all storage of an account.
    fn wipe(&mut self, hash: B256, present: Option<AccountRecord>) -> Result<(), DbError> {
        if present.is_none_or(|record| record.slots == 0) {
            return Ok(());
        }
        let (first, last) =
            (storage_key(hash, B256::ZERO), storage_key(hash, B256::repeat_byte(0xff)));
        self.storage
            .retain_in(first.as_slice()..=last.as_slice(), |_, _| false)
            .map_err(fault("write", self.path))
    }
}

/// Seals and writes bodies, which come in key order.
fn put_all<'a>(
    transaction: &WriteTransaction,
    path: &Path,
    table: Table,
    bodies: impl IntoIterator<Item = (impl AsRef<[u8]>, &'a [u8])>,
) -> Result<(), DbError> {
    let mut table = open(transaction, path, table)?;
    for (key, body) in bodies {
        let key = key.as_ref();
        table.insert(key, seal(key, body).as_slice()).map_err(fault("write", path))?;
    }
    Ok(())
}

fn open<'t>(
    transaction: &'t WriteTransaction,
    path: &Path,
    table: Table,
) -> Result<redb::Table<'t, &'static [u8], &'static [u8]>, DbError> {
    transaction.open_table(table).map_err(fault("write", path))
}

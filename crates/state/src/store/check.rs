//! Checking a store, as thoroughly as asked.

use std::{collections::BTreeSet, ops::ControlFlow};

use zvm_core::{B256, DbError, KECCAK_EMPTY, hex, keccak256};
use zvm_trie::{LeafVisitor, Nibbles, RecordBuilder, RootBuilder, UpdateOptions, storage_root};

use super::{
    FileDb, WALK_STEP,
    branches::{BranchPath, Branches, StoragePath},
    keys::{Life, slot_key},
    plan::{AccountChange, SlotChange},
    read::{corrupt, corrupt_at, entries, get_all},
    record::{AccountRecord, SlotRecord},
    storage::inline_words,
    tries::{TrieChanges, account_leaves, for_each_slot, storage_leaves},
};
use crate::kv::{KvReader, Table};

/// How thoroughly a store is checked. Each level but the sample includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckLevel {
    /// The head, and that the stored trie leads to its root.
    Head,
    /// As [`Head`](Self::Head), and up to this many accounts with a slot of each, from leaf to root.
    Sample(u32),
    /// Every account, slot and code; the root is computed from them alone.
    State,
    /// Every branch record as well, beside tries built from all leaves.
    Branches,
}

/// What a check has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Accounts.
    pub accounts: u64,
    /// Slots.
    pub slots: u64,
    /// Branch records.
    pub branches: u64,
}

impl FileDb {
    /// Checks the store; the first fault is the error. `progress` hears after each account how much
    /// has been checked. Memory does not grow with the state.
    pub fn check(
        &self,
        level: CheckLevel,
        progress: &mut dyn FnMut(&Checked),
    ) -> Result<Checked, DbError> {
        let mut checked = Checked::default();
        self.check_root(&[])?;
        match level {
            CheckLevel::Head => {}
            CheckLevel::Sample(accounts) => self.check_sample(accounts, &mut checked, progress)?,
            CheckLevel::State => self.check_state(false, &mut checked, progress)?,
            CheckLevel::Branches => {
                self.check_state(true, &mut checked, progress)?;
                self.check_account_branches(&mut checked)?;
            }
        }
        Ok(checked)
    }

    /// Checks that the stored trie, with `accounts` put to what they are, leads to the root.
    fn check_root(&self, accounts: &[AccountChange]) -> Result<(), DbError> {
        let mut unused = TrieChanges::default();
        let root =
            self.tries()?.update_accounts(&self.kv(), &accounts.iter().collect(), &mut unused)?;
        if root != self.meta.head.root {
            let leaf = accounts.first().map(|account| format!(" from account {}", account.hash));
            let what = format!(
                "trie_accounts: root {root}{}, the head has {}",
                leaf.unwrap_or_default(),
                self.meta.head.root
            );
            return Err(corrupt(&self.kv(), what));
        }
        Ok(())
    }

    fn check_sample(
        &self,
        accounts: u32,
        checked: &mut Checked,
        progress: &mut dyn FnMut(&Checked),
    ) -> Result<(), DbError> {
        let kv = &self.kv();
        // Hashes of hashes are spread as evenly as those of addresses.
        let mut place = self.meta.head.root;
        let mut seen = BTreeSet::new();
        for _ in 0..accounts {
            place = keccak256(place);
            let behind = |place: &B256| {
                let start = Some(place.as_slice());
                let decode = AccountRecord::decode;
                entries::<_, 32>(kv, Table::Accounts, &[], start, decode)?.next().transpose()
            };
            let found = match behind(&place)? {
                None => behind(&B256::ZERO)?,
                found => found,
            };
            let Some((key, record)) = found else { break };
            let hash = B256::new(key);
            if !seen.insert(hash) {
                continue;
            }
            let same = Some(record.clone());
            self.check_root(&[AccountChange { hash, old: same.clone(), new: same }])?;
            checked.accounts += 1;
            match record.life(&hash) {
                Some(life) => {
                    self.check_slot(&life, &record, place)?;
                    checked.slots += 1;
                }
                None => {
                    self.check_inline(&hash, &record)?;
                    checked.slots += record.storage.count();
                }
            }
            progress(checked);
        }
        Ok(())
    }

    /// Checks the first slot behind `place`, or the very first, from leaf to storage root.
    fn check_slot(&self, life: &Life, record: &AccountRecord, place: B256) -> Result<(), DbError> {
        let kv = &self.kv();
        let mut found = None;
        for from in [place, B256::ZERO] {
            if found.is_none() {
                for_each_slot(kv, life, from, &mut |hash, slot| {
                    found = Some((hash, slot));
                    Ok(ControlFlow::Break(()))
                })?;
            }
        }
        let fault = |what| corrupt_at(kv, Table::Accounts, &life[..32], what);
        let (hash, SlotRecord { slot, word }) =
            found.ok_or_else(|| fault(format!("none of {} slots", record.storage.count())))?;
        let same = [SlotChange { key: slot_key(life, &hash), slot, old: word, new: word }];
        let count = |_: &_| Some(record.storage.count());
        let mut unused = TrieChanges::default();
        let roots = self.tries()?.update_storage(kv, &same.iter().collect(), count, &mut unused)?;
        match roots.first() {
            Some((_, root)) if *root == record.storage_root => Ok(()),
            _ => Err(fault(format!("storage root is not that of its slot {hash}"))),
        }
    }

    fn check_state(
        &self,
        with_branches: bool,
        checked: &mut Checked,
        progress: &mut dyn FnMut(&Checked),
    ) -> Result<(), DbError> {
        let kv = &self.kv();
        let dirty = self.tries()?.storage.dirty_paths();
        let mut root = RootBuilder::default();
        let mut all = entries::<_, 32>(kv, Table::Accounts, &[], None, AccountRecord::decode)?;
        loop {
            let some: Vec<([u8; 32], AccountRecord)> =
                all.by_ref().take(WALK_STEP).collect::<Result<_, _>>()?;
            self.check_accounts(&some)?;
            for (key, record) in &some {
                let hash = B256::new(*key);
                let life = record.life(&hash);
                match &life {
                    Some(life) => self.check_storage(life, record)?,
                    None => self.check_inline(&hash, record)?,
                }
                checked.slots += record.storage.count();
                if let Some(life) = life.filter(|_| with_branches) {
                    checked.branches += check_branches(
                        kv,
                        &self.tries()?.storage,
                        UpdateOptions::STORAGE,
                        &|path| StoragePath { life, path: *path },
                        &dirty,
                        &mut |visit| storage_leaves(kv, &life, &Nibbles::EMPTY, visit),
                    )?;
                }
                root.push_account(hash, &record.info, record.storage_root);
                checked.accounts += 1;
                progress(checked);
            }
            if some.len() < WALK_STEP {
                break;
            }
        }
        let (found, stored) = (root.finish(), self.meta.head.root);
        if found != stored {
            let what = format!("meta head: root {stored}, that of the state is {found}");
            return Err(corrupt(kv, what));
        }
        Ok(())
    }

    fn check_account_branches(&self, checked: &mut Checked) -> Result<(), DbError> {
        let (kv, accounts) = (&self.kv(), &self.tries()?.accounts);
        checked.branches += check_branches(
            kv,
            accounts,
            UpdateOptions::ACCOUNTS,
            &|path| *path,
            &accounts.dirty_paths(),
            &mut |visit| account_leaves(kv, &Nibbles::EMPTY, visit),
        )?;
        Ok(())
    }

    /// Checks addresses and code of accounts.
    fn check_accounts(&self, accounts: &[([u8; 32], AccountRecord)]) -> Result<(), DbError> {
        let kv = &self.kv();
        for (hash, AccountRecord { address, .. }) in accounts {
            check_hash(kv, Table::Accounts, hash, hash, address.as_slice())?;
        }
        let mut codes: Vec<B256> =
            accounts.iter().map(|account| account.1.info.code_hash).collect();
        codes.retain(|hash| *hash != KECCAK_EMPTY);
        codes.sort_unstable();
        codes.dedup();
        let found = get_all(kv, Table::Code, &codes, |body| Ok(keccak256(body)))?;
        for (hash, found) in codes.iter().zip(found) {
            // An account may be written before its code, or without it.
            if let Some(found) = found.filter(|found| found != hash) {
                let what = format!("code with hash {found}");
                return Err(corrupt_at(kv, Table::Code, hash.as_slice(), what));
            }
        }
        Ok(())
    }

    /// Checks the root of the slots that an account has in its record.
    fn check_inline(&self, hash: &B256, record: &AccountRecord) -> Result<(), DbError> {
        let root = storage_root(inline_words(record.inline()));
        if root != record.storage_root {
            let what = format!("storage root {}, that of its slots is {root}", record.storage_root);
            return Err(corrupt_at(&self.kv(), Table::Accounts, hash.as_slice(), what));
        }
        Ok(())
    }

    /// Checks the slots that an account has in the table.
    fn check_storage(&self, life: &Life, record: &AccountRecord) -> Result<(), DbError> {
        let kv = &self.kv();
        let mut root = RootBuilder::default();
        let mut slots = 0;
        for_each_slot(kv, life, B256::ZERO, &mut |hash, SlotRecord { slot, word }| {
            let key = slot_key(life, &hash);
            check_hash(kv, Table::Storage, &key, hash.as_slice(), &slot.to_be_bytes::<32>())?;
            root.push_word(hash, word);
            slots += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        let root = root.finish();
        let count = record.storage.count();
        if slots != count || root != record.storage_root {
            let what = format!(
                "{count} slots under root {}, in storage are {slots} under {root}",
                record.storage_root
            );
            return Err(corrupt_at(kv, Table::Accounts, &life[..32], what));
        }
        Ok(())
    }
}

/// Checks that `hash`, part of a key, is that of what its record says it is of.
fn check_hash(
    kv: &dyn KvReader,
    table: Table,
    key: &[u8],
    hash: &[u8],
    preimage: &[u8],
) -> Result<(), DbError> {
    let found = keccak256(preimage);
    match found == *hash {
        true => Ok(()),
        false => {
            let what = format!("the record of 0x{}, whose hash is {found}", hex::encode(preimage));
            Err(corrupt_at(kv, table, key, what))
        }
    }
}

/// Compares the records of a trie with those of one built from all `leaves`, and counts them.
/// `dirty` says where there are records that are not on disk yet, in order.
fn check_branches<P: BranchPath>(
    kv: &dyn KvReader,
    branches: &Branches<P>,
    options: UpdateOptions,
    path_of: &dyn Fn(&Nibbles) -> P,
    dirty: &[P],
    leaves: &mut dyn FnMut(&mut LeafVisitor<'_>) -> Result<(), DbError>,
) -> Result<u64, DbError> {
    let mut expected = 0;
    let mut trie = RecordBuilder::new(options.small_max, |path, branch| {
        for (path, branch) in path_of(&path).records(branch) {
            expected += 1;
            let what = match branches.get(kv, &path)? {
                Some(found) if found == branch => continue,
                Some(_) => "not the branch of its leaves",
                None => "no record of a branch",
            };
            return Err(corrupt_at(kv, branches.table(), &path.key(), what));
        }
        Ok(())
    });
    leaves(&mut |key, value| {
        trie.push(key, value)?;
        Ok(ControlFlow::Continue(()))
    })?;
    trie.finish()?;
    let prefix = path_of(&Nibbles::EMPTY);
    let found = branches.count(kv, &prefix, dirty)?;
    if found != expected {
        let what = format!("{found} records, expected {expected}");
        return Err(corrupt_at(kv, branches.table(), &prefix.key(), what));
    }
    Ok(expected)
}

//! From a diff to the records it changes.

use std::collections::BTreeMap;

use zvm_core::{AccountDiff, Address, B256, DbError, EMPTY_ROOT, StateDiff, U256, keccak256};

use super::{
    keys::{Life, SlotKey, life, life_of, slot_hash, slot_key},
    read::{corrupt_at, exact},
    recent::Recent,
    record::{AccountRecord, SlotRecord},
};
use crate::kv::{KvReader, Order, Table};

/// An account before and after.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccountChange {
    pub(super) hash: B256,
    pub(super) old: Option<AccountRecord>,
    pub(super) new: Option<AccountRecord>,
}

/// A slot before and after; zero is absent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotChange {
    pub(super) key: SlotKey,
    pub(super) slot: U256,
    pub(super) old: U256,
    pub(super) new: U256,
}

impl SlotChange {
    /// What is stored before.
    pub(super) fn record_before(&self) -> SlotRecord {
        SlotRecord { slot: self.slot, word: self.old }
    }

    /// What is stored after.
    pub(super) fn record_after(&self) -> SlotRecord {
        SlotRecord { slot: self.slot, word: self.new }
    }
}

/// The records that a diff changes, each kind in key order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// All accounts of the diff. The storage roots of `new` are yet to be filled in.
    pub(super) accounts: Vec<AccountChange>,
    /// Slots that really change.
    pub(super) slots: Vec<SlotChange>,
    /// Lives that end with slots in them, and how many.
    pub(super) ended: Vec<(Life, u64)>,
    /// How many slots the lives in `slots` have had, by life.
    pub(super) slot_counts: BTreeMap<Life, u64>,
}

impl Plan {
    /// Compares `diff` with what is stored.
    pub(super) fn new(
        kv: &dyn KvReader,
        recent: &Recent,
        diff: &StateDiff,
    ) -> Result<Self, DbError> {
        let mut plan =
            Self { accounts: Vec::with_capacity(diff.accounts.len()), ..Self::default() };
        let mut touched: Vec<(B256, &Address, &AccountDiff)> = diff
            .accounts
            .iter()
            .map(|(address, change)| (keccak256(address), address, change))
            .collect();
        touched.sort_unstable_by_key(|account| account.0);
        let keys: Vec<&B256> = touched.iter().map(|account| &account.0).collect();
        let records = recent.accounts(kv, &keys)?;

        // Where the slots are that a diff writes, and what it writes there.
        let slots = diff.accounts.values().map(|change| change.storage.len()).sum();
        let mut written: Vec<(SlotKey, U256, U256)> = Vec::with_capacity(slots);
        for ((hash, address, change), old) in touched.iter().zip(records) {
            let new = plan.account(kv, hash, **address, change, old)?;
            if let Some(record) = new {
                let life = life(hash, record.incarnation);
                let start = written.len();
                written.extend(
                    change
                        .storage
                        .iter()
                        .map(|(slot, word)| (slot_key(&life, &slot_hash(*slot)), *slot, word.new)),
                );
                written[start..].sort_unstable_by_key(|slot| slot.0);
            }
            plan.accounts.push(AccountChange { hash: *hash, old, new });
        }
        plan.compare_slots(kv, recent, &written)?;
        plan.drop_lives_without_slots();
        Ok(plan)
    }

    /// The record of an account after `change`, before its slots are looked at.
    fn account(
        &mut self,
        kv: &dyn KvReader,
        hash: &B256,
        address: Address,
        change: &AccountDiff,
        old: Option<AccountRecord>,
    ) -> Result<Option<AccountRecord>, DbError> {
        let stored = old.filter(|record| record.slots > 0);
        let keeps = change.new.is_some() && !change.wiped;
        if let (Some(record), false) = (stored, keeps) {
            self.ended.push((life(hash, record.incarnation), record.slots));
        }
        let Some(info) = change.new else { return Ok(None) };
        let mut new = AccountRecord::without_storage(address, info);
        match stored.filter(|_| keeps) {
            Some(record) => new = AccountRecord { info, ..record },
            None if change.storage.values().any(|slot| !slot.new.is_zero()) => {
                new.incarnation = fresh_incarnation(kv, hash)?;
            }
            None => {}
        }
        Ok(Some(new))
    }

    /// Reads what `written` slots hold, keeps those that change, and counts.
    fn compare_slots(
        &mut self,
        kv: &dyn KvReader,
        recent: &Recent,
        written: &[(SlotKey, U256, U256)],
    ) -> Result<(), DbError> {
        // Only where there are slots is there anything to read.
        let has_slots: Vec<bool> = {
            let mut accounts = self.accounts.iter();
            let mut latest: Option<&AccountChange> = None;
            written
                .iter()
                .map(|(key, ..)| {
                    while latest.is_none_or(|account| account.hash[..] != key[..32]) {
                        latest = Some(accounts.next()?);
                    }
                    latest?.new.map(|record| record.slots > 0)
                })
                .map(Option::unwrap_or_default)
                .collect()
        };
        let keys: Vec<&SlotKey> = written
            .iter()
            .zip(&has_slots)
            .filter_map(|((key, ..), has_slots)| has_slots.then_some(key))
            .collect();
        let mut stored = recent.words(kv, &keys)?.into_iter();
        for ((key, slot, new), has_slots) in written.iter().zip(has_slots) {
            let old = if has_slots { stored.next() } else { None };
            let (old, new) = (old.unwrap_or_default(), *new);
            if old != new {
                self.slots.push(SlotChange { key: *key, slot: *slot, old, new });
            }
        }
        self.count_slots(kv)
    }

    fn count_slots(&mut self, kv: &dyn KvReader) -> Result<(), DbError> {
        let mut accounts = self.accounts.iter_mut();
        for of_life in self.slots.chunk_by(|a, b| a.key[..36] == b.key[..36]) {
            let key = &of_life[0].key;
            let account = accounts.find(|account| account.hash[..] == key[..32]);
            // Slots were only looked at where there is an account.
            let Some(record) = account.and_then(|account| account.new.as_mut()) else { continue };
            self.slot_counts.insert(life_of(key), record.slots);
            for slot in of_life {
                let (gone, come) = (u64::from(!slot.old.is_zero()), u64::from(!slot.new.is_zero()));
                let slots = record.slots.checked_add(come);
                record.slots =
                    slots.and_then(|slots| slots.checked_sub(gone)).ok_or_else(|| {
                        corrupt_at(kv, Table::Accounts, &key[..32], "fewer slots than in storage")
                    })?;
            }
        }
        Ok(())
    }

    /// An account without slots says nothing of how it might have stored them.
    fn drop_lives_without_slots(&mut self) {
        for record in self.accounts.iter_mut().filter_map(|account| account.new.as_mut()) {
            if record.slots == 0 {
                *record = AccountRecord::without_storage(record.address, record.info);
            }
        }
    }

    /// Fills in the new storage roots, which come in key order.
    pub(super) fn set_storage_roots(
        &mut self,
        kv: &dyn KvReader,
        roots: &[(Life, B256)],
    ) -> Result<(), DbError> {
        let mut accounts = self.accounts.iter_mut();
        for (life, root) in roots {
            let account = accounts.find(|account| account.hash[..] == life[..32]);
            let Some(record) = account.and_then(|account| account.new.as_mut()) else { continue };
            if (*root == EMPTY_ROOT) != (record.slots == 0) {
                let what = format!("{} slots, its storage root is {root}", record.slots);
                return Err(corrupt_at(kv, Table::Accounts, &life[..32], what));
            }
            record.storage_root = *root;
        }
        // What a diff lists need not differ from what is there.
        self.accounts.retain(|account| account.old != account.new);
        Ok(())
    }
}

/// An incarnation under which an account has nothing stored.
fn fresh_incarnation(kv: &dyn KvReader, hash: &B256) -> Result<u32, DbError> {
    let last = kv.iter(Table::Storage, hash.as_slice(), None, Order::Reverse)?.next();
    let Some((key, _)) = last.transpose()? else { return Ok(0) };
    let key: SlotKey = exact(kv, Table::Storage, &key)?;
    let last = u32::from_be_bytes([key[32], key[33], key[34], key[35]]);
    last.checked_add(1)
        .ok_or_else(|| corrupt_at(kv, Table::Storage, &key, "an incarnation too many"))
}

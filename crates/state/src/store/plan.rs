//! From a diff to the records it changes.

use std::{collections::BTreeMap, ops::ControlFlow};

use zvm_core::{AccountDiff, Address, B256, DbError, EMPTY_ROOT, StateDiff, U256};
use zvm_trie::{address_hashes, storage_roots};

use super::{
    keys::{Life, SlotKey, life, slot_hash, slot_key},
    read::{corrupt_at, exact},
    recent::Recent,
    record::{AccountRecord, SlotRecord},
    storage::{INLINE_MAX, Storage, by_hash, inline_words, set_inline},
    tries::for_each_slot,
};
use crate::kv::{KvReader, Order, Table};

/// An account before and after.
#[derive(Clone, Debug)]
pub(super) struct AccountChange {
    pub(super) hash: B256,
    pub(super) old: Option<AccountRecord>,
    pub(super) new: Option<AccountRecord>,
}

/// A slot of the table `storage` before and after; zero is absent there. Slots that are in the record
/// of their account change with it.
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
    /// All accounts of the diff. Roots of storage in the table are yet to be filled in.
    pub(super) accounts: Vec<AccountChange>,
    /// Records of the table `storage` that really change.
    pub(super) slots: Vec<SlotChange>,
    /// Lives that end with slots in the table, and how many.
    pub(super) ended: Vec<(Life, u64)>,
    /// How many slots the lives in `slots` have had in the table, by life.
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
        let mut touched: Vec<(B256, &Address, &AccountDiff)> = address_hashes(diff.accounts.keys())
            .into_iter()
            .zip(&diff.accounts)
            .map(|(hash, (address, change))| (hash, address, change))
            .collect();
        touched.sort_unstable_by_key(|account| account.0);
        let keys: Vec<&B256> = touched.iter().map(|account| &account.0).collect();
        let records = recent.accounts(kv, &keys)?;

        // What the table has under the slots that a diff writes there.
        let mut written: Vec<SlotChange> = Vec::new();
        for ((hash, _, change), old) in touched.iter().zip(&records) {
            let Some(life) = kept(change, old.as_ref()).and_then(|record| record.life(hash)) else {
                continue;
            };
            let start = written.len();
            written.extend(change.storage.iter().map(|(slot, word)| SlotChange {
                key: slot_key(&life, &slot_hash(*slot)),
                slot: *slot,
                old: U256::ZERO,
                new: word.new,
            }));
            written[start..].sort_unstable_by_key(|slot| slot.key);
        }
        let keys: Vec<&SlotKey> = written.iter().map(|slot| &slot.key).collect();
        let words = recent.words(kv, &keys)?;
        for (slot, word) in written.iter_mut().zip(words) {
            slot.old = word;
        }

        let mut written = written.as_slice();
        for ((hash, address, change), old) in touched.into_iter().zip(records) {
            let new = plan.account(kv, &hash, *address, change, old.as_ref(), &mut written)?;
            plan.accounts.push(AccountChange { hash, old, new });
        }
        plan.set_inline_roots();
        Ok(plan)
    }

    /// The record of an account after `change`, with whatever root. What is `written` to its slots in
    /// the table is at the front.
    fn account(
        &mut self,
        kv: &dyn KvReader,
        hash: &B256,
        address: Address,
        change: &AccountDiff,
        old: Option<&AccountRecord>,
        written: &mut &[SlotChange],
    ) -> Result<Option<AccountRecord>, DbError> {
        let kept = kept(change, old);
        if let (Some(old), None) = (old, kept)
            && let Some(life) = old.life(hash)
        {
            self.ended.push((life, old.storage.count()));
        }
        let Some(info) = change.new else { return Ok(None) };
        let mut new = match kept {
            Some(record) => AccountRecord { info, ..record.clone() },
            None => AccountRecord::without_storage(address, info),
        };
        if change.storage.is_empty() {
            return Ok(Some(new));
        }
        match &mut new.storage {
            Storage::Table { incarnation, slots } => {
                let (of_account, behind) = written.split_at(change.storage.len());
                *written = behind;
                let left = self.change_table(kv, &life(hash, *incarnation), slots, of_account)?;
                if let Some(left) = left {
                    new.storage = Storage::Inline(left);
                }
            }
            Storage::Inline(slots) => {
                for (slot, word) in &change.storage {
                    set_inline(slots, *slot, word.new);
                }
                if slots.len() as u64 > INLINE_MAX {
                    new.storage = self.spill(kv, hash, slots)?;
                }
            }
        }
        Ok(Some(new))
    }

    /// Changes slots of a life that has so many. If few enough are left they leave the table, and are
    /// the answer.
    fn change_table(
        &mut self,
        kv: &dyn KvReader,
        life: &Life,
        slots: &mut u64,
        written: &[SlotChange],
    ) -> Result<Option<Vec<SlotRecord>>, DbError> {
        let fault = || corrupt_at(kv, Table::Accounts, &life[..32], "fewer slots than in storage");
        let before = *slots;
        let come = written.iter().filter(|slot| slot.old.is_zero() && !slot.new.is_zero()).count();
        let gone = written.iter().filter(|slot| !slot.old.is_zero() && slot.new.is_zero()).count();
        let after = before.checked_add(come as u64).and_then(|sum| sum.checked_sub(gone as u64));
        *slots = after.ok_or_else(fault)?;
        self.slot_counts.insert(*life, before);
        if *slots > INLINE_MAX {
            self.slots.extend(written.iter().filter(|slot| slot.old != slot.new));
            return Ok(None);
        }
        let mut left = Vec::new();
        for_each_slot(kv, life, B256::ZERO, &mut |hash, SlotRecord { slot, word }| {
            left.push(SlotRecord { slot, word });
            let key = slot_key(life, &hash);
            self.slots.push(SlotChange { key, slot, old: word, new: U256::ZERO });
            Ok(ControlFlow::Continue(()))
        })?;
        left.sort_unstable_by_key(|record| record.slot);
        for slot in written {
            set_inline(&mut left, slot.slot, slot.new);
        }
        if left.len() as u64 != *slots {
            return Err(fault());
        }
        Ok(Some(left))
    }

    /// Moves slots, too many for a record, to the table.
    fn spill(
        &mut self,
        kv: &dyn KvReader,
        hash: &B256,
        slots: &[SlotRecord],
    ) -> Result<Storage, DbError> {
        let incarnation = fresh_incarnation(kv, hash)?;
        let life = life(hash, incarnation);
        self.slot_counts.insert(life, 0);
        self.slots.extend(by_hash(slots).into_iter().map(|(hash, SlotRecord { slot, word })| {
            SlotChange { key: slot_key(&life, &hash), slot, old: U256::ZERO, new: word }
        }));
        Ok(Storage::Table { incarnation, slots: slots.len() as u64 })
    }

    /// Fills in the roots of storage in records.
    fn set_inline_roots(&mut self) {
        let mut changed = Vec::new();
        for AccountChange { old, new, .. } in &mut self.accounts {
            let Some(new) = new else { continue };
            match old.as_ref().filter(|old| old.storage == new.storage) {
                Some(old) => new.storage_root = old.storage_root,
                None if matches!(new.storage, Storage::Inline(_)) => changed.push(new),
                None => {}
            }
        }
        let roots = storage_roots(changed.iter().map(|record| inline_words(record.inline())));
        for (record, root) in changed.into_iter().zip(roots) {
            record.storage_root = root;
        }
    }

    /// Fills in the new roots of storage in the table, which come in key order.
    pub(super) fn set_storage_roots(
        &mut self,
        kv: &dyn KvReader,
        roots: &[(Life, B256)],
    ) -> Result<(), DbError> {
        let mut accounts = self.accounts.iter_mut();
        for (life, root) in roots {
            let account = accounts.find(|account| account.hash[..] == life[..32]);
            let Some(AccountChange { hash, new: Some(record), .. }) = account else { continue };
            let is_there = record.life(hash).is_some_and(|own| own == *life);
            if is_there == (*root == EMPTY_ROOT) {
                let what = format!("{} slots, their root is {root}", record.storage.count());
                return Err(corrupt_at(kv, Table::Accounts, &life[..32], what));
            }
            if is_there {
                record.storage_root = *root;
            }
        }
        // What a diff lists need not differ from what is there.
        self.accounts.retain(|account| account.old != account.new);
        Ok(())
    }
}

/// The record whose storage `change` leaves in place.
fn kept<'a>(change: &AccountDiff, old: Option<&'a AccountRecord>) -> Option<&'a AccountRecord> {
    old.filter(|_| change.new.is_some() && !change.wiped)
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

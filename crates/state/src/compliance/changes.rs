//! Random changes to a state.

use std::collections::BTreeSet;

use zvm_core::{
    AccountDiff, AccountInfo, Address, Batch, Bytes, SlotDiff, StateDiff, U256, keccak256,
};

use super::{model::Model, word};
use crate::kv::compliance::Random;

/// The addresses, and the slots of each, that changes are made to: few, so that changes meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub(super) addresses: u64,
    pub(super) slots: u64,
}

/// One change by hand.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Sets an account that may bring code.
    Account(Address, AccountInfo, Bytes),
    Delete(Address),
    Slot(Address, U256, U256),
}

impl Change {
    /// The batch with this change after its others.
    pub(super) fn add_to<'a>(&self, mut batch: Batch<'a>) -> Batch<'a> {
        match self {
            Self::Account(address, info, code) => {
                batch.set_code(code.clone());
                batch.set_account(*address, *info)
            }
            Self::Delete(address) => batch.delete_account(*address),
            Self::Slot(address, slot, word) => batch.set_storage(*address, *slot, *word),
        }
    }

    pub(super) fn make_to(&self, model: &mut Model) {
        match self {
            Self::Account(address, info, _) => model.set_account(*address, *info),
            Self::Delete(address) => model.delete_account(*address),
            Self::Slot(address, slot, word) => model.set_storage(*address, *slot, *word),
        }
    }
}

impl World {
    pub(super) fn address(self, random: &mut Random) -> Address {
        address(random.below(self.addresses))
    }

    pub(super) fn all_addresses(self) -> impl Iterator<Item = Address> {
        (0..self.addresses).map(address)
    }

    pub(super) fn all_slots(self) -> impl Iterator<Item = U256> {
        (0..self.slots).map(word)
    }

    /// One random change by hand.
    pub(super) fn change(self, random: &mut Random) -> Change {
        let address = self.address(random);
        match random.below(6) {
            0 => {
                let (info, code) = info(random);
                Change::Account(address, info, code)
            }
            1 => Change::Delete(address),
            _ => Change::Slot(address, word(random.below(self.slots)), word(random.below(3))),
        }
    }

    /// A random diff such as execution yields, and the state after it. A destroyed account lists
    /// only some of its slots, and may come back in the same diff.
    pub(super) fn execution(self, random: &mut Random, before: &Model) -> (StateDiff, Model) {
        let mut after = before.clone();
        let mut diff = StateDiff::default();
        let touched: BTreeSet<_> = (0..=random.below(6)).map(|_| self.address(random)).collect();
        for address in touched {
            let held = before.0.get(&address);
            let old = held.map(|account| account.info);
            let mut change = AccountDiff { old, new: old, ..AccountDiff::default() };
            let kind = random.below(5);
            if kind == 0 && held.is_some() {
                // Destroyed, and half of the time created anew.
                after.delete_account(address);
                change.wiped = held.is_some_and(|account| !account.storage.is_empty());
                change.new = None;
            }
            if kind == 1 || kind == 0 && random.below(2) == 0 {
                let (info, code) = info(random);
                change.new = Some(info);
                after.set_account(address, info);
                if !code.is_empty() {
                    diff.code.insert(info.code_hash, code);
                }
            }
            for slot in self.all_slots() {
                let of = |model: &Model| {
                    model.0.get(&address).and_then(|account| account.storage.get(&slot)).copied()
                };
                let old = of(before).unwrap_or_default();
                if random.below(3) == 0 {
                    if change.new.is_some() {
                        after.set_storage(address, slot, word(random.below(3)));
                    }
                    let new = of(&after).unwrap_or_default();
                    if old != new || change.wiped {
                        change.storage.insert(slot, SlotDiff { old, new });
                    }
                }
            }
            if !change.is_empty() {
                diff.accounts.insert(address, change);
            }
        }
        (diff, after)
    }
}

/// A short name for an address.
fn address(id: u64) -> Address {
    Address::left_padding_from(&(id + 1).to_be_bytes())
}

/// A random account, and its code where it has some.
fn info(random: &mut Random) -> (AccountInfo, Bytes) {
    let mut info = AccountInfo {
        nonce: random.below(3),
        balance: word(random.below(3)) << (8 * random.below(30)) as usize,
        ..AccountInfo::default()
    };
    let mut code = Bytes::new();
    if random.below(4) == 0 {
        let id = random.below(1000);
        code = id.to_be_bytes().repeat(1 + id as usize % 40).into();
        info.code_hash = keccak256(&code);
    }
    (info, code)
}

//! The state and the blocks, the same for every contender.

use std::collections::btree_map::Entry;

use zvm_core::{AccountDiff, AccountInfo, Address, SlotDiff, StateDiff, U256, keccak256};

use super::contender::{Contender, Failure};

/// Per block: accounts whose balance and nonce change.
const CHANGED_ACCOUNTS: u64 = 5_000;

/// Per block: slots that change, each of a random account.
const CHANGED_SLOTS: u64 = 5_000;

/// Per block: accounts that are made.
const NEW_ACCOUNTS: u64 = 500;

/// Slots of an account are numbered up to this, exclusive.
const SLOTS: u64 = 4;

/// How many accounts one diff of the seed has.
const SEED_STEP: u64 = 20_000;

/// A state of so many accounts, and blocks of changes to it.
///
/// A block follows from its number and what is stored before it, and from nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// How many accounts there are before the first block.
    pub accounts: u64,
}

impl Workload {
    /// The state before the first block, in parts.
    pub fn seed(self) -> impl Iterator<Item = StateDiff> {
        let starts = (0..self.accounts).step_by(SEED_STEP as usize);
        starts.map(move |start| {
            let ids = start..self.accounts.min(start + SEED_STEP);
            let accounts = ids.map(|id| (address(id), new_account(id))).collect();
            StateDiff { accounts, ..StateDiff::default() }
        })
    }

    /// What block `number`, counted from zero, changes in the state that is stored in `before`.
    pub fn block(self, number: u64, before: &dyn Contender) -> Result<StateDiff, Failure> {
        let mut random = Random(!number);
        let mut diff = StateDiff::default();
        for _ in 0..CHANGED_ACCOUNTS {
            let change = touched(&mut diff, address(random.below(self.accounts)), before)?;
            change.new = Some(info(&mut random));
        }
        for _ in 0..CHANGED_SLOTS {
            let address = address(random.below(self.accounts));
            let (slot, new) = (U256::from(random.below(SLOTS)), U256::from(random.next()));
            let change = touched(&mut diff, address, before)?;
            match change.storage.entry(slot) {
                Entry::Occupied(mut change) => change.get_mut().new = new,
                Entry::Vacant(change) => {
                    change.insert(SlotDiff { old: before.slot(address, slot)?, new });
                }
            }
        }
        let first = self.accounts + number * NEW_ACCOUNTS;
        for id in first..first + NEW_ACCOUNTS {
            diff.accounts.insert(address(id), new_account(id));
        }
        Ok(diff)
    }

    /// `count` random places in the state before the first block: an account, and a slot that it
    /// may have.
    pub fn places(self, count: u64) -> Vec<(Address, U256)> {
        let mut random = Random(0x5eed);
        let mut place = || (address(random.below(self.accounts)), U256::from(random.below(SLOTS)));
        (0..count).map(|_| place()).collect()
    }
}

/// The change of `address` in `diff`, nothing so far if it is new there.
fn touched<'a>(
    diff: &'a mut StateDiff,
    address: Address,
    before: &dyn Contender,
) -> Result<&'a mut AccountDiff, Failure> {
    Ok(match diff.accounts.entry(address) {
        Entry::Occupied(change) => change.into_mut(),
        Entry::Vacant(change) => {
            let old = before.account(address)?;
            change.insert(AccountDiff { old, new: old, ..AccountDiff::default() })
        }
    })
}

fn address(id: u64) -> Address {
    Address::from_slice(&keccak256(id.to_be_bytes())[12..])
}

fn info(random: &mut Random) -> AccountInfo {
    AccountInfo {
        nonce: random.below(1000),
        balance: U256::from(random.next()),
        ..AccountInfo::default()
    }
}

/// An account with none to four slots, all of which follows from its number.
fn new_account(id: u64) -> AccountDiff {
    let mut random = Random(id);
    let mut change = AccountDiff { new: Some(info(&mut random)), ..AccountDiff::default() };
    for slot in 0..random.below(SLOTS + 1) {
        let word = SlotDiff { old: U256::ZERO, new: U256::from(random.next()) };
        change.storage.insert(U256::from(slot), word);
    }
    change
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

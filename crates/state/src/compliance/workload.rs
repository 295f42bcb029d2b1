//! Random changes, applied to a backend and to the model.

use zvm_core::{
    AccountDiff, AccountInfo, Address, Batch, BlockId, DbError, SlotDiff, SnapshotId, StateBackend,
    StateDiff, U256,
};

use super::{address, model::Model, word};

/// Addresses and slots in play: few, so that changes meet.
const ADDRESSES: u8 = 6;
const SLOTS: u64 = 12;

/// How many blocks an unwinding takes back, fewer than any backend keeps.
const UNWOUND: u64 = 30;

/// Runs `steps` random steps from `seed`, comparing contents, root and past after each.
///
/// # Panics
///
/// If `backend` and the model part; the message has the seed and the step.
pub fn check_workload(
    seed: u64,
    steps: usize,
    mut backend: Box<dyn StateBackend>,
    reopen: impl Fn(Box<dyn StateBackend>) -> Box<dyn StateBackend>,
) {
    let mut random = Random(seed);
    // The state after each block, by number.
    let mut past = vec![Model::default()];
    // The highest block there was: how far the past reaches goes by that.
    let mut highest = 0;
    let mut snapshots: Vec<(SnapshotId, usize)> = Vec::new();
    let addresses: Vec<Address> = (0..ADDRESSES).map(address).collect();
    let slots: Vec<U256> = (0..SLOTS).map(word).collect();

    for step in 0..steps {
        let mut model = past.last().cloned().unwrap_or_default();
        let what = match random.below(16) {
            0..5 => {
                let mut batch = backend.batch();
                for _ in 0..random.below(6) {
                    batch = change(&mut random, batch, &mut model);
                }
                batch.commit().expect("a batch commits");
                past.push(model);
                "batch"
            }
            5..8 => {
                let (mut diff, mut after) = execution(&mut random, &model);
                // Several executions may make a block.
                while random.below(3) == 0 {
                    let (later, last) = execution(&mut random, &after);
                    diff = diff.then(later);
                    after = last;
                }
                let block = BlockId { number: past.len() as u64, hash: after.root() };
                backend.commit_block(block, &diff).expect("a diff commits");
                assert_eq!(backend.head().expect("a head"), block);
                past.push(after);
                "diff"
            }
            8 => {
                let batch = change(&mut random, backend.batch(), &mut model);
                drop(batch);
                "dropped batch"
            }
            9..11 => {
                snapshots.push((backend.snapshot().expect("a snapshot"), past.len()));
                "snapshot"
            }
            11 if !snapshots.is_empty() => {
                let at = random.below(snapshots.len() as u64) as usize;
                let (id, blocks) = snapshots[at];
                snapshots.truncate(at);
                if random.below(3) == 0 {
                    backend.release(id).expect("an open snapshot releases");
                    "release"
                } else {
                    backend.revert(id).expect("an open snapshot reverts");
                    past.truncate(blocks);
                    "revert"
                }
            }
            12 if random.below(4) == 0 => {
                let target = (past.len() as u64 - 1).saturating_sub(random.below(UNWOUND));
                match backend.unwind(target) {
                    Ok(()) => {
                        past.truncate(target as usize + 1);
                        snapshots.retain(|snapshot| snapshot.1 <= past.len());
                    }
                    Err(error) => check_floor(&error, target, highest),
                }
                "unwinding"
            }
            // Snapshots end with the process.
            13.. if snapshots.is_empty() => {
                backend = reopen(backend);
                "reopening"
            }
            _ => continue,
        };
        let when = format!("seed {seed}, after step {step} ({what})");
        highest = highest.max(past.len() as u64 - 1);
        let (head, model) = (past.len() - 1, &past[past.len() - 1]);
        assert_eq!(backend.head().expect("a head").number, head as u64, "{when}");
        model.check(backend.as_ref(), &addresses, &slots, &when);
        for _ in 0..2 {
            let number = random.below(past.len() as u64);
            let when = format!("{when}, at block {number}");
            match backend.at(number) {
                Ok(then) => past[number as usize].check_past(&*then, &addresses, &slots, &when),
                Err(error) => check_floor(&error, number, highest),
            }
        }
    }
}

/// Checks that block `number` was refused because it is long ago.
fn check_floor(error: &DbError, number: u64, highest: u64) {
    let is_due = match error {
        DbError::NoHistory { floor, .. } => number < *floor && number + UNWOUND < highest,
        _ => false,
    };
    assert!(is_due, "block {number} of {highest}: {error}");
}

/// One random change by hand, made to both.
fn change<'a>(random: &mut Random, batch: Batch<'a>, model: &mut Model) -> Batch<'a> {
    let address = address(random.below(ADDRESSES.into()) as u8);
    match random.below(6) {
        0 => {
            let info = info(random);
            model.set_account(address, info);
            batch.set_account(address, info)
        }
        1 => {
            model.delete_account(address);
            batch.delete_account(address)
        }
        _ => {
            let (slot, word) = (word(random.below(SLOTS)), word(random.below(3)));
            model.set_storage(address, slot, word);
            batch.set_storage(address, slot, word)
        }
    }
}

/// A random diff such as execution yields, and the state after it. A destroyed account lists only
/// some of its slots, and may come back in the same diff.
fn execution(random: &mut Random, before: &Model) -> (StateDiff, Model) {
    let mut after = before.clone();
    let mut diff = StateDiff::default();
    for id in 0..ADDRESSES {
        let address = address(id);
        let old = before.0.get(&address).map(|account| account.0);
        let mut change = AccountDiff { old, new: old, ..AccountDiff::default() };
        match random.below(5) {
            // Destroyed, and half of the time created anew.
            0 if before.0.get(&address).is_some_and(|account| !account.1.is_empty()) => {
                after.delete_account(address);
                change.wiped = true;
                change.new = (random.below(2) == 0).then(|| info(random));
            }
            1 => change.new = Some(info(random)),
            _ => {}
        }
        if let Some(info) = change.new {
            after.set_account(address, info);
        }
        for slot in (0..SLOTS).map(word) {
            let of = |model: &Model| {
                model.0.get(&address).and_then(|account| account.1.get(&slot)).copied()
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

fn info(random: &mut Random) -> AccountInfo {
    AccountInfo {
        nonce: random.below(3),
        balance: word(random.below(3)) << (8 * random.below(30)) as usize,
        ..AccountInfo::default()
    }
}

/// SplitMix64: the same steps from the same seed on any machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

//! Random changes, applied to several backends and to the model.

use std::collections::{BTreeMap, BTreeSet};

use zvm_core::{
    Address, B256, BlockId, DbError, SnapshotId, StateBackend, StateDiff, U256, assemble,
};

use super::{
    changes::{Change, World},
    model::Model,
};
use crate::{dump::dump, kv::compliance::Random};

/// How many blocks an unwinding takes back, fewer than any backend keeps.
const UNWOUND: u64 = 30;

/// How many of the last blocks are asked for, more than some backends keep.
const ASKED: u64 = 200;

/// How many addresses that did not change are looked at beside those that did.
const LOOKED_AT: usize = 4;

/// A random workload: accounts made, destroyed and made again, slots set and cleared, snapshots
/// that nest, batches dropped, blocks unwound, executions that are never committed.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What it follows from.
    pub seed: u64,
    /// How many blocks are committed, counting those that are taken back again.
    pub blocks: u64,
    /// How many addresses are in play: few, so that changes meet.
    pub addresses: u64,
    /// How many slots of each.
    pub slots: u64,
}

/// A backend that takes part in a workload.
pub struct Contender<'a> {
    /// What messages call it.
    pub name: String,
    /// The backend, which must be empty.
    pub backend: Box<dyn StateBackend>,
    /// Gives the same state back after closing and opening it again, or, without persistence, what
    /// it was given.
    pub reopen: Box<Reopen<'a>>,
}

/// From a backend to the same state in a backend opened anew.
pub type Reopen<'a> = dyn Fn(Box<dyn StateBackend>) -> Box<dyn StateBackend> + 'a;

/// Where a workload has led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Number of blocks committed.
    pub committed: u64,
    /// The last block; fewer than were committed, for some were taken back.
    pub head: BlockId,
    /// The root of the state there.
    pub root: B256,
}

impl Workload {
    /// Runs the workload on all `contenders` at once. After each step head, root, dump, walk and
    /// what reads say are the same for all and as the model has it, and so are the diffs that
    /// batches come to. `progress` hears how many blocks have been committed.
    ///
    /// # Panics
    ///
    /// If they part; the message has seed, block, step, backend, and account and slot if there are.
    pub fn run(&self, contenders: Vec<Contender<'_>>, progress: &mut dyn FnMut(u64)) -> Outcome {
        let mut run = Run {
            workload: *self,
            world: World { addresses: self.addresses, slots: self.slots },
            random: Random::new(self.seed),
            contenders,
            past: vec![Model::default()],
            highest: 0,
            snapshots: Vec::new(),
            touched: Vec::new(),
            committed: 0,
        };
        let mut step = 0;
        while run.committed < self.blocks {
            step += 1;
            let what = run.step();
            run.check(&format!("step {step}, {what}"));
            progress(run.committed);
        }
        let head = run.contenders[0].backend.head().expect("a head");
        Outcome { committed: run.committed, head, root: run.model().root() }
    }
}

/// A workload under way.
struct Run<'a> {
    workload: Workload,
    world: World,
    random: Random,
    contenders: Vec<Contender<'a>>,
    /// The state after each block, by number.
    past: Vec<Model>,
    /// The highest block there was: how far the past reaches goes by that.
    highest: u64,
    /// Open snapshots, each with its id in every backend and the number of blocks then.
    snapshots: Vec<(Vec<SnapshotId>, usize)>,
    /// The addresses that the last block changed.
    touched: Vec<Address>,
    committed: u64,
}

impl Run<'_> {
    fn model(&self) -> &Model {
        &self.past[self.past.len() - 1]
    }

    /// One random step; answers what it was.
    fn step(&mut self) -> &'static str {
        match self.random.below(18) {
            0..5 => self.commit_batch(),
            5..8 => self.commit_execution(),
            8 => self.drop_batch(),
            9 => self.simulate(),
            10..12 => self.take_snapshot(),
            12..14 if !self.snapshots.is_empty() => self.end_snapshot(),
            14 if self.random.below(16) == 0 => self.unwind(),
            // Snapshots end with the process.
            14.. if self.snapshots.is_empty() => self.reopen(),
            _ => "nothing",
        }
    }

    fn commit_batch(&mut self) -> &'static str {
        let changes = self.changes();
        let mut after = self.model().clone();
        changes.iter().for_each(|change| change.make_to(&mut after));
        let here = self.here("a batch on it");
        let mut first: Option<StateDiff> = None;
        for Contender { name, backend, .. } in &mut self.contenders {
            let none = backend.batch();
            let batch = changes.iter().fold(none, |batch, change| change.add_to(batch));
            let diff = done(batch.to_diff(), &here, name);
            done(batch.commit(), &here, name);
            match &first {
                None => first = Some(diff),
                Some(first) => check_diff(&diff, first, &format!("{here}, {name}")),
            }
        }
        self.committed(first.unwrap_or_default(), after);
        "batch"
    }

    fn commit_execution(&mut self) -> &'static str {
        let (mut diff, mut after) =
            self.world.execution(&mut self.random, &self.past[self.past.len() - 1]);
        // Several executions may make a block.
        while self.random.below(3) == 0 {
            let (later, last) = self.world.execution(&mut self.random, &after);
            diff = diff.then(later);
            after = last;
        }
        let block = BlockId { number: self.past.len() as u64, hash: after.root() };
        let here = self.here("an execution on it");
        for Contender { name, backend, .. } in &mut self.contenders {
            let root = done(backend.root_after(&diff), &here, name);
            assert_eq!(root, block.hash, "{here}, {name}: root before the commit");
            done(backend.commit_block(block, &diff), &here, name);
            assert_eq!(done(backend.head(), &here, name), block, "{here}, {name}");
        }
        self.committed(diff, after);
        "execution"
    }

    fn committed(&mut self, diff: StateDiff, after: Model) {
        self.touched = diff.accounts.into_keys().collect();
        self.past.push(after);
        self.committed += 1;
        self.highest = self.highest.max(self.past.len() as u64 - 1);
    }

    fn drop_batch(&mut self) -> &'static str {
        let changes = self.changes();
        for contender in &mut self.contenders {
            let none = contender.backend.batch();
            drop(changes.iter().fold(none, |batch, change| change.add_to(batch)));
        }
        "dropped batch"
    }

    /// Executions one on the other, of which nothing is committed.
    fn simulate(&mut self) -> &'static str {
        let head = self.past.len() as u64 - 1;
        let mut states = vec![self.model().clone()];
        let mut diffs = BTreeMap::new();
        for number in 1..=1 + self.random.below(3) {
            let (diff, after) = self.world.execution(&mut self.random, &states[states.len() - 1]);
            diffs.insert(head + number, diff);
            states.push(after);
        }
        let slots: Vec<U256> = self.world.all_slots().collect();
        let changed = diffs.values().flat_map(|diff: &StateDiff| diff.accounts.keys().copied());
        let addresses: Vec<_> = changed.collect::<BTreeSet<_>>().into_iter().collect();
        for (number, state) in (head..).zip(&states) {
            let here = self.here(&format!("block {number} simulated on it"));
            for Contender { name, backend, .. } in &self.contenders {
                let over = done(assemble(&**backend, &diffs, number), &here, name);
                state.check_past(&over, &addresses, &slots, &format!("{here}, {name}"));
            }
        }
        "simulation"
    }

    fn take_snapshot(&mut self) -> &'static str {
        let here = self.here("a snapshot of it");
        let take = |Contender { name, backend, .. }: &mut Contender<'_>| {
            done(backend.snapshot(), &here, name)
        };
        let ids = self.contenders.iter_mut().map(take).collect();
        self.snapshots.push((ids, self.past.len()));
        "snapshot"
    }

    fn end_snapshot(&mut self) -> &'static str {
        // One of the last three; those within it end with it.
        let within = self.random.below(self.snapshots.len().min(3) as u64) as usize;
        let at = self.snapshots.len() - 1 - within;
        let (ids, blocks) = self.snapshots.swap_remove(at);
        self.snapshots.truncate(at);
        let reverts = self.random.below(2) == 0;
        let here = self.here(if reverts { "reverted" } else { "a snapshot released" });
        for (Contender { name, backend, .. }, id) in self.contenders.iter_mut().zip(ids) {
            done(if reverts { backend.revert(id) } else { backend.release(id) }, &here, name);
        }
        if reverts {
            self.past.truncate(blocks);
        }
        if reverts { "revert" } else { "release" }
    }

    fn unwind(&mut self) -> &'static str {
        let head = self.past.len() as u64 - 1;
        let target = head.saturating_sub(self.random.below(UNWOUND));
        // All keep this much, unless blocks were taken back before and what is left is less.
        let at = |contender: &Contender<'_>| contender.backend.at(target).map(drop);
        if let Some(error) = self.contenders.iter().find_map(|contender| at(contender).err()) {
            self.check_floor(&error, target);
            return "nothing";
        }
        let here = self.here(&format!("unwound to {target}"));
        for Contender { name, backend, .. } in &mut self.contenders {
            done(backend.unwind(target), &here, name);
        }
        self.past.truncate(target as usize + 1);
        self.snapshots.retain(|snapshot| snapshot.1 <= self.past.len());
        "unwinding"
    }

    fn reopen(&mut self) -> &'static str {
        let contenders = std::mem::take(&mut self.contenders);
        let reopened = contenders.into_iter().map(|Contender { name, backend, reopen }| {
            let backend = reopen(backend);
            Contender { name, backend, reopen }
        });
        self.contenders = reopened.collect();
        "reopening"
    }

    fn changes(&mut self) -> Vec<Change> {
        // Now and then as many as it takes to touch every page.
        let max = if self.random.below(32) == 0 { 200 } else { 6 };
        (0..self.random.below(max)).map(|_| self.world.change(&mut self.random)).collect()
    }

    /// Compares every backend with the model and with the first.
    fn check(&mut self, what: &str) {
        let mut addresses = self.touched.clone();
        addresses.extend((0..LOOKED_AT).map(|_| self.world.address(&mut self.random)));
        let slots: Vec<U256> = self.world.all_slots().collect();
        let asked = self.random.below(ASKED.min(self.past.len() as u64));
        let then = self.past.len() as u64 - 1 - asked;
        let (root, walk) = (self.model().root(), self.model().walk());
        let mut first = Vec::new();
        let here = self.here(what);
        for Contender { name, backend, .. } in &self.contenders {
            let when = format!("{here}, {name}");
            let head = done(backend.head(), &here, name).number;
            assert_eq!(head, self.past.len() as u64 - 1, "{when}: head");
            self.model().check_past(&**backend, &addresses, &slots, &when);
            walk.check(&**backend, &when);
            assert_eq!(done(backend.state_root(), &here, name), root, "{when}: state root");
            let mut lines = Vec::new();
            dump(&**backend, &mut lines, |_| {})
                .unwrap_or_else(|error| panic!("{when}: dump: {error}"));
            if first.is_empty() {
                first = lines;
            } else {
                check_dump(&lines, &first, &when);
            }
            match backend.at(then) {
                Ok(state) => {
                    let when = format!("{when}, at block {then}");
                    self.past[then as usize].check_past(&*state, &addresses, &slots, &when);
                }
                Err(error) => self.check_floor(&error, then),
            }
        }
    }

    /// Checks that block `number` was refused because it is long ago.
    fn check_floor(&self, error: &DbError, number: u64) {
        let highest = self.highest;
        let is_due = match error {
            DbError::NoHistory { floor, .. } => number < *floor && number + UNWOUND < highest,
            _ => false,
        };
        assert!(is_due, "{}: at block {number}, highest {highest}: {error}", self.here("asked"));
    }

    /// Where the workload is, for messages.
    fn here(&self, what: &str) -> String {
        format!("seed {}, block {} ({what})", self.workload.seed, self.past.len() - 1)
    }
}

/// What `outcome` has to be.
fn done<T>(outcome: Result<T, DbError>, here: &str, name: &str) -> T {
    outcome.unwrap_or_else(|error| panic!("{here}, {name}: {error}"))
}

/// Compares a diff with that of the first backend, account by account and slot by slot.
fn check_diff(found: &StateDiff, first: &StateDiff, when: &str) {
    if found == first {
        return;
    }
    for address in found.accounts.keys().chain(first.accounts.keys()) {
        let [ours, theirs] = [found, first].map(|diff| diff.accounts.get(address));
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            for slot in ours.storage.keys().chain(theirs.storage.keys()) {
                let [ours, theirs] = [ours, theirs].map(|account| account.storage.get(slot));
                assert_eq!(ours, theirs, "{when}: diff of {address} slot {slot}");
            }
        }
        assert_eq!(ours, theirs, "{when}: diff of {address}");
    }
    assert_eq!(found, first, "{when}: diff");
}

/// Compares a dump with that of the first backend. A line is an account with its slots.
pub(super) fn check_dump(found: &[u8], first: &[u8], when: &str) {
    if found == first {
        return;
    }
    let lines = |dump| String::from_utf8_lossy(dump).lines().map(str::to_owned).collect::<Vec<_>>();
    let (found, first) = (lines(found), lines(first));
    for (found, first) in found.iter().zip(&first) {
        assert_eq!(found, first, "{when}: line of the dump");
    }
    assert_eq!(found.len(), first.len(), "{when}: lines of the dump");
}

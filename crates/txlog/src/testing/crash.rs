//! Processes that commit whole blocks to a store and are killed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use zvm_core::{B256, StateBackend};
use zvm_state::{
    CheckLevel, FileDb, FileOptions, History, MemoryDb,
    compliance::kill::kill,
    kv::{Engine, compliance::Random},
};

use super::Blocks;
use crate::{Log, LogWriter, Senders};

/// Names the folder of the store to a child.
const FOLDER: &str = "ZVM_LOG_CRASH_FOLDER";

/// Tells a child the rest of what it needs: engine, history, seeds of blocks and of the child.
const ORDERS: &str = "ZVM_LOG_CRASH_ORDERS";

/// Begins what a child says; a test harness may have said something on the same line.
const SAYS: &str = "log-crash-child: ";

/// How many rounds a store lives. A few sections go by in them.
const ROUNDS_PER_STORE: u32 = 10;

/// How many blocks are unwound and made again after each round.
const UNWOUND: u64 = 3;

/// How much of the past the stores keep, by turns.
const HISTORIES: [History; 3] = [History::Blocks(128), History::All, History::Blocks(0)];

/// Rounds of committing blocks, being killed, and looking what is left.
pub struct LogCrashes<'a> {
    /// What the blocks and the moments of the kills follow from.
    pub seed: u64,
    /// How often a child is killed.
    pub rounds: u32,
    /// What keeps the bytes.
    pub engine: Engine,
    /// Where the stores go.
    pub folder: &'a Path,
    /// Starts this program so that it calls [`commit_if_child`].
    pub child: &'a dyn Fn() -> Command,
}

/// What was survived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSurvived {
    /// Number of kills.
    pub rounds: u32,
    /// Blocks that children said were committed.
    pub acknowledged: u64,
    /// Kills between the commit of a block and the word of it.
    pub ahead: u32,
    /// Transactions that were verified.
    pub transactions: u64,
}

/// A store, and the chain that it has to hold.
struct Subject {
    folder: PathBuf,
    options: FileOptions,
    blocks: Blocks,
    /// The same blocks, without disturbance.
    mirror: MemoryDb,
    /// Hash and state root of each block, by number.
    made: Vec<(B256, B256)>,
}

impl LogCrashes<'_> {
    /// Runs the rounds. After each, what was acknowledged is there; the head of the log is that of
    /// the state, its hash and its root are right, and [`Log::verify`] finds each of its blocks with
    /// receipts, entries of indexes and of the Merkle log. Blocks that are unwound and made again
    /// lead to the same. `progress` hears how many rounds are done.
    ///
    /// # Panics
    ///
    /// If anything else is the case; the message has seed and round.
    pub fn run(&self, progress: &mut dyn FnMut(u32)) -> LogSurvived {
        let mut random = Random::new(self.seed);
        let mut survived = LogSurvived::default();
        let mut subject = None;
        for round in 0..self.rounds {
            if round % ROUNDS_PER_STORE == 0 {
                subject = None;
            }
            let subject = subject.get_or_insert_with(|| self.subject(round / ROUNDS_PER_STORE));
            let here = format!("seed {}, round {round}", self.seed);
            let said = self.kill_one(subject, round, &mut random, &here);
            survived.rounds += 1;
            subject.check(&said, &mut survived, &here);
            progress(survived.rounds);
        }
        survived
    }

    fn subject(&self, number: u32) -> Subject {
        let folder = self.folder.join("store");
        // That of the subject before.
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("a folder of ours goes");
        }
        let history = HISTORIES[number as usize % HISTORIES.len()];
        Subject {
            folder,
            options: FileOptions {
                engine: self.engine,
                history: Some(history),
                ..FileOptions::default()
            },
            blocks: blocks(self.seed.wrapping_add(number.into())),
            mirror: MemoryDb::new(),
            made: Vec::new(),
        }
    }

    /// Starts a child, kills it, and answers the blocks that it has said were committed, and those it
    /// was about to go back to.
    fn kill_one(
        &self,
        subject: &Subject,
        round: u32,
        random: &mut Random,
        here: &str,
    ) -> Vec<(bool, u64)> {
        let (engine, history) = (self.engine.name(), subject.options.history.unwrap_or_default());
        let mut child = (self.child)();
        child
            .env(FOLDER, &subject.folder)
            .env(ORDERS, format!("{engine} {history} {} {round}", subject.blocks.seed));
        let parse = |line: &str| {
            let (what, number) = line.split_once(SAYS)?.1.split_once(' ')?;
            Some((what == "block", number.parse().ok()?))
        };
        kill(&mut child, random, parse, here)
    }
}

impl Subject {
    fn check(&mut self, said: &[(bool, u64)], survived: &mut LogSurvived, here: &str) {
        // The number of blocks: after block 0 there is one.
        let start = self.made.len() as u64;
        let (mut least, mut most) = (start, start);
        for &(is_block, number) in said {
            least = number + 1;
            if is_block {
                most = number + 1;
                survived.acknowledged += 1;
            }
        }
        let mut db = FileDb::open_with(&self.folder, self.options)
            .unwrap_or_else(|error| panic!("{here}: {error}"));
        let count = self.compare(&db, here, survived);
        assert!(count >= least, "{here}: {count} blocks, but {least} were acknowledged");
        assert!(count <= most + 1, "{here}: {count} blocks, but only {most} were acknowledged");
        survived.ahead += u32::from(count > most);
        db.check(CheckLevel::State, &mut |_| {}).unwrap_or_else(|error| panic!("{here}: {error}"));
        if count == 0 {
            return;
        }
        let back = (count - 1).saturating_sub(UNWOUND).max(db.floor());
        db.unwind(back).unwrap_or_else(|error| panic!("{here}: unwound to {back}: {error}"));
        self.compare(&db, here, survived);
        for number in back + 1..count {
            commit(&mut db, &self.blocks, number);
        }
        assert_eq!(self.compare(&db, here, survived), count, "{here}: made again");
    }

    /// Compares the store with what it should be, and answers how many blocks it has.
    fn compare(&mut self, db: &FileDb, here: &str, survived: &mut LogSurvived) -> u64 {
        let log = Log::new(db);
        let head = log.head().unwrap_or_else(|error| panic!("{here}: {error}"));
        let Some(head) = head else {
            assert_eq!(db.head().expect("a head").number, 0, "{here}: a state without its log");
            return 0;
        };
        while self.made.len() as u64 <= head.number {
            let parent = self.made.last().map_or(B256::ZERO, |made| made.0);
            let made = self.blocks.block(self.made.len() as u64, parent);
            self.mirror.commit(&made.diff).expect("memory refuses nothing");
            self.made.push((made.hash, self.mirror.state_root().expect("a root")));
        }
        let (hash, root) = self.made[head.number as usize];
        assert_eq!(head.hash, hash, "{here}: hash of block {}", head.number);
        assert_eq!(db.state_root().expect("a root"), root, "{here}: root of {}", head.number);
        let verified = log.verify(&[], Senders::Trust, &mut |_| {});
        let verified = verified.unwrap_or_else(|error| panic!("{here}: {error}"));
        assert_eq!(verified.blocks, head.number + 1, "{here}: blocks of the log");
        survived.transactions += verified.transactions;
        head.number + 1
    }
}

/// If this process was started by [`LogCrashes`], commits blocks and says each, until it is killed.
///
/// # Panics
///
/// If a commit fails.
pub fn commit_if_child() {
    let (Some(folder), Ok(orders)) = (env::var_os(FOLDER), env::var(ORDERS)) else { return };
    let mut orders = orders.split(' ');
    let mut order = || orders.next().expect("an order");
    let engine = Engine::named(order()).expect("an engine in this build");
    let history = order().parse().expect("a history");
    let blocks = blocks(order().parse().expect("a seed"));
    let round: u64 = order().parse().expect("a round");
    let mut random = Random::new(blocks.seed ^ round.rotate_left(32));

    let options = FileOptions { engine, history: Some(history), ..FileOptions::default() };
    let mut db = FileDb::open_with(folder, options).expect("a store opens");
    loop {
        let head = Log::new(&db).head().expect("a log").map(|head| head.number);
        if let Some(head) = head.filter(|_| random.below(16) == 0) {
            let target = head.saturating_sub(random.below(6)).max(db.floor());
            println!("{SAYS}back {target}");
            db.unwind(target).expect("a store unwinds");
        }
        let head = Log::new(&db).head().expect("a log").map(|head| head.number);
        let next = head.map_or(0, |head| head + 1);
        commit(&mut db, &blocks, next);
        println!("{SAYS}block {next}");
    }
}

fn commit(db: &mut FileDb, blocks: &Blocks, number: u64) {
    let parent = Log::new(db).head().expect("a log").map_or(B256::ZERO, |head| head.hash);
    let made = blocks.block(number, parent);
    LogWriter::new(db).commit(&made.as_new()).expect("a block commits");
}

fn blocks(seed: u64) -> Blocks {
    Blocks { seed, transactions_max: 6, addresses: 60, topics: 20, ..Blocks::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn killed_processes_leave_whole_blocks() {
        commit_if_child();
        let folder = tempfile::tempdir().unwrap();
        let child = || {
            let mut command = Command::new(env::current_exe().unwrap());
            let this = "testing::crash::tests::killed_processes_leave_whole_blocks";
            command.args(["--exact", this, "--nocapture"]);
            command
        };
        let engine = Engine::Redb;
        let crashes =
            LogCrashes { seed: 1, rounds: 6, engine, folder: folder.path(), child: &child };
        let survived = crashes.run(&mut |_| {});
        assert_eq!(survived.rounds, 6);
        assert!(survived.acknowledged > 0, "no child came to commit a block");
    }
}

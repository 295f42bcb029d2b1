//! Processes that commit to a store and are killed.
//!
//! A block follows from its number alone, so the state after block `n` is the same however often the
//! way there was broken off, and the same in a memory backend that was never disturbed.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use zvm_core::{B256, Batch, Database, EMPTY_ROOT, StateBackend, U256};

use super::{changes::World, kill::kill};
use crate::{
    CheckLevel, FileDb, FileOptions, History, MemoryDb,
    dump::dump,
    kv::{Engine, compliance::Random},
};

/// Names the folder of the store to a child.
const FOLDER: &str = "ZVM_CRASH_FOLDER";

/// Tells a child the rest of what it needs: engine, history, seeds of blocks and of the child.
const ORDERS: &str = "ZVM_CRASH_ORDERS";

/// Begins what a child says; a test harness may have said something on the same line.
const SAYS: &str = "crash-child: ";

/// Small enough to be compared as a whole after each round, with storage tries of several levels.
const WORLD: World = World { addresses: 100, slots: 16 };

/// How many rounds a store lives.
const ROUNDS_PER_STORE: u32 = 25;

/// How many blocks are unwound and made again after each round.
const UNWOUND: u64 = 3;

/// How much of the past the stores keep, by turns.
const HISTORIES: [History; 5] = [
    History::Blocks(128),
    History::Bytes(256 << 10),
    History::All,
    History::Blocks(0),
    History::Bytes(16 << 10),
];

/// Rounds of committing, being killed, and looking what is left.
pub struct Crashes<'a> {
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
pub struct Survived {
    /// Number of kills.
    pub rounds: u32,
    /// Number of stores.
    pub stores: u32,
    /// Blocks that children said were committed.
    pub acknowledged: u64,
    /// Kills between the commit of a block and the word of it.
    pub ahead: u32,
    /// Kills before the first word, most of them while the store was being opened.
    pub silent: u32,
}

/// What a child says.
enum Word {
    /// A block was committed, with this root.
    Block(u64, B256),
    /// The store is about to be unwound to this block.
    Back(u64),
}

/// A store, and what it has to hold.
struct Subject {
    folder: PathBuf,
    engine: Engine,
    history: History,
    seed: u64,
    /// The same blocks, without disturbance.
    mirror: MemoryDb,
    /// The root after each block, by number.
    roots: Vec<B256>,
}

impl Crashes<'_> {
    /// Runs the rounds. After each, what was acknowledged is there, root, content, past and every
    /// record are right, and blocks that are unwound and made again lead to the same roots.
    /// `progress` hears how many rounds are done.
    ///
    /// # Panics
    ///
    /// If anything else is the case; the message has seed, round and store.
    pub fn run(&self, progress: &mut dyn FnMut(u32)) -> Survived {
        let mut random = Random::new(self.seed);
        let mut survived = Survived::default();
        let mut subject = None;
        for round in 0..self.rounds {
            if round % ROUNDS_PER_STORE == 0 {
                subject = None;
                survived.stores += 1;
            }
            let subject = subject.get_or_insert_with(|| self.subject(round / ROUNDS_PER_STORE));
            let here = format!("seed {}, round {round}, {subject}", self.seed);
            let words = self.kill_one(subject, round, &mut random, &here);
            survived.silent += u32::from(words.is_empty());
            survived.rounds += 1;
            subject.check(&words, &mut random, &mut survived, &here);
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
        Subject {
            folder,
            engine: self.engine,
            history: HISTORIES[number as usize % HISTORIES.len()],
            seed: self.seed.wrapping_add(number.into()),
            mirror: MemoryDb::new(),
            roots: vec![EMPTY_ROOT],
        }
    }

    /// Starts a child, kills it, and answers what it has said.
    fn kill_one(
        &self,
        subject: &Subject,
        round: u32,
        random: &mut Random,
        here: &str,
    ) -> Vec<Word> {
        let engine = subject.engine.name();
        let mut child = (self.child)();
        child
            .env(FOLDER, &subject.folder)
            .env(ORDERS, format!("{engine} {} {} {round}", subject.history, subject.seed));
        kill(&mut child, random, Word::parse, here)
    }
}

impl Subject {
    fn open(&self) -> FileDb {
        let Self { engine, history, .. } = *self;
        let options = FileOptions { engine, history: Some(history), ..FileOptions::default() };
        FileDb::open_with(&self.folder, options).unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// Looks at what a child that said `words` has left.
    fn check(&mut self, words: &[Word], random: &mut Random, survived: &mut Survived, here: &str) {
        let start = self.mirror.head().expect("a head").number;
        let (mut least, mut most) = (start, start);
        for word in words {
            match *word {
                Word::Block(number, root) => {
                    self.advance(number);
                    assert_eq!(root, self.roots[number as usize], "{here}: root of {number}");
                    survived.acknowledged += 1;
                    (least, most) = (number, number);
                }
                Word::Back(number) => least = number,
            }
        }
        let mut db = self.open();
        let head = db.head().expect("a head").number;
        assert!(head >= least, "{here}: block {head}, but {least} was acknowledged");
        assert!(head <= most + 1, "{here}: block {head}, but only {most} was acknowledged");
        survived.ahead += u32::from(head > most);

        self.advance(head);
        self.mirror.unwind(head).expect("memory keeps that much");
        self.compare(&db, here);
        let floor = db.floor();
        let number = head - random.below((head - floor).min(100) + 1);
        self.compare_past(&db, number, here);

        let back = head.saturating_sub(UNWOUND).max(floor);
        db.unwind(back).unwrap_or_else(|error| panic!("{here}: unwound to {back}: {error}"));
        let root = db.state_root().expect("a root");
        assert_eq!(root, self.roots[back as usize], "{here}: unwound to {back}");
        db.check(CheckLevel::State, &mut |_| {}).unwrap_or_else(|error| panic!("{here}: {error}"));
        for number in back + 1..=head {
            block(self.seed, number, db.batch()).commit().expect("a block is made again");
            let root = db.state_root().expect("a root");
            assert_eq!(root, self.roots[number as usize], "{here}: block {number} made again");
        }
        self.compare(&db, here);
    }

    /// Takes the mirror to block `number` or beyond.
    fn advance(&mut self, number: u64) {
        let head = self.mirror.head().expect("a head").number;
        for next in head + 1..=number {
            block(self.seed, next, self.mirror.batch()).commit().expect("memory refuses nothing");
            self.roots.truncate(next as usize);
            self.roots.push(self.mirror.state_root().expect("a root"));
        }
    }

    /// Compares all of the store with the mirror, whose root is computed from everything.
    fn compare(&self, db: &FileDb, here: &str) {
        let [ours, theirs] = [db as &dyn StateBackend, &self.mirror].map(|backend| {
            let mut lines = Vec::new();
            dump(backend, &mut lines, |_| {}).unwrap_or_else(|error| panic!("{here}: {error}"));
            lines
        });
        super::workload::check_dump(&ours, &theirs, here);
        db.check(CheckLevel::Branches, &mut |_| {})
            .unwrap_or_else(|error| panic!("{here}: {error}"));
    }

    /// Compares block `number` of the store with a memory backend that has not gone further.
    fn compare_past(&self, db: &FileDb, number: u64, here: &str) {
        let then = db.at(number).unwrap_or_else(|error| panic!("{here}: {error}"));
        let Ok(expected) = self.mirror.at(number) else { return };
        for address in WORLD.all_addresses() {
            let read = |state: &dyn Database| {
                let words: Result<Vec<U256>, _> =
                    WORLD.all_slots().map(|slot| state.storage(address, slot)).collect();
                (state.account(address).expect("reads"), words.expect("reads"))
            };
            assert_eq!(read(&*then), read(&*expected), "{here}: {address} at block {number}");
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with history {}", self.engine.name(), self.history)
    }
}

impl Word {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_once(SAYS)?.1.split(' ');
        let (what, number) = (words.next()?, words.next()?.parse().ok()?);
        match what {
            "block" => Some(Self::Block(number, words.next()?.parse().ok()?)),
            "back" => Some(Self::Back(number)),
            _ => None,
        }
    }
}

/// If this process was started by [`Crashes`], commits blocks and says each, until it is killed.
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
    let seed: u64 = order().parse().expect("a seed");
    let mut random = Random::new(seed ^ order().parse::<u64>().expect("a round").rotate_left(32));

    let options = FileOptions { engine, history: Some(history), ..FileOptions::default() };
    let mut db = FileDb::open_with(folder, options).expect("a store opens");
    loop {
        let head = db.head().expect("a head").number;
        if random.below(16) == 0 {
            let target = head.saturating_sub(random.below(6)).max(db.floor());
            println!("{SAYS}back {target}");
            db.unwind(target).expect("a store unwinds");
        }
        let next = db.head().expect("a head").number + 1;
        block(seed, next, db.batch()).commit().expect("a block commits");
        println!("{SAYS}block {next} {}", db.state_root().expect("a root"));
    }
}

/// Block `number`, the same each time.
fn block(seed: u64, number: u64, batch: Batch<'_>) -> Batch<'_> {
    let mut random = Random::new(seed ^ number.rotate_left(20));
    let max = if random.below(8) == 0 { 400 } else { 30 };
    let changes = random.below(max);
    (0..changes).fold(batch, |batch, _| WORLD.change(&mut random).add_to(batch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn killed_processes_lose_nothing() {
        commit_if_child();
        let folder = tempfile::tempdir().unwrap();
        let child = || {
            let mut command = Command::new(env::current_exe().unwrap());
            let this = "compliance::crash::tests::killed_processes_lose_nothing";
            command.args(["--exact", this, "--nocapture"]);
            command
        };
        for &engine in Engine::ALL {
            let folder = &folder.path().join(engine.name());
            let crashes = Crashes { seed: 1, rounds: 8, engine, folder, child: &child };
            let survived = crashes.run(&mut |_| {});
            assert_eq!(survived.rounds, 8);
            assert!(survived.acknowledged > 0, "no child came to commit a block");
        }
    }
}

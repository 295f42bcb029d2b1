//! Servers and writers that are killed (SIGKILL on Unix) at random moments, beside readers.
//!
//! Every block sets the same number to all slots of all accounts, so that half a commit would show, and
//! the number is that of the block, so that a lost one would.

mod common;

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use common::{READER, WRITER, address, options, way};
use tempfile::tempdir;
use zvm_core::{B256, Database, StateBackend, U256};
use zvm_net::{Found, NetDb, NetOptions, Read, Server};
use zvm_state::{CheckLevel, FileDb, compliance::kill::kill, kv::compliance::Random};

const ACCOUNTS: u64 = 6;
const SLOTS: u64 = 5;

/// How often a writer is killed.
const ROUNDS: u64 = 30;

/// What a child is told.
const ORDER: &str = "ZVM_NET_ORDER";

/// Begins what a child says; the test harness may have said something on the same line.
const SAYS: &str = "net-child: ";

/// How long a call may take: a killed server is back long before.
const TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn acknowledged_commits_survive_and_no_reader_sees_half_of_one() {
    if let Ok(order) = env::var(ORDER) {
        return obey(&order);
    }
    let home = tempdir().unwrap();
    // Nobody else gets the port while it is not listened to, or the test fails loudly.
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [done, over] = [(); 2].map(|()| AtomicBool::new(false));
    let (deaths, seen) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut acknowledged = 0;
    thread::scope(|scope| {
        let (done, over, deaths, seen) = (&done, &over, &deaths, &seen);
        let _ends = Ends([done, over]);
        let store = home.path().to_owned();
        let servers = scope.spawn(move || kill_servers(&store, place, over, deaths));
        let readers = [(); 2].map(|()| scope.spawn(move || read_on(place, done, seen)));
        let mut random = Random::new(7);
        for round in 0..ROUNDS {
            let mut child = child(&format!("write {place}"));
            let here = format!("round {round}");
            let words = kill(&mut child, &mut random, parse, &here);
            if let Some(last) = words.last() {
                assert!(*last > acknowledged, "{here}: {last} after {acknowledged}");
                acknowledged = *last;
            }
            let found = look(&mut open(place, READER));
            // It may have died between a commit and its word.
            assert!(found >= acknowledged, "{here}: {found}, {acknowledged} were acknowledged");
            acknowledged = found;
        }
        done.store(true, Ordering::Relaxed);
        // Who looks needs a server to the last.
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        over.store(true, Ordering::Relaxed);
        servers.join().unwrap();
    });
    let db = FileDb::open(home.path().join("store")).unwrap();
    db.check(CheckLevel::Branches, &mut |_| {}).unwrap();
    // One more if the last writer had sent it when it died.
    let head = db.head().unwrap().number;
    assert!((acknowledged..=acknowledged + 1).contains(&head), "{head}, not {acknowledged}");
    let (deaths, seen) = (deaths.into_inner(), seen.into_inner());
    eprintln!("{acknowledged} blocks, {deaths} deaths of servers, {seen} looks of readers");
    assert!(acknowledged > 0 && deaths > 0 && seen > 0);
}

/// Tells the others that it is over, also where this fails.
struct Ends<'a>([&'a AtomicBool; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|end| end.store(true, Ordering::Relaxed));
    }
}

fn child(order: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    let this = "acknowledged_commits_survive_and_no_reader_sees_half_of_one";
    command.args(["--exact", this, "--nocapture"]).env(ORDER, order);
    command
}

fn obey(order: &str) {
    let mut words = order.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some("serve"), Some(place), Some(store)) => serve(place.parse().unwrap(), store.into()),
        (Some("write"), Some(place), None) => write(place.parse().unwrap()),
        _ => panic!("{order:?}"),
    }
}

/// A child: serves a store until it is killed.
fn serve(place: SocketAddr, store: PathBuf) {
    let db = FileDb::open(store).unwrap();
    let socket = TcpListener::bind(place).unwrap();
    let _server = Server::start(Box::new(db), socket, options().0).unwrap();
    println!("{SAYS}0");
    loop {
        thread::park();
    }
}

/// A child: commits and says so until it is killed.
fn write(place: SocketAddr) {
    let mut db = open(place, WRITER);
    loop {
        let next = look(&mut db) + 1;
        let mut batch = db.batch();
        for id in 0..ACCOUNTS {
            for slot in 0..SLOTS {
                batch = batch.set_storage(address(id), U256::from(slot), U256::from(next));
            }
        }
        if let Err(error) = batch.commit() {
            // What the writer before had sent when it died came through after all.
            assert!(error.to_string().contains("others have changed the state"), "{error}");
            continue;
        }
        println!("{SAYS}{next}");
        // It goes on from its own block, whatever happened to the connection.
        assert_eq!(db.head().unwrap().number, next);
        assert_eq!(db.storage(address(0), U256::ZERO).unwrap(), U256::from(next));
    }
}

fn parse(line: &str) -> Option<u64> {
    line.split_once(SAYS)?.1.parse().ok()
}

fn open(place: SocketAddr, token: &str) -> NetDb {
    let options = NetOptions { timeout: TIMEOUT, ..way(place, token) };
    for _ in 0..2000 {
        match NetDb::open(options.clone()) {
            Ok(db) => return db,
            // Who opens does not wait for a server.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
    NetDb::open(options).unwrap()
}

/// Moves on and looks at everything: by itself, all at once, and by walking. Answers the block.
fn look(db: &mut NetDb) -> u64 {
    let head = db.refresh().unwrap().number;
    let slots = (0..ACCOUNTS).flat_map(|id| (0..SLOTS).map(move |slot| (address(id), slot)));
    let reads: Vec<_> = slots.map(|(id, slot)| Read::Slot(id, U256::from(slot))).collect();
    // Others may unwind nothing here; what may be is that the server dies and comes back further on.
    let Ok(found) = db.read_many(&reads) else { return look(db) };
    let words = found.into_iter().map(|found| match found.unwrap() {
        Found::Slot(word) => word,
        found => panic!("{found:?}"),
    });
    let words: BTreeSet<_> = words.collect();
    assert_eq!(words, BTreeSet::from([U256::from(head)]), "block {head}");
    for id in 0..ACCOUNTS {
        let Ok(word) = db.storage(address(id), U256::ZERO) else { return look(db) };
        assert_eq!(word, U256::from(head));
    }
    if head > 0 {
        let mut count = 0;
        let walked = db.for_each_slot(address(1), B256::ZERO, &mut |_, _, word| {
            assert_eq!(word, U256::from(head));
            count += 1;
            Ok(ControlFlow::Continue(()))
        });
        match walked {
            Ok(()) => assert_eq!(count, SLOTS),
            Err(_) => return look(db),
        }
        let Ok(earlier) = db.at(head - 1) else { return look(db) };
        let Ok(word) = earlier.storage(address(2), U256::ZERO) else {
            drop(earlier);
            return look(db);
        };
        assert_eq!(word, U256::from(head - 1));
    }
    head
}

/// Looks on and on; what there is never goes back.
fn read_on(place: SocketAddr, done: &AtomicBool, seen: &AtomicU64) {
    let (mut db, mut last) = (open(place, READER), 0);
    while !done.load(Ordering::Relaxed) {
        let head = look(&mut db);
        assert!(head >= last, "block {head} after block {last}");
        last = head;
        seen.fetch_add(1, Ordering::Relaxed);
    }
}

/// Starts servers and kills them, as long as it is not over.
fn kill_servers(home: &Path, place: SocketAddr, over: &AtomicBool, deaths: &AtomicU64) {
    let mut random = Random::new(11);
    let store = home.join("store");
    while !over.load(Ordering::Relaxed) {
        let mut server = Killed(start_server(&store, place));
        let life = Duration::from_millis(50 + random.below(700));
        let step = Duration::from_millis(20);
        let mut lived = Duration::ZERO;
        while lived < life && !over.load(Ordering::Relaxed) {
            thread::sleep(step);
            lived += step;
        }
        assert!(server.0.try_wait().unwrap().is_none(), "the server ended by itself");
        drop(server);
        deaths.fetch_add(1, Ordering::Relaxed);
    }
}

/// A child that does not outlive this.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_server(store: &Path, place: SocketAddr) -> Child {
    let mut command = child(&format!("serve {place} {}", store.display()));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let listens = said.lines().map_while(Result::ok).any(|line| parse(&line).is_some());
    assert!(listens, "the server did not start");
    child
}

//! What reading a remote state costs, beside anvil on the same upstream: HTTP requests and time.
//!
//! Upstream is anvil behind a proxy that counts requests and makes each take a while. With `warm
//! URL FOLDER` as arguments this is one of the processes that are measured.

mod scenario;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use zvm_core::{B256, Database, StateBackend, StateDiff, hex};
use zvm_fork::{ForkDb, Opened, Recording, open, open_recorded};
use zvm_state::{DatabaseConfig, ForkConfig};

use scenario::{Load, Machine, large, loads, prepare, reads};
use support::{Anvil, Proxy, Trouble};

fn config(text: &str) -> ForkConfig {
    match text.parse() {
        Ok(DatabaseConfig::Fork(config)) => *config,
        other => panic!("{text}: {other:?}"),
    }
}

/// How a fork reads.
#[derive(Clone, Copy)]
enum Way {
    /// What it misses, when it misses it.
    OneByOne,
    /// Ahead of each call.
    AheadOfEach,
    /// Ahead of all calls.
    AheadOfAll,
    /// All at once, before.
    Prefetch,
}

/// The deployment and the calls.
fn run(db: &mut ForkDb, loads: &[Load], way: Way) {
    let mut machine = Machine::new(db);
    match way {
        Way::Prefetch => db.prefetch(&reads(loads)).expect("the upstream answers"),
        Way::AheadOfAll => {
            let all = |db: &dyn Database| {
                loads.iter().for_each(|load| {
                    machine.call(db, load);
                });
            };
            db.run_ahead(all).expect("the upstream answers");
        }
        Way::OneByOne | Way::AheadOfEach => {}
    }
    machine.deploy(db).expect("the upstream answers");
    for load in loads {
        let is_right = match way {
            Way::AheadOfEach => db.run_ahead(|db| machine.call(db, load)),
            _ => Ok(machine.call(db, load)),
        };
        assert!(is_right.expect("the upstream answers"), "a wrong sum");
    }
}

/// Runs and prints one line of the table.
fn measure(name: &str, proxy: &Proxy, work: impl FnOnce()) {
    let (requests, start) = (proxy.requests(), Instant::now());
    work();
    let took = start.elapsed();
    println!(
        "{name:<44} {:>6} requests {:>9.3} s",
        proxy.requests() - requests,
        took.as_secs_f64()
    );
}

/// What anvil itself does with the same calls on a fork of the same upstream.
fn measure_anvil(proxy: &Proxy, loads: &[Load], name: &str) {
    measure(name, proxy, || {
        let args = ["--fork-url", &proxy.url, "--no-storage-caching", "--no-rate-limit"];
        let fork = Anvil::start(&args).expect("it was there before");
        for load in loads {
            let call = json!({"to": load.to, "data": hex::encode_prefixed(load.data())});
            let found = fork.call("eth_call", json!([call, "latest"]));
            assert_eq!(found, json!(B256::from(load.expected())), "a wrong sum");
        }
    });
}

/// A process that fills the cache and is then killed.
fn fill_and_die(url: &str, folder: &Path) {
    let program = std::env::current_exe().expect("this program");
    let mut process = Command::new(program)
        .arg("warm")
        .arg(url)
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("it says when it is done");
    assert_eq!(line.trim(), "done");
    process.kill().expect("it waits for that");
    process.wait().expect("it ends");
}

fn table(anvil: &Anvil, latency: u64) {
    println!("\nupstream latency {latency} ms");
    let proxy = Proxy::start(&anvil.url);
    proxy.always(Trouble::Delay(Duration::from_millis(latency)));
    let off = format!("fork:{}?cache=off", proxy.url);
    let fork = |text: &str| open(&config(text)).expect("the upstream answers").db;
    let hash = fork(&off).origin().block.hash;
    let (calls, one) = (loads(), [large()]);

    println!("  one call that reads 500 slots");
    measure_anvil(&proxy, &one, "anvil --fork-url");
    measure("zvm, read by read", &proxy, || run(&mut fork(&off), &one, Way::OneByOne));
    measure("zvm, run ahead", &proxy, || run(&mut fork(&off), &one, Way::AheadOfEach));

    println!("  a deployment and 200 calls: 500 slots in 40 contracts");
    measure_anvil(&proxy, &calls, "anvil --fork-url (calls only)");
    measure("zvm, read by read", &proxy, || run(&mut fork(&off), &calls, Way::OneByOne));
    measure("zvm, run ahead of each call", &proxy, || {
        run(&mut fork(&off), &calls, Way::AheadOfEach)
    });
    measure("zvm, run ahead of all calls", &proxy, || {
        run(&mut fork(&off), &calls, Way::AheadOfAll)
    });
    measure("zvm, prefetch", &proxy, || run(&mut fork(&off), &calls, Way::Prefetch));
    let verified = format!("{off}&verify");
    measure("zvm, run ahead of all calls, verified", &proxy, || {
        run(&mut fork(&verified), &calls, Way::AheadOfAll)
    });
    measure("zvm, prefetch, verified", &proxy, || run(&mut fork(&verified), &calls, Way::Prefetch));

    let folder = tempfile::tempdir().expect("a folder");
    let kept = format!("fork:{}@{hash}?cache={}", proxy.url, folder.path().display());
    measure("zvm, filling the cache", &proxy, || run(&mut fork(&kept), &calls, Way::AheadOfAll));
    measure("zvm, warm cache", &proxy, || run(&mut fork(&kept), &calls, Way::OneByOne));
    let folder = tempfile::tempdir().expect("a folder");
    let kept = format!("fork:{}@{hash}?cache={}", proxy.url, folder.path().display());
    fill_and_die(&kept, folder.path());
    measure("zvm, warm cache of a process killed", &proxy, || {
        run(&mut fork(&kept), &calls, Way::OneByOne);
    });

    let path = folder.path().join("calls.fork");
    record(&off, &calls, &path);
    let replayed = format!("fork:{}", path.display());
    measure("zvm, replayed", &proxy, || run(&mut fork(&replayed), &calls, Way::OneByOne));

    let mut db = fork(&off);
    measure("zvm, an empty block", &proxy, || {
        db.commit(&StateDiff::default()).expect("a block follows");
    });
}

fn record(from: &str, calls: &[Load], path: &Path) {
    let Opened { mut db, recorder, .. } =
        open_recorded(&config(from)).expect("the upstream answers");
    run(&mut db, calls, Way::AheadOfAll);
    let recording: Recording = recorder.expect("it was asked for").recording();
    recording.write(path).expect("the folder takes it");
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, config_text, _] = args.as_slice()
        && word == "warm"
    {
        let mut db = open(&config(config_text)).expect("the upstream answers").db;
        run(&mut db, &loads(), Way::AheadOfAll);
        println!("done");
        std::thread::sleep(Duration::from_secs(600)); // to be killed
        return ExitCode::FAILURE;
    }
    let Some(anvil) = Anvil::start(&[]) else { return ExitCode::FAILURE };
    prepare(&anvil);
    for latency in [0, 20] {
        table(&anvil, latency);
    }
    ExitCode::SUCCESS
}

//! Times zvm beside revm on whole transactions; the crate's front page says what is measured.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde_json::json;
use zvm_benches::{
    Case, Observation, WorldDb, differences, machine,
    peer::{self, Peer},
    timing::{Stopwatch, race},
};
use zvm_conformance::{Workload, workloads};
use zvm_evm::{Config, Evm, NoTracer};

const USAGE: &str = "usage: cargo bench -p zvm-benches -- [--json] [--ms N] [--passes N] [FILTER]";

/// What to measure and how long.
struct Options {
    is_json: bool,
    /// Per case, engine and pass.
    time: Duration,
    passes: u32,
    /// Part of `group/workload`.
    filter: String,
}

/// A case on both engines.
struct Result {
    group: &'static str,
    name: String,
    gas: u64,
    zvm: Duration,
    peer: Duration,
}

impl Result {
    fn ratio(&self) -> f64 {
        self.zvm.as_secs_f64() / self.peer.as_secs_f64()
    }
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let groups = groups();
    let mut results: Vec<Result> = Vec::new();
    // Passes over everything: a slow spell of the machine then hits a case once, not always.
    for pass in 0..options.passes {
        let mut at = 0;
        for (group, workload) in &groups {
            if !format!("{group}/{}", workload.name).contains(&options.filter) {
                continue;
            }
            let measured = match measure(group, workload, options.time) {
                Ok(measured) => measured,
                Err(why) => {
                    eprintln!("{group}/{}: {why}", workload.name);
                    return ExitCode::FAILURE;
                }
            };
            if pass == 0 {
                results.push(measured);
            } else {
                let best = &mut results[at];
                best.zvm = best.zvm.min(measured.zvm);
                best.peer = best.peer.min(measured.peer);
            }
            at += 1;
        }
    }
    print(&results, options.is_json);
    ExitCode::SUCCESS
}

fn options(arguments: impl Iterator<Item = String>) -> Option<Options> {
    let time = Duration::from_millis(150);
    let mut options = Options { is_json: false, time, passes: 3, filter: String::new() };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--json" => options.is_json = true,
            "--ms" => options.time = Duration::from_millis(arguments.next()?.parse().ok()?),
            "--passes" => options.passes = arguments.next()?.parse().ok()?,
            _ if argument.starts_with('-') => return None,
            _ => options.filter = argument,
        }
    }
    Some(options)
}

/// Every workload with its group. Groups whose files are not there are left out, loudly.
fn groups() -> Vec<(&'static str, Workload)> {
    let folder = |variable, default: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        std::env::var_os(variable).map_or_else(|| root.join(default), PathBuf::from)
    };
    let archive = folder("ZVM_FIXTURES", "../shared/fixtures").join("evm-benchmarks.tar.zst");
    let contracts = folder("ZVM_BENCH", "../shared/bench");
    let mut groups = Vec::new();
    for (is_contract, path) in [(false, archive), (true, contracts)] {
        match workloads(std::slice::from_ref(&path)) {
            Ok(found) => {
                for workload in found.ready {
                    let group = match &workload.name {
                        _ if is_contract => "contracts",
                        name if MICRO.iter().any(|stem| name.starts_with(stem)) => "micro",
                        _ => "main",
                    };
                    groups.push((group, workload));
                }
            }
            Err(error) => eprintln!("LEFT OUT: {error}"),
        }
    }
    groups
}

/// Files of the folder `micro` of the archive; names of workloads have no folder.
const MICRO: [&str; 6] = [
    "JUMPDEST_n0/",
    "jump_around/",
    "loop_with_many_jumpdests/",
    "memory_grow_mload/",
    "memory_grow_mstore/",
    "signextend/",
];

/// Checks that both engines agree, then races them.
fn measure(
    group: &'static str,
    workload: &Workload,
    time: Duration,
) -> std::result::Result<Result, String> {
    let case = Case::from(workload);
    let db = WorldDb::new(&case.pre);
    let config = Config::new(case.spec).map_err(|error| error.to_string())?;
    let mut evm = Evm::new();
    let mut peer = Peer::new(&case).ok_or("the peer lacks this hard fork")?;

    let ours = machine::observe(&mut evm, &case, &db);
    let theirs = peer::observation(peer.run(), &case);
    let differences = differences(&ours, &theirs);
    if !differences.is_empty() {
        return Err(format!("the engines disagree\n{differences}"));
    }
    let Observation::Ran(ran) = ours else { return Err("the transaction is invalid".to_owned()) };

    let mut ours =
        Stopwatch::new(|| evm.execute(&case.tx, &case.block, &config, &db, &mut NoTracer));
    let mut theirs = Stopwatch::new(|| peer.run());
    // Until zvm has seen enough of the code to decode it.
    race(&mut ours, &mut theirs, time / 5);
    race(&mut ours, &mut theirs, time);
    let (zvm, peer) = (ours.best(), theirs.best());
    Ok(Result { group, name: workload.name.clone(), gas: ran.gas_used, zvm, peer })
}

fn print(results: &[Result], is_json: bool) {
    let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
    let mut logs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    if !is_json {
        println!("{:>12} {:>11} {:>11} {:>6}  workload", "gas", "zvm us", peer::NAME, "ratio");
    }
    for result in results {
        let (zvm, peer, ratio) = (micros(result.zvm), micros(result.peer), result.ratio());
        logs.entry(result.group).or_default().push(ratio.ln());
        let workload = format!("{}/{}", result.group, result.name);
        if is_json {
            println!(
                "{}",
                json!({ "workload": workload, "gas_used": result.gas, "zvm_us": zvm,
                    "revm_us": peer, "ratio": ratio })
            );
        } else {
            println!("{:>12} {zvm:>11.2} {peer:>11.2} {ratio:>6.3}  {workload}", result.gas);
        }
    }
    for (group, logs) in logs {
        let mean = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
        if is_json {
            println!("{}", json!({ "group": group, "cases": logs.len(), "geomean": mean }));
        } else {
            println!("geomean of {:>3} in {group}: {mean:.3}", logs.len());
        }
    }
}

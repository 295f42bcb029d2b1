//! One long random workload on every backend at once.
//!
//! ```text
//! cargo run --release -p zvm-state --features test-support --example compliance -- --blocks 10000
//! ```
//!
//! After every block root, dump, walk, diff and reads must be the same on memory, redb, RocksDB if
//! it is in the build, and caches over each. Ends with one line. Where backends part, the message
//! has seed, block, backend, account and slot, and the exit code is not 0; 2 is for wrong use.

use std::{
    error::Error,
    io::{IsTerminal, Write, stderr},
    process::ExitCode,
    time::Instant,
};

use zvm_state::compliance::{Workload, contenders};

const USAGE: &str = "usage: compliance [--blocks N] [--seed S]";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Some(workload) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    let folder = tempfile::tempdir()?;
    let contenders = contenders(folder.path())?;
    let names: Vec<_> = contenders.iter().map(|contender| contender.name.clone()).collect();
    let start = Instant::now();
    let shows = stderr().is_terminal();
    let outcome = workload.run(contenders, &mut |committed| {
        if shows && committed.is_multiple_of(50) {
            eprint!("\r{committed} of {} blocks ", workload.blocks);
            let _ = stderr().flush();
        }
    });
    if shows {
        eprintln!();
    }
    println!(
        "compliance: seed {}, {} blocks equal on {}; block {}, root {}, {:.0} s",
        workload.seed,
        outcome.committed,
        names.join(", "),
        outcome.head.number,
        outcome.root,
        start.elapsed().as_secs_f64(),
    );
    Ok(ExitCode::SUCCESS)
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<Workload> {
    let mut workload = Workload { seed: 1, blocks: 10_000, addresses: 64, slots: 14 };
    while let Some(name) = arguments.next() {
        let number = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--blocks" => workload.blocks = number,
            "--seed" => workload.seed = number,
            _ => return None,
        }
    }
    Some(workload)
}

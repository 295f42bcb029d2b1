//! Many small commits to a store that keeps its past within bytes.
//!
//! ```text
//! cargo run --release -p zvm-state --features test-support --example retention -- \
//!     --commits 100000 --history 512MiB
//! ```
//!
//! Ends with one line. Where the past takes more than its bytes on disk, the message says at which
//! block, and the exit code is not 0; 2 is for wrong use.

use std::{
    error::Error,
    io::{IsTerminal, Write, stderr},
    process::ExitCode,
    time::Instant,
};

use zvm_state::{History, compliance::retention::Retention, kv::Engine};

const USAGE: &str =
    "usage: retention [--commits N] [--history BYTES, such as 512MiB] [--engine redb|rocksdb]";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Some(retention) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}; rocksdb only if built with that feature");
        return Ok(ExitCode::from(2));
    };
    let Retention { commits, bytes, .. } = retention;
    let folder = tempfile::tempdir()?;
    let start = Instant::now();
    let shows = stderr().is_terminal();
    let retained = retention.run(folder.path(), &mut |done| {
        if shows && done.is_multiple_of(500) {
            eprint!("\r{done} of {commits} commits ");
            let _ = stderr().flush();
        }
    })?;
    if shows {
        eprintln!();
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "retention: {commits} commits with history {}, at most {:.1} MiB of it on disk, the last {} \
         blocks kept; store {:.1} MiB, the state alone {:.1} MiB, {:.0} s",
        History::Bytes(bytes),
        mib(retained.bytes_max),
        retained.blocks,
        mib(retained.store_bytes),
        mib(retained.state_bytes),
        start.elapsed().as_secs_f64(),
    );
    Ok(ExitCode::SUCCESS)
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<Retention> {
    let mut found = Retention { commits: 100_000, bytes: 512 << 20, engine: Engine::Redb };
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--commits" => found.commits = value.parse().ok()?,
            "--history" => {
                let History::Bytes(bytes) = value.parse().ok()? else { return None };
                found.bytes = bytes;
            }
            "--engine" => found.engine = Engine::named(&value)?,
            _ => return None,
        }
    }
    Some(found)
}

//! Kills processes that commit whole blocks to a store, again and again, and looks what is left.
//!
//! ```text
//! cargo run --release -p zvm-txlog --features test-support --example log_crash -- --rounds 500
//! ```
//!
//! See `zvm_txlog::testing::crash`. When something was lost, the message has seed and round, and the
//! exit code is not 0; 2 is for wrong use.

use std::{
    error::Error,
    process::{Command, ExitCode},
    time::Instant,
};

use zvm_state::kv::Engine;
use zvm_txlog::testing::crash::{LogCrashes, commit_if_child};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    commit_if_child();
    let Some((seed, rounds, engine)) = arguments(std::env::args().skip(1)) else {
        eprintln!("usage: log_crash [--rounds N] [--engine redb|rocksdb] [--seed S]");
        return Ok(ExitCode::from(2));
    };
    let program = std::env::current_exe()?;
    let folder = tempfile::tempdir()?;
    let child = || Command::new(&program);
    let crashes = LogCrashes { seed, rounds, engine, folder: folder.path(), child: &child };
    let start = Instant::now();
    let survived = crashes.run(&mut |_| {});
    println!(
        "log crash: {}, seed {seed}, {} rounds, {} blocks acknowledged, nothing lost; {} kills \
         between a commit and its word, {} transactions verified, {:.0} s",
        engine.name(),
        survived.rounds,
        survived.acknowledged,
        survived.ahead,
        survived.transactions,
        start.elapsed().as_secs_f64(),
    );
    Ok(ExitCode::SUCCESS)
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<(u64, u32, Engine)> {
    let (mut seed, mut rounds, mut found) = (1, 500, Engine::Redb);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--rounds" => rounds = value.parse().ok()?,
            "--seed" => seed = value.parse().ok()?,
            "--engine" => found = Engine::named(&value)?,
            _ => return None,
        }
    }
    Some((seed, rounds, found))
}

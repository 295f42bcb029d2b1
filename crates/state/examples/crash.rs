//! Kills processes that commit to a store, again and again, and looks what is left.
//!
//! ```text
//! cargo run --release -p zvm-state --features test-support --example crash -- --rounds 500
//! ```
//!
//! A child commits blocks and says each when it is on disk; it is killed (SIGKILL on Unix) at a
//! random moment. Then what it said must be there, and everything must be right; see
//! `zvm_state::compliance::crash`. Ends with one line for each engine. When something was lost, the
//! message has seed, round and store, and the exit code is not 0; 2 is for wrong use.

use std::{
    error::Error,
    io::{IsTerminal, Write, stderr},
    process::{Command, ExitCode},
    time::Instant,
};

use zvm_state::{
    compliance::crash::{Crashes, commit_if_child},
    kv::Engine,
};

const USAGE: &str = "usage: crash [--rounds N] [--engine redb|rocksdb|both] [--seed S]";

struct Arguments {
    seed: u64,
    rounds: u32,
    engines: Vec<Engine>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    commit_if_child();
    let Some(Arguments { seed, rounds, engines }) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}; rocksdb only if built with that feature");
        return Ok(ExitCode::from(2));
    };
    let program = std::env::current_exe()?;
    let shows = stderr().is_terminal();
    for engine in engines {
        let folder = tempfile::tempdir()?;
        let child = || Command::new(&program);
        let crashes = Crashes { seed, rounds, engine, folder: folder.path(), child: &child };
        let start = Instant::now();
        let survived = crashes.run(&mut |done| {
            if shows {
                eprint!("\r{}: {done} of {rounds} rounds ", engine.name());
                let _ = stderr().flush();
            }
        });
        if shows {
            eprintln!();
        }
        println!(
            "crash: {}, seed {seed}, {} rounds on {} stores, {} blocks acknowledged, nothing lost; \
             {} kills between a commit and its word, {} before the first word, {:.0} s",
            engine.name(),
            survived.rounds,
            survived.stores,
            survived.acknowledged,
            survived.ahead,
            survived.silent,
            start.elapsed().as_secs_f64(),
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut found = Arguments { seed: 1, rounds: 500, engines: vec![Engine::Redb] };
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--rounds" => found.rounds = value.parse().ok()?,
            "--seed" => found.seed = value.parse().ok()?,
            "--engine" if value == "both" => {
                found.engines = vec![Engine::Redb, Engine::named("rocksdb")?]
            }
            "--engine" => found.engines = vec![Engine::named(&value)?],
            _ => return None,
        }
    }
    Some(found)
}

//! The long run of the differential fuzzer.
//!
//! ```text
//! cargo run --release -p zvm-tests --example fuzz_diff -- --cases 1000000 --seed 1
//! ```
//!
//! Prints every mismatch, shrunk, and ends with `diff: N programs, M mismatches`; exit code 1 where
//! M is not 0, and 2 for wrong use. See the crate for what is compared.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    thread::available_parallelism,
    time::Instant,
};

use zvm_evm::opcode;
use zvm_tests::{Fuzz, SPECS};

const USAGE: &str = "usage: fuzz_diff [--cases N] [--seed S] [--start I] [--jobs N] \
                     [--mismatches N] [--stats]";

fn main() -> ExitCode {
    let Some(fuzz) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // A panic of the engine is a finding with a program to it, not a message of its own.
    std::panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let show = std::io::stderr().is_terminal();
    let findings = fuzz.run(&|done| {
        if show && done.is_multiple_of(1_000) {
            let rate = done as f64 / begin.elapsed().as_secs_f64();
            eprint!("\r{done} of {} programs, {rate:.0} per second ", fuzz.cases);
            let _ = std::io::stderr().flush();
        }
    });
    if show {
        eprintln!();
    }
    for (index, mismatch) in &findings.mismatches {
        println!("mismatch: --seed {} --start {index} --cases 1\n{mismatch}", fuzz.seed);
    }
    if fuzz.with_stats {
        print!("{}", findings.stats);
        for spec in SPECS {
            let missed = findings.stats.missed(spec, |byte| opcode::info(byte, spec).is_some());
            if !missed.is_empty() {
                println!("{spec} never reached {missed:02x?}");
            }
        }
    }
    println!("diff: {} programs, {} mismatches", findings.programs, findings.mismatches.len());
    ExitCode::from(u8::from(!findings.mismatches.is_empty()))
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<Fuzz> {
    let jobs = available_parallelism().map_or(1, usize::from);
    let mut fuzz =
        Fuzz { cases: 100_000, seed: 1, start: 0, jobs, mismatches_max: 1, with_stats: false };
    while let Some(name) = arguments.next() {
        let mut number = || arguments.next()?.parse::<u64>().ok();
        match name.as_str() {
            "--cases" => fuzz.cases = number()?,
            "--seed" => fuzz.seed = number()?,
            "--start" => fuzz.start = number()?,
            "--jobs" => fuzz.jobs = number()? as usize,
            "--mismatches" => fuzz.mismatches_max = number()? as usize,
            "--stats" => fuzz.with_stats = true,
            _ => return None,
        }
    }
    Some(fuzz)
}

//! Damages proofs at random, checks that each is refused or says what is true, and prints counts.
//!
//! `cargo run --release -p zvm-trie --example mutate_proofs -- --cases N --seed S`

#[path = "../tests/common/mutate.rs"]
mod mutate;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let (mut cases, mut seed) = (1_000_000, 1);
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let number = arguments.next().and_then(|text| text.parse().ok());
        match (name.as_str(), number) {
            ("--cases", Some(number)) => cases = number,
            ("--seed", Some(number)) => seed = number,
            _ => {
                eprintln!("usage: mutate_proofs [--cases N] [--seed S]");
                return ExitCode::FAILURE;
            }
        }
    }
    let tally = mutate::run(cases, seed);
    for ((what, outcome), count) in &tally {
        println!("{count:>9}  {what:<24}  {outcome}");
    }
    println!(
        "{:>9}  proofs with seed {seed}; none said anything wrong",
        tally.values().sum::<u64>()
    );
    ExitCode::SUCCESS
}

//! How long an update takes with all leaves and records in memory, so without any store.
//!
//! `cargo run --release -p zvm-trie --features zvm-core/fast --example update_speed -- \
//!     [--leaves N] [--changes N] [--rounds N] [--threads N] [--small-max N]`
//!
//! Of the changes one in twenty is a new leaf and one in twenty removes one; the others replace the
//! value of a random leaf. Prints CPU and wall time per changed leaf, the median of the rounds.

use std::{env, ops::ControlFlow, process::ExitCode, time::Instant};

use rustix::time::{ClockId, clock_gettime};
use zvm_core::{AccountInfo, B256, DbError, EMPTY_ROOT, U256, keccak256, map::HashMap};
use zvm_trie::{
    Branch, Change, LeafVisitor, Nibbles, RecordBuilder, TrieReader, UpdateOptions, encode_account,
    update,
};

struct Settings {
    leaves: u64,
    changes: u64,
    rounds: u64,
    options: UpdateOptions,
}

fn main() -> ExitCode {
    let Some(settings) = settings() else {
        eprintln!(
            "usage: update_speed [--leaves N] [--changes N] [--rounds N] [--threads N] [--small-max N]"
        );
        return ExitCode::FAILURE;
    };
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn settings() -> Option<Settings> {
    let mut settings = Settings {
        leaves: 1_000_000,
        changes: 10_000,
        rounds: 11,
        options: UpdateOptions::ACCOUNTS,
    };
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let number: u64 = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--leaves" => settings.leaves = number,
            "--changes" => settings.changes = number,
            "--rounds" => settings.rounds = number,
            "--threads" => settings.options.threads = number as usize,
            "--small-max" => settings.options.small_max = number,
            _ => return None,
        }
    }
    Some(settings)
}

/// The leaves sorted by key, and the records.
struct Memory {
    leaves: Vec<(B256, Vec<u8>)>,
    records: HashMap<Nibbles, Branch>,
}

impl TrieReader for Memory {
    fn branch(&self, path: &Nibbles) -> Result<Option<Branch>, DbError> {
        Ok(self.records.get(path).cloned())
    }

    fn leaves(&self, path: &Nibbles, visit: &mut LeafVisitor<'_>) -> Result<(), DbError> {
        let first = path.first_key();
        let start = self.leaves.partition_point(|leaf| leaf.0 < first);
        for (key, value) in
            self.leaves[start..].iter().take_while(|leaf| path.is_prefix_of(&leaf.0))
        {
            if visit(*key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn run(settings: &Settings) -> Result<(), DbError> {
    let mut trie = Memory { leaves: Vec::new(), records: HashMap::default() };
    for n in 0..settings.leaves {
        trie.leaves.push((keccak256(n.to_be_bytes()), account(n)));
    }
    trie.leaves.sort_unstable();
    let start = Instant::now();
    let records = &mut trie.records;
    let mut builder = RecordBuilder::new(settings.options.small_max, |path, branch| {
        records.insert(path, branch);
        Ok(())
    });
    for (key, value) in &trie.leaves {
        builder.push(*key, value)?;
    }
    builder.finish()?;
    let bytes: usize = trie.records.values().map(|branch| branch.encode().len()).sum();
    println!(
        "{} leaves: {} records of {} bytes in all, built in {:.2?}",
        settings.leaves,
        trie.records.len(),
        bytes,
        start.elapsed()
    );

    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    let mut written = 0;
    for round in 0..settings.rounds {
        let values = changes(&trie, settings, round);
        let changes: Vec<_> = values
            .iter()
            .map(|(key, existed, value)| Change {
                key: *key,
                existed: *existed,
                value: value.as_deref(),
            })
            .collect();
        let (clock, cpu_clock) = (Instant::now(), cpu_seconds());
        let result = update(&trie, &changes, settings.options)?;
        cpu.push((cpu_seconds() - cpu_clock) * 1e6 / changes.len() as f64);
        wall.push(clock.elapsed().as_secs_f64() * 1e6 / changes.len() as f64);
        assert_ne!(result.root, EMPTY_ROOT, "leaves are left");
        written += result.branches.len();
        for (path, branch) in result.branches {
            match branch {
                Some(branch) => trie.records.insert(path, branch),
                None => trie.records.remove(&path),
            };
        }
        let before = trie.leaves.len();
        for (key, _, value) in values {
            let value = value.unwrap_or_default();
            match trie.leaves[..before].binary_search_by_key(&key, |leaf| leaf.0) {
                Ok(at) => trie.leaves[at].1 = value,
                Err(_) => trie.leaves.push((key, value)),
            }
        }
        trie.leaves.retain(|(_, value)| !value.is_empty());
        trie.leaves.sort();
    }
    println!(
        "{} changes, {} threads: {:.2} µs CPU and {:.2} µs wall per changed leaf, {:.2} records written",
        settings.changes,
        settings.options.threads,
        median(cpu),
        median(wall),
        written as f64 / (settings.rounds * settings.changes) as f64
    );
    Ok(())
}

/// Random changes in order: key, whether it existed, new value.
fn changes(trie: &Memory, settings: &Settings, round: u64) -> Vec<(B256, bool, Option<Vec<u8>>)> {
    let mut changes: Vec<_> = (0..settings.changes)
        .map(|n| {
            let hash = keccak256([[0xff; 8], round.to_be_bytes(), n.to_be_bytes()].concat());
            let pick = U256::from_be_bytes(hash.0) % U256::from(trie.leaves.len());
            let key = trie.leaves[pick.to::<usize>()].0;
            match n % 20 {
                0 => (hash, false, Some(account(n))),
                1 => (key, true, None),
                _ => (key, true, Some(account(n ^ round))),
            }
        })
        .collect();
    changes.sort_unstable();
    changes.dedup_by_key(|change| change.0);
    changes
}

/// The leaf of a plain account.
fn account(n: u64) -> Vec<u8> {
    let balance = U256::from(n) * U256::from(1_000_000_000_000_u64);
    let info = AccountInfo { nonce: n % 1000, balance, ..AccountInfo::default() };
    let mut leaf = Vec::new();
    encode_account(&info, EMPTY_ROOT, &mut leaf);
    leaf
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

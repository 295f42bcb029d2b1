//! Commits blocks of changes to a large state and says what each costs.
//!
//! `cargo run --release -p zvm-state --example state_bench -- [accounts] [blocks] [folder]`

use std::{env, fs, path::PathBuf, time::Instant};

use zvm_core::{
    AccountDiff, AccountInfo, Address, Database, SlotDiff, StateBackend, StateDiff, U256, keccak256,
};
use zvm_state::FileDb;

const CHANGED_ACCOUNTS: u64 = 5_000;
const CHANGED_SLOTS: u64 = 5_000;
const NEW_ACCOUNTS: u64 = 500;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let accounts: u64 = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let blocks: u64 = args.next().map_or(Ok(100), |text| text.parse())?;
    let kept = args.next().map(PathBuf::from);
    let folder = kept.unwrap_or_else(|| env::temp_dir().join("zvm-state-bench"));
    let mut db = FileDb::open(&folder)?;
    let mut random = Random(db.head()?.number);

    if db.head()?.number == 0 {
        let start = Instant::now();
        for first in (0..accounts).step_by(20_000) {
            let mut diff = StateDiff::default();
            for id in first..accounts.min(first + 20_000) {
                diff.accounts.insert(address(id), new_account(id, &mut random));
            }
            db.seed(&diff)?;
        }
        db.commit(&StateDiff::default())?;
        println!("{accounts} accounts in {:.1} s", start.elapsed().as_secs_f64());
    }

    let mut next = accounts + db.head()?.number * NEW_ACCOUNTS;
    let (mut walls, mut cpu, mut leaves) = (Vec::new(), 0.0, 0);
    let written = io_bytes();
    for _ in 0..blocks {
        let mut diff = StateDiff::default();
        for _ in 0..CHANGED_ACCOUNTS {
            let change = diff.accounts.entry(address(random.below(accounts))).or_default();
            change.new = Some(info(random.next(), random.next()));
        }
        for _ in 0..CHANGED_SLOTS {
            let address = address(random.below(accounts));
            let change = diff.accounts.entry(address).or_insert_with(AccountDiff::default);
            if change.new.is_none() {
                change.new = db.account(address)?.map(|account| account.info);
            }
            let word = SlotDiff { old: U256::ZERO, new: U256::from(random.next()) };
            change.storage.insert(U256::from(random.below(4)), word);
        }
        for _ in 0..NEW_ACCOUNTS {
            diff.accounts.insert(address(next), new_account(next, &mut random));
            next += 1;
        }
        leaves += diff.accounts.values().map(|a| 1 + a.storage.len()).sum::<usize>();
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        db.commit(&diff)?;
        walls.push(start.elapsed().as_secs_f64() * 1e3);
        cpu += cpu_seconds() - cpu_start;
    }
    walls.sort_by(f64::total_cmp);
    let percentile = |p: usize| walls.get(walls.len() * p / 100).copied().unwrap_or_default();
    println!(
        "{:.2} µs CPU per leaf, {:.1} ms per block ({} leaves); wall p50 {:.0} ms, p95 {:.0} ms, max {:.0} ms",
        cpu * 1e6 / leaves as f64,
        cpu * 1e3 / blocks as f64,
        leaves as u64 / blocks,
        percentile(50),
        percentile(95),
        walls.last().copied().unwrap_or_default(),
    );
    println!(
        "{:.1} MB written per block, database {:.0} MB, peak RSS {:.0} MB",
        (io_bytes() - written) / 1e6 / blocks as f64,
        fs::metadata(folder.join("state.redb"))?.len() as f64 / 1e6,
        status("VmHWM:") / 1e3,
    );
    Ok(())
}

fn address(id: u64) -> Address {
    Address::from_slice(&keccak256(id.to_be_bytes())[12..])
}

fn info(nonce: u64, balance: u64) -> AccountInfo {
    AccountInfo { nonce: nonce % 1000, balance: U256::from(balance), ..AccountInfo::default() }
}

fn new_account(id: u64, random: &mut Random) -> AccountDiff {
    let mut change = AccountDiff { new: Some(info(id, random.next())), ..AccountDiff::default() };
    for slot in 0..random.below(5) {
        let word = SlotDiff { old: U256::ZERO, new: U256::from(random.next()) };
        change.storage.insert(U256::from(slot), word);
    }
    change
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

fn io_bytes() -> f64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or_default()
}

fn status(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|kb| kb.trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

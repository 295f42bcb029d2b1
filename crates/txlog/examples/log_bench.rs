//! How large the index of events is, how long it takes to build, and how long searching takes.
//!
//! ```text
//! cargo xtask log-bench
//! ```
//!
//! Commits blocks of 50 transactions with two events each to a store on disk. Contracts are a few busy
//! ones and many quiet ones; every event has a signature, a sender and a recipient as topics, out of
//! 100,000 accounts. Then it prints what the tables take and how long three kinds of filter take, each
//! beside what it found. Ends with the check that a filter finds what a scan of everything finds.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use zvm_core::{
    AccountDiff, AccountInfo, Address, B256, Block, Bloom, Bytes, Header, Log as LogData, Receipt,
    ReceiptOutcome, Signature, SignedTransaction, StateDiff, TxKind, TxType, U256,
    UnsignedTransaction, keccak256,
};
use zvm_state::{
    FileDb, FileOptions,
    kv::{Durability, Engine, Table, compliance::Random},
};
use zvm_txlog::{EventFilter, EventLimits, Log, LogWriter, NewBlock};

const TRANSACTIONS: u64 = 50;
const CONTRACTS: u64 = 2_000;
const ACCOUNTS: u64 = 100_000;
const SIGNATURES: u64 = 20;
const QUERIES: u64 = 200;

struct Arguments {
    blocks: u64,
    events: u64,
    engine: Engine,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { blocks, events, engine } = arguments()?;
    let events_per_transaction = (events / blocks / TRANSACTIONS).max(1);
    let folder = tempfile::tempdir()?;
    let options =
        FileOptions { engine, durability: Durability::Buffered, ..FileOptions::default() };
    let mut db = FileDb::open_with(folder.path().join("store"), options)?;

    let mut parent = B256::ZERO;
    let (mut times, mut making) = (Vec::new(), Duration::ZERO);
    for number in 0..blocks {
        let start = Instant::now();
        let made = Made::new(number, parent, events_per_transaction);
        making += start.elapsed();
        let start = Instant::now();
        LogWriter::new(&mut db).commit(&made.as_new())?;
        times.push(start.elapsed());
        parent = made.hash;
    }
    let total: Duration = times.iter().sum();
    println!(
        "{}: {blocks} blocks, {} transactions, {} events",
        engine.name(),
        blocks * TRANSACTIONS,
        blocks * TRANSACTIONS * events_per_transaction
    );
    println!(
        "commits: {:.1} s in all, {} a block at the median, {} at the 99th percentile, {} at most",
        total.as_secs_f64(),
        show(percentile(&mut times, 50)),
        show(percentile(&mut times, 99)),
        show(percentile(&mut times, 100)),
    );

    let start = Instant::now();
    let sections = index_again(&Log::new(&db), blocks)?;
    println!("index: {sections} entries, made again from receipts in {}", show(start.elapsed()));
    let stats = db.stat()?.sizes;
    for table in stats.tables.iter().filter(|table| table.entries > 0) {
        let (name, mib) = (table.table.name(), table.bytes as f64 / f64::from(1 << 20));
        println!("  {name:<16} {:>10} entries {mib:>9.1} MiB", table.entries);
    }
    println!("  on disk {:.1} MiB", stats.disk_bytes as f64 / f64::from(1 << 20));
    let index = stats.tables.iter().find(|table| table.table == Table::EventIndex);
    let bytes = index.map_or(0, |index| index.bytes);
    println!("  index of events: {:.1} bytes an event", bytes as f64 / events as f64);

    let mut random = Random::new(7);
    let log = Log::new(&db);
    search(&log, "one account as a recipient, all blocks", &mut |_| EventFilter {
        topics: vec![Vec::new(), Vec::new(), vec![account(random.below(ACCOUNTS))]],
        ..EventFilter::default()
    })?;
    let mut random = Random::new(8);
    search(&log, "a busy contract and signature, 100 blocks", &mut |_| {
        let from_block = random.below(blocks.saturating_sub(100).max(1));
        EventFilter {
            from_block,
            to_block: Some(from_block + 99),
            addresses: vec![contract(0)],
            topics: vec![vec![signature(0)]],
        }
    })?;
    let mut random = Random::new(9);
    search(&log, "a quiet contract, all blocks", &mut |_| EventFilter {
        addresses: vec![contract(CONTRACTS / 2 + random.below(CONTRACTS / 2))],
        ..EventFilter::default()
    })?;

    let filter = EventFilter { addresses: vec![contract(1900)], ..EventFilter::default() };
    let start = Instant::now();
    let all = log.events(EventFilter::default(), EventLimits::default())?;
    let scanned: Result<Vec<_>, _> = all
        .filter(|event| event.as_ref().map_or(true, |event| filter.matches(&event.log)))
        .collect();
    let took = start.elapsed();
    let found: Result<Vec<_>, _> = log.events(filter, EventLimits::default())?.collect();
    assert_eq!(found?, scanned?, "a filter and a scan of everything");
    println!("a scan of everything: {}", show(took));
    eprintln!("(blocks were made in {:.1} s)", making.as_secs_f64());
    Ok(())
}

/// Works out what the index has of complete sections, as each 64th block does, and counts it.
fn index_again(log: &Log<'_>, blocks: u64) -> Result<usize, Box<dyn Error>> {
    let mut entries = 0;
    for first in (0..blocks / 64 * 64).step_by(64) {
        let mut keys = std::collections::HashSet::new();
        for number in first..first + 64 {
            for event in log.receipts(number)?.into_iter().flatten().flat_map(|found| found.logs) {
                keys.insert((usize::MAX, event.address.into_word()));
                keys.extend(event.topics().iter().copied().enumerate());
            }
        }
        entries += keys.len();
    }
    Ok(entries)
}

fn search(
    log: &Log<'_>,
    what: &str,
    filter: &mut dyn FnMut(u64) -> EventFilter,
) -> Result<(), Box<dyn Error>> {
    let (mut times, mut found) = (Vec::new(), 0);
    for query in 0..QUERIES {
        let filter = filter(query);
        let start = Instant::now();
        for event in log.events(filter, EventLimits::default())? {
            event?;
            found += 1;
        }
        times.push(start.elapsed());
    }
    println!(
        "filter: {what}: {} at the median, {} at the 95th percentile, {:.1} events found",
        show(percentile(&mut times, 50)),
        show(percentile(&mut times, 95)),
        f64::from(found) / QUERIES as f64,
    );
    Ok(())
}

/// A block with all that executing it would have come to.
struct Made {
    block: Block,
    hash: B256,
    senders: Vec<Address>,
    receipts: Vec<Receipt>,
    tx_diffs: Vec<StateDiff>,
    start_diff: StateDiff,
    diff: StateDiff,
}

impl Made {
    fn new(number: u64, parent: B256, events: u64) -> Self {
        let mut random = Random::new(number.wrapping_mul(31).wrapping_add(1));
        let mut made = Self {
            block: Block::default(),
            hash: B256::ZERO,
            senders: Vec::new(),
            receipts: Vec::new(),
            tx_diffs: Vec::new(),
            start_diff: StateDiff::default(),
            diff: StateDiff::default(),
        };
        for index in 0..TRANSACTIONS {
            // Most of it happens at few contracts.
            let at = random.below(CONTRACTS) * random.below(CONTRACTS) / CONTRACTS;
            let sender = Address::from_word(account(random.below(ACCOUNTS)));
            let recipient = account(random.below(ACCOUNTS));
            let topics = vec![
                signature(random.below(SIGNATURES) * random.below(SIGNATURES) / SIGNATURES),
                sender.into_word(),
                recipient,
            ];
            let data = Bytes::copy_from_slice(keccak256(index.to_be_bytes()).as_slice());
            let event = LogData::new_unchecked(contract(at), topics, data);
            let outcome = ReceiptOutcome::Status(true);
            let gas = 50_000 * (index + 1);
            let logs = vec![event; events as usize];
            made.receipts.push(Receipt::new(TxType::DynamicFee, outcome, gas, logs));
            made.senders.push(sender);
            let body = UnsignedTransaction {
                tx_type: TxType::DynamicFee,
                chain_id: Some(1),
                nonce: number << 20 | index,
                to: TxKind::Call(contract(at)),
                data: Bytes::copy_from_slice(&[0xa9; 68]),
                ..UnsignedTransaction::default()
            };
            let (r, s) = (U256::MAX >> 1, U256::MAX >> 2);
            let signature = Signature { y_parity: false, r, s };
            made.block.transactions.push(SignedTransaction { body, signature });
            let mut diff = StateDiff::default();
            for (address, nonce) in [(sender, number << 8 | index), (contract(at), 1)] {
                let info =
                    |nonce| AccountInfo { nonce, balance: U256::from(nonce), ..Default::default() };
                let (old, new) = (Some(info(u64::MAX)), Some(info(nonce)));
                diff.accounts.insert(address, AccountDiff { old, new, ..AccountDiff::default() });
            }
            made.diff = std::mem::take(&mut made.diff).then(diff.clone());
            made.tx_diffs.push(diff);
        }
        let logs_bloom = made.receipts.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.bloom);
        made.block.header = Header { number, parent_hash: parent, logs_bloom, ..Header::default() };
        made.hash = made.block.hash();
        made
    }

    fn as_new(&self) -> NewBlock<'_> {
        NewBlock {
            block: &self.block,
            hash: self.hash,
            total_difficulty: U256::ZERO,
            senders: &self.senders,
            receipts: &self.receipts,
            start_diff: &self.start_diff,
            tx_diffs: &self.tx_diffs,
            diff: &self.diff,
        }
    }
}

fn contract(number: u64) -> Address {
    Address::from_word(keccak256(number.to_be_bytes()))
}

/// An account as a topic.
fn account(number: u64) -> B256 {
    Address::from_word(keccak256((number + CONTRACTS).to_le_bytes())).into_word()
}

fn signature(number: u64) -> B256 {
    keccak256([number as u8])
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or_default()
}

fn show(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1e3),
        ms if ms < 10_000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments { blocks: 10_000, events: 1_000_000, engine: Engine::Redb };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--blocks" => found.blocks = value.parse::<u64>()?.max(1),
            "--events" => found.events = value.parse()?,
            "--engine" => {
                found.engine = Engine::named(&value).ok_or("no such engine in this build")?
            }
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    Ok(found)
}

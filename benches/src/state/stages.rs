//! The parts of a measurement, each of which runs in a process of its own.

use std::{
    fs, io,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use zvm_core::{Address, U256};

use super::{
    contender::{Contender, Failure, Kind},
    figures::{BlockFigures, ReadFigures, SeedFigures},
    meter::{Moment, Span, disk_bytes, forget, peak_rss},
    workload::Workload,
};

/// A contender at one size, in a folder.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Which store.
    pub kind: Kind,
    /// The state and its blocks.
    pub workload: Workload,
    /// Where it is, with a note on how far it has come.
    pub folder: PathBuf,
}

/// How many accounts, and how many slots, are read.
const READS: u64 = 10_000;

/// Blocks to warm up, as a part of those that are measured.
const WARM_UP: u64 = 5;

impl Bench {
    /// Makes the state, unless it is in the folder already.
    pub fn seed(&self) -> Result<Option<SeedFigures>, Failure> {
        if !self.kind.is_stored() || self.done()?.is_some() {
            return Ok(None);
        }
        self.in_child("seed", 0).map(Some)
    }

    /// Commits `blocks` blocks after those that the folder has seen, and some before these.
    pub fn blocks(&self, blocks: u64) -> Result<BlockFigures, Failure> {
        self.in_child("blocks", self.kind.blocks(blocks))
    }

    /// Reads at random places.
    pub fn reads(&self) -> Result<Option<ReadFigures>, Failure> {
        self.kind.is_stored().then(|| self.in_child("reads", 0)).transpose()
    }

    /// Does what `stage` says, in this process; the answer goes to the parent.
    pub fn run(&self, stage: &str, blocks: u64) -> Result<Value, Failure> {
        Ok(match stage {
            "seed" => serde_json::to_value(self.run_seed()?)?,
            "blocks" => serde_json::to_value(self.run_blocks(blocks)?)?,
            "reads" => serde_json::to_value(self.run_reads()?)?,
            _ => return Err(format!("no stage {stage:?}").into()),
        })
    }

    fn in_child<T: DeserializeOwned>(&self, stage: &str, blocks: u64) -> Result<T, Failure> {
        eprintln!("{} at {} accounts: {stage}", self.kind, self.workload.accounts);
        let output = Command::new(std::env::current_exe()?)
            .args(["--stage", stage, "--engines", &self.kind.to_string()])
            .args(["--accounts", &self.workload.accounts.to_string()])
            .args(["--blocks", &blocks.to_string(), "--folder"])
            .arg(&self.folder)
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("{stage} of {} ended with {}", self.kind, output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn run_seed(&self) -> Result<SeedFigures, Failure> {
        if self.folder.exists() {
            // The rest of a run that was broken off.
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(&self.folder)?;
        let start = Moment::now();
        fill(&mut *self.open()?, self.workload)?;
        let span = start.elapsed();
        self.set_done(0)?;
        Ok(SeedFigures {
            wall_s: span.wall.as_secs_f64(),
            cpu_s: span.process.as_secs_f64(),
            peak_rss: peak_rss(),
        })
    }

    fn run_blocks(&self, blocks: u64) -> Result<BlockFigures, Failure> {
        let first = self.done()?.unwrap_or_default();
        let mut store = self.open()?;
        let mut warm_up = blocks.div_ceil(WARM_UP);
        if !self.kind.is_stored() {
            fill(&mut *store, self.workload)?;
            warm_up = 0;
        } else {
            // Until the end, the folder is of no use to anybody else.
            fs::remove_file(self.note())?;
        }
        let end = first + warm_up + blocks;
        let mut roots = Vec::new();
        for number in first..first + warm_up {
            let diff = self.workload.block(number, &*store)?;
            roots.push(store.commit(&diff)?.root);
        }
        let (mut commits, mut leaves, mut wall_ms) = (Span::default(), 0, Vec::new());
        let start = Moment::now();
        for number in first + warm_up..end {
            let diff = self.workload.block(number, &*store)?;
            let start = Moment::now();
            let committed = store.commit(&diff)?;
            let span = start.elapsed();
            commits.thread += span.thread;
            commits.written += span.written;
            wall_ms.push(span.wall.as_secs_f64() * 1e3);
            leaves += committed.leaves as u64;
            roots.push(committed.root);
        }
        let whole = start.elapsed();
        // Work in the background goes on between commits; what this thread does there is no work of
        // the store.
        let changes = whole.thread - commits.thread;
        drop(store);
        if self.kind.is_stored() {
            self.set_done(end)?;
        }
        wall_ms.sort_by(f64::total_cmp);
        Ok(BlockFigures {
            first,
            roots,
            measured: blocks,
            leaves,
            cpu_s: (whole.process - changes).as_secs_f64(),
            main_cpu_s: commits.thread.as_secs_f64(),
            wall_ms,
            written: whole.written,
            peak_rss: peak_rss(),
            disk: if self.kind.is_stored() { disk_bytes(&self.folder)? } else { 0 },
        })
    }

    fn run_reads(&self) -> Result<ReadFigures, Failure> {
        forget(&self.folder)?;
        let store = self.open()?;
        let (accounts, slots) = (self.workload.places(READS), self.workload.places(2 * READS));
        let slots = &slots[READS as usize..];
        let account = |(address, _): (Address, U256)| store.account(address).map(drop);
        let slot = |(address, slot): (Address, U256)| store.slot(address, slot).map(drop);
        // The first read opens more than it reads.
        slot((Address::ZERO, U256::ZERO))?;
        let start = Moment::now();
        let cold_account_us = median_us(&accounts, account)?;
        let cold_slot_us = median_us(slots, slot)?;
        let read = start.elapsed().read;
        Ok(ReadFigures {
            cold_account_us,
            cold_slot_us,
            cold_bytes: read as f64 / (2 * READS) as f64,
            warm_account_us: median_us(&accounts, account)?,
            warm_slot_us: median_us(slots, slot)?,
        })
    }

    fn open(&self) -> Result<Box<dyn Contender>, Failure> {
        self.kind.open(&self.folder.join("store"))
    }

    /// How many blocks the store in the folder has seen; `None` where it is not whole.
    fn done(&self) -> Result<Option<u64>, Failure> {
        match fs::read_to_string(self.note()) {
            Ok(number) => Ok(Some(number.trim().parse()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn set_done(&self, blocks: u64) -> Result<(), Failure> {
        Ok(fs::write(self.note(), blocks.to_string())?)
    }

    fn note(&self) -> PathBuf {
        self.folder.join("blocks")
    }
}

fn fill(store: &mut dyn Contender, workload: Workload) -> Result<(), Failure> {
    for diff in workload.seed() {
        store.seed(&diff)?;
    }
    store.finish_seed()
}

/// How long `read` takes at one of `places`, at the median, in microseconds on the clock.
fn median_us<P: Copy>(
    places: &[P],
    read: impl Fn(P) -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let mut times = Vec::with_capacity(places.len());
    for place in places {
        let start = std::time::Instant::now();
        read(*place)?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6))
}

//! Many programs, on all cores.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{Differ, Mismatch, Stats, generate};

/// What to run.
#[derive(Clone, Debug)]
pub struct Fuzz {
    /// Programs to run.
    pub cases: u64,
    /// Which programs: the same seed gives the same ones, whatever the number of threads.
    pub seed: u64,
    /// The first index; a mismatch names its own.
    pub start: u64,
    /// Threads.
    pub jobs: usize,
    /// Mismatches to find before giving up.
    pub mismatches_max: usize,
    /// Whether to measure the generator too.
    pub with_stats: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Findings {
    /// Programs that ran.
    pub programs: u64,
    /// Disagreements with their index, by index.
    pub mismatches: Vec<(u64, Box<Mismatch>)>,
    /// Figures of the generator; empty unless asked for.
    pub stats: Stats,
}

/// Programs that a thread takes at once.
const BATCH: u64 = 64;

impl Fuzz {
    /// Runs the programs. `progress` is told how many are done, from any thread.
    pub fn run(&self, progress: &(dyn Fn(u64) + Sync)) -> Findings {
        let next = AtomicU64::new(0);
        let done = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let findings = Mutex::new(Findings::default());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    let mut differ = Differ::new();
                    let mut stats = Stats::default();
                    while !stop.load(Ordering::Relaxed) {
                        let first = next.fetch_add(BATCH, Ordering::Relaxed);
                        if first >= self.cases {
                            break;
                        }
                        for index in first..(first + BATCH).min(self.cases) {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            let index = self.start + index;
                            let program = generate(self.seed, index);
                            if self.with_stats {
                                stats.add(&program);
                            }
                            if let Err(mismatch) = differ.check(&program) {
                                let mut findings = lock(&findings);
                                findings.mismatches.push((index, mismatch));
                                stop.fetch_or(
                                    findings.mismatches.len() >= self.mismatches_max,
                                    Ordering::Relaxed,
                                );
                            }
                            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                        }
                    }
                    lock(&findings).stats.merge(&stats);
                });
            }
        });
        let mut findings = findings.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        findings.programs = done.into_inner();
        findings.mismatches.sort_by_key(|(index, _)| *index);
        findings
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

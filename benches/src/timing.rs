//! CPU time, so that a busy machine disturbs a comparison as little as it can.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time this thread has had so far.
#[must_use]
pub fn thread_time() -> Duration {
    time(ClockId::ThreadCPUTime)
}

/// CPU time all threads of this process have had so far, user and system.
#[must_use]
pub fn process_time() -> Duration {
    time(ClockId::ProcessCPUTime)
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Something that is run again and again and timed.
///
/// Results are kept until the clock has stopped: making them is part of the work, freeing them is
/// not.
#[derive(Debug)]
pub struct Stopwatch<F, T> {
    run: F,
    results: Vec<T>,
    batch: usize,
    /// The shortest time of one run.
    best: Duration,
    spent: Duration,
}

/// A batch should take this long, or the clock itself (about half a microsecond) shows.
const BATCH_TIME: Duration = Duration::from_micros(200);

impl<T, F: FnMut() -> T> Stopwatch<F, T> {
    /// Runs `run` a few times to warm it up and to see how long it takes.
    pub fn new(run: F) -> Self {
        let (best, spent) = (Duration::MAX, Duration::ZERO);
        let mut watch = Self { run, results: Vec::new(), batch: 1, best, spent };
        for _ in 0..3 {
            watch.measure();
        }
        let runs = BATCH_TIME.as_nanos() / watch.best.as_nanos().max(1);
        watch.batch = runs.clamp(1, 64) as usize;
        watch.best = Duration::MAX;
        watch.spent = Duration::ZERO;
        watch
    }

    /// Runs one batch.
    pub fn measure(&mut self) {
        self.results.clear();
        self.results.reserve(self.batch);
        let start = thread_time();
        for _ in 0..self.batch {
            self.results.push((self.run)());
        }
        let time = thread_time() - start;
        self.spent += time;
        self.best = self.best.min(time / self.batch as u32);
    }

    /// The shortest time of one run so far: what else was going on can only add to it.
    #[must_use]
    pub fn best(&self) -> Duration {
        self.best
    }

    /// All time measured so far.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.spent
    }
}

/// Measures both by turns until each has had `time`; what the machine does meanwhile hits both.
pub fn race<A, B>(
    left: &mut Stopwatch<impl FnMut() -> A, A>,
    right: &mut Stopwatch<impl FnMut() -> B, B>,
    time: Duration,
) {
    let (left_end, right_end) = (left.spent() + time, right.spent() + time);
    while left.spent() < left_end || right.spent() < right_end {
        left.measure();
        right.measure();
    }
}

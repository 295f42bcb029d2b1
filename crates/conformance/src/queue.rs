//! Work for all cores: files from one reader, and parts of them that busy workers give away.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Most bytes of unread files that wait here.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// A queue between one reader and the workers, bounded in bytes.
///
/// Workers may add parts of what they took, so the queue is at its end only when the reader is
/// done and no worker holds work.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    /// Wakes workers: a job came, or the end.
    filled: Condvar,
    /// Wakes the reader: there is room.
    drained: Condvar,
    /// Workers that wait for a job.
    hungry: AtomicUsize,
}

struct State<J> {
    /// Each with its weight in bytes.
    jobs: VecDeque<(J, usize)>,
    bytes: usize,
    /// The reader, if not done, and workers on a job.
    sources: usize,
}

impl<J> Queue<J> {
    /// An empty queue whose reader has not begun.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State { jobs: VecDeque::new(), bytes: 0, sources: 1 }),
            filled: Condvar::new(),
            drained: Condvar::new(),
            hungry: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // No code that can panic runs under the lock, so its content is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the reader: adds a job of `bytes` bytes once there is room.
    pub(crate) fn push(&self, job: J, bytes: usize) {
        let mut state = self.lock();
        // A single job beyond the limit still passes, alone.
        while state.bytes > 0 && state.bytes + bytes > WAITING_BYTES_MAX {
            state = self.drained.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += bytes;
        state.jobs.push_back((job, bytes));
        self.filled.notify_one();
    }

    /// For the reader: nothing more will come from it.
    pub(crate) fn close(&self) {
        self.done();
    }

    /// Whether a worker waits, so that giving work away pays.
    pub(crate) fn is_hungry(&self) -> bool {
        self.hungry.load(Ordering::Relaxed) > 0
    }

    /// For a busy worker: gives away a part of its job, to be taken before unread files.
    pub(crate) fn give(&self, job: J) {
        self.lock().jobs.push_front((job, 0));
        self.filled.notify_one();
    }

    /// For a worker: the next job, `None` at the end. Call [`done`](Self::done) after each.
    pub(crate) fn take(&self) -> Option<J> {
        let mut state = self.lock();
        loop {
            if let Some((job, bytes)) = state.jobs.pop_front() {
                state.bytes -= bytes;
                state.sources += 1;
                self.drained.notify_one();
                return Some(job);
            }
            if state.sources == 0 {
                return None;
            }
            self.hungry.fetch_add(1, Ordering::Relaxed);
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            self.hungry.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// For a worker: the job it took is finished.
    pub(crate) fn done(&self) {
        let mut state = self.lock();
        state.sources -= 1;
        if state.sources == 0 {
            self.filled.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU64, thread};

    use super::*;

    #[test]
    fn jobs_given_away_are_all_done_before_the_end() {
        let queue = Queue::new();
        let sum = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(number) = queue.take() {
                        sum.fetch_add(1, Ordering::Relaxed);
                        if number > 0 {
                            queue.give(number - 1);
                        }
                        queue.done();
                    }
                });
            }
            for _ in 0..100 {
                queue.push(9_u64, WAITING_BYTES_MAX / 2);
            }
            queue.close();
        });
        assert_eq!(sum.into_inner(), 1000);
    }
}

//! How fast to ask: the limit somebody set, the waits a server asked for, and those between tries.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The wait before the second try; it doubles from try to try.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// The longest wait between tries.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// When the next calls may be made.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Calls per second, if there is a limit.
    rate: Option<u32>,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(rate: Option<u32>) -> Self {
        Self { rate, next: Mutex::new(None) }
    }

    /// Takes the time of `calls` calls and answers when they may be made: `None` for at once.
    pub(super) fn take(&self, calls: usize, now: Instant) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let start = next.filter(|next| *next > now);
        if let Some(rate) = self.rate {
            let time = Duration::from_secs_f64(calls as f64 / f64::from(rate));
            *next = start.unwrap_or(now).checked_add(time).or(*next);
        }
        start
    }

    /// Makes nobody ask before `until`.
    pub(super) fn hold(&self, until: Instant) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = Some(next.map_or(until, |next| next.max(until)));
    }
}

/// The wait after `tries` tries, somewhere between half and all of it: those who failed together
/// shall not come back together.
pub(super) fn backoff(tries: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(WAIT_MAX);
    // Without randomness it is no worse than a wait that everybody has.
    let random = getrandom::u32().unwrap_or_default();
    doubled.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_no_faster_than_the_limit() {
        let pace = Pace::new(Some(10));
        let now = Instant::now();
        assert_eq!(pace.take(5, now), None);
        assert_eq!(pace.take(10, now), Some(now + Duration::from_millis(500)));
        assert_eq!(pace.take(1, now), Some(now + Duration::from_millis(1500)));
        let later = now + Duration::from_secs(5);
        assert_eq!(pace.take(1, later), None);
        let free = Pace::new(None);
        assert_eq!((free.take(1000, now), free.take(1000, now)), (None, None));
    }

    #[test]
    fn a_hold_is_for_everybody_until_it_ends() {
        let pace = Pace::new(None);
        let now = Instant::now();
        let until = now + Duration::from_secs(1);
        pace.hold(until);
        pace.hold(now);
        assert_eq!(pace.take(1, now), Some(until));
        assert_eq!(pace.take(1, until), None);
    }

    #[test]
    fn waits_grow_to_a_limit() {
        for tries in [1, 2, 3, 10, u32::MAX] {
            let expected = FIRST_WAIT.saturating_mul(1 << (tries - 1).min(16)).min(WAIT_MAX);
            let wait = backoff(tries);
            assert!(wait >= expected / 2 && wait <= expected, "{tries}: {wait:?}");
        }
    }
}

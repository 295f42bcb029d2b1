//! Equal calls at the same time are made once, unless the first of them takes suspiciously long.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Answer, Call, RpcError};

/// How long a call may be under way before others make it themselves. A connection may hang while a
/// new one would not, and whoever comes when the node is well again must not wait for the old one.
const PATIENCE: Duration = Duration::from_millis(500);

/// What came of a call.
type Outcome = Result<Answer, RpcError>;

/// The calls that somebody is making.
#[derive(Debug)]
pub(super) struct Flights {
    open: Mutex<HashMap<Call, Arc<Flight>>>,
    patience: Duration,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// Until when others wait for it.
    until: Instant,
    outcome: Mutex<Option<Outcome>>,
    landed: Condvar,
}

/// The part one has in a call.
pub(super) enum Seat<'a> {
    /// It is one's own to make.
    Pilot(Pilot<'a>),
    /// Somebody else makes it.
    Passenger(Arc<Flight>),
}

/// The duty to make a call, and to tell all who wait for it.
pub(super) struct Pilot<'a> {
    flights: &'a Flights,
    call: Call,
    flight: Arc<Flight>,
}

impl Default for Flights {
    fn default() -> Self {
        Self { open: Mutex::default(), patience: PATIENCE }
    }
}

impl Flights {
    /// Joins whoever makes `call`, or begins it.
    pub(super) fn board(&self, call: &Call) -> Seat<'_> {
        let now = Instant::now();
        let mut open = lock(&self.open);
        let known = open.entry(call.clone());
        if let Entry::Occupied(flight) = &known
            && now < flight.get().until
        {
            return Seat::Passenger(flight.get().clone());
        }
        let until = now + self.patience;
        let flight = Arc::new(Flight { until, outcome: Mutex::default(), landed: Condvar::new() });
        known.insert_entry(flight.clone());
        Seat::Pilot(Pilot { flights: self, call: call.clone(), flight })
    }
}

impl Pilot<'_> {
    /// Tells all who wait.
    pub(super) fn land(self, outcome: Outcome) {
        *lock(&self.flight.outcome) = Some(outcome);
    }
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        let mut open = lock(&self.flights.open);
        // Another one may have begun since.
        if open.get(&self.call).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            open.remove(&self.call);
        }
        drop(open);
        // Whoever makes a call may fail in ways of their own; others must not wait for ever.
        lock(&self.flight.outcome).get_or_insert_with(|| {
            let what = "the same call, made by another thread, was given up".to_owned();
            Err(RpcError { endpoint: "a node".to_owned(), what })
        });
        self.flight.landed.notify_all();
    }
}

impl Flight {
    /// What came of it; `None` if nothing has before `deadline`, or as long as others wait.
    pub(super) fn wait(&self, deadline: Instant) -> Option<Outcome> {
        let deadline = deadline.min(self.until);
        let mut outcome = lock(&self.outcome);
        loop {
            if outcome.is_some() {
                return outcome.clone();
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.landed.wait_timeout(outcome, left);
            outcome = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// No lock here is held while anything can fail.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn whoever_comes_second_waits_for_the_first() {
        let flights = Flights::default();
        let call = Call::new("a", &[]);
        let Seat::Pilot(pilot) = flights.board(&call) else { panic!("nobody else is here") };
        let Seat::Passenger(flight) = flights.board(&call) else { panic!("there is one") };
        assert!(matches!(flights.board(&Call::new("a", &["1"])), Seat::Pilot(_)));
        assert!(flight.wait(Instant::now()).is_none());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| flight.wait(Instant::now() + Duration::from_secs(60)));
            pilot.land(Ok(Ok(RawValue::from_string("7".to_owned()).unwrap())));
            let outcome = waiting.join().unwrap().unwrap().unwrap().unwrap();
            assert_eq!(outcome.get(), "7");
        });
        assert!(matches!(flights.board(&call), Seat::Pilot(_)));
    }

    #[test]
    fn a_call_that_takes_long_is_made_by_whoever_comes_next() {
        let flights = Flights { patience: Duration::ZERO, ..Flights::default() };
        let call = Call::new("a", &[]);
        let Seat::Pilot(slow) = flights.board(&call) else { panic!("nobody else is here") };
        let Seat::Pilot(next) = flights.board(&call) else { panic!("the first takes too long") };
        // Nor does anybody wait for it who has joined it before.
        assert!(slow.flight.wait(Instant::now() + Duration::from_secs(60)).is_none());
        drop(slow);
        assert!(lock(&flights.open).contains_key(&call), "the second one is under way");
        drop(next);
        assert!(lock(&flights.open).is_empty());
    }

    #[test]
    fn a_call_that_is_given_up_leaves_nobody_waiting() {
        let flights = Flights::default();
        let call = Call::new("a", &[]);
        let Seat::Pilot(pilot) = flights.board(&call) else { panic!("nobody else is here") };
        let Seat::Passenger(flight) = flights.board(&call) else { panic!("there is one") };
        drop(pilot);
        assert!(flight.wait(Instant::now() + Duration::from_secs(60)).unwrap().is_err());
    }
}

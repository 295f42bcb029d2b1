//! How a round of requests went.

use std::time::Duration;

use super::fault::Fault;

/// How a round went, beside the answers.
#[derive(Default)]
pub(super) struct Weather {
    /// What went wrong last.
    pub(super) fault: Option<Fault>,
    /// The longest wait a server asked for.
    pub(super) wait: Option<Duration>,
    /// Whether trying again needs a pause.
    pub(super) needs_pause: bool,
    /// Whether another endpoint may do better.
    pub(super) needs_other: bool,
}

impl Weather {
    /// Of a round that came to nothing.
    pub(super) fn of(fault: &Fault) -> Self {
        let mut weather = Self::default();
        weather.take(fault.clone(), true);
        weather
    }

    /// Takes note of a fault. `is_alone`: one call, which cannot be made smaller.
    pub(super) fn take(&mut self, fault: Fault, is_alone: bool) {
        match &fault {
            Fault::Broken(_) => (self.needs_pause, self.needs_other) = (true, true),
            Fault::Throttled(_, wait) => {
                (self.needs_pause, self.needs_other) = (true, true);
                self.wait = self.wait.max(*wait);
            }
            Fault::TooLarge(_) | Fault::Refused(_) => self.needs_other |= is_alone,
            Fault::Denied(_) => self.needs_other = true,
        }
        self.fault = Some(fault);
    }
}

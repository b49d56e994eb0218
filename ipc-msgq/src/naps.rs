//! Short sleeps between looks, for what the kernel tells nobody about: a name that appears, a System V
//! queue that changes.

use nix::poll::ppoll;
use std::time::Duration;

/// Naps that grow from 50 microseconds to a millisecond: an answer that comes soon is noticed soon, and a
/// long wait costs a thousand looks a second at most.
#[derive(Debug)]
pub(crate) struct Naps {
    next: Duration,
}

impl Naps {
    const SHORTEST: Duration = Duration::from_micros(50);
    const LONGEST: Duration = Duration::from_millis(1);

    pub(crate) fn new() -> Self {
        Naps { next: Naps::SHORTEST }
    }

    /// Sleeps, at most `limit` if there is one. A signal ends the nap.
    ///
    /// `std::thread::sleep` would sleep on after a signal, for the rest that nanosleep(2) tells, which the
    /// kernel rounds up each time: under a storm of signals a millisecond grows to many seconds.
    pub(crate) fn sleep(&mut self, limit: Option<Duration>) {
        let nap = limit.map_or(self.next, |limit| limit.min(self.next));
        // Whether it was a signal or the time, the caller looks again.
        let _ = ppoll(&mut [], Some(nap.into()), None);
        self.next = (self.next * 2).min(Naps::LONGEST);
    }
}

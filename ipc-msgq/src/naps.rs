//! Short sleeps between looks, for what the kernel tells nobody about: a name that appears, a System V
//! queue that changes.

use ipc_core::wait::nap;
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
    pub(crate) fn sleep(&mut self, limit: Option<Duration>) {
        nap(limit.map_or(self.next, |limit| limit.min(self.next)));
        self.next = (self.next * 2).min(Naps::LONGEST);
    }
}

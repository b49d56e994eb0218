//! Sleeps between looks at what cannot wake us: a name that is not there yet, a queue that is full.

use ipc_core::Wait;
use ipc_core::wait::nap;
use std::time::Duration;

/// From 0.1 ms, longer each time, to 10 ms.
#[derive(Default)]
pub(crate) struct Pause {
    rounds: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_micros(100);
    const LONGEST: Duration = Duration::from_millis(10);

    /// Sleeps once, at most until a signal comes; false, and no sleep, if the time is over.
    pub(crate) fn sleep(&mut self, wait: Wait) -> bool {
        let pause = Pause::FIRST.saturating_mul(1 << self.rounds.min(7)).min(Pause::LONGEST);
        self.rounds = self.rounds.saturating_add(1);
        let pause = wait.remaining().map_or(pause, |left| left.min(pause));
        if pause.is_zero() {
            return false;
        }
        nap(pause);
        true
    }
}

//! A bell that wakes one sleeping thread: a channel for one token.

use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::convert::Infallible;
use std::time::Duration;

/// Rung by one side, slept on by the other. A ring that nobody waits for is kept, once; whoever is woken
/// looks whether there is a reason, so one ring too many costs a look and no more.
#[derive(Debug)]
pub(crate) struct Bell {
    token: Sender<()>,
    rung: Receiver<()>,
}

impl Bell {
    pub(crate) fn new() -> Self {
        let (token, rung) = bounded(1);
        Bell { token, rung }
    }

    pub(crate) fn ring(&self) {
        // If a token lies there already, the sleeper will wake from that one.
        let _ = self.token.try_send(());
    }

    /// Sleeps until the bell is rung, the context is shut down, or `limit` has passed.
    pub(crate) fn sleep(&self, shutdown: &Receiver<Infallible>, limit: Option<Duration>) {
        sleep_for(&self.rung, shutdown, limit);
    }
}

/// Sleeps until something comes out of `event` (which is returned), the context is shut down, or `limit`
/// has passed.
pub(crate) fn sleep_for<T>(
    event: &Receiver<T>,
    shutdown: &Receiver<Infallible>,
    limit: Option<Duration>,
) -> Option<T> {
    match limit {
        Some(limit) => select! {
            recv(event) -> event => event.ok(),
            recv(shutdown) -> _ => None,
            default(limit) => None,
        },
        None => select! {
            recv(event) -> event => event.ok(),
            recv(shutdown) -> _ => None,
        },
    }
}

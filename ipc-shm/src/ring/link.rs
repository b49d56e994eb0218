//! What the two kinds of ends have in common: whom they talk to, and how they wait.

use super::core::Corrupted;
use super::presence::{Peer, Presence};
use super::stats::Stats;
use ipc_core::{Attempt, Endpoint, Error, ErrorKind, Framing, Result, Step, Wait, Waiter};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long nobody sleeps without looking whether the peer still lives; and how long a wake-up may be
/// late whose sender was killed half-way.
pub(super) const LOOK_UP: Duration = Duration::from_millis(40);

/// How many looks make one step of spinning, so that the clock is not read after each; the first of them
/// without a pause, as an answer is often on its way.
const LOOKS: u32 = 128;
const EAGER_LOOKS: u32 = 64;

/// The connection of an end to its peer.
#[derive(Debug)]
pub(super) struct Link {
    presence: Arc<Presence>,
    endpoint: Arc<str>,
    operation: &'static str,
    pub(super) max_message: usize,
    waiter: Waiter,
    pub(super) stats: Stats,
    /// When to look at the peer again.
    due: Instant,
    peer_gone: bool,
    /// Why nothing goes any more, for good.
    broken: Option<(ErrorKind, &'static str)>,
}

/// What to do between two looks.
pub(super) enum Pause {
    /// Nothing.
    Look,
    /// Sleep, at most so long.
    Sleep(Duration),
}

impl Link {
    pub(super) fn new(presence: Arc<Presence>, endpoint: &Endpoint, operation: &'static str) -> Link {
        let options = endpoint.options();
        Link {
            presence,
            endpoint: Arc::clone(endpoint.text()),
            operation,
            max_message: options.max_message.unwrap_or(Framing::DEFAULT_MAX),
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            stats: Stats::default(),
            due: Instant::now(),
            peer_gone: false,
            broken: None,
        }
    }

    pub(super) fn presence(&self) -> &Presence {
        &self.presence
    }

    pub(super) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    pub(super) fn stats(&self) -> Stats {
        Stats { peer_pid: self.presence.peer_pid(), ..self.stats }
    }

    /// Fails if nothing goes any more.
    #[inline(always)]
    pub(super) fn check(&self) -> Result<()> {
        match self.broken {
            None => Ok(()),
            Some((kind, detail)) => Err(self.error(kind, detail)),
        }
    }

    /// Ends the connection, for good, with this as the reason from now on.
    #[cold]
    pub(super) fn end(&mut self, kind: ErrorKind, detail: &'static str) -> Error {
        self.broken = Some((kind, detail));
        self.error(kind, detail)
    }

    #[cold]
    pub(super) fn corrupted(&mut self, corrupted: Corrupted) -> Error {
        self.end(ErrorKind::Corrupted, corrupted.0)
    }

    #[cold]
    fn error(&self, kind: ErrorKind, detail: &'static str) -> Error {
        let error = Error::new(kind, self.operation);
        if detail.is_empty() { error } else { error.with_detail(detail) }
    }

    /// Whether the peer's process has ended or left, as far as was seen in the last [`LOOK_UP`].
    pub(super) fn peer_is_gone(&mut self) -> bool {
        let now = Instant::now();
        if !self.peer_gone && now >= self.due {
            self.due = now + LOOK_UP;
            self.peer_gone = self.presence.peer() == Peer::Gone;
        }
        self.peer_gone
    }

    /// How often to [`look`] before anything else.
    pub(super) fn looks(&self, wait: Wait) -> u32 {
        if wait == Wait::Never || self.waiter.never_spins() { 1 } else { LOOKS }
    }

    /// Says what to do after a look that found nothing, or that the time is over.
    pub(super) fn pause(&mut self, attempt: &mut Attempt) -> Result<Pause> {
        match attempt.next(&mut self.waiter) {
            Ok(Step::Look) => Ok(Pause::Look),
            Ok(Step::Sleep(limit)) => {
                self.stats.sleeps += 1;
                Ok(Pause::Sleep(limit.map_or(LOOK_UP, |limit| limit.min(LOOK_UP))))
            }
            Err(kind) => Err(Error::new(kind, self.operation)),
        }
    }

    pub(super) fn progressed(&mut self, attempt: &mut Attempt) -> Result<()> {
        attempt.progressed(&mut self.waiter).map_err(|kind| Error::new(kind, self.operation))
    }

    #[inline(always)]
    pub(super) fn succeeded(&mut self, attempt: &Attempt, bytes: usize) {
        attempt.succeeded(&mut self.waiter);
        self.count(bytes);
    }

    /// Counts a message.
    #[inline(always)]
    pub(super) fn count(&mut self, bytes: usize) {
        self.stats.messages += 1;
        self.stats.bytes += bytes as u64;
    }
}

/// Looks so often, which takes a fraction of a microsecond: whether it was found.
#[inline]
pub(super) fn look<E>(looks: u32, mut found: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    for turn in 0..looks {
        if found()? {
            return Ok(true);
        }
        if turn >= EAGER_LOOKS {
            std::hint::spin_loop();
        }
    }
    Ok(false)
}

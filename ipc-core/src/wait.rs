//! How long a call waits, and how: look, spin a short while, sleep in the kernel.
//!
//! Every transport waits in the same loop. It looks whether it can go on; if not, it asks what to do
//! next, and either looks again at once (spinning), or sleeps in whatever way fits the transport until
//! something may have changed, and looks again:
//!
//! ```
//! use ipc_core::{Attempt, Error, Step, Wait, Waiter};
//! # let mut looks = 0;
//! # let mut look = || { looks += 1; (looks > 2).then_some("a message") };
//! # let sleep = |_limit| {};
//!
//! let mut waiter = Waiter::default(); // kept with the sender or receiver
//! let mut attempt = Attempt::new(Wait::Forever); // one for each call
//! let message = loop {
//!     if let Some(message) = look() {
//!         attempt.succeeded(&mut waiter);
//!         break message;
//!     }
//!     match attempt.next(&mut waiter) {
//!         Ok(Step::Look) => {}
//!         Ok(Step::Sleep(limit)) => sleep(limit),
//!         Err(kind) => return Err(Error::new(kind, "recv")), // WouldBlock or TimedOut
//!     }
//! };
//! # assert_eq!(message, "a message");
//! # Ok::<(), Error>(())
//! ```
//!
//! Whether spinning pays is learned from the waits before this one: a wait that ended within the time a
//! spin may last, or would have, had the call not gone to sleep, is a reason to spin the next time; a
//! longer one is a reason to spin half as long. So a busy channel is answered within the time of a
//! system call, and a quiet one costs nothing. Where this thread may run on one processor only, it never
//! spins: the peer could not run meanwhile.

use crate::ErrorKind;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long a call may wait. Deadlines are absolute, and on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: do it now, or fail with [`ErrorKind::WouldBlock`].
    Never,
    /// Until then; after it, fail with [`ErrorKind::TimedOut`].
    Until(Instant),
    /// As long as it takes.
    Forever,
}

impl Wait {
    /// From now, at most `timeout`. One too long for the clock is [`Wait::Forever`].
    pub fn timeout(timeout: Duration) -> Self {
        Instant::now().checked_add(timeout).map_or(Wait::Forever, Wait::Until)
    }

    /// What is left of the time: zero when it is over, `None` when it never will be.
    pub fn remaining(self) -> Option<Duration> {
        match self {
            Wait::Never => Some(Duration::ZERO),
            Wait::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Wait::Forever => None,
        }
    }
}

/// How to wait: the policy, which the option `waiting` of an endpoint sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Spin for as long as it has been paying lately, at most [`Waiter::MAX_SPIN`], then sleep.
    #[default]
    Adaptive,
    /// Sleep at once.
    Block,
    /// Spin for as long as it takes. It costs a whole processor.
    Spin,
}

/// What one sender or receiver has learned about its waits.
#[derive(Clone, Debug)]
pub struct Waiter {
    policy: Waiting,
    /// How long the next wait may spin.
    budget: Duration,
}

impl Default for Waiter {
    fn default() -> Self {
        Waiter::new(Waiting::default())
    }
}

impl Waiter {
    /// The longest time spent spinning in one wait.
    pub const MAX_SPIN: Duration = Duration::from_micros(50);

    /// A sleep and a wake-up take about as long as this, so a sleep that was over within it, and the
    /// longest spin, was for something that a spin would have caught.
    const WAKE_UP: Duration = Duration::from_micros(50);

    /// Below this, a spin is not worth the looks at the clock.
    const MIN_SPIN: Duration = Duration::from_micros(2);

    /// Waits by `policy`; never spins where this thread may run on one processor only.
    pub fn new(policy: Waiting) -> Self {
        let policy = if one_processor() { Waiting::Block } else { policy };
        Waiter { policy, budget: Waiter::MAX_SPIN }
    }

    /// Whether it sleeps at once, always: then a transport whose system call can wait by itself may make
    /// that call without looking first.
    pub fn never_spins(&self) -> bool {
        self.policy == Waiting::Block
    }

    fn spin_limit(&self) -> Duration {
        match self.policy {
            Waiting::Block => Duration::ZERO,
            Waiting::Adaptive => self.budget,
            Waiting::Spin => Duration::MAX,
        }
    }

    fn learn(&mut self, waited: Duration, slept: bool) {
        let paid = if slept { Waiter::MAX_SPIN + Waiter::WAKE_UP } else { Waiter::MAX_SPIN };
        if waited <= paid {
            self.budget = Waiter::MAX_SPIN;
        } else {
            self.budget /= 2;
            if self.budget < Waiter::MIN_SPIN {
                self.budget = Duration::ZERO;
            }
        }
    }
}

/// One wait, from the first look to the last.
#[derive(Debug)]
pub struct Attempt {
    wait: Wait,
    /// When the first look failed.
    started: Option<Instant>,
    /// How many looks the clock was not read after, since it last was.
    unclocked: u32,
    slept: bool,
    passed_over: u32,
}

/// What to do before looking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: look at once.
    Look,
    /// Sleep until something may have changed, at most that long if there is a limit.
    Sleep(Option<Duration>),
}

impl Attempt {
    /// While spinning, so many looks in a row are made without reading the clock, which takes a quarter of
    /// the time of a look that is a system call. They are over within a few microseconds.
    const UNCLOCKED: u32 = 7;

    /// A wait that has not looked yet.
    pub fn new(wait: Wait) -> Self {
        Attempt { wait, started: None, unclocked: 0, slept: false, passed_over: 0 }
    }

    /// Says what to do after a look that found nothing, or that the time is over: the error is
    /// [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`].
    pub fn next(&mut self, waiter: &mut Waiter) -> Result<Step, ErrorKind> {
        if self.wait == Wait::Never {
            return Err(ErrorKind::WouldBlock);
        }
        if self.unclocked > 0 {
            self.unclocked -= 1;
            std::hint::spin_loop();
            return Ok(Step::Look);
        }
        let now = Instant::now();
        let started = *self.started.get_or_insert(now);
        let waited = now - started;
        let limit = match self.wait {
            Wait::Until(deadline) if deadline <= now => {
                waiter.learn(waited, self.slept);
                return Err(ErrorKind::TimedOut);
            }
            Wait::Until(deadline) => Some(deadline - now),
            Wait::Never | Wait::Forever => None,
        };
        if !self.slept && waited < waiter.spin_limit() {
            self.unclocked = Attempt::UNCLOCKED;
            std::hint::spin_loop();
            return Ok(Step::Look);
        }
        self.slept = true;
        Ok(Step::Sleep(limit))
    }

    /// Says that a part of the message has moved, and more must: what comes is a new wait, with the same
    /// deadline. Fails with [`ErrorKind::TimedOut`] if that is over, so that a peer which sends byte by
    /// byte cannot hold a call beyond it.
    pub fn progressed(&mut self, waiter: &mut Waiter) -> Result<(), ErrorKind> {
        self.succeeded(waiter);
        self.started = None;
        self.unclocked = 0;
        self.slept = false;
        match self.wait {
            Wait::Until(deadline) if deadline <= Instant::now() => Err(ErrorKind::TimedOut),
            _ => Ok(()),
        }
    }

    /// Says that something has come which is not for the caller, and that the wait goes on behind it. Fails
    /// with [`ErrorKind::TimedOut`] if the time is over, so that a peer which sends such things without end
    /// cannot hold a call beyond it; and a call that never waits fails with [`ErrorKind::WouldBlock`] after a
    /// thousand of them.
    pub fn passed_over(&mut self) -> Result<(), ErrorKind> {
        const MOST: u32 = 1_000;
        self.passed_over = self.passed_over.saturating_add(1);
        match self.wait {
            Wait::Until(deadline) if deadline <= Instant::now() => Err(ErrorKind::TimedOut),
            Wait::Never if self.passed_over > MOST => Err(ErrorKind::WouldBlock),
            _ => Ok(()),
        }
    }

    /// Tells the waiter how the wait ended, so that it can learn. Costs nothing where the first look
    /// was enough.
    pub fn succeeded(&self, waiter: &mut Waiter) {
        match self.started {
            Some(started) if self.slept => waiter.learn(started.elapsed(), true),
            // It was within the time a spin may last, or about.
            Some(_) => waiter.budget = Waiter::MAX_SPIN,
            None => {}
        }
    }
}

/// Sleeps until `fd` can be read (or is at its end, or in error), at most `limit`.
///
/// Returns early on a signal: the caller looks again, and its [`Attempt`] keeps the time.
/// See poll(2).
pub fn sleep_until_readable(fd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<()> {
    poll_one(fd, PollFlags::POLLIN, limit)
}

/// Sleeps until `fd` can be written (or is in error), at most `limit`; like
/// [`sleep_until_readable`].
pub fn sleep_until_writable(fd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<()> {
    poll_one(fd, PollFlags::POLLOUT, limit)
}

fn poll_one(fd: BorrowedFd<'_>, events: PollFlags, limit: Option<Duration>) -> io::Result<()> {
    match nix::poll::ppoll(&mut [PollFd::new(fd, events)], limit.map(TimeSpec::from), None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Sleeps for `time`, or until a signal comes; the caller looks again, and its [`Attempt`] keeps the time. For
/// what the kernel tells nobody about: a name that appears, a System V queue that changes.
///
/// `std::thread::sleep` would sleep on after a signal, for the rest that nanosleep(2) tells, which the kernel
/// rounds up each time: under a storm of signals a millisecond grows to many seconds.
pub fn nap(time: Duration) {
    let _ = nix::poll::ppoll(&mut [], Some(time.into()), None);
}

/// Whether this thread may run on one processor only.
pub(crate) fn one_processor() -> bool {
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else {
        // There are more processors than the set has room for, or nobody may ask.
        return std::thread::available_parallelism().map_or(true, |count| count.get() < 2);
    };
    (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).take(2).count() < 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_would_block_and_a_past_deadline_has_timed_out() {
        let mut waiter = Waiter::default();
        assert_eq!(Attempt::new(Wait::Never).next(&mut waiter), Err(ErrorKind::WouldBlock));
        let past = Wait::Until(Instant::now());
        assert_eq!(Attempt::new(past).next(&mut waiter), Err(ErrorKind::TimedOut));
    }

    #[test]
    fn what_is_passed_over_ends_a_wait_when_its_time_is_over() {
        let past = Wait::Until(Instant::now());
        assert_eq!(Attempt::new(past).passed_over(), Err(ErrorKind::TimedOut));
        let mut never = Attempt::new(Wait::Never);
        let passed = (0..10_000).take_while(|_| never.passed_over().is_ok()).count();
        assert_eq!((passed, never.passed_over()), (1_000, Err(ErrorKind::WouldBlock)));
        assert_eq!(Attempt::new(Wait::Forever).passed_over(), Ok(()));
    }

    #[test]
    fn a_timeout_beyond_the_clock_is_forever() {
        assert_eq!(Wait::timeout(Duration::MAX), Wait::Forever);
    }

    #[test]
    fn block_sleeps_at_once() {
        let mut waiter = Waiter::new(Waiting::Block);
        assert_eq!(Attempt::new(Wait::Forever).next(&mut waiter), Ok(Step::Sleep(None)));
    }

    #[test]
    fn long_waits_end_the_spinning_and_a_short_one_starts_it_again() {
        let mut waiter = Waiter { policy: Waiting::Adaptive, budget: Waiter::MAX_SPIN };
        for _ in 0..8 {
            waiter.learn(Duration::from_millis(1), true);
        }
        assert_eq!(waiter.spin_limit(), Duration::ZERO);
        waiter.learn(Duration::from_micros(60), true);
        assert_eq!(waiter.spin_limit(), Waiter::MAX_SPIN);
    }
}

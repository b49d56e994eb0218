//! Storms of signals on one thread: what shows that no call of a transport is hurt by `EINTR`.

use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;
use signal_hook::SigId;
use signal_hook::low_level::unregister;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Hits the thread that made it with a handled signal, once a millisecond, until it is dropped.
///
/// poll(2), epoll_wait(2), futex(2) with a timeout and others return `EINTR` each time; signal(7) has the
/// list. The timer aims at the one thread, so other tests in the process do not notice.
pub(super) struct Storm {
    _timer: Timer,
    handler: SigId,
}

impl Storm {
    const SIGNAL: Signal = Signal::SIGUSR1;
    const INTERVAL: Duration = Duration::from_millis(1);

    pub(super) fn on_this_thread() -> Storm {
        // That there is a handler is what counts; nobody looks at the flag.
        let handler = signal_hook::flag::register(Storm::SIGNAL as i32, Arc::<AtomicBool>::default());
        let event = SigEvent::new(SigevNotify::SigevThreadId {
            signal: Storm::SIGNAL,
            thread_id: gettid().as_raw(),
            si_value: 0,
        });
        let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event).expect("a timer");
        let interval = Expiration::Interval(Storm::INTERVAL.into());
        timer.set(interval, TimerSetTimeFlags::empty()).expect("a timer that runs");
        Storm { _timer: timer, handler: handler.expect("a signal handler") }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // The process goes on to handle the signal, so one that comes late does no harm.
        unregister(self.handler);
    }
}

/// Does `wait` while another thread hits this one with a handled signal as often as it can. Fails unless that
/// takes a time within `bounds`; by itself the storm would last twice as long as the longest.
///
/// For what no end of a [`Fixture`](super::Fixture) shows: connecting, accepting.
pub fn under_a_storm_of_signals(bounds: Range<Duration>, wait: impl FnOnce()) {
    let hit = Arc::new(AtomicBool::new(false));
    // For good: the last signal may come late.
    signal_hook::flag::register(Storm::SIGNAL as i32, Arc::clone(&hit)).expect("a signal handler");
    let (this, over) = (pthread_self(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + bounds.end * 2;
            while !over.load(Ordering::Relaxed) && Instant::now() < end {
                pthread_kill(this, Storm::SIGNAL).expect("the thread is there");
            }
        });
        // Not by short sleeps, which a storm makes long.
        while !hit.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        let began = Instant::now();
        wait();
        let waited = began.elapsed();
        over.store(true, Ordering::Relaxed);
        assert!(bounds.contains(&waited), "it took {waited:?}, which is not within {bounds:?}");
    });
}

//! What the tests of the mutex and of the condition variable share: a segment with both, and a storm of signals.

// Each test binary uses a part of it.
#![allow(dead_code)]

#[path = "../ring_common/mod.rs"]
mod processes;

pub(crate) use processes::*;

use ipc_shm::{ErrorKind, Segment, SegmentOptions, SharedCondvar, SharedMutex, ShmSafe};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Kept equal by everybody who changes them.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Twins {
    pub(crate) one: u64,
    pub(crate) two: u64,
}

// SAFETY: `repr(C)`, numbers only.
unsafe impl ShmSafe for Twins {
    const TAG: u64 = u64::from_be_bytes(*b"twins  1");
}

/// A mutex, a condition variable and a word beside them, in a segment found by name.
pub(crate) struct Shared {
    pub(crate) segment: Segment,
    pub(crate) mutex: SharedMutex<Twins>,
    pub(crate) changed: SharedCondvar,
}

pub(crate) const CONDVAR: usize = 512;
pub(crate) const WORD: usize = 520;
pub(crate) const SIZE: usize = 4096;

impl Shared {
    pub(crate) fn create(name: &str) -> Shared {
        let segment = SegmentOptions::new(SIZE)
            .create_with(name, |segment| {
                // SAFETY: nobody has seen it yet.
                unsafe { SharedMutex::init(segment, 0, Twins { one: 0, two: 0 }) }.map(drop)
            })
            .unwrap();
        Shared::of(segment)
    }

    pub(crate) fn open(name: &str) -> Shared {
        Shared::of(Segment::open(name).unwrap())
    }

    pub(crate) fn of(segment: Segment) -> Shared {
        // SAFETY: made by `create`.
        let mutex = unsafe { SharedMutex::open(&segment, 0) }.unwrap();
        let changed = SharedCondvar::open(&segment, CONDVAR).unwrap();
        Shared { segment, mutex, changed }
    }

    pub(crate) fn word(&self) -> &AtomicU64 {
        self.segment.atomic_u64(WORD).unwrap()
    }

    /// Takes the mutex, says so in the word, and keeps it until it is killed, half-way through a change.
    pub(crate) fn hold(&self) {
        let mut twins = self.mutex.lock().unwrap();
        twins.one += 1; // and never the other
        self.word().store(1, SeqCst);
        wait_for_ever();
    }

    pub(crate) fn count(&self, times: u64) {
        for _ in 0..times {
            let mut twins = self.mutex.lock().unwrap();
            twins.one += 1;
            twins.two += 1;
        }
    }
}

pub(crate) fn repair(twins: &mut Twins) {
    twins.two = twins.one;
}

/// A holder that was killed, its work half done.
pub(crate) fn kill_a_holder(shared: &Shared, name: &str) {
    let mut child = Child::start("hold", name);
    until("it is locked", || shared.word().load(SeqCst) == 1);
    assert_eq!(shared.mutex.try_lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    child.kill();
}

/// How often the calling thread was interrupted by [`storm`].
static INTERRUPTED: AtomicU64 = AtomicU64::new(0);

extern "C" fn interrupted(_: libc::c_int) {
    INTERRUPTED.fetch_add(1, SeqCst);
}

/// Does `work`, which must not panic, while signals come to this thread, one a millisecond or so, and interrupt
/// what it calls. What came of it, and how long it took.
pub(crate) fn storm<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    use nix::sys::pthread::{pthread_kill, pthread_self};
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    let action = SigAction::new(SigHandler::Handler(interrupted), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler changes an atomic only, and nobody else uses this signal here.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let (before, me) = (INTERRUPTED.load(SeqCst), pthread_self());
    let done = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                pthread_kill(me, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        done.store(true, SeqCst);
        (result, took)
    });
    assert!(INTERRUPTED.load(SeqCst) - before > 10, "too few signals");
    result
}

pub(crate) const STORM: Duration = Duration::from_millis(250);

pub(crate) fn assert_in_time(took: Duration) {
    assert!(took >= STORM && took < 2 * STORM, "{took:?}");
}

//! The one wake-up that no lock protects, in the orders that the memory model allows: loom runs the
//! very source of `credit`, with atomics of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

/// What `credit` takes its atomics from. Loom takes a sequentially consistent access for one that acquires
/// and releases only; a fence on either side, which loom does know, gives it what is missing.
mod atomic {
    pub(crate) use loom::sync::atomic::Ordering;
    use loom::sync::atomic::{self, fence};

    fn in_order<T>(access: impl FnOnce() -> T) -> T {
        fence(Ordering::SeqCst);
        let result = access();
        fence(Ordering::SeqCst);
        result
    }

    #[derive(Debug)]
    pub(crate) struct AtomicBool(atomic::AtomicBool);

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> Self {
            AtomicBool(atomic::AtomicBool::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> bool {
            in_order(|| self.0.load(order))
        }

        pub(crate) fn store(&self, value: bool, order: Ordering) {
            in_order(|| self.0.store(value, order));
        }

        pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
            in_order(|| self.0.swap(value, order))
        }
    }

    #[derive(Debug)]
    pub(crate) struct AtomicU64(atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            AtomicU64(atomic::AtomicU64::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            in_order(|| self.0.load(order))
        }

        pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            in_order(|| self.0.fetch_add(value, order))
        }
    }
}

#[path = "../src/credit.rs"]
mod credit;

use credit::Credit;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A bell that keeps one ring, as the real one does.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

/// A sender that is at its limit sends `messages` more, of which there are at most `limit`, while the
/// receiver takes as many: a lost wake-up is a deadlock, which loom reports.
fn run(limit: u64, messages: u64) {
    let mut model = loom::model::Builder::new();
    // Every order with at most three switches of thread where none is forced.
    model.preemption_bound = Some(3);
    model.check(move || {
        let credit = Arc::new(Credit::new());
        let bell = Arc::new(Bell { rung: Mutex::new(false), changed: Condvar::new() });
        let mut sent = limit;
        let receiver = {
            let (credit, bell) = (Arc::clone(&credit), Arc::clone(&bell));
            thread::spawn(move || {
                for _ in 0..messages {
                    if credit.take_one() {
                        bell.ring();
                    }
                }
            })
        };
        while sent < limit + messages {
            if sent - credit.taken() < limit {
                sent += 1;
                continue;
            }
            credit.announce_wait();
            if sent - credit.taken() >= limit {
                bell.sleep();
            }
        }
        receiver.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_room_is_woken() {
    run(1, 1);
    run(2, 2);
}

//! The one wake-up that no lock protects, in every order that the memory model allows: loom runs the very
//! source of `credit`, with atomics of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, dead_code)]

/// What `credit` takes its atomics from.
mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    loom::model(move || {
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
    run(2, 1);
    run(2, 2);
    run(3, 3);
}

//! The receiver's way to sleep, in the orders that the memory model allows: loom runs the very source of
//! `alarm`, with atomics and fences of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

/// What `alarm` takes its atomics from.
mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
}

/// And its fences. Loom knows no fence that one thread makes for all, but it does know two of them.
mod fences {
    use loom::sync::atomic::{Ordering::SeqCst, fence};

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Fences {
        pub(crate) light: bool,
        pub(crate) heavy: bool,
    }

    impl Fences {
        pub(crate) fn light(self) {
            if self.light {
                fence(SeqCst);
            }
        }

        pub(crate) fn heavy(self) -> bool {
            if self.heavy {
                fence(SeqCst);
            }
            true
        }
    }
}

#[path = "../src/alarm.rs"]
mod alarm;

use alarm::Alarm;
use fences::Fences;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A receiver goes to sleep while two messages are published.
fn go_to_sleep(fences: Fences) {
    loom::model(move || {
        let alarm = Arc::new(Alarm::new(fences));
        let messages = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let sending = {
            let (alarm, messages) = (Arc::clone(&alarm), Arc::clone(&messages));
            loom::thread::spawn(move || {
                let publish = |message: &AtomicBool| {
                    message.store(true, Relaxed);
                    alarm.is_due()
                };
                messages.iter().filter(|message| publish(message)).count()
            })
        };
        assert!(alarm.set());
        let sleeps = !messages[0].load(Relaxed);
        if !sleeps {
            alarm.clear();
        }
        let rung = sending.join().unwrap();
        assert!(!sleeps || rung == 1, "it sleeps for ever, or was woken twice");
    });
}

#[test]
fn who_goes_to_sleep_is_woken_or_sees_the_message() {
    go_to_sleep(Fences { light: true, heavy: true });
}

#[test]
#[should_panic(expected = "it sleeps for ever")]
fn without_the_senders_fence_it_sleeps_for_ever() {
    go_to_sleep(Fences { light: false, heavy: true });
}

#[test]
#[should_panic(expected = "it sleeps for ever")]
fn without_the_receivers_fence_it_sleeps_for_ever() {
    go_to_sleep(Fences { light: true, heavy: false });
}

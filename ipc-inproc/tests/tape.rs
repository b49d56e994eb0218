//! What the tape promises to whoever reads it while it is being written, in the orders that the memory model
//! allows: loom runs the very source of `tape`, with atomics and locks of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code, unreachable_pub)]

/// What `tape` takes its atomics from.
mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

/// And its locks.
mod sync {
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
}

#[path = "../src/spares.rs"]
mod spares;
#[path = "../src/tape.rs"]
mod tape;

fn lock<T>(mutex: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

use tape::{LONG, tape_of};

/// Reels of so few words that each holds two of the messages at most.
const REEL: usize = 6;

/// Writes messages of such lengths, while another thread reads whatever there is.
fn run(lengths: &'static [usize]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let (mut writer, mut reader) = tape_of(REEL);
        let writing = loom::thread::spawn(move || {
            for (at, &length) in lengths.iter().enumerate() {
                let message = vec![at as u8 + 1; length];
                if length < LONG {
                    writer.push(&message, at as u64).unwrap();
                } else {
                    writer.push_long(message, at as u64).unwrap();
                }
            }
        });
        let mut page = Vec::new();
        for (at, &length) in lengths.iter().enumerate() {
            let record = loop {
                match reader.next(&mut page) {
                    Some(record) => break record,
                    None => loom::thread::yield_now(),
                }
            };
            assert_eq!(record.sender, at as u64);
            match record.length {
                Some(found) => assert_eq!(page[..found], vec![at as u8 + 1; length]),
                None => assert_eq!(reader.fetch(), vec![at as u8 + 1; length]),
            }
        }
        writing.join().unwrap();
        assert!(!reader.has_news());
    });
}

#[test]
fn a_message_that_is_there_is_whole() {
    run(&[8, 9, 0]);
}

#[test]
fn it_goes_on_with_the_next_reel_and_with_one_that_has_been_read() {
    run(&[20, 20, 20, 20]);
}

#[test]
fn a_long_message_is_at_the_depot_when_its_record_is_read() {
    run(&[1, LONG, 1]);
}

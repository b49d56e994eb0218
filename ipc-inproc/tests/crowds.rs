//! Many threads at once: nothing lost, nothing mixed up, nobody left asleep.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_inproc::{Context, Receiver, Sender, Waiting};
use std::sync::{Arc, Barrier};
use std::thread;

const NAME: &str = "inproc://crowds";

#[test]
fn thirty_threads_send_to_one_receiver_whoever_comes_first() {
    for bind_first in [true, false] {
        let context = Context::new();
        let early = bind_first.then(|| context.bind_receiver(NAME).unwrap());
        let threads: Vec<_> = (0..30u8)
            .map(|number| {
                let context = context.clone();
                thread::spawn(move || {
                    let mut sender = context.connect_sender(NAME).unwrap();
                    for sequence in 0..100u8 {
                        sender.send(&[number, sequence]).unwrap();
                    }
                })
            })
            .collect();
        let mut receiver = early.unwrap_or_else(|| {
            threads.iter().for_each(|thread| {
                // Each can send its hundred before there is a receiver.
                while !thread.is_finished() {
                    thread::yield_now();
                }
            });
            context.bind_receiver(NAME).unwrap()
        });
        let mut next = [0u8; 30];
        let mut received = 0;
        while received < 30 * 100 {
            // The senders come and go, and there may be none for a moment.
            match receiver.recv() {
                Ok(&[number, sequence]) => {
                    assert_eq!(next[usize::from(number)], sequence);
                    next[usize::from(number)] += 1;
                    received += 1;
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => receiver = context.bind_receiver(NAME).unwrap(),
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn fifty_pairs_bind_and_connect_at_the_same_moment() {
    let context = Context::new();
    let barrier = Arc::new(Barrier::new(100));
    let threads: Vec<_> = (0..100u8)
        .map(|number| {
            let (context, barrier) = (context.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                let name = format!("{NAME} {}", number / 2);
                barrier.wait();
                if number % 2 == 0 {
                    let mut pair = context.bind(&name).unwrap();
                    assert_eq!(pair.recv().unwrap(), [number + 1]);
                    pair.send(&[number]).unwrap();
                } else {
                    let mut pair = context.connect(&name).unwrap();
                    pair.send(&[number]).unwrap();
                    assert_eq!(pair.recv().unwrap(), [number - 1]);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn fifty_senders_and_receivers_bind_and_connect_at_the_same_moment() {
    let context = Context::new();
    let barrier = Arc::new(Barrier::new(100));
    let threads: Vec<_> = (0..100u8)
        .map(|number| {
            let (context, barrier) = (context.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                let name = format!("{NAME} {}", number / 2);
                barrier.wait();
                if number % 2 == 0 {
                    assert_eq!(context.bind_receiver(&name).unwrap().recv().unwrap(), [number + 1]);
                } else {
                    context.connect_sender(&name).unwrap().send(&[number]).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Both sides fall asleep again and again, at the mark and at nothing: a lost wake-up hangs this.
#[test]
fn no_wake_up_is_lost() {
    for waiting in [Waiting::Block, Waiting::Adaptive] {
        for mark in [1, 2, 7] {
            let context = Context::new();
            let options =
                context.options().waiting(waiting).send_high_water_mark(mark).recv_high_water_mark(mark);
            let mut receiver = options.bind_receiver(NAME).unwrap();
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let mut sender = options.connect_sender(NAME).unwrap();
                    thread::spawn(move || {
                        for number in 0..5_000u32 {
                            sender.send(&number.to_ne_bytes()).unwrap();
                        }
                    })
                })
                .collect();
            let sum = (0..3 * 5_000)
                .map(|_| u64::from(u32::from_ne_bytes(receiver.recv().unwrap().try_into().unwrap())))
                .sum::<u64>();
            assert_eq!(sum, 3 * (0..5_000).sum::<u64>());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    }
}

#[test]
fn no_wake_up_is_lost_there_and_back() {
    for waiting in [Waiting::Block, Waiting::Adaptive] {
        let context = Context::new();
        let options = context.options().waiting(waiting);
        let mut binder = options.bind(NAME).unwrap();
        let mut connector = options.connect(NAME).unwrap();
        let echo = thread::spawn(move || {
            while let Ok(message) = binder.recv_vec() {
                binder.send(&message).unwrap();
            }
        });
        for number in 0..10_000u32 {
            connector.send(&number.to_ne_bytes()).unwrap();
            assert_eq!(connector.recv().unwrap(), number.to_ne_bytes());
        }
        drop(connector);
        echo.join().unwrap();
    }
}

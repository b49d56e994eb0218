//! The end of a context: who waits is woken, who calls is told, and `term` waits for all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{start, until};
use ipc_inproc::{Context, ErrorKind, Receiver, Result, Sender, Waiting};
use std::fmt::Debug;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

const NAME: &str = "inproc://shutdown";

#[track_caller]
fn terminated<T: Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Terminated, "{error}");
}

#[test]
fn calls_that_wait_wake_with_terminated() {
    for policy in [Waiting::Adaptive, Waiting::Block, Waiting::Spin] {
        let context = Context::new();
        let options = context.options().waiting(policy).send_high_water_mark(1).recv_high_water_mark(1);
        let (mut no_peer_tx, mut no_peer_rx) = options.bind("inproc://no peer").unwrap().split();
        let (mut early_tx, mut early_rx) = options.connect("inproc://early").unwrap().split();
        let (mut full_tx, mut idle_rx) = options.bind(NAME).unwrap().split();
        let _peer = options.connect(NAME).unwrap();
        let mut receiver = options.bind_receiver("inproc://many").unwrap();
        early_tx.send(b"x").unwrap();
        full_tx.send_batch(&[b"x", b"x"], ipc_inproc::Wait::Forever).unwrap();
        let waiting = [
            start(move || no_peer_tx.send(b"x")),
            start(move || no_peer_rx.recv().map(drop)),
            start(move || early_tx.send(b"x")),
            start(move || early_rx.recv().map(drop)),
            start(move || full_tx.send(b"x")),
            start(move || idle_rx.recv().map(drop)),
            start(move || receiver.recv().map(drop)),
        ];
        // Who spins never sleeps.
        if policy != Waiting::Spin {
            until("all sleep", || waiting.iter().all(|(task, _)| task.sleeps()));
        }
        context.shutdown();
        until("all are woken", || waiting.iter().all(|(_, thread)| thread.is_finished()));
        for (_, thread) in waiting {
            terminated(thread.join().unwrap());
        }
    }
}

#[test]
fn every_call_after_shutdown_is_told_even_if_there_is_a_message() {
    let context = Context::new();
    let mut binder = context.bind(NAME).unwrap();
    let mut connector = context.connect(NAME).unwrap();
    connector.send(b"unread").unwrap();
    assert!(!context.is_shut_down());
    context.shutdown();
    context.shutdown();
    assert!(context.is_shut_down());
    for _ in 0..2 {
        terminated(binder.recv().map(<[u8]>::to_vec));
        terminated(binder.try_recv().map(<[u8]>::to_vec));
        terminated(connector.send(b"x"));
        terminated(connector.send_batch(&[b"x"], ipc_inproc::Wait::Never));
    }
    terminated(binder.bind("inproc://another"));
    terminated(binder.unbind(NAME));
    terminated(context.bind(NAME));
    terminated(context.connect(NAME));
    terminated(context.clone().bind_receiver(NAME));
    terminated(context.connect_sender(NAME));
}

#[test]
fn term_waits_until_everything_is_closed() {
    let context = Context::new();
    let (sender, receiver) = context.bind(NAME).unwrap().split();
    let connector = context.connect(NAME).unwrap();
    let many = context.bind_receiver("inproc://many").unwrap();
    let early = context.connect_sender("inproc://early").unwrap();
    let still_open = |context: &Context| {
        let error = context.term_timeout(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    };
    still_open(&context);
    drop((connector, many));
    still_open(&context);
    drop((receiver, early));
    still_open(&context);
    let (done, ended) = mpsc::channel();
    let terminating = context.clone();
    let thread = thread::spawn(move || {
        terminating.term();
        done.send(()).unwrap();
    });
    assert!(ended.try_recv().is_err());
    drop(sender);
    ended.recv().unwrap();
    thread.join().unwrap();
    context.term();
    context.term_timeout(Duration::ZERO).unwrap();
}

#[test]
fn connect_then_bind_then_term() {
    let context = Context::new();
    let mut connector = context.connect(NAME).unwrap();
    connector.send(b"foobar").unwrap();
    let binder = context.bind(NAME).unwrap();
    drop((connector, binder));
    context.term();
}

#[test]
fn shutdown_while_a_connection_waits_for_its_bind() {
    let context = Context::new();
    let mut pending = context.connect(NAME).unwrap();
    pending.send(b"foobar").unwrap();
    drop(context.connect("inproc://other").unwrap());
    let terminating = context.clone();
    let term = thread::spawn(move || terminating.term());
    terminated(pending.recv().map(<[u8]>::to_vec));
    terminated(pending.send(b"x"));
    drop(pending);
    term.join().unwrap();
}

#[test]
fn what_was_left_for_a_bind_that_never_came_does_not_hold_up_term() {
    let context = Context::new();
    context.connect(NAME).unwrap().send(b"left behind").unwrap();
    context.connect_sender("inproc://other").unwrap().send(b"left behind").unwrap();
    context.term();
}

#[test]
fn a_context_goes_on_while_something_is_open_though_its_handles_are_gone() {
    let context = Context::new();
    let mut binder = context.bind(NAME).unwrap();
    let mut connector = context.connect(NAME).unwrap();
    drop(context);
    connector.send(b"alive").unwrap();
    assert_eq!(binder.recv().unwrap(), b"alive");
}

#[test]
fn shutdown_in_the_middle_of_everything_again_and_again() {
    for _ in 0..20 {
        let context = Context::new();
        let barrier = Arc::new(Barrier::new(30 + 1));
        let threads: Vec<_> = (0..30)
            .map(|number| {
                let (context, barrier) = (context.clone(), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    let name = format!("{NAME} {}", number / 3);
                    loop {
                        // Three threads want each name, in any order and any role.
                        let met = match number % 3 {
                            0 => context.bind(&name).and_then(|mut pair| pair.recv().map(drop)),
                            _ => context.connect(&name).and_then(|mut pair| pair.send(b"hello")),
                        };
                        match met.map_err(|error| error.kind()) {
                            Err(ErrorKind::Terminated) => return,
                            Ok(()) | Err(ErrorKind::Busy | ErrorKind::Disconnected) => {}
                            Err(kind) => panic!("{kind}"),
                        }
                    }
                })
            })
            .collect();
        barrier.wait();
        context.term();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn an_unbind_that_a_shutdown_overtakes_is_terminated() {
    for _ in 0..200 {
        let context = Context::new();
        let barrier = Arc::new(Barrier::new(8 + 1));
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (context, barrier) = (context.clone(), Arc::clone(&barrier));
                thread::spawn(move || {
                    let name = format!("{NAME} {number}");
                    let mut pair = context.bind(&name).unwrap();
                    barrier.wait();
                    loop {
                        if let Err(error) = pair.unbind(&name).and_then(|()| pair.bind(&name)) {
                            return error;
                        }
                    }
                })
            })
            .collect();
        barrier.wait();
        context.shutdown();
        threads.into_iter().for_each(|thread| terminated(Err::<(), _>(thread.join().unwrap())));
    }
}

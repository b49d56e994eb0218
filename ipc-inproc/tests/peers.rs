//! Who talks to whom: before bind, after close, the third, and the next.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{start, until};
use ipc_inproc::{Context, ErrorKind, Receiver, Result, Sender};
use std::fmt::Debug;
use std::thread;
use std::time::Duration;

const NAME: &str = "inproc://peers";
const SHORT: Duration = Duration::from_millis(5);

#[track_caller]
fn fails<T: Debug>(result: Result<T>, kind: ErrorKind) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
}

#[test]
fn bind_then_connect() {
    let context = Context::new();
    let mut binder = context.bind(NAME).unwrap();
    let mut connector = context.connect(NAME).unwrap();
    connector.send(b"there").unwrap();
    assert_eq!(binder.recv().unwrap(), b"there");
    binder.send(b"back").unwrap();
    assert_eq!(connector.recv().unwrap(), b"back");
}

#[test]
fn connect_then_bind_and_what_was_sent_before_arrives() {
    let context = Context::new();
    let mut connector = context.connect(NAME).unwrap();
    connector.send(b"one").unwrap();
    connector.send(b"").unwrap();
    let mut binder = context.bind(NAME).unwrap();
    connector.send(b"three").unwrap();
    assert_eq!(binder.recv().unwrap(), b"one");
    assert_eq!(binder.recv().unwrap(), b"");
    assert_eq!(binder.recv().unwrap(), b"three");
    binder.send(b"back").unwrap();
    assert_eq!(connector.recv().unwrap(), b"back");
}

#[test]
fn connect_send_close_then_bind_and_it_is_delivered() {
    let context = Context::new();
    context.connect(NAME).unwrap().send(b"a legacy").unwrap();
    let mut binder = context.bind(NAME).unwrap();
    assert_eq!(binder.recv().unwrap(), b"a legacy");
    fails(binder.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);

    context.connect_sender(NAME).unwrap().send(b"another").unwrap();
    context.connect_sender(NAME).unwrap().send(b"and one more").unwrap();
    let mut receiver = context.bind_receiver(NAME).unwrap();
    assert_eq!(receiver.recv().unwrap(), b"another");
    assert_eq!(receiver.recv().unwrap(), b"and one more");
    fails(receiver.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
}

#[test]
fn ten_senders_that_connect_before_bind_are_all_heard() {
    let context = Context::new();
    let mut senders: Vec<_> = (0..10).map(|_| context.connect_sender(NAME).unwrap()).collect();
    for sender in &mut senders {
        sender.send(b"foobar").unwrap();
    }
    let mut receiver = context.bind_receiver(NAME).unwrap();
    for _ in 0..10 {
        assert_eq!(receiver.recv().unwrap(), b"foobar");
    }
    fails(receiver.try_recv().map(<[u8]>::to_vec), ErrorKind::WouldBlock);
}

#[test]
fn without_a_peer_a_bound_pair_waits_and_is_not_closed() {
    let context = Context::new();
    let mut binder = context.bind(NAME).unwrap();
    fails(binder.try_send(b"x"), ErrorKind::WouldBlock);
    fails(binder.send_timeout(b"x", SHORT), ErrorKind::TimedOut);
    fails(binder.try_recv().map(<[u8]>::to_vec), ErrorKind::WouldBlock);
    fails(binder.recv_timeout(SHORT).map(<[u8]>::to_vec), ErrorKind::TimedOut);
    let mut receiver = context.bind_receiver("inproc://receiver").unwrap();
    fails(receiver.recv_timeout(SHORT).map(<[u8]>::to_vec), ErrorKind::TimedOut);
}

#[test]
fn a_pair_that_waits_for_its_peer_goes_on_when_it_comes() {
    let context = Context::new();
    let (mut sender, mut receiver) = context.bind(NAME).unwrap().split();
    let sending = thread::spawn(move || sender.send(b"welcome"));
    let receiving = thread::spawn(move || receiver.recv_vec());
    let mut connector = context.connect(NAME).unwrap();
    assert_eq!(connector.recv().unwrap(), b"welcome");
    connector.send(b"thanks").unwrap();
    sending.join().unwrap().unwrap();
    assert_eq!(receiving.join().unwrap().unwrap(), b"thanks");
}

#[test]
fn the_third_peer_is_told_busy_and_the_first_two_go_on() {
    let context = Context::new();
    let mut binder = context.bind(NAME).unwrap();
    let mut connector = context.connect(NAME).unwrap();
    fails(context.connect(NAME), ErrorKind::Busy);
    connector.send(b"undisturbed").unwrap();
    fails(context.connect(NAME), ErrorKind::Busy);
    assert_eq!(binder.recv().unwrap(), b"undisturbed");
}

#[test]
fn the_second_of_two_that_connect_before_bind_is_told_busy() {
    let context = Context::new();
    let mut first = context.connect(NAME).unwrap();
    fails(context.connect(NAME), ErrorKind::Busy);
    first.send(b"first").unwrap();
    assert_eq!(context.bind(NAME).unwrap().recv().unwrap(), b"first");
}

#[test]
fn who_comes_before_the_last_peer_is_read_waits_and_nothing_is_lost() {
    let context = Context::new();
    let mut binder = context.bind(NAME).unwrap();
    for name in ["old", "next", "last but one"] {
        context.connect(NAME).unwrap().send(name.as_bytes()).unwrap();
    }
    let mut last = context.connect(NAME).unwrap();
    last.send(b"last").unwrap();
    fails(context.connect(NAME), ErrorKind::Busy);

    for name in ["old", "next", "last but one"] {
        assert_eq!(binder.recv().unwrap(), name.as_bytes());
        fails(binder.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
        binder = context.bind(NAME).unwrap();
    }
    assert_eq!(binder.recv().unwrap(), b"last");
    binder.send(b"your turn").unwrap();
    assert_eq!(last.recv().unwrap(), b"your turn");
}

#[test]
fn a_name_is_free_as_soon_as_the_end_has_been_received() {
    let context = Context::new();
    let mut old = context.bind(NAME).unwrap();
    drop(context.connect(NAME).unwrap());
    fails(context.bind(NAME), ErrorKind::AddrInUse);
    fails(old.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
    let mut new = context.bind(NAME).unwrap();
    drop(old);
    context.connect(NAME).unwrap().send(b"to the new").unwrap();
    assert_eq!(new.recv().unwrap(), b"to the new");

    let mut old = context.bind_receiver("inproc://receiver").unwrap();
    drop(context.connect_sender("inproc://receiver").unwrap());
    fails(old.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
    context.connect_sender("inproc://receiver").unwrap().send(b"to the next").unwrap();
    fails(old.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
    let mut new = context.bind_receiver("inproc://receiver").unwrap();
    drop(old);
    assert_eq!(new.recv().unwrap(), b"to the next");
}

#[test]
fn messages_of_a_peer_that_closed_are_read_and_then_it_is_disconnected() {
    let context = Context::new();
    let mut binder = context.bind(NAME).unwrap();
    let mut connector = context.connect(NAME).unwrap();
    connector.send(b"one").unwrap();
    connector.send(b"two").unwrap();
    drop(connector);
    fails(binder.send(b"too late"), ErrorKind::Disconnected);
    assert_eq!(binder.recv().unwrap(), b"one");
    assert_eq!(binder.recv().unwrap(), b"two");
    for _ in 0..3 {
        fails(binder.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
        fails(binder.try_recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
        fails(binder.send(b"x"), ErrorKind::Disconnected);
    }
}

#[test]
fn a_sender_that_sleeps_when_its_peer_closes_wakes_with_disconnected() {
    let context = Context::new();
    let options = context.options().send_high_water_mark(1).recv_high_water_mark(1);
    let binder = options.bind(NAME).unwrap();
    let receiver = options.bind_receiver("inproc://many").unwrap();
    let mut connector = options.connect(NAME).unwrap();
    let mut sender = options.connect_sender("inproc://many").unwrap();
    for message in [b"1", b"2"] {
        connector.send(message).unwrap();
        sender.send(message).unwrap();
    }
    let asleep = [start(move || connector.send(b"3")), start(move || sender.send(b"3"))];
    until("both sleep", || asleep.iter().all(|(task, _)| task.sleeps()));
    drop((binder, receiver));
    until("both are woken", || asleep.iter().all(|(_, thread)| thread.is_finished()));
    for (_, thread) in asleep {
        fails(thread.join().unwrap(), ErrorKind::Disconnected);
    }
}

#[test]
fn senders_that_sleep_before_bind_go_on_at_bind() {
    let context = Context::new();
    let options = context.options().send_high_water_mark(1).recv_high_water_mark(1);
    let mut connector = options.connect(NAME).unwrap();
    connector.send(b"1").unwrap();
    let mut asleep = vec![start(move || connector.send(b"2"))];
    for _ in 0..3 {
        let mut sender = options.connect_sender("inproc://many").unwrap();
        sender.send(b"1").unwrap();
        fails(sender.try_send(b"2"), ErrorKind::WouldBlock);
        asleep.push(start(move || sender.send(b"2")));
    }
    until("all sleep", || asleep.iter().all(|(task, _)| task.sleeps()));
    let _binder = options.bind(NAME).unwrap();
    let _receiver = options.bind_receiver("inproc://many").unwrap();
    until("all are woken", || asleep.iter().all(|(_, thread)| thread.is_finished()));
    for (_, thread) in asleep {
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn a_half_that_is_dropped_before_the_peer_comes_is_noticed_by_it() {
    let context = Context::new();
    let (sender, mut receiver) = context.bind(NAME).unwrap().split();
    drop(sender);
    let mut connector = context.connect(NAME).unwrap();
    fails(connector.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
    connector.send(b"one way").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"one way");

    let (mut sender, receiver) = context.bind("inproc://other").unwrap().split();
    drop(receiver);
    let mut connector = context.connect("inproc://other").unwrap();
    fails(connector.send(b"x"), ErrorKind::Disconnected);
    sender.send(b"one way").unwrap();
    assert_eq!(connector.recv().unwrap(), b"one way");
}

#[test]
fn a_panic_in_one_thread_is_disconnected_in_the_other_and_the_context_goes_on() {
    let context = Context::new();
    let mut binder = context.bind(NAME).unwrap();
    let theirs = context.clone();
    let thread = thread::spawn(move || {
        let mut connector = theirs.connect(NAME).unwrap();
        connector.send(b"last words").unwrap();
        // As a panic, but without its message on standard error.
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(thread.join().is_err());
    assert_eq!(binder.recv().unwrap(), b"last words");
    fails(binder.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
    let _next = context.bind(NAME).unwrap();
    context.connect(NAME).unwrap().send(b"as ever").unwrap();
}

#[test]
fn a_sender_may_come_late_and_a_receiver_is_closed_only_when_the_last_has_gone() {
    let context = Context::new();
    let mut receiver = context.bind_receiver(NAME).unwrap();
    let first = context.connect_sender(NAME).unwrap();
    let mut second = context.connect_sender(NAME).unwrap();
    drop(first);
    fails(receiver.try_recv().map(<[u8]>::to_vec), ErrorKind::WouldBlock);
    second.send(b"second").unwrap();
    drop(second);
    // The last one has gone, but another comes before the receiver has noticed.
    let mut third = context.connect_sender(NAME).unwrap();
    third.send(b"third").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"second");
    assert_eq!(receiver.recv().unwrap(), b"third");
    fails(receiver.try_recv().map(<[u8]>::to_vec), ErrorKind::WouldBlock);
    drop(third);
    fails(receiver.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
}

/// The two halves learn of a peer that comes and goes each for itself, in any order.
#[test]
fn a_half_that_has_not_seen_its_peer_is_told_of_its_end_and_not_that_nobody_came() {
    let visit = |number: u32| {
        let context = Context::new();
        for _ in 0..25 {
            let (mut sender, mut receiver) = context.bind(NAME).unwrap().split();
            let sending = thread::spawn(move || {
                loop {
                    match sender.try_send(b"hello").map_err(|error| error.kind()) {
                        Ok(()) | Err(ErrorKind::WouldBlock) => {}
                        Err(kind) => return kind,
                    }
                }
            });
            // Not before the other half is busy looking.
            (0..number).for_each(|_| thread::yield_now());
            drop(context.connect(NAME).unwrap());
            fails(receiver.recv().map(<[u8]>::to_vec), ErrorKind::Disconnected);
            assert_eq!(sending.join().unwrap(), ErrorKind::Disconnected);
        }
    };
    // More than there are processors, so that a half is interrupted wherever it is.
    thread::scope(|scope| (0..8).for_each(|number| _ = scope.spawn(move || visit(number))));
}

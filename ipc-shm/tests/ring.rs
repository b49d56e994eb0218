//! The ring as its users see it: messages of every length, sleeping and waking, messages in place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)]

#[path = "ring_common/mod.rs"]
mod common;

use common::{Child, kind, name};
use ipc_shm::{ErrorKind, Receiver, Ring, Segment, Sender, ShmPair, Wait};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    match task.as_str() {
        "answer" => {
            let mut pair = ShmPair::connect(&name).unwrap();
            while let Ok(question) = pair.recv_vec() {
                match question.as_slice() {
                    b"" => pair.send(&pair.stats().1.sleeps.to_le_bytes()).unwrap(),
                    question => pair.send(question).unwrap(),
                }
            }
        }
        other => panic!("no such task: {other}"),
    }
}

#[test]
fn who_sleeps_is_woken_across_processes_at_once() {
    const TURNS: u32 = 200;
    let name = format!("{}?waiting=block", name());
    let mut pair = ShmPair::bind(&name).unwrap();
    let _child = Child::start("answer", &name);
    let mut turn = |number: u32| {
        pair.send(&number.to_le_bytes()).unwrap();
        assert_eq!(pair.recv().unwrap(), number.to_le_bytes());
    };
    turn(0); // the child has come
    let started = Instant::now();
    (0..TURNS).for_each(&mut turn);
    // A sleeper that only looked again by itself would sleep for 40 milliseconds in each turn.
    assert!(started.elapsed() < TURNS * Duration::from_millis(40) / 8, "{:?}", started.elapsed());
    // Where both share a processor, who is woken may answer before the other has lain down.
    pair.send(b"").unwrap();
    let theirs = u64::from_le_bytes(pair.recv().unwrap().try_into().unwrap());
    assert!(pair.stats().1.sleeps + theirs >= u64::from(TURNS / 2), "they did not sleep");
}

#[test]
fn a_lost_wake_up_costs_a_short_delay() {
    const CONSUMER_WAITS: usize = 1024 + 128;
    let ring = Ring::one_way(4096).unwrap();
    let memory = Segment::from_fd(ring.try_clone_fd().unwrap()).unwrap();
    let waits = memory.atomic_u64(CONSUMER_WAITS).unwrap();
    let (mut sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    common::receives_without_being_woken(waits, &mut sender, receiver);
}

#[test]
fn a_lost_wake_up_costs_a_sender_a_short_delay() {
    const PRODUCER_WAITS: usize = 1024 + 136;
    let ring = Ring::one_way(4096).unwrap();
    let memory = Segment::from_fd(ring.try_clone_fd().unwrap()).unwrap();
    let waits = memory.atomic_u64(PRODUCER_WAITS).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    while sender.try_send(&[1; 500]).is_ok() {}
    let sending = common::asleep(move || (sender.send(&[2; 500]), Instant::now()));
    // As if the receiver had been killed between clearing the word and waking, but had read everything.
    waits.store(0, Relaxed);
    while receiver.try_recv().is_ok_and(|message| message[0] == 1) {}
    let read = Instant::now();
    let (sent, at) = sending.join().unwrap();
    sent.unwrap();
    assert!(at.saturating_duration_since(read) < Duration::from_millis(100));
}

#[test]
fn a_full_ring_has_room_again_when_a_few_messages_were_read() {
    let ring = Ring::one_way(1 << 16).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for _ in 0..3 {
        while sender.try_send(&[1; 100]).is_ok() {}
        assert_eq!(sender.try_send(&[1; 100]).unwrap_err().kind(), ErrorKind::WouldBlock);
        // One to make room, and as much as may have to be left free at the end of the ring.
        for _ in 0..3 {
            receiver.recv().unwrap();
        }
        sender.try_send(&[1; 100]).unwrap();
    }
    while sender.try_send(&[1; 100]).is_ok() {}
    let timeout = Duration::from_millis(60);
    assert_eq!(sender.send_timeout(&[1; 100], timeout).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn messages_of_every_length_pass_a_ring_that_is_shorter() {
    let ring = Ring::one_way(4096).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let lengths = || (0..12_000usize).step_by(13).chain(1000..1100).chain(2000..2100).chain(4050..4150);
    let message = |length: usize| (0..length).map(|at| (at * 31 + length) as u8).collect::<Vec<_>>();
    let sending = std::thread::spawn(move || {
        for length in lengths() {
            sender.send(&message(length)).unwrap();
        }
        sender
    });
    for length in lengths() {
        assert!(receiver.recv().unwrap() == message(length), "{length} bytes");
    }
    let stats = sending.join().unwrap().stats();
    assert_eq!(stats.messages, lengths().count() as u64);
    assert_eq!(stats.bytes, lengths().sum::<usize>() as u64);
    assert_eq!(stats.peer_pid, Some(std::process::id()));
    let received = receiver.stats();
    assert_eq!((received.messages, received.bytes), (stats.messages, stats.bytes));
}

#[test]
fn a_message_cut_short_by_its_deadline_goes_on_at_the_next_call() {
    let ring = Ring::one_way(4096).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let long: Vec<u8> = (0..100_000).map(|at: u32| at as u8).collect();
    sender.try_send(&long).expect("a part is on its way, so it is accepted");
    assert_eq!(sender.try_send(b"no").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(sender.flush(Wait::Never).unwrap_err().kind(), ErrorKind::WouldBlock);
    let receiving = std::thread::spawn(move || {
        let long = receiver.recv_vec().unwrap();
        (long, receiver.recv_vec().unwrap())
    });
    sender.send(b"next").unwrap();
    assert_eq!(receiving.join().unwrap(), (long, b"next".to_vec()));
}

#[test]
fn a_loan_is_written_and_a_message_read_in_place() {
    let ring = Ring::one_way(1 << 16).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for length in [0, 1, 8, 100, sender.max_loan()] {
        // SAFETY: the other end is this test's, and does not touch what is lent.
        let mut loan = unsafe { sender.loan(length, Wait::Never) }.unwrap();
        loan.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
        loan.commit();
        // SAFETY: as above.
        let message = unsafe { receiver.borrow(Wait::Never) }.unwrap();
        assert_eq!(message.len(), length);
        assert!(message.iter().enumerate().all(|(at, byte)| *byte == at as u8));
        assert_eq!(message.as_ptr().addr() % 8, 0);
    }
    // SAFETY: as above.
    let _not_committed = unsafe { sender.loan(10, Wait::Never) }.unwrap();
    assert_eq!(kind(receiver.try_recv()), ErrorKind::WouldBlock);
    let beyond = sender.max_loan() + 1;
    // SAFETY: as above.
    let error = unsafe { sender.loan(beyond, Wait::Never) }.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    sender.try_send(&vec![0; 40_000]).unwrap();
    // SAFETY: as above.
    let error = unsafe { receiver.borrow(Wait::Never) }.map(|message| message.len()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(receiver.recv().unwrap().len(), 40_000);
}

#[test]
fn the_longest_loan_may_wait_until_the_receiver_looks_again() {
    let ring = Ring::one_way(4096).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    // To just beyond the middle, where the longest no longer fits before the end.
    for _ in 0..19 {
        sender.send(&[1; 100]).unwrap();
        receiver.recv().unwrap();
    }
    // SAFETY: the other end is this test's, and does not touch what is lent.
    let mut is_there = |length| unsafe { sender.loan(length, Wait::Never) }.is_ok();
    assert!(is_there(4096 * 3 / 8) && !is_there(2040));
    assert_eq!(kind(receiver.try_recv()), ErrorKind::WouldBlock);
    assert!(is_there(2040));
}

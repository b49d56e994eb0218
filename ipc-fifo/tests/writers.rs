//! Many writers, some of them killed: no message is torn, and none is lost but the one that a killed writer
//! was at.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Place, Role, done, pause, tell};
use ipc_fifo::{ErrorKind, FifoReceiver, FifoSender, Receiver, Sender, Wait};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// No writer takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Not a test: what the children of the tests do.
#[test]
fn role() {
    let Some((role, argument)) = common::role() else { return };
    let (writer, endpoint) = argument.split_once(' ').unwrap();
    let traffic = Traffic::new();
    let mut sender = FifoSender::connect_within(endpoint, Wait::Forever).unwrap();
    let mut message = Vec::new();
    let mut send = |number: u32, length: Option<usize>| {
        traffic.write(&mut message, writer.parse().unwrap(), number, length);
        sender.send(&message).unwrap();
    };
    match role.as_str() {
        "sizes until told to stop" => {
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    pause();
                    stop.store(true, Ordering::Relaxed);
                });
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    send(number, None);
                    number += 1;
                }
                tell(&number.to_string());
            });
        }
        "3,000 of 5,000 bytes" => (0..3000).for_each(|number| send(number, Some(5000))),
        "one of 100,000 bytes" => send(0, Some(100_000)),
        _ => panic!("there is no role {role}"),
    }
    drop(sender);
    done();
}

/// What the messages hold: a byte for the writer, then bytes that only its message of that number has.
struct Traffic {
    noise: Vec<u8>,
}

impl Traffic {
    const LONGEST: usize = 1 << 20;

    fn new() -> Traffic {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        Traffic { noise: (0..Traffic::LONGEST / 4).flat_map(|_| next().to_le_bytes()).collect() }
    }

    /// From 1 byte to 1 MiB, small ones as often as large ones.
    fn length(writer: u8, number: u32) -> usize {
        let random = mix(u64::from(writer) << 32 | u64::from(number));
        let most = 1_usize << (random % 21);
        1 + (random >> 32) as usize % most
    }

    fn write(&self, message: &mut Vec<u8>, writer: u8, number: u32, length: Option<usize>) {
        let length = length.unwrap_or_else(|| Traffic::length(writer, number));
        let start = mix(u64::from(number) << 8 | u64::from(writer)) as usize % Traffic::LONGEST;
        message.clear();
        message.push(writer);
        message.extend_from_slice(&self.noise[start..start + length - 1]);
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 1
}

/// Checks that the messages of each writer come whole and in order.
struct Checker {
    traffic: Traffic,
    expected: Vec<u8>,
    next: HashMap<u8, u32>,
}

impl Checker {
    fn new() -> Checker {
        Checker { traffic: Traffic::new(), expected: Vec::new(), next: HashMap::new() }
    }

    fn check(&mut self, message: &[u8], length: Option<usize>) {
        let next = self.next.entry(message[0]).or_default();
        self.traffic.write(&mut self.expected, message[0], *next, length);
        assert!(message == self.expected, "message {next} of writer {} is torn", message[0]);
        *next += 1;
    }
}

#[test]
fn a_writer_killed_100_times_costs_its_own_messages_and_no_others() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("?persist=true")).unwrap();
    let start = |writer: u8| {
        Role::start("sizes until told to stop", &format!("{writer} {}", place.endpoint("")))
    };
    let mut steady = [1, 2, 3].map(start);
    let mut checker = Checker::new();
    let mut killed_at = 0;
    for life in 0..100 {
        let victim_number = 100 + life;
        let mut victim = start(victim_number);
        // Killed when it has sent something, and some messages after; or right away.
        let patience = mix(u64::from(life) + 1) % 12;
        let mut after = 0;
        while after < patience {
            let message = receiver.recv().unwrap();
            checker.check(message, None);
            after += u64::from(checker.next.contains_key(&victim_number));
        }
        victim.kill();
        killed_at += checker.next.get(&victim_number).copied().unwrap_or_default();
    }
    steady.iter_mut().for_each(Role::close);
    // The steady ones end only when their last messages have been read.
    let sent: Vec<u32> = thread::scope(|scope| {
        let ends = steady.each_mut().map(|writer| scope.spawn(|| writer.hear().parse().unwrap()));
        while !ends.iter().all(|end| end.is_finished()) {
            match receiver.recv_timeout(Duration::from_millis(20)) {
                Ok(message) => checker.check(message, None),
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
        }
        ends.into_iter().map(|end| end.join().unwrap()).collect()
    });
    while let Ok(message) = receiver.try_recv() {
        checker.check(message, None);
    }
    for (writer, sent) in [1, 2, 3].into_iter().zip(sent) {
        assert_eq!(checker.next[&writer], sent, "messages of writer {writer}");
    }
    assert!(killed_at > 100, "the victims have sent too: {killed_at}");
    assert!((1..=100).contains(&receiver.lost()), "{} killed inside a message", receiver.lost());
    println!(
        "{killed_at} messages of victims, {} lost, steady ones {:?}",
        receiver.lost(),
        checker.next[&1]
    );
    steady.into_iter().for_each(Role::join);
}

#[test]
fn four_writers_of_5000_bytes_tear_nothing() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("?persist=true")).unwrap();
    let role = "3,000 of 5,000 bytes";
    let writers =
        [1, 2, 3, 4].map(|writer: u8| Role::start(role, &format!("{writer} {}", place.endpoint(""))));
    let mut checker = Checker::new();
    for _ in 0..4 * 3000 {
        checker.check(receiver.recv().unwrap(), Some(5000));
    }
    assert_eq!(checker.next, HashMap::from([1, 2, 3, 4].map(|writer| (writer, 3000))));
    writers.into_iter().for_each(Role::join);
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(receiver.lost(), 0);
}

#[test]
fn a_sender_that_dies_inside_a_message_shows_as_truncated_when_all_are_gone() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_millis(1)).unwrap_err().kind(), ErrorKind::TimedOut);
    // More than the FIFO holds: it will begin, and cannot finish as long as nobody reads.
    let mut writer = Role::start("one of 100,000 bytes", &format!("7 {}", place.endpoint("")));
    wait_until_readable(&receiver);
    writer.kill();
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(receiver.lost(), 1);
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn the_death_of_a_sender_is_noticed_while_others_live() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    let mut witness = FifoSender::connect(place.endpoint("")).unwrap();
    let mut writer = Role::start("one of 100,000 bytes", &format!("7 {}", place.endpoint("")));
    wait_until_readable(&receiver);
    writer.kill();
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(receiver.lost(), 1);
    witness.send(b"I saw it").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"I saw it");
    drop(witness);
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn a_writer_that_is_stopped_inside_a_message_is_not_lost_and_finishes_when_it_goes_on() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    // More than the FIFO holds: it will begin, and cannot finish as long as nobody reads.
    let mut writer = Role::start("one of 100,000 bytes", &format!("7 {}", place.endpoint("")));
    wait_until_readable(&receiver);
    writer.stop();
    // All that it has written is read, and the rest is not there.
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut checker = Checker::new();
    let others = [8, 9].map(|number: u8| {
        Role::start("one of 100,000 bytes", &format!("{number} {}", place.endpoint("")))
    });
    for _ in &others {
        checker.check(receiver.recv_timeout(PATIENCE).unwrap(), Some(100_000));
    }
    others.into_iter().for_each(Role::join);
    // Ends of other writers make the receiver look whether it is still there. It is.
    let error = receiver.recv_timeout(Duration::from_millis(50)).unwrap_err();
    assert_eq!((error.kind(), receiver.lost()), (ErrorKind::TimedOut, 0));
    assert!(!checker.next.contains_key(&7));
    writer.go_on();
    checker.check(receiver.recv_timeout(PATIENCE).unwrap(), Some(100_000));
    assert_eq!(checker.next, HashMap::from([7, 8, 9].map(|number| (number, 1))));
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(receiver.lost(), 0);
    writer.join();
}

fn wait_until_readable(receiver: &FifoReceiver) {
    use std::os::fd::AsFd;
    ipc_core::wait::sleep_until_readable(receiver.as_fd(), None).unwrap();
}

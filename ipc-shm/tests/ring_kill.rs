//! A thousand SIGKILLs at random moments, of either side, whoever made the name: no message is torn or
//! missing before the end, the end is noticed within a second, and nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "ring_common/mod.rs"]
mod common;

use common::Child;
use ipc_shm::{ErrorKind, Receiver, Result, Sender, ShmReceiver, ShmSender};
use std::time::{Duration, Instant, SystemTime};

const LIMIT: Duration = Duration::from_secs(10);
/// No end may take longer than this to be noticed.
const SECOND: Duration = Duration::from_secs(1);
/// In each of the four tests.
const KILLS: usize = 250;

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    match task.as_str() {
        "send, connected" => send_for_ever(ShmSender::connect_timeout(&name, LIMIT).unwrap()),
        "send, bound" => send_for_ever(ShmSender::bind(&name).unwrap()),
        "receive, connected" => receive_for_ever(ShmReceiver::connect_timeout(&name, LIMIT).unwrap()),
        "receive, bound" => receive_for_ever(ShmReceiver::bind(&name).unwrap()),
        other => panic!("no such task: {other}"),
    }
}

#[test]
fn killed_senders_that_connected() {
    let mut random = Random::new();
    let name = small(&common::name());
    for _ in 0..KILLS {
        let receiver = ShmReceiver::bind(&name).unwrap();
        kill_sender(Child::start("send, connected", &name), receiver, &mut random);
    }
    assert_nothing_is_left(&name);
}

#[test]
fn killed_senders_that_own_the_name() {
    let mut random = Random::new();
    let name = small(&common::name());
    for _ in 0..KILLS {
        let child = Child::start("send, bound", &name);
        let receiver = ShmReceiver::connect_timeout(&name, LIMIT).unwrap();
        kill_sender(child, receiver, &mut random);
    }
    assert_nothing_is_left(&name);
}

#[test]
fn killed_receivers_that_connected() {
    let mut random = Random::new();
    let name = small(&common::name());
    for _ in 0..KILLS {
        let sender = ShmSender::bind(&name).unwrap();
        kill_receiver(Child::start("receive, connected", &name), sender, &mut random);
    }
    assert_nothing_is_left(&name);
}

#[test]
fn killed_receivers_that_own_the_name() {
    let mut random = Random::new();
    let name = small(&common::name());
    for _ in 0..KILLS {
        let child = Child::start("receive, bound", &name);
        let sender = ShmSender::connect_timeout(&name, LIMIT).unwrap();
        kill_receiver(child, sender, &mut random);
    }
    assert_nothing_is_left(&name);
}

fn kill_sender(mut child: Child, mut receiver: ShmReceiver, random: &mut Random) {
    let mut number = 0;
    for _ in 0..1 + random.below(200) {
        assert_whole(receiver.recv_timeout(LIMIT), number);
        number += 1;
    }
    assert!(child.runs());
    child.kill_and_leave();
    loop {
        let started = Instant::now();
        let received = receiver.recv();
        assert!(started.elapsed() < SECOND);
        match received.as_ref().map_err(ipc_shm::Error::kind) {
            Ok(_) => assert_whole(received, number),
            Err(ErrorKind::Truncated) => {}
            Err(kind) => break assert_eq!(kind, ErrorKind::Disconnected),
        }
        number += 1;
    }
}

fn kill_receiver(mut child: Child, mut sender: ShmSender, random: &mut Random) {
    // Before that, messages wait in the ring for whoever comes.
    common::until("the receiver is there", || sender.stats().peer_pid.is_some());
    let mut buffer = Vec::new();
    let mut number = 0;
    for _ in 0..1 + random.below(200) {
        sender.send_timeout(fill(&mut buffer, number), LIMIT).unwrap();
        number += 1;
    }
    assert!(child.runs());
    child.kill_and_leave();
    let started = Instant::now();
    let error = loop {
        match sender.send(fill(&mut buffer, number)) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(started.elapsed() < SECOND);
}

fn send_for_ever(mut sender: ShmSender) {
    let mut buffer = Vec::new();
    for number in 0.. {
        sender.send(fill(&mut buffer, number)).unwrap();
    }
}

fn receive_for_ever(mut receiver: ShmReceiver) {
    for number in 0.. {
        assert_whole(receiver.recv(), number);
    }
}

/// The message of this number: now and then one that goes in pieces.
fn fill(buffer: &mut Vec<u8>, number: u64) -> &[u8] {
    let length = if number % 17 == 3 { 20_000 } else { number * 37 % 400 };
    buffer.clear();
    buffer.extend(number.to_le_bytes());
    buffer.extend((0..length).map(|at| (at ^ number) as u8));
    buffer
}

fn assert_whole(received: Result<&[u8]>, number: u64) {
    let mut expected = Vec::new();
    assert!(received.unwrap() == fill(&mut expected, number), "message {number} is torn");
}

/// A ring that is often full.
fn small(name: &str) -> String {
    format!("{name}?capacity=16K")
}

/// After the next open, and its end.
fn assert_nothing_is_left(name: &str) {
    drop(ShmReceiver::bind(name).unwrap());
    let name = name.trim_start_matches("shm://").split('?').next().unwrap();
    assert!(!std::path::Path::new("/dev/shm").join(name).exists());
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
        println!("seed {seed}");
        Random(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

//! A thousand SIGKILLs at random moments, of either side, whoever made the name, and some more of pairs and of
//! rings found by a System V key: no message is torn or missing before the end, the end is noticed within a
//! second, and nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "ring_common/mod.rs"]
mod common;

use common::Child;
use ipc_shm::{ErrorKind, Receiver, Result, Segment, Sender, ShmPair, ShmReceiver, ShmSender};
use std::time::{Duration, Instant, SystemTime};

const LIMIT: Duration = Duration::from_secs(10);
/// No end may take longer than this to be noticed.
const SECOND: Duration = Duration::from_secs(1);
/// In each of the four tests of a ring by name.
const KILLS: usize = 250;
/// How many of those go on at a time, as each waits for its death to be noticed, most of the time.
const LANES: usize = 5;
/// In each of two tests of pairs.
const KILLS_OF_PAIRS: usize = 50;
/// Of each side of a ring by key, whoever made it.
const KILLS_BY_KEY: usize = 25;

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    match task.as_str() {
        "send, connected" => send_for_ever(ShmSender::connect_timeout(&name, LIMIT).unwrap()),
        "send, bound" => send_for_ever(ShmSender::bind(&name).unwrap()),
        "receive, connected" => receive_for_ever(ShmReceiver::connect_timeout(&name, LIMIT).unwrap()),
        "receive, bound" => receive_for_ever(ShmReceiver::bind(&name).unwrap()),
        "both, connected" => talk_for_ever(ShmPair::connect_timeout(&name, LIMIT).unwrap()),
        "both, bound" => talk_for_ever(ShmPair::bind(&name).unwrap()),
        other => panic!("no such task: {other}"),
    }
}

#[test]
fn killed_senders_that_connected() {
    in_lanes(kill_senders_that_connected);
}

#[test]
fn killed_senders_that_own_the_name() {
    in_lanes(kill_senders_that_own_the_name);
}

#[test]
fn killed_receivers_that_connected() {
    in_lanes(kill_receivers_that_connected);
}

#[test]
fn killed_receivers_that_own_the_name() {
    in_lanes(kill_receivers_that_own_the_name);
}

#[test]
fn killed_pairs_that_connected() {
    let mut random = Random::new();
    let name = small(&common::name());
    for _ in 0..KILLS_OF_PAIRS {
        let pair = ShmPair::bind(&name).unwrap();
        kill_pair(Child::start("both, connected", &name), pair, &mut random);
    }
    assert_nothing_is_left(&name);
}

#[test]
fn killed_pairs_that_own_the_name() {
    let mut random = Random::new();
    let name = small(&common::name());
    for _ in 0..KILLS_OF_PAIRS {
        let child = Child::start("both, bound", &name);
        let pair = ShmPair::connect_timeout(&name, LIMIT).unwrap();
        kill_pair(child, pair, &mut random);
    }
    assert_nothing_is_left(&name);
}

/// One after the other, so that what is left could be told.
#[test]
fn killed_senders_and_receivers_that_meet_by_a_key() {
    let key = small(&common::names::unique_key());
    let receiver = ShmReceiver::bind(&key).unwrap();
    assert!(has_a_system_v_segment());
    drop(receiver);
    for kill_some in [
        kill_senders_that_connected,
        kill_senders_that_own_the_name,
        kill_receivers_that_connected,
        kill_receivers_that_own_the_name,
    ] {
        kill_some(&key, KILLS_BY_KEY);
        // Both had met, so that neither the key nor the memory outlives them, though one was killed.
        assert_eq!(Segment::open(&key).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!has_a_system_v_segment());
    }
}

/// All kills of a test, each lane with a name of its own.
fn in_lanes(kill_some: fn(&str, usize)) {
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let name = small(&common::name());
                kill_some(&name, KILLS / LANES);
                assert_nothing_is_left(&name);
            });
        }
    });
}

/// Whether this process has one attached; no other test here does.
fn has_a_system_v_segment() -> bool {
    std::fs::read_to_string("/proc/self/maps").unwrap().contains("/SYSV")
}

fn kill_senders_that_connected(name: &str, kills: usize) {
    let mut random = Random::new();
    for _ in 0..kills {
        let receiver = ShmReceiver::bind(name).unwrap();
        kill_sender(Child::start("send, connected", name), receiver, &mut random);
    }
}

fn kill_senders_that_own_the_name(name: &str, kills: usize) {
    let mut random = Random::new();
    for _ in 0..kills {
        let child = Child::start("send, bound", name);
        let receiver = ShmReceiver::connect_timeout(name, LIMIT).unwrap();
        kill_sender(child, receiver, &mut random);
    }
}

fn kill_receivers_that_connected(name: &str, kills: usize) {
    let mut random = Random::new();
    for _ in 0..kills {
        let sender = ShmSender::bind(name).unwrap();
        kill_receiver(Child::start("receive, connected", name), sender, &mut random);
    }
}

fn kill_receivers_that_own_the_name(name: &str, kills: usize) {
    let mut random = Random::new();
    for _ in 0..kills {
        let child = Child::start("receive, bound", name);
        let sender = ShmSender::connect_timeout(name, LIMIT).unwrap();
        kill_receiver(child, sender, &mut random);
    }
}

fn kill_sender(mut child: Child, mut receiver: ShmReceiver, random: &mut Random) {
    let mut number = 0;
    for _ in 0..1 + random.below(200) {
        assert_whole(receiver.recv_timeout(LIMIT), number);
        number += 1;
    }
    assert!(child.runs());
    child.kill_and_leave();
    read_to_the_end(&mut receiver, number);
}

/// Kills who sends and receives at once.
fn kill_pair(mut child: Child, pair: ShmPair, random: &mut Random) {
    let (mut sender, mut receiver) = pair.split();
    let mut buffer = Vec::new();
    let turns = 1 + random.below(200);
    for number in 0..turns {
        assert_whole(receiver.recv_timeout(LIMIT), number);
        sender.send_timeout(fill(&mut buffer, number), LIMIT).unwrap();
    }
    assert!(child.runs());
    child.kill_and_leave();
    // Each half notices by itself.
    std::thread::scope(|scope| {
        scope.spawn(|| read_to_the_end(&mut receiver, turns));
        send_to_the_end(&mut sender, turns);
    });
}

/// Reads what a killed sender has left.
fn read_to_the_end(receiver: &mut ShmReceiver, mut number: u64) {
    loop {
        let started = Instant::now();
        let received = receiver.recv_timeout(LIMIT);
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
    send_to_the_end(&mut sender, number);
}

/// Sends until it is noticed that the receiver was killed.
fn send_to_the_end(sender: &mut ShmSender, mut number: u64) {
    let mut buffer = Vec::new();
    let started = Instant::now();
    let error = loop {
        match sender.send_timeout(fill(&mut buffer, number), LIMIT) {
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

fn talk_for_ever(pair: ShmPair) {
    let (sender, receiver) = pair.split();
    std::thread::spawn(move || receive_for_ever(receiver));
    send_for_ever(sender);
}

/// The message of this number: now and then one that goes in pieces.
fn fill(buffer: &mut Vec<u8>, number: u64) -> &[u8] {
    let length = 8 + if number % 17 == 3 { 20_000 } else { number as usize * 37 % 400 };
    // A byte tells its place in the message, and the message; by blocks, as single bytes take ten times as long.
    let block: [u8; 256] = std::array::from_fn(|at| at as u8 ^ number as u8);
    buffer.clear();
    buffer.extend(number.to_le_bytes());
    while buffer.len() < length {
        buffer.extend(&block[..block.len().min(length - buffer.len())]);
    }
    buffer
}

fn assert_whole(received: Result<&[u8]>, number: u64) {
    let mut expected = Vec::new();
    assert!(received.unwrap() == fill(&mut expected, number), "message {number} is torn");
}

/// Of a ring that is often full.
const CAPACITY: usize = 16 << 10;

fn small(name: &str) -> String {
    format!("{name}?capacity={CAPACITY}")
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

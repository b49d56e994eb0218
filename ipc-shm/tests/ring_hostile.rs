//! A peer that writes nonsense: it costs the connection, soon, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)]

#[path = "ring_common/mod.rs"]
mod common;

use common::name;
use ipc_shm::{ErrorKind, Receiver, Ring, Segment, Sender, ShmFanIn, ShmReceiver, ShmSender, Wait};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

/// Where things lie, as the layout has it; see `src/ring/layout.rs`.
const VERSION: usize = 8;
const KIND: usize = 16;
const CAPACITY: usize = 24;
const HEAD: usize = 1024;
const DATA: usize = 4096;

const SOON: Duration = Duration::from_millis(100);

#[test]
fn a_header_full_of_nonsense_is_corrupted() {
    for (at, value) in [
        (0, 1),
        (VERSION, 2),
        (KIND, 0),
        (KIND, 3),
        (CAPACITY, 0),
        (CAPACITY, 4095),
        (CAPACITY, 12_288),
        (CAPACITY, 1 << 21),
        (CAPACITY, 1 << 63),
        (CAPACITY, u64::MAX),
    ] {
        let name = name();
        let _receiver = ShmReceiver::bind(&name).unwrap();
        write(&Segment::open(&name).unwrap(), at, value);
        let error = ShmSender::connect(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted, "{at}: {value}: {error}");
        assert!(error.to_string().contains(&name), "{error}");
    }
}

#[test]
fn a_segment_that_is_too_short_or_no_ring_is_refused() {
    for size in [1, 8, 4095, 4096, 1 << 20] {
        let name = name();
        let segment = Segment::create(&name, size).unwrap();
        let error = ShmSender::connect(&name).unwrap_err().kind();
        let expected = if size < 4096 { ErrorKind::Corrupted } else { ErrorKind::NoPeer };
        assert_eq!(error, expected, "{size} bytes of zeros");
        segment.write_at(0, &vec![b'x'; size.min(8)]).unwrap();
        assert_eq!(ShmSender::connect(&name).unwrap_err().kind(), ErrorKind::Corrupted);
        segment.write_at(0, &b"ipc-ring"[..size.min(8)]).unwrap();
        assert_eq!(ShmSender::connect(&name).unwrap_err().kind(), ErrorKind::Corrupted);
    }
}

#[test]
fn a_record_that_is_none_is_corrupted_also_while_the_receiver_sleeps() {
    const HERE: u64 = 1 << 34;
    const SKIP: u64 = 1 << 33;
    for head in [1, 100, HERE | 4089, HERE | 0xffff_ffff, HERE | SKIP | 5000, HERE << 1, u64::MAX] {
        let ring = Ring::one_way(4096).unwrap();
        let memory = open(&ring);
        let (_sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let receiving = std::thread::spawn(move || {
            let error = receiver.recv().map(|_| ()).unwrap_err();
            let still = receiver.recv().map(|_| ()).unwrap_err();
            (error, still, Instant::now())
        });
        // It says so when it is asleep.
        common::until("the receiver sleeps", || read(&memory, HEAD + 128) == 2);
        write(&memory, DATA, head);
        let written = Instant::now();
        let (error, still, noticed) = receiving.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupted, "{head:#x}");
        assert_eq!(still.kind(), ErrorKind::Corrupted);
        assert!(noticed.duration_since(written) < SOON);
    }
}

#[test]
fn what_was_corrupted_stays_so_though_the_memory_is_repaired() {
    let ring = Ring::one_way(4096).unwrap();
    let memory = open(&ring);
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    sender.send(b"first").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"first");
    sender.send(b"next").unwrap();
    let head = read(&memory, DATA + 16);
    write(&memory, DATA + 16, 1);
    // SAFETY: nothing is lent.
    let error = unsafe { receiver.borrow(Wait::Never) }.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupted);
    write(&memory, DATA + 16, head);
    assert_eq!(receiver.try_recv().map(|_| ()).unwrap_err().kind(), ErrorKind::Corrupted);
    // SAFETY: as above.
    let error = unsafe { receiver.borrow(Wait::Never) }.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupted);
}

#[test]
fn a_ring_that_says_to_skip_all_of_it_ends() {
    let ring = Ring::one_way(4096).unwrap();
    let memory = open(&ring);
    let (_sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    write(&memory, DATA, 0b110 << 32 | 4088);
    assert_eq!(receiver.try_recv().map(|_| ()).unwrap_err().kind(), ErrorKind::Corrupted);
}

#[test]
fn a_counter_that_overtakes_or_goes_back_is_corrupted() {
    for (first, then) in [(8, 1 << 40), (u64::MAX, 0), (1000, 8), (1001, 1001)] {
        let ring = Ring::one_way(4096).unwrap();
        let memory = open(&ring);
        let (mut sender, _receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        write(&memory, HEAD, first);
        let started = Instant::now();
        let error = loop {
            if let Err(error) = sender.send_timeout(&[1; 92], Duration::from_millis(10)) {
                match error.kind() {
                    // Only the first was to be believed.
                    ErrorKind::TimedOut => write(&memory, HEAD, then),
                    _ => break error,
                }
            }
        };
        assert_eq!(error.kind(), ErrorKind::Corrupted, "{first} then {then}");
        assert!(started.elapsed() < SOON);
        assert_eq!(sender.try_send(b"").unwrap_err().kind(), ErrorKind::Corrupted);
    }
}

#[test]
fn an_endless_message_ends_at_the_limit() {
    let name = name();
    let mut receiver = ShmReceiver::bind(format!("{name}?max_message=100")).unwrap();
    let mut sender = ShmSender::connect(&name).unwrap();
    sender.send(&[1; 100]).unwrap();
    sender.send(&[1; 101]).unwrap();
    assert_eq!(receiver.recv().unwrap(), [1; 100]);
    for _ in 0..2 {
        assert_eq!(receiver.recv().map(|_| ()).unwrap_err().kind(), ErrorKind::MessageTooLarge);
    }
}

#[test]
fn noise_over_a_live_ring_ends_every_call_in_time() {
    let mut random = Random::new();
    let timeout = Duration::from_millis(30);
    for _ in 0..150 {
        let ring = Ring::one_way(4096).unwrap();
        let memory = open(&ring);
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                for turn in 0..2000 {
                    let message = [turn as u8; 3000];
                    let started = Instant::now();
                    let sent = sender.send_timeout(&message[..turn * 7 % 3000], timeout);
                    assert!(started.elapsed() < timeout + SOON * 5);
                    if sent.is_err_and(|error| is_final(error.kind())) {
                        break;
                    }
                    if done.load(Relaxed) {
                        break;
                    }
                }
            });
            let receiving = scope.spawn(|| {
                for _ in 0..2000 {
                    let started = Instant::now();
                    let received = receiver.recv_timeout(timeout).map(|_| ());
                    assert!(started.elapsed() < timeout + SOON * 5);
                    if received.is_err_and(|error| is_final(error.kind())) || done.load(Relaxed) {
                        break;
                    }
                }
            });
            for _ in 0..200 {
                let at = random.next() as usize % (memory.len() / 8) * 8;
                let value = random.value();
                write(&memory, at, value);
                if value.is_multiple_of(3) {
                    write(&memory, HEAD, value);
                }
                std::thread::yield_now();
            }
            done.store(true, Relaxed);
            sending.join().unwrap();
            receiving.join().unwrap();
        });
    }
}

#[test]
fn a_sender_of_many_that_writes_nonsense_disturbs_no_other() {
    let mut random = Random::new();
    let name = name();
    let mut receiver = ShmFanIn::bind(format!("{name}?capacity=4K"), 3).unwrap();
    let mut honest = ShmFanIn::connect(&name).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scribbling = scope.spawn(|| {
            while !done.load(Relaxed) {
                // Its place, and its memory, are made anew each time.
                let Ok(mut sender) = ShmFanIn::connect(&name) else { continue };
                let memory = Segment::open(sender.endpoint()).unwrap();
                for _ in 0..50 {
                    let at = random.next() as usize % (memory.len() / 8) * 8;
                    write(&memory, at, random.value());
                    write(&memory, DATA + at % 64, random.value());
                    let _ = sender.try_send(b"noise");
                }
            }
        });
        let sending = scope.spawn(move || {
            for number in 0..300 {
                honest.send_timeout(format!("honest {number}").as_bytes(), 100 * SOON).unwrap();
                if number % 10 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            honest
        });
        let mut number = 0;
        while number < 300 {
            let message = receiver.recv_timeout(100 * SOON).unwrap();
            if message == format!("honest {number}").as_bytes() {
                number += 1;
            } else {
                assert!(!message.starts_with(b"honest"));
            }
        }
        done.store(true, Relaxed);
        sending.join().unwrap();
        scribbling.join().unwrap();
    });
}

fn is_final(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::TimedOut => false,
        ErrorKind::Corrupted
        | ErrorKind::Disconnected
        | ErrorKind::Truncated
        | ErrorKind::MessageTooLarge => true,
        other => panic!("{other:?}"),
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
        println!("seed {seed}");
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A wild value, or one that is nearly right.
    fn value(&mut self) -> u64 {
        let random = self.next();
        match random >> 60 {
            0..8 => random,
            8..12 => 1 << 34 | (random >> 32 & 0x1fff),
            _ => random >> 50,
        }
    }
}

fn open(ring: &Ring) -> Segment {
    Segment::from_fd(ring.try_clone_fd().unwrap()).unwrap()
}

fn read(memory: &Segment, at: usize) -> u64 {
    memory.atomic_u64(at).unwrap().load(Relaxed)
}

fn write(memory: &Segment, at: usize, value: u64) {
    memory.atomic_u64(at).unwrap().store(value, Relaxed);
}

//! A peer that writes nonsense: it costs the connection, soon, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)]

#[path = "ring_common/mod.rs"]
mod common;

use common::{Child, name};
use ipc_shm::{ErrorKind, Receiver, Result, Ring, Segment, Sender};
use ipc_shm::{ShmFanIn, ShmPair, ShmReceiver, ShmSender, Wait};
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::unix::fs::FileExt;
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
    const MORE: u64 = 1 << 32;
    let too_long = [HERE | 4089, HERE | 0xffff_ffff, HERE | SKIP | 5000];
    // The last is a piece of a message that brings nothing: there could be no end of them.
    for head in too_long.into_iter().chain([1, 100, HERE << 1, u64::MAX, HERE | MORE]) {
        let ring = Ring::one_way(4096).unwrap();
        let memory = open(&ring);
        let (_sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let receiving = std::thread::spawn(move || {
            let error = receiver.recv_timeout(100 * SOON).map(|_| ()).unwrap_err();
            let still = receiver.try_recv().map(|_| ()).unwrap_err();
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

/// How often a ring is filled with noise, and how often something is written to it each time.
const ROUNDS: usize = 150;
const SCRIBBLES: usize = 200;

#[test]
fn noise_over_a_live_ring_ends_every_call_in_time_and_is_noticed() {
    let mut random = Random::new();
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let ring = Ring::one_way(4096).unwrap();
        let memory = open(&ring);
        let ends = vec![(ring.sender().unwrap(), ring.receiver().unwrap())];
        seen.extend(talk_while(ends, || scribble(&memory, SCRIBBLES, &mut random)));
    }
    assert_noticed(&seen);
}

#[test]
fn noise_over_a_live_pair_ends_every_call_in_time_and_is_noticed() {
    let mut random = Random::new();
    let mut seen = Vec::new();
    for _ in 0..ROUNDS / 3 {
        let ring = Ring::both_ways(4096).unwrap();
        let memory = open(&ring);
        let (one, other) = (ring.pair().unwrap().split(), ring.pair().unwrap().split());
        let ends = vec![(one.0, other.1), (other.0, one.1)];
        seen.extend(talk_while(ends, || scribble(&memory, SCRIBBLES, &mut random)));
    }
    assert_noticed(&seen);
}

#[test]
fn noise_that_another_process_makes_over_a_ring_by_name_is_noticed() {
    let mut seen = Vec::new();
    for _ in 0..ROUNDS / 10 {
        let name = name();
        let sender = ShmSender::bind(format!("{name}?capacity=4K")).unwrap();
        let receiver = ShmReceiver::connect(&name).unwrap();
        let made = talk_while(vec![(sender, receiver)], || {
            assert!(Child::start("scribble", &name).succeeds());
        });
        seen.extend(made);
    }
    assert_noticed(&seen);
}

/// Writes noise, with what may be the next record or counter more often than the rest.
fn scribble(memory: &Segment, times: usize, random: &mut Random) {
    for _ in 0..times {
        let at = random.next() as usize % (memory.len() / 8) * 8;
        let value = random.value();
        write(memory, at, value);
        if value.is_multiple_of(3) {
            write(memory, HEAD, value);
        }
        std::thread::yield_now();
    }
}

/// What an end of a ring was told at last; `None` if it noticed nothing before the noise was over.
type Told = Option<ErrorKind>;

/// Sends and receives while `work` is done. No call may last longer than it was told to.
fn talk_while(ends: Vec<(ShmSender, ShmReceiver)>, work: impl FnOnce()) -> Vec<Told> {
    let timeout = Duration::from_millis(30);
    let done = AtomicBool::new(false);
    let done = &done;
    /// Repeats a call until it is told the end, or nobody writes noise any more.
    fn repeat(timeout: Duration, done: &AtomicBool, mut call: impl FnMut(usize) -> Result<()>) -> Told {
        let statistics = File::open("/proc/thread-self/schedstat").unwrap();
        for turn in 0.. {
            let (started, was_kept) = (Instant::now(), kept_waiting(&statistics));
            let result = call(turn);
            let (took, kept) = (started.elapsed(), kept_waiting(&statistics) - was_kept);
            assert!(took < timeout + kept + SOON, "{took:?}, of which {kept:?} without a processor");
            match result {
                Err(error) if is_final(error.kind()) => return Some(error.kind()),
                _ if done.load(Relaxed) => return None,
                _ => {}
            }
        }
        None
    }
    std::thread::scope(|scope| {
        let mut talking = Vec::new();
        for (mut sender, mut receiver) in ends {
            talking.push(scope.spawn(move || {
                repeat(timeout, done, |turn| {
                    sender.send_timeout(&[turn as u8; 3000][..turn * 7 % 3000], timeout)
                })
            }));
            talking.push(
                scope.spawn(move || {
                    repeat(timeout, done, |_| receiver.recv_timeout(timeout).map(|_| ()))
                }),
            );
        }
        work();
        done.store(true, Relaxed);
        talking.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// How long this thread, whose statistics these are, could have run, but had no processor: the second number.
fn kept_waiting(statistics: &File) -> Duration {
    let mut text = [0; 100];
    let length = statistics.read_at(&mut text, 0).unwrap();
    let text = str::from_utf8(&text[..length]).unwrap();
    Duration::from_nanos(text.split_whitespace().nth(1).unwrap().parse().unwrap())
}

/// That noise may spare what is looked at, or look like something else, is no excuse for never noticing it.
fn assert_noticed(seen: &[Told]) {
    let count = |told| seen.iter().filter(|seen| **seen == told).count();
    let (corrupted, nothing) = (count(Some(ErrorKind::Corrupted)), count(None));
    println!("of {} ends, {corrupted} noticed what it was, and {nothing} nothing", seen.len());
    assert!(corrupted > 0, "{seen:?}");
}

#[test]
fn who_waits_at_a_pair_by_name_is_told_of_another_processs_nonsense_soon() {
    for waiting in ["block", "adaptive"] {
        for nonsense in [1, u64::MAX, 1 << 34 | 0xffff_ffff] {
            let name = name();
            let control = Segment::create(format!("{name}-control"), 16).unwrap();
            let options = format!("capacity=4K&waiting={waiting}");
            let (mut sender, mut receiver) = ShmPair::bind(format!("{name}?{options}")).unwrap().split();
            write(&control, 0, nonsense);
            let _child = Child::start("write nonsense", &name);
            let told = std::thread::scope(|scope| {
                let receiving = scope
                    .spawn(move || (receiver.recv_timeout(100 * SOON).map(|_| ()).unwrap_err(), now()));
                let sending = scope.spawn(move || {
                    loop {
                        if let Err(error) = sender.send_timeout(&[1; 400], 100 * SOON) {
                            break (error, now());
                        }
                    }
                });
                [receiving, sending].map(|thread| thread.join().unwrap())
            });
            // The other process lives: it is its nonsense that was noticed.
            let written = Duration::from_nanos(read(&control, 8));
            for (error, at) in told {
                assert_eq!(error.kind(), ErrorKind::Corrupted, "{waiting}, {nonsense:#x}: {error}");
                let late = at.saturating_sub(written);
                // The same again for threads that have to wait for a processor.
                assert!(!written.is_zero() && late < 2 * SOON, "{waiting}, {nonsense:#x}: {late:?}");
            }
        }
    }
}

/// The monotonic clock, which all processes read the same.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into()
}

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    match task.as_str() {
        "scribble" => scribble(&Segment::open(&name).unwrap(), SCRIBBLES, &mut Random::new()),
        // Side B of a pair, while A waits to receive from the one ring, and to send into the other.
        "write nonsense" => {
            const A_TO_B: usize = 1024;
            const B_TO_A: usize = 2048;
            const CONSUMER_WAITS: usize = 128;
            const PRODUCER_WAITS: usize = 136;
            let _pair = ShmPair::connect(&name).unwrap();
            let (memory, control) =
                (Segment::open(&name).unwrap(), Segment::open(format!("{name}-control")).unwrap());
            common::until("both sleep", || {
                read(&memory, B_TO_A + CONSUMER_WAITS) == 2
                    && read(&memory, A_TO_B + PRODUCER_WAITS) == 2
            });
            let nonsense = read(&control, 0);
            write(&control, 8, now().as_nanos() as u64);
            write(&memory, DATA + 4096, nonsense); // the first record of the ring from B to A
            write(&memory, A_TO_B, nonsense); // how much B has given back
            common::wait_for_end_of_input();
        }
        other => panic!("no such task: {other}"),
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

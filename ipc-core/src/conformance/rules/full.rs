//! A full channel holds its sender back: nothing that was accepted is lost, nothing that was refused
//! arrives, and whoever waits for room is woken.

use crate::conformance::ends::{Background, Rx, Tx};
use crate::conformance::messages::{Random, assert_same, exchange, keeps_boundaries, longest, message};
use crate::conformance::{Placement, Setup};
use crate::{Error, ErrorKind, Receiver, Sender, Wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How long a full channel is waited for.
const SHORT: Duration = Duration::from_millis(60);

/// A channel that takes more than this is not full, it is unbounded.
const MOST_BYTES: usize = 1 << 30;

/// `try_send` on a full channel fails with `WouldBlock`; exactly the accepted messages arrive, small ones.
pub fn try_send_on_a_full_channel_would_block(setup: &Setup) {
    fill_and_read(setup, |_| 1_000, ErrorKind::WouldBlock, Wait::Never);
}

/// The same with messages that are longer than the buffers of most transports, which may have gone out in
/// part when the channel is full.
pub fn try_send_of_long_messages_on_a_full_channel_would_block(setup: &Setup) {
    fill_and_read(setup, |_| 100_000, ErrorKind::WouldBlock, Wait::Never);
}

/// The same with messages of all sizes.
pub fn try_send_of_mixed_messages_on_a_full_channel_would_block(setup: &Setup) {
    let size = |number| 500 + Random::new(number as u64).below(10_000);
    fill_and_read(setup, size, ErrorKind::WouldBlock, Wait::Never);
}

/// `send_timeout` on a full channel fails with `TimedOut`; exactly the accepted messages arrive.
pub fn send_timeout_on_a_full_channel_times_out(setup: &Setup) {
    fill_and_read(setup, |_| 1_000, ErrorKind::TimedOut, Wait::timeout(SHORT));
}

/// The same with long messages.
pub fn send_timeout_of_long_messages_on_a_full_channel_times_out(setup: &Setup) {
    fill_and_read(setup, |_| 100_000, ErrorKind::TimedOut, Wait::timeout(SHORT));
}

/// A timeout on a full channel is kept: not before its time, not long after it, whatever signals come.
pub fn send_timeout_on_a_full_channel_times_out_in_time(setup: &Setup) {
    let Some((mut tx, mut rx)) = open_if_bounded(setup) else { return };
    let length = longest(setup).min(1_000);
    let mut accepted = fill(&mut tx, |_| length, Wait::timeout(SHORT)).0;
    for storm in [false, true] {
        if storm {
            tx.brave_a_storm();
        }
        let mut timed_out = 0;
        while timed_out < 3 {
            let started = Instant::now();
            match tx.send_timeout(&message(accepted, length), SHORT) {
                // Room may turn up late, where the kernel moves bytes on by itself.
                Ok(()) => accepted += 1,
                Err(error) => {
                    let waited = started.elapsed();
                    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                    assert!(waited >= SHORT, "timed out after {waited:?}, too early for {SHORT:?}");
                    let late = waited >= setup.patience() / 2;
                    assert!(!late, "timed out after {waited:?}, too late for {SHORT:?}");
                    timed_out += 1;
                }
            }
        }
    }
    read_all(setup, tx, &mut rx, accepted, |_| length);
}

/// A batch that did not fit says truly how much of it was sent.
pub fn a_batch_on_a_full_channel_reports_what_was_sent(setup: &Setup) {
    const BATCH: usize = 48;
    let Some((mut tx, mut rx)) = open_if_bounded(setup) else { return };
    let largest = longest(setup).min(5_000);
    let size = |number| Random::new(number as u64).below(largest) + 1;
    let mut accepted = 0;
    let error = loop {
        let batch: Vec<_> =
            (accepted..accepted + BATCH).map(|number| message(number, size(number))).collect();
        let batch: Vec<_> = batch.iter().map(Vec::as_slice).collect();
        match tx.send_batch(&batch, Wait::Never) {
            Ok(sent) => {
                assert!((1..=BATCH).contains(&sent), "{sent} messages of {BATCH} were sent");
                accepted += sent;
            }
            Err(error) => break error,
        }
        assert!(accepted * largest / 2 < MOST_BYTES, "still not full");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    read_all(setup, tx, &mut rx, accepted, size);
}

/// A sender that waits for room is woken when the receiver reads.
pub fn a_blocked_send_wakes_when_the_receiver_reads(setup: &Setup) {
    let Some((mut tx, mut rx)) = open_if_bounded(setup) else { return };
    for length in [1_000, 100_000] {
        tx = block_and_read(setup, tx, &mut rx, longest(setup).min(length));
    }
}

/// Signals do not end a wait for room.
pub fn a_storm_of_signals_does_not_wake_a_blocked_send(setup: &Setup) {
    let Some((mut tx, mut rx)) = open_if_bounded(setup) else { return };
    tx.brave_a_storm();
    block_and_read(setup, tx, &mut rx, longest(setup).min(100_000));
}

/// A sender that waits for room is woken with `Disconnected` when the receiver is dropped.
pub fn a_blocked_send_wakes_when_the_receiver_is_dropped(setup: &Setup) {
    blocked_send_wakes(setup, 1_000, drop);
}

/// The same inside a message that has gone out in part.
pub fn a_blocked_send_of_a_long_message_wakes_when_the_receiver_is_dropped(setup: &Setup) {
    blocked_send_wakes(setup, 100_000, drop);
}

/// A sender that waits for room is woken with `Disconnected` when the receiver's process is killed.
pub fn a_blocked_send_wakes_when_the_receiver_is_killed(setup: &Setup) {
    if setup.placement() == Placement::ReceiverAcross {
        blocked_send_wakes(setup, 100_000, |rx| rx.kill());
    }
}

/// `flush` has nothing to do on a fresh channel, and on a full one returns once the receiver has read.
pub fn flush_waits_for_what_is_held_back(setup: &Setup) {
    let Some((mut tx, mut rx)) = open_if_bounded(setup) else { return };
    tx.flush(Wait::Never).expect("nothing is held back");
    let length = longest(setup).min(100_000);
    let (accepted, _) = fill(&mut tx, |_| length, Wait::Never);
    if let Err(error) = tx.flush(Wait::timeout(SHORT)) {
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
    let flushing = setup.background(tx, |tx| tx.flush(Wait::Forever));
    for number in 0..accepted {
        assert_same(rx.recv().expect("what was accepted arrives"), &message(number, length));
    }
    let (mut tx, flushed) = flushing.join();
    flushed.expect("everything has been read");
    tx.flush(Wait::Never).expect("nothing is held back");
    exchange(setup, tx, &mut rx, vec![message(accepted, 9)]);
}

/// What was accepted arrives though the sender is dropped right after, if the receiver goes on reading.
pub fn what_was_accepted_arrives_though_the_sender_is_dropped(setup: &Setup) {
    let Some((mut tx, mut rx)) = open_if_bounded(setup) else { return };
    let length = longest(setup).min(100_000);
    let (accepted, _) = fill(&mut tx, |_| length, Wait::Never);
    let dropping = std::thread::spawn(move || drop(tx));
    for number in 0..accepted {
        assert_same(rx.recv().expect("what was accepted arrives"), &message(number, length));
    }
    dropping.join().expect("a sender can be dropped");
    if setup.capabilities().notices_disconnect {
        let error = rx.recv().map(<[u8]>::len).expect_err("the sender is gone");
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    }
}

/// A sender that waits for room uses next to no time of a processor.
pub fn a_sender_that_waits_costs_nothing(setup: &Setup) {
    let Some((tx, mut rx)) = open_if_bounded(setup) else { return };
    let blocked = Blocked::new(setup, tx, longest(setup).min(1_000));
    super::assert_costs_nothing(&blocked.sending);
    blocked.read(&mut rx);
}

fn open_if_bounded(setup: &Setup) -> Option<(Tx, Rx)> {
    let bounded = setup.applies(setup.capabilities().bounded, "bounded");
    (bounded && keeps_boundaries(setup)).then(|| setup.open())
}

fn fill_and_read(setup: &Setup, size: impl Fn(usize) -> usize, kind: ErrorKind, wait: Wait) {
    let Some((mut tx, mut rx)) = open_if_bounded(setup) else { return };
    let longest = longest(setup);
    let size = |number| size(number).min(longest);
    let (mut accepted, error) = fill(&mut tx, size, wait);
    assert_eq!(error.kind(), kind, "{error}");
    for _ in 0..3 {
        match tx.send_within(&message(accepted, size(accepted)), renewed(wait)) {
            Ok(()) => accepted += 1,
            Err(error) => assert_eq!(error.kind(), kind, "{error}"),
        }
    }
    read_all(setup, tx, &mut rx, accepted, size);
}

/// Sends messages until one is refused, and says how many were accepted.
fn fill(tx: &mut Tx, size: impl Fn(usize) -> usize, wait: Wait) -> (usize, Error) {
    let mut bytes = 0;
    for number in 0.. {
        let length = size(number);
        if let Err(error) = tx.send_within(&message(number, length), renewed(wait)) {
            return (number, error);
        }
        bytes += length;
        assert!(bytes < MOST_BYTES, "{bytes} bytes were accepted, and nobody reads: it is not bounded");
    }
    unreachable!("there are enough numbers");
}

/// The same timeout, from now.
fn renewed(wait: Wait) -> Wait {
    if let Wait::Until(_) = wait { Wait::timeout(SHORT) } else { wait }
}

/// Fails unless exactly the accepted messages are in the channel, and it goes on behind them.
fn read_all(setup: &Setup, tx: Tx, rx: &mut Rx, accepted: usize, size: impl Fn(usize) -> usize) {
    let last = message(usize::MAX, 30);
    let behind = last.clone();
    let sending = setup.background(tx, move |tx| tx.send(&behind));
    for number in 0..accepted {
        assert_same(rx.recv().expect("what was accepted arrives"), &message(number, size(number)));
    }
    assert_same(rx.recv().expect("the channel goes on"), &last);
    let (_tx, sent) = sending.join();
    sent.expect("the channel goes on");
    let nothing = rx.try_recv().map(<[u8]>::len).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock), "nothing else was accepted");
}

/// A full channel, and a sender that waits for room in it.
struct Blocked {
    /// Sends one message after the other, and ends with their number and how the last went.
    sending: Background<Box<dyn Sender>, (usize, Result<(), Error>)>,
    /// That it shall end with the message that it is at.
    enough: Arc<AtomicBool>,
    length: usize,
}

impl Blocked {
    /// Sends until there is no room. Some channels (TCP) are full, and have room again a moment later; so
    /// it is not known beforehand which message it will be that waits.
    fn new(setup: &Setup, mut tx: Tx, length: usize) -> Blocked {
        let (accepted, _) = fill(&mut tx, |_| length, Wait::timeout(SHORT));
        let enough = Arc::new(AtomicBool::new(false));
        let is_enough = Arc::clone(&enough);
        let sending = setup.background(tx, move |tx| {
            let mut number = accepted;
            loop {
                let result = tx.send(&message(number, length));
                number += usize::from(result.is_ok());
                if result.is_err() || is_enough.load(SeqCst) {
                    return (number, result);
                }
            }
        });
        sending.until_asleep();
        Blocked { sending, enough, length }
    }

    /// Reads everything, which wakes the sender, and gives it back.
    fn read(self, rx: &mut Rx) -> Tx {
        self.enough.store(true, SeqCst);
        let mut read = 0;
        while !self.sending.is_over() {
            match rx.recv_timeout(SHORT) {
                Ok(received) => {
                    assert_same(received, &message(read, self.length));
                    read += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}"),
            }
        }
        let (tx, (sent, result)) = self.sending.join();
        result.expect("there is room now");
        for number in read..sent {
            assert_same(rx.recv().expect("what was accepted arrives"), &message(number, self.length));
        }
        tx
    }
}

/// Blocks on a full channel, and goes on when all has been read.
fn block_and_read(setup: &Setup, tx: Tx, rx: &mut Rx, length: usize) -> Tx {
    Blocked::new(setup, tx, length).read(rx)
}

fn blocked_send_wakes(setup: &Setup, length: usize, leave: fn(Rx)) {
    let noticed = setup.capabilities().notices_disconnect;
    if !setup.applies(noticed, "one that notices when the peer goes") {
        return;
    }
    let Some((tx, rx)) = open_if_bounded(setup) else { return };
    let blocked = Blocked::new(setup, tx, longest(setup).min(length));
    leave(rx);
    let (mut tx, (_, sent)) = blocked.sending.join();
    assert_eq!(sent.expect_err("the receiver is gone").kind(), ErrorKind::Disconnected);
    let error = tx.send(b"anybody there?").expect_err("the receiver is gone");
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
}

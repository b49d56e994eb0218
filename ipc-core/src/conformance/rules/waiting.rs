//! How long calls wait: not at all, so long, or until it is done.

use crate::conformance::Setup;
use crate::conformance::ends::Rx;
use crate::conformance::messages::{assert_same, exchange, keeps_boundaries, longest, message};
use crate::{ErrorKind, Receiver, Sender};
use std::time::{Duration, Instant};

/// A timeout that is long enough to be measured.
const SHORT: Duration = Duration::from_millis(60);

/// `try_recv` on a channel with nothing in it fails with `WouldBlock`, and then goes on to work.
pub fn try_recv_on_nothing_would_block(setup: &Setup) {
    let (tx, mut rx) = setup.open();
    for _ in 0..3 {
        assert_eq!(
            rx.try_recv().map(<[u8]>::len).map_err(|error| error.kind()),
            Err(ErrorKind::WouldBlock)
        );
    }
    let tx = exchange(setup, tx, &mut rx, vec![message(0, 5)]);
    assert_eq!(rx.try_recv().map(<[u8]>::len).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    drop(tx);
}

/// `recv_timeout` on a channel with nothing in it fails with `TimedOut`: not before its time, and not long
/// after it.
pub fn recv_timeout_on_nothing_times_out_in_time(setup: &Setup) {
    let (tx, mut rx) = setup.open();
    assert_times_out_in_time(setup, &mut rx);
    exchange(setup, tx, &mut rx, vec![message(0, 5)]);
}

/// A timeout of nothing fails with `TimedOut` at once, and gives a message that is there already.
pub fn a_timeout_of_nothing_takes_what_is_there(setup: &Setup) {
    let (mut tx, mut rx) = setup.open();
    let error = rx.recv_timeout(Duration::ZERO).map(<[u8]>::len).expect_err("nothing was sent");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    tx.send_timeout(b"message", Duration::ZERO).expect("there is room");
    super::until_received(setup, &mut rx, |rx| rx.recv_timeout(Duration::ZERO).map(<[u8]>::to_vec));
}

/// A receiver that waits is woken by a message.
pub fn a_blocked_recv_wakes_for_a_message(setup: &Setup) {
    let (mut tx, mut rx) = setup.open();
    for number in 0..5 {
        let waiting = setup.background(rx, |rx| rx.recv_vec());
        waiting.until_asleep();
        tx.send(&message(number, 9)).expect("a message is sent");
        let (back, received) = waiting.join();
        assert_same(&received.expect("a message arrives"), &message(number, 9));
        rx = back;
    }
}

/// A receiver that waits with a timeout is woken by a message before that.
pub fn a_recv_with_a_timeout_wakes_for_a_message(setup: &Setup) {
    let (mut tx, rx) = setup.open();
    let timeout = setup.patience() * 3;
    let waiting = setup.background(rx, move |rx| rx.recv_timeout(timeout).map(<[u8]>::to_vec));
    waiting.until_asleep();
    tx.send(b"message").expect("a message is sent");
    assert_same(&waiting.join().1.expect("a message arrives"), b"message");
}

/// What has come of a message is kept from one call to the next.
pub fn a_message_may_come_in_pieces_over_many_calls(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let (mut tx, mut rx) = setup.open();
    let length = longest(setup);
    for number in 0..4 {
        let sending = setup.background(tx, move |tx| tx.send(&message(number, length)));
        let received = super::until_received(setup, &mut rx, |rx| match number % 2 {
            0 => rx.try_recv().map(<[u8]>::to_vec),
            _ => rx.recv_timeout(Duration::from_micros(100)).map(<[u8]>::to_vec),
        });
        assert_same(&received, &message(number, length));
        let (back, sent) = sending.join();
        sent.expect("a message is sent");
        tx = back;
    }
}

pub(super) fn assert_times_out_in_time(setup: &Setup, rx: &mut Rx) {
    for _ in 0..3 {
        let started = Instant::now();
        let error = rx.recv_timeout(SHORT).map(<[u8]>::len).expect_err("nothing was sent");
        let waited = started.elapsed();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(waited >= SHORT, "timed out after {waited:?}, too early for {SHORT:?}");
        // Generous: the machine may be busy.
        assert!(waited < setup.patience() / 2, "timed out after {waited:?}, too late for {SHORT:?}");
    }
}

//! The end of a conversation is an event: what was sent is read first, then both ends know.

use crate::conformance::Setup;
use crate::conformance::ends::{Rx, Tx};
use crate::conformance::messages::{assert_same, keeps_boundaries, longest, message};
use crate::{ErrorKind, Receiver, Sender};

/// What was sent before the sender went is read first; then `Disconnected`, at every call.
pub fn what_was_sent_is_read_before_disconnected(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let Some((mut tx, mut rx)) = open_if_noticed(setup) else { return };
    for number in 0..3 {
        tx.send(&message(number, 20)).expect("a message is sent");
    }
    drop(tx);
    for number in 0..3 {
        assert_same(rx.recv().expect("what was sent is read first"), &message(number, 20));
    }
    assert_disconnected_for_good(setup, &mut rx);
}

/// The same if the sender's process was killed.
pub fn what_was_sent_is_read_though_the_sender_was_killed(setup: &Setup) {
    let Some((mut tx, mut rx)) = open_if_noticed(setup) else { return };
    if !tx.is_across() {
        return;
    }
    tx.send(b"last words").expect("a message is sent");
    tx.kill();
    assert_same(rx.recv().expect("what was sent is read first"), b"last words");
    assert_disconnected_for_good(setup, &mut rx);
}

/// A receiver that waits is woken with `Disconnected` when the sender is dropped.
pub fn a_blocked_recv_wakes_when_the_sender_is_dropped(setup: &Setup) {
    let Some((tx, rx)) = open_if_noticed(setup) else { return };
    let waiting = setup.background(rx, |rx| rx.recv_vec());
    waiting.until_asleep();
    drop(tx);
    let (mut rx, received) = waiting.join();
    assert_eq!(received.expect_err("the sender is gone").kind(), ErrorKind::Disconnected);
    assert_disconnected_for_good(setup, &mut rx);
}

/// A receiver that waits is woken with `Disconnected` when the sender's process is killed.
pub fn a_blocked_recv_wakes_when_the_sender_is_killed(setup: &Setup) {
    let Some((tx, rx)) = open_if_noticed(setup) else { return };
    if !tx.is_across() {
        return;
    }
    let waiting = setup.background(rx, |rx| rx.recv_vec());
    waiting.until_asleep();
    tx.kill();
    let (mut rx, received) = waiting.join();
    assert_eq!(received.expect_err("the sender is gone").kind(), ErrorKind::Disconnected);
    assert_disconnected_for_good(setup, &mut rx);
}

/// Sending after the receiver was dropped fails with `Disconnected`, if not at once then soon, and goes on
/// to.
pub fn send_after_the_receiver_was_dropped_fails(setup: &Setup) {
    let Some((mut tx, rx)) = open_if_noticed(setup) else { return };
    drop(rx);
    assert_send_fails_for_good(setup, &mut tx);
}

/// Sending after the receiver's process was killed fails with `Disconnected`, and goes on to.
pub fn send_after_the_receiver_was_killed_fails(setup: &Setup) {
    let Some((mut tx, rx)) = open_if_noticed(setup) else { return };
    if !rx.is_across() {
        return;
    }
    rx.kill();
    assert_send_fails_for_good(setup, &mut tx);
}

/// A sender killed in a stream of long messages costs at most the message in hand: all that is received is
/// whole, then `Truncated` at most once, then `Disconnected`. Where the end of a stream ends a message, the
/// last may be cut instead.
pub fn a_sender_killed_inside_a_message_tears_none(setup: &Setup) {
    let Some((tx, mut rx)) = open_if_noticed(setup) else { return };
    let Some(process) = tx.process().cloned() else { return };
    if !keeps_boundaries(setup) || !setup.applies(setup.capabilities().reliable, "reliable") {
        return;
    }
    let length = longest(setup).min(300_000);
    let sending = setup.background(tx, move |tx| {
        // Until the process is killed.
        (0..).find(|number| tx.send(&message(*number, length)).is_err())
    });
    for number in 0..10 {
        assert_same(rx.recv().expect("a message arrives"), &message(number, length));
    }
    process.kill();
    let mut cut = 0;
    for number in 10.. {
        match rx.recv() {
            Ok(received) => {
                assert_eq!(cut, 0, "nothing comes behind a message that was cut");
                let sent = message(number, length);
                let looks_whole = !setup.fixture().tells_cut_messages();
                if looks_whole && received.len() < length && sent.starts_with(received) {
                    cut += 1;
                } else {
                    assert_same(received, &sent);
                }
            }
            Err(error) if error.kind() == ErrorKind::Truncated => cut += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
                break;
            }
        }
    }
    assert!(cut <= 1, "one message can be cut, not {cut}");
    assert_disconnected_for_good(setup, &mut rx);
    sending.join();
}

fn open_if_noticed(setup: &Setup) -> Option<(Tx, Rx)> {
    let noticed = setup.capabilities().notices_disconnect;
    setup.applies(noticed, "one that notices when the peer goes").then(|| setup.open())
}

fn assert_disconnected_for_good(setup: &Setup, rx: &mut Rx) {
    let mut buffer = b"as it was".to_vec();
    for _ in 0..2 {
        let errors = [
            rx.recv().map(<[u8]>::len).expect_err("the sender is gone"),
            rx.try_recv().map(<[u8]>::len).expect_err("the sender is gone"),
            rx.recv_timeout(setup.patience()).map(<[u8]>::len).expect_err("the sender is gone"),
            rx.recv_into(&mut buffer).expect_err("the sender is gone"),
            rx.recv_vec().expect_err("the sender is gone"),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        }
    }
    assert_eq!(buffer, b"as it was", "an error leaves the buffer as it was");
}

fn assert_send_fails_for_good(setup: &Setup, tx: &mut Tx) {
    // The first may be accepted by a kernel that has not heard from the other side yet.
    let mut error = None;
    crate::conformance::until("send fails", setup.patience(), || {
        error = tx.send(b"anybody there?").err();
        error.is_some()
    });
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Disconnected));
    for _ in 0..3 {
        let errors = [
            tx.send(b"anybody?"),
            tx.try_send(b"anybody?"),
            tx.send_timeout(b"anybody?", setup.patience()),
            tx.send_batch(&[b"any", b"body?"], crate::Wait::Forever).map(|_| ()),
        ];
        for error in errors {
            let error = error.expect_err("the receiver is gone");
            assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        }
    }
}

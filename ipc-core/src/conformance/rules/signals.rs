//! Signals, handled ones and those that stop a process: no call shows them, and none waits longer or
//! shorter for them.

use super::waiting::assert_times_out_in_time;
use crate::conformance::Setup;
use crate::conformance::messages::{assert_same, exchange, keeps_boundaries, longest, message};
use crate::conformance::remote::Process;
use crate::{ErrorKind, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Signals neither show nor change how long a call waits.
pub fn a_storm_of_signals_changes_no_timeout(setup: &Setup) {
    let (tx, mut rx) = setup.open();
    rx.brave_a_storm();
    assert_times_out_in_time(setup, &mut rx);
    exchange(setup, tx, &mut rx, vec![message(0, 5)]);
}

/// Signals do not end a wait that has no end.
pub fn a_storm_of_signals_does_not_wake_a_blocked_recv(setup: &Setup) {
    let (mut tx, mut rx) = setup.open();
    rx.brave_a_storm();
    let waiting = setup.background(rx, |rx| rx.recv_vec());
    waiting.until_asleep();
    tx.send(b"message").expect("a message is sent");
    assert_same(&waiting.join().1.expect("no signal shows"), b"message");
}

/// Signals do no harm to long messages in a busy channel.
pub fn a_storm_of_signals_tears_no_message(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let (mut tx, mut rx) = setup.open();
    tx.brave_a_storm();
    rx.brave_a_storm();
    let length = longest(setup).min(300_000);
    exchange(setup, tx, &mut rx, (0..30).map(|number| message(number, length)).collect());
}

/// A receiver whose process is stopped and goes on, again and again, goes on waiting.
pub fn a_stopped_receiver_goes_on_waiting(setup: &Setup) {
    let (mut tx, rx) = setup.open();
    let Some(process) = rx.process().cloned() else { return };
    let waiting = setup.background(rx, |rx| rx.recv_vec());
    for _ in 0..10 {
        waiting.until_asleep();
        stop_for_a_moment(&process);
    }
    tx.send(b"message").expect("a message is sent");
    assert_same(&waiting.join().1.expect("no signal shows"), b"message");
}

/// A receiver whose process is stopped and goes on, again and again, times out in time.
pub fn a_stopped_receiver_times_out_in_time(setup: &Setup) {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let (_tx, rx) = setup.open();
    let Some(process) = rx.process().cloned() else { return };
    let started = Instant::now();
    let waiting = setup.background(rx, |rx| rx.recv_timeout(TIMEOUT).map(<[u8]>::to_vec));
    while !waiting.is_over() {
        stop_for_a_moment(&process);
    }
    let error = waiting.join().1.expect_err("nothing was sent");
    let waited = started.elapsed();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(waited >= TIMEOUT, "timed out after {waited:?}, too early for {TIMEOUT:?}");
    // Generous: the machine may be busy.
    assert!(waited < setup.patience() / 2, "timed out after {waited:?}, too late for {TIMEOUT:?}");
}

/// Long messages stay whole though the process of one end is stopped and goes on, again and again.
pub fn a_stopped_process_tears_no_message(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let (tx, mut rx) = setup.open();
    let Some(process) = tx.process().or(rx.process()).cloned() else { return };
    let length = longest(setup).min(300_000);
    let messages = (0..30).map(|number| message(number, length)).collect();
    thread::scope(|scope| {
        let exchanging = scope.spawn(|| exchange(setup, tx, &mut rx, messages));
        while !exchanging.is_finished() {
            stop_for_a_moment(&process);
        }
    });
}

fn stop_for_a_moment(process: &Process) {
    process.stop();
    process.resume();
    // So that it gets somewhere in between.
    thread::sleep(Duration::from_millis(2));
}

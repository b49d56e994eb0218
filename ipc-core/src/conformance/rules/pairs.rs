//! Pairs: both ends in one, and the halves they come apart into.

use crate::conformance::Setup;
use crate::conformance::ends::Both;
use crate::conformance::messages::{assert_same, exchange, keeps_boundaries, longest, message};
use crate::{Caller, ErrorKind, Receiver, Sender, Server, Wait};
use std::time::Duration;

/// Messages go in both directions, in turn.
pub fn a_pair_carries_messages_both_ways(setup: &Setup) {
    let Some((mut binder, mut connector)) = open_if_bidirectional(setup) else { return };
    for number in 0..20 {
        binder.send(&message(number, 30)).expect("a message is sent");
        assert_same(connector.recv().expect("a message arrives"), &message(number, 30));
        connector.send(&message(number, 40)).expect("a message is sent");
        assert_same(binder.recv().expect("a message arrives"), &message(number, 40));
    }
    for pair in [&mut binder, &mut connector] {
        let nothing = pair.try_recv().map(<[u8]>::len).map_err(|error| error.kind());
        assert_eq!(nothing, Err(ErrorKind::WouldBlock), "nobody receives what they sent themselves");
    }
}

/// Either end may be the first to speak.
pub fn the_connecting_end_may_speak_first(setup: &Setup) {
    let Some((mut binder, mut connector)) = open_if_bidirectional(setup) else { return };
    connector.send(b"may I?").expect("a message is sent");
    assert_same(binder.recv().expect("a message arrives"), b"may I?");
}

/// A pair's halves work in two threads at once, in both directions at once, long messages too.
pub fn the_halves_of_a_pair_work_at_the_same_time(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let Some((binder, connector)) = open_if_bidirectional(setup) else { return };
    let (binder_tx, mut binder_rx) = setup.split(binder);
    let (connector_tx, mut connector_rx) = setup.split(connector);
    let long = longest(setup).min(100_000);
    let messages = |first: usize| -> Vec<_> {
        let size = |number| if number % 20 == 7 { long } else { number % 200 };
        (first..first + 300).map(|number| message(number, size(number))).collect()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| exchange(setup, binder_tx, &mut connector_rx, messages(0)));
        scope.spawn(|| exchange(setup, connector_tx, &mut binder_rx, messages(1_000)));
    });
}

/// When one pair is dropped, the other reads what it had sent, then gets `Disconnected`, and cannot send.
pub fn dropping_a_pair_tells_the_other(setup: &Setup) {
    let Some((mut binder, connector)) = open_if_it_notices(setup) else { return };
    let mut connector = connector;
    connector.send(b"goodbye").expect("a message is sent");
    drop(connector);
    assert_told(setup, &mut binder, b"goodbye");
}

/// The same for the end that bound.
pub fn dropping_the_binding_pair_tells_the_other(setup: &Setup) {
    let Some((mut binder, mut connector)) = open_if_it_notices(setup) else { return };
    binder.send(b"goodbye").expect("a message is sent");
    drop(binder);
    assert_told(setup, &mut connector, b"goodbye");
}

/// When the process of one pair is killed, the other is told.
pub fn killing_a_pair_tells_the_other(setup: &Setup) {
    let Some((binder, connector)) = open_if_it_notices(setup) else { return };
    let (mut victim, mut other) = match (binder.is_across(), connector.is_across()) {
        (true, _) => (binder, connector),
        (_, true) => (connector, binder),
        _ => return,
    };
    victim.send(b"last words").expect("a message is sent");
    victim.kill();
    assert_told(setup, &mut other, b"last words");
}

/// A pair that waits for a message is woken when the other is dropped.
pub fn a_blocked_pair_wakes_when_the_other_is_dropped(setup: &Setup) {
    let Some((binder, connector)) = open_if_it_notices(setup) else { return };
    let waiting = setup.background(binder, |binder| binder.recv_vec());
    waiting.until_asleep();
    drop(connector);
    let error = waiting.join().1.expect_err("the peer is gone");
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
}

/// When both halves of a pair are dropped, the other is told.
pub fn dropping_both_halves_tells_the_other(setup: &Setup) {
    let Some((mut binder, connector)) = open_if_it_notices(setup) else { return };
    let (mut tx, rx) = setup.split(connector);
    tx.send(b"goodbye").expect("a message is sent");
    drop(rx);
    drop(tx);
    assert_told(setup, &mut binder, b"goodbye");
}

/// The half that receives goes on when the half that sends is dropped.
pub fn a_receiving_half_outlives_the_sending_half(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let Some((binder, connector)) = open_if_bidirectional(setup) else { return };
    let (connector_tx, mut connector_rx) = setup.split(connector);
    drop(connector_tx);
    let (binder_tx, _binder_rx) = setup.split(binder);
    let messages = (0..50).map(|number| message(number, number * 100 % longest(setup))).collect();
    exchange(setup, binder_tx, &mut connector_rx, messages);
}

/// A call gets its own answer, and not that of a call before it which came too late.
pub fn a_late_answer_is_never_taken_for_the_next_calls(setup: &Setup) {
    const SOON: Duration = Duration::from_millis(20);
    if !keeps_boundaries(setup) {
        return;
    }
    let Some((binder, connector)) = open_if_bidirectional(setup) else { return };
    let (mut server, mut caller) = (Server::new(binder), Caller::new(connector));
    match caller.call(b"one", Wait::timeout(SOON)).map(<[u8]>::len).map_err(|error| error.kind()) {
        // The framing `nul`, which does not carry all bytes.
        Err(ErrorKind::InvalidMessage) => return,
        outcome => assert_eq!(outcome, Err(ErrorKind::TimedOut), "nobody has answered"),
    }
    let answer = |request: &[u8]| [b"re: ", request].concat();
    server.serve_one(Wait::Forever, answer).expect("a late answer is sent");
    std::thread::scope(|scope| {
        scope.spawn(|| server.serve_one(Wait::Forever, answer).expect("an answer is sent"));
        assert_same(caller.call(b"two", Wait::Forever).expect("it is answered"), b"re: two");
    });
}

fn open_if_bidirectional(setup: &Setup) -> Option<(Both, Both)> {
    setup.applies(setup.capabilities().bidirectional, "bidirectional").then(|| setup.open_pair())
}

fn open_if_it_notices(setup: &Setup) -> Option<(Both, Both)> {
    let noticed = setup.capabilities().notices_disconnect;
    if !setup.applies(noticed, "one that notices when the peer goes") {
        return None;
    }
    open_if_bidirectional(setup)
}

fn assert_told(setup: &Setup, pair: &mut Both, last: &[u8]) {
    assert_same(pair.recv().expect("what was sent is read first"), last);
    for _ in 0..3 {
        let error = pair.recv().map(<[u8]>::len).expect_err("the peer is gone");
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    }
    let mut error = None;
    crate::conformance::until("send fails", setup.patience(), || {
        error = pair.send(b"anybody there?").err();
        error.is_some()
    });
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Disconnected));
}

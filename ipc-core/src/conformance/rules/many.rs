//! Several senders, one receiver: no message of theirs is lost, mixed up or out of its sender's order.

use crate::conformance::ends::{Rx, Tx};
use crate::conformance::messages::{Random, assert_same, keeps_boundaries, longest, message};
use crate::conformance::{Background, Setup};
use crate::{ErrorKind, Receiver, Sender};

const SENDERS: usize = 4;

/// The numbers of two senders' messages are this far apart.
const APART: usize = 1_000_000;

/// Messages of several senders, short and long, all arrive whole, each sender's in order.
pub fn several_senders_lose_and_mix_nothing(setup: &Setup) {
    const EACH: usize = 200;
    let Some((senders, mut rx)) = open_if_several(setup) else { return };
    let sending: Vec<_> =
        senders.into_iter().enumerate().map(|(who, tx)| send_from(setup, who, tx, EACH)).collect();
    let mut next = [0; SENDERS];
    for _ in 0..SENDERS * EACH {
        take_next(setup, rx.recv().expect("a message arrives"), &mut next);
    }
    assert_eq!(next, [EACH; SENDERS]);
    for sending in sending {
        assert_eq!(sending.join().1, EACH);
    }
    if setup.capabilities().notices_disconnect {
        let error = rx.recv().map(<[u8]>::len).expect_err("all senders are gone");
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    }
}

/// The receiver is not told that its peer is gone while one of its senders lives.
pub fn one_of_several_senders_may_leave(setup: &Setup) {
    let Some((mut senders, mut rx)) = open_if_several(setup) else { return };
    while let Some(mut tx) = senders.pop() {
        tx.send(b"message").expect("a message is sent");
        assert_same(rx.recv().expect("a message arrives"), b"message");
        drop(tx);
        if !senders.is_empty() {
            let nothing = rx.try_recv().map(<[u8]>::len).map_err(|error| error.kind());
            assert_eq!(nothing, Err(ErrorKind::WouldBlock), "others are still there");
        }
    }
    if setup.capabilities().notices_disconnect {
        let error = rx.recv().map(<[u8]>::len).expect_err("all senders are gone");
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    }
}

/// A sender killed among several costs at most its own message in hand, and no other's.
pub fn one_of_several_senders_is_killed_and_no_other_loses(setup: &Setup) {
    const EACH: usize = 150;
    let Some((senders, mut rx)) = open_if_several(setup) else { return };
    let Some(victim) = senders[0].process().cloned() else { return };
    // The victim never ends by itself.
    let count = |who| if who == 0 { APART } else { EACH };
    let sending: Vec<_> =
        senders.into_iter().enumerate().map(|(who, tx)| send_from(setup, who, tx, count(who))).collect();
    let mut next = [0; SENDERS];
    let mut truncated = 0;
    let mut killed = false;
    while next[1..].iter().any(|next| *next < EACH) {
        match rx.recv() {
            Ok(received) => take_next(setup, received, &mut next),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
                truncated += 1;
            }
        }
        if !killed && next[0] >= 20 {
            victim.kill();
            killed = true;
        }
    }
    if !killed {
        victim.kill();
    }
    assert!(truncated <= 1, "one message can be truncated, not {truncated}");
    for sending in sending.into_iter().skip(1) {
        assert_eq!(sending.join().1, EACH);
    }
}

fn open_if_several(setup: &Setup) -> Option<(Vec<Tx>, Rx)> {
    let capabilities = setup.capabilities();
    let several = setup.applies(capabilities.several_senders, "one for several senders")
        && setup.applies(capabilities.reliable, "reliable")
        && keeps_boundaries(setup);
    several.then(|| setup.open_many(SENDERS))
}

/// Sends in a thread of its own, and says how many were sent before one failed.
fn send_from(setup: &Setup, who: usize, tx: Tx, count: usize) -> Background<Box<dyn Sender>, usize> {
    let longest = longest(setup);
    setup.background(tx, move |tx| {
        let sent = (0..count).take_while(|number| {
            let number = who * APART + number;
            tx.send(&message(number, size(number, longest))).is_ok()
        });
        sent.count()
    })
}

/// Fails unless the message is the next of its sender's.
fn take_next(setup: &Setup, received: &[u8], next: &mut [usize; SENDERS]) {
    let digits = received.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    let who = number / APART;
    assert!(who < SENDERS, "nobody has sent a message that begins with {number}");
    let expected = who * APART + next[who];
    assert_same(received, &message(expected, size(expected, longest(setup))));
    next[who] += 1;
}

/// Short, longer than `PIPE_BUF`, and a long one now and then.
fn size(number: usize, longest: usize) -> usize {
    let size = match number % 25 {
        3 => 100_000,
        7 | 13 | 19 => 5_000,
        _ => 10 + Random::new(number as u64).below(300),
    };
    size.min(longest)
}

//! Messages for the rules: of any size, each different from all others, and easily told when hurt.
//!
//! They consist of printable characters, so that every framing carries them.

use super::Setup;
use super::ends::{Rx, Tx};
use crate::{Boundaries, Receiver, Sender};

/// The longest message that rules send, where the transport takes longer ones.
pub(super) const LONGEST: usize = 1 << 20;

/// Message number `number`, of `length` bytes: its number, then characters that depend on it.
pub(super) fn message(number: usize, length: usize) -> Vec<u8> {
    let mut message = format!("{number}:").into_bytes();
    let mut random = Random::new(number as u64);
    // A prime, so that it does not fit any block that a transport may lose or repeat.
    let block: Vec<u8> = (0..509).map(|_| b'!' + random.below(94) as u8).collect();
    while message.len() < length {
        message.extend_from_slice(&block);
    }
    message.truncate(length);
    message
}

/// Fails unless a message is the one that was sent, without printing a megabyte.
pub(super) fn assert_same(received: &[u8], sent: &[u8]) {
    if received == sent {
        return;
    }
    let differ = received.iter().zip(sent).position(|(a, b)| a != b);
    let start = |message: &[u8]| String::from_utf8_lossy(&message[..message.len().min(40)]).into_owned();
    panic!(
        "a message of {} bytes was sent ({:?}…), one of {} received ({:?}…), the same up to byte {}",
        sent.len(),
        start(sent),
        received.len(),
        start(received),
        differ.unwrap_or(received.len().min(sent.len()))
    );
}

/// Sends messages from one thread and receives them in another, and fails unless all come as they were,
/// in order. Each is received before the next is sent if some may be lost otherwise.
pub(super) fn exchange(setup: &Setup, mut tx: Tx, rx: &mut Rx, messages: Vec<Vec<u8>>) -> Tx {
    if !setup.capabilities().reliable {
        for message in messages {
            tx.send(&message).expect("a message is sent");
            assert_same(rx.recv().expect("a message arrives"), &message);
        }
        return tx;
    }
    let to_send = messages.clone();
    let sending = setup.background(tx, move |tx| {
        for message in to_send {
            tx.send(&message).expect("a message is sent");
        }
    });
    for message in messages {
        assert_same(rx.recv().expect("a message arrives"), &message);
    }
    sending.join().0
}

/// Whether the transport keeps messages apart; the rules that need it are passed over otherwise.
pub(super) fn keeps_boundaries(setup: &Setup) -> bool {
    let kept = setup.capabilities().boundaries != Boundaries::None;
    setup.applies(kept, "one that keeps messages apart")
}

/// The longest message to use with this transport.
pub(super) fn longest(setup: &Setup) -> usize {
    setup.capabilities().max_message.map_or(LONGEST, |max| max.min(LONGEST))
}

/// Random numbers that are the same in every run: xorshift.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

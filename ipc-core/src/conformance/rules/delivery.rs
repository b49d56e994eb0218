//! Messages arrive: whole, in order, of every size, and what cannot be sent is refused.

use crate::conformance::Setup;
use crate::conformance::messages::{
    LONGEST, Random, assert_same, exchange, keeps_boundaries, longest, message,
};
use crate::{Boundaries, ErrorKind, Receiver, Sender, Wait};

/// A message arrives as it was sent, whatever its size: small, around the sizes of pages and pipes, and
/// the largest.
pub fn a_message_of_any_size_arrives_as_sent(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let (tx, mut rx) = setup.open();
    let longest = longest(setup);
    let around = [0, 64, 508, 1024, 4096, 8192, 65_536, 131_072, longest];
    let near =
        around.iter().flat_map(|size| (0..9).map(move |offset| (size + offset).saturating_sub(5)));
    let sizes = near.filter(|size| (1..=longest).contains(size));
    let messages = sizes.enumerate().map(|(number, size)| message(number, size)).collect();
    exchange(setup, tx, &mut rx, messages);
}

/// An empty message is a message, between others and by itself.
pub fn an_empty_message_is_a_message(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let (tx, mut rx) = setup.open();
    let sizes = [0, 3, 0, 0, 5, 0];
    let tx = exchange(setup, tx, &mut rx, sizes.map(|size| message(7, size)).into());
    exchange(setup, tx, &mut rx, vec![Vec::new()]);
}

/// A message may hold every value of a byte, unless the framing tells messages apart by one of them; then
/// it is refused, and the channel is as good as before.
pub fn every_value_of_a_byte_arrives_or_is_refused(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let (mut tx, mut rx) = setup.open();
    for value in 0..=255 {
        match tx.send(&[b'<', value, b'>']) {
            Ok(()) => assert_same(rx.recv().expect("a message arrives"), &[b'<', value, b'>']),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidMessage);
                assert_eq!(setup.capabilities().boundaries, Boundaries::Framing);
            }
        }
    }
    exchange(setup, tx, &mut rx, vec![message(0, 5)]);
}

/// Many messages of random sizes arrive in the order in which they were sent, none joined, none cut.
pub fn many_messages_keep_their_boundaries_and_order(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let (tx, mut rx) = setup.open();
    let mut random = Random::new(1);
    let longest = longest(setup);
    let size = |random: &mut Random| match random.below(50) {
        0 => random.below(longest.min(200_000) + 1),
        1..10 => random.below(longest.min(5_000) + 1),
        _ => random.below(longest.min(100) + 1),
    };
    let messages = (0..2_000).map(|number| message(number, size(&mut random))).collect();
    exchange(setup, tx, &mut rx, messages);
}

/// A message that is too long is refused with `MessageTooLarge` at once, and the channel works on.
pub fn a_message_that_is_too_long_is_refused_and_the_channel_goes_on(setup: &Setup) {
    let max = setup.capabilities().max_message.filter(|max| *max <= 64 << 20);
    let Some(max) = max else {
        setup.applies(false, "limited to a length that can be tried");
        return;
    };
    let (mut tx, mut rx) = setup.open();
    let too_long = message(0, max + 1);
    for wait in [Wait::Never, Wait::timeout(setup.patience()), Wait::Forever] {
        let error = tx.send_within(&too_long, wait).expect_err("it is too long");
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge, "{error}");
    }
    let error = tx.send_batch(&[&too_long, b"next"], Wait::Forever).expect_err("the first is too long");
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge, "{error}");
    exchange(setup, tx, &mut rx, vec![message(1, 10.min(max))]);
}

/// The longest message that the capabilities name arrives whole.
pub fn the_longest_message_arrives(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let max = setup.capabilities().max_message.filter(|max| *max <= 64 << 20);
    let (tx, mut rx) = setup.open();
    exchange(setup, tx, &mut rx, vec![message(3, max.unwrap_or(LONGEST)), message(4, 1)]);
}

/// Where nobody keeps messages apart, all bytes arrive, in order.
pub fn without_boundaries_the_bytes_arrive_in_order(setup: &Setup) {
    let capabilities = setup.capabilities();
    let stream = capabilities.boundaries == Boundaries::None && capabilities.reliable;
    if !setup.applies(stream, "a plain stream of bytes") {
        return;
    }
    let (tx, mut rx) = setup.open();
    let messages: Vec<_> = (1..200).map(|number| message(number, number * 50)).collect();
    let expected = messages.concat();
    let sending = setup.background(tx, move |tx| {
        for message in messages {
            tx.send(&message).expect("bytes are sent");
        }
    });
    let mut received = Vec::new();
    while received.len() < expected.len() {
        received.extend_from_slice(rx.recv().expect("bytes arrive"));
    }
    assert_same(&received, &expected);
    sending.join();
}

/// `recv_into` puts the message in place of what the buffer held.
pub fn recv_into_replaces_what_the_buffer_held(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let (mut tx, mut rx) = setup.open();
    let mut buffer = b"much longer than what will come".to_vec();
    for text in ["first", "", "third"] {
        tx.send(text.as_bytes()).expect("a message is sent");
        assert_eq!(rx.recv_into(&mut buffer).expect("a message arrives"), text.len());
        assert_same(&buffer, text.as_bytes());
    }
}

/// `recv_vec` gives the message as a vector of its own.
pub fn recv_vec_gives_a_vector(setup: &Setup) {
    let (mut tx, mut rx) = setup.open();
    tx.send(b"a message").expect("a message is sent");
    assert_eq!(rx.recv_vec().expect("a message arrives"), b"a message");
}

/// A batch arrives in order, as if its messages had been sent one by one.
pub fn a_batch_arrives_in_order(setup: &Setup) {
    let reliable = setup.capabilities().reliable;
    if !keeps_boundaries(setup) || !setup.applies(reliable, "reliable") {
        return;
    }
    let (tx, mut rx) = setup.open();
    let largest = longest(setup).min(20_000);
    let sizes = [0, 1, 100, largest, 0, 7].into_iter().cycle().take(60);
    let messages: Vec<_> = sizes.enumerate().map(|(number, size)| message(number, size)).collect();
    let expected = messages.clone();
    let sending = setup.background(tx, move |tx| {
        let batch: Vec<_> = messages.iter().map(Vec::as_slice).collect();
        let sent = tx.send_batch(&batch, Wait::Forever).expect("a batch is sent");
        assert_eq!(sent, batch.len());
        assert_eq!(tx.send_batch(&[], Wait::Never).expect("an empty batch is sent"), 0);
    });
    for message in &expected {
        assert_same(rx.recv().expect("a message arrives"), message);
    }
    exchange(setup, sending.join().0, &mut rx, vec![message(99, 9)]);
}

/// A batch stops before a message that is refused, and says how many went before it.
pub fn a_batch_stops_at_a_message_that_is_refused(setup: &Setup) {
    if !keeps_boundaries(setup) {
        return;
    }
    let max = setup.capabilities().max_message.filter(|max| *max <= 64 << 20);
    let Some(max) = max else {
        setup.applies(false, "limited to a length that can be tried");
        return;
    };
    let (mut tx, mut rx) = setup.open();
    let too_long = message(0, max + 1);
    let sent = tx.send_batch(&[b"1", b"2", &too_long, b"4"], Wait::Forever);
    assert_eq!(sent.expect("the first two are sent"), 2);
    assert_same(rx.recv().expect("a message arrives"), b"1");
    assert_same(rx.recv().expect("a message arrives"), b"2");
    exchange(setup, tx, &mut rx, vec![message(4, 10)]);
}

/// Ends may move to other threads between calls.
pub fn ends_move_to_other_threads(setup: &Setup) {
    let (mut tx, mut rx) = setup.open();
    for text in ["one", "two", "three"] {
        let sending = setup.background(tx, move |tx| tx.send(text.as_bytes()));
        let receiving = setup.background(rx, |rx| rx.recv_vec());
        let ((tx_back, sent), (rx_back, received)) = (sending.join(), receiving.join());
        sent.expect("a message is sent");
        assert_same(&received.expect("a message arrives"), text.as_bytes());
        (tx, rx) = (tx_back, rx_back);
    }
}

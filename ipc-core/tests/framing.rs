//! Framing and deframing: whatever the pieces in which the bytes come, the messages are the same; and no
//! length is believed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_core::{Deframer, ErrorKind, Framing};
use proptest::prelude::*;

const MAX: usize = 300;

/// What the deframer said: messages, and the kinds of errors between them.
#[derive(Debug, PartialEq)]
enum Said {
    Message(Vec<u8>),
    Error(ErrorKind),
}

/// Feeds `wire` in pieces of the lengths of `pieces`, over and over, and collects what comes out.
fn deframe(framing: Framing, max: usize, wire: &[u8], pieces: &[usize]) -> Vec<Said> {
    let mut deframer = Deframer::new(framing, max);
    let mut said = Vec::new();
    let mut rest = wire;
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let spare = deframer.spare();
        assert!(!spare.is_empty());
        let count = (*pieces.next().unwrap()).clamp(1, rest.len()).min(spare.len());
        spare[..count].copy_from_slice(&rest[..count]);
        deframer.filled(count);
        rest = &rest[count..];
        loop {
            match deframer.next_message() {
                Ok(Some(message)) => said.push(Said::Message(deframer.bytes(message).to_vec())),
                Ok(None) => break,
                Err(error) => {
                    said.push(Said::Error(error.kind()));
                    if matches!(framing, Framing::Length | Framing::Fixed(_)) {
                        // It says so again at every call.
                        assert_eq!(deframer.next_message().unwrap_err().kind(), error.kind());
                        return said;
                    }
                }
            }
        }
    }
    match deframer.finish() {
        Ok(Some(message)) => said.push(Said::Message(deframer.bytes(message).to_vec())),
        Ok(None) => {}
        Err(error) => said.push(Said::Error(error.kind())),
    }
    assert_eq!(deframer.finish().unwrap(), None, "an end is told once");
    said
}

fn wire(framing: Framing, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for message in messages {
        let frame = framing.frame(message, MAX).unwrap();
        let start = wire.len();
        frame.parts().iter().for_each(|part| wire.extend_from_slice(part));
        assert_eq!(wire.len() - start, frame.wire_len());
    }
    wire
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![
        Just(Framing::Length),
        Just(Framing::Lines),
        Just(Framing::Nul),
        (1..100u32).prop_map(Framing::Fixed)
    ]
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in_whatever_the_pieces(
        framing in framing(),
        mut messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..MAX), 0..20),
        pieces in proptest::collection::vec(1usize..200, 1..20),
    ) {
        for message in &mut messages {
            match framing {
                Framing::Fixed(size) => message.resize(size as usize, 7),
                _ => message.retain(|byte| *byte != b'\n' && *byte != 0),
            }
        }
        let said = deframe(framing, MAX, &wire(framing, &messages), &pieces);
        let expected: Vec<_> = messages.into_iter().map(Said::Message).collect();
        prop_assert_eq!(said, expected);
    }

    #[test]
    fn a_stream_that_is_cut_gives_whole_messages_and_then_truncated(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..10),
        pieces in proptest::collection::vec(1usize..20, 1..9),
        cut in any::<proptest::sample::Index>(),
    ) {
        let wire = wire(Framing::Length, &messages);
        let cut = cut.index(wire.len());
        let mut said = deframe(Framing::Length, MAX, &wire[..cut], &pieces);
        let mut ends = vec![0];
        messages.iter().for_each(|message| ends.push(ends[ends.len() - 1] + 4 + message.len()));
        if !ends.contains(&cut) {
            prop_assert_eq!(said.pop(), Some(Said::Error(ErrorKind::Truncated)));
        }
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let expected: Vec<_> = messages.into_iter().take(whole).map(Said::Message).collect();
        prop_assert_eq!(said, expected);
    }

    #[test]
    fn noise_is_never_more_than_an_error(
        framing in framing(),
        noise: Vec<u8>,
        max in 0usize..100,
        pieces in proptest::collection::vec(1usize..50, 1..9),
    ) {
        for said in deframe(framing, max, &noise, &pieces) {
            if let Said::Message(message) = said {
                prop_assert!(message.len() <= max);
            }
        }
    }
}

#[test]
fn a_line_that_is_too_long_is_told_once_and_passed_over() {
    let wire = [b"one\n".as_slice(), &[b'x'; 1000], b"\ntwo\n", &[b'y'; 20], b"\nthree"].concat();
    for piece in [1, 7, 16, 500, 5000] {
        let said = deframe(Framing::Lines, 10, &wire, &[piece]);
        assert_eq!(
            said,
            [
                Said::Message(b"one".into()),
                Said::Error(ErrorKind::MessageTooLarge),
                Said::Message(b"two".into()),
                Said::Error(ErrorKind::MessageTooLarge),
                Said::Message(b"three".into()),
            ]
        );
    }
}

#[test]
fn a_line_that_does_not_end_is_told_again_for_each_mebibyte_that_is_passed_over() {
    const MIB: usize = 1 << 20;
    let wire = [vec![b'x'; 3 * MIB + MIB / 2], b"\ntwo\n".to_vec()].concat();
    for piece in [4096, 60_000] {
        let mut said = deframe(Framing::Lines, 10, &wire, &[piece]);
        assert_eq!(said.pop(), Some(Said::Message(b"two".into())));
        // Once when it gets too long, and three times more.
        assert_eq!(said.len(), 4);
        assert!(said.iter().all(|said| *said == Said::Error(ErrorKind::MessageTooLarge)));
    }
}

#[test]
fn a_length_over_the_limit_is_refused_before_anything_is_allocated() {
    let mut deframer = Deframer::new(Framing::Length, 1 << 20);
    deframer.spare()[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    deframer.filled(4);
    let error = deframer.next_message().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    assert_eq!(error.limit().unwrap().value, 1 << 20);
    assert!(deframer.spare().len() <= 64 << 10);
}

#[test]
fn a_length_that_lies_makes_the_buffer_grow_only_with_what_has_come() {
    let mut deframer = Deframer::new(Framing::Length, Framing::MAX);
    deframer.spare()[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    deframer.filled(4);
    let mut came = 4;
    for _ in 0..20 {
        assert_eq!(deframer.next_message().unwrap(), None);
        let spare = deframer.spare().len();
        assert!(spare <= came.max(64 << 10), "{spare} bytes of room after {came}");
        deframer.filled(1000.min(spare));
        came += 1000;
    }
    assert_eq!(deframer.finish().unwrap_err().kind(), ErrorKind::Truncated);
}

#[test]
fn a_long_line_is_read_in_few_pieces() {
    for framing in [Framing::Lines, Framing::Nul] {
        let mut deframer = Deframer::new(framing, 16 << 20);
        let mut come = 0;
        let mut pieces = 0;
        while come < 16 << 20 {
            let room = deframer.spare().len();
            deframer.spare().fill(b'x');
            deframer.filled(room);
            assert_eq!(deframer.next_message().unwrap_or(None), None);
            come += room;
            pieces += 1;
            assert!(pieces < 20, "after {come} bytes there was room for {room} more");
        }
    }
}

#[test]
fn raw_bytes_under_a_limit_of_none_come_one_by_one_and_end() {
    let mut deframer = Deframer::new(Framing::Raw, 0);
    deframer.spare()[..2].copy_from_slice(b"ab");
    deframer.filled(2);
    let mut lengths = Vec::new();
    while let Some(message) = deframer.next_message().unwrap() {
        lengths.push(message.len());
        assert!(lengths.len() <= 2, "messages of nothing, without end");
    }
    assert_eq!(lengths, [1, 1]);
}

#[test]
fn a_buffer_that_one_long_message_made_is_given_back() {
    let mut deframer = Deframer::new(Framing::Length, Framing::MAX);
    let mut feed = |bytes: &[u8]| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let spare = deframer.spare();
            let count = spare.len().min(rest.len());
            spare[..count].copy_from_slice(&rest[..count]);
            deframer.filled(count);
            rest = &rest[count..];
        }
        let message = deframer.next_message().unwrap().unwrap();
        assert_eq!(message.len(), bytes.len() - 4);
        deframer.spare().len()
    };
    let long = [(4u32 << 20).to_le_bytes().as_slice(), &vec![0; 4 << 20]].concat();
    assert!(feed(&long) >= 4 << 20);
    let short = [1, 0, 0, 0, 7];
    let room = (0..100).map(|_| feed(&short)).last().unwrap();
    assert_eq!(room, 64 << 10);
}

#[test]
fn what_does_not_fit_the_framing_is_refused() {
    use ErrorKind::{InvalidMessage, MessageTooLarge};
    for (framing, message, kind) in [
        (Framing::Lines, b"a\nb".as_slice(), InvalidMessage),
        (Framing::Nul, b"a\0b", InvalidMessage),
        (Framing::Fixed(3), b"ab", InvalidMessage),
        (Framing::Fixed(3), b"12345678901", InvalidMessage),
        (Framing::Raw, b"", InvalidMessage),
        (Framing::Length, b"12345678901", MessageTooLarge),
    ] {
        assert_eq!(framing.frame(message, 10).unwrap_err().kind(), kind, "{framing}");
    }
}

#[test]
fn framings_are_written_as_they_are_read() {
    for text in ["length", "lines", "nul", "raw", "fixed:1", "fixed:4294967295"] {
        assert_eq!(text.parse::<Framing>().unwrap().to_string(), text);
    }
    assert_eq!("fixed:".parse::<Framing>().unwrap_err().kind(), ErrorKind::InvalidOption);
}

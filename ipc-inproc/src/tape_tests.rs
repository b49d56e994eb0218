//! Tests of the tape from end to end, in one thread. What two threads see of each other is in `tests/tape.rs`.

use crate::tape::{LONG, Reader, SENDERS, tape, tape_of};

/// The next message, and whose it is.
fn read(reader: &mut Reader) -> Option<(u64, Vec<u8>)> {
    let mut page = Vec::new();
    let record = reader.next(&mut page)?;
    let message = match record.length {
        Some(length) => page[..length].to_vec(),
        None => reader.fetch(),
    };
    Some((record.sender, message))
}

#[test]
fn what_goes_in_comes_out_of_whatever_length_from_reel_to_reel() {
    for ahead in [1, 3, 500] {
        let (mut writer, mut reader) = tape();
        for start in 0..10 {
            let messages = |at: usize| (at as u64, vec![at as u8; (start * 7 + at * 31) % LONG]);
            for at in 0..ahead {
                let (sender, message) = messages(at);
                writer.push(&message, sender).unwrap();
            }
            for at in 0..ahead {
                assert_eq!(read(&mut reader), Some(messages(at)));
            }
            assert_eq!(read(&mut reader), None);
        }
    }
}

#[test]
fn long_messages_keep_their_place_among_short_ones() {
    let (mut writer, mut reader) = tape();
    for sender in [0, SENDERS - 1] {
        for length in [LONG - 1, LONG, 0, LONG + 1] {
            if length < LONG {
                writer.push(&vec![1; length], sender).unwrap();
            } else {
                writer.push_long(vec![1; length], sender).unwrap();
            }
        }
    }
    for sender in [0, SENDERS - 1] {
        for length in [LONG - 1, LONG, 0, LONG + 1] {
            assert_eq!(read(&mut reader), Some((sender, vec![1; length])));
        }
    }
}

#[test]
fn the_reels_of_a_rare_crowd_are_given_back_after_a_while() {
    let (mut writer, mut reader) = tape_of(8);
    (0..200).for_each(|_| writer.push(&[1; 40], 0).unwrap());
    while read(&mut reader).is_some() {}

    assert!(reader.blank_reels() > 190);
    for _ in 0..30_000 {
        writer.push(&[1; 40], 0).unwrap();
        read(&mut reader).unwrap();
    }
    assert!(reader.blank_reels() <= 2, "{}", reader.blank_reels());
}

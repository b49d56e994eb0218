//! Mixed fragments of several writers come out as their messages; anything else comes out as nothing.

use super::*;
use crate::fragment::PAYLOAD;
use proptest::collection::vec;
use proptest::prelude::*;

/// The fragments of a message, as a writer sends them.
fn cut(writer: u64, message: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
    let total = bytes.len();
    let pieces: Vec<&[u8]> = if total == 0 { vec![bytes] } else { bytes.chunks(PAYLOAD).collect() };
    let fragment = |(index, piece): (usize, &&[u8])| {
        let kind = Kind::Piece { length: piece.len(), total, offset: index * PAYLOAD };
        [&Fragment { writer, message, kind }.header(), *piece].concat()
    };
    pieces.iter().enumerate().map(fragment).collect()
}

/// All that comes out of `bytes`, given in parts of at most `part` bytes, as it would be read.
fn run(assembly: &mut Assembly, bytes: &[u8], part: usize) -> Vec<Result<Vec<u8>, Found>> {
    let mut out = Vec::new();
    let (mut start, mut filled) = (0, 0);
    loop {
        let (done, found) = assembly.take(&bytes[start..filled]);
        let before = start;
        start += done;
        match found {
            Found::Here(at) => out.push(Ok(bytes[at.start + before..at.end + before].to_vec())),
            Found::Assembled => out.push(Ok(assembly.message().to_vec())),
            Found::Nothing if filled == bytes.len() => return out,
            Found::Nothing => filled = (filled + part).min(bytes.len()),
            other => out.push(Err(other)),
        }
    }
}

fn message(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 + index / 256 + seed) as u8).collect()
}

proptest! {
    #[test]
    fn mixed_writers_do_not_disturb_each_other(
        lengths in vec(vec(0..20_000_usize, 0..6), 1..5),
        choices in vec(any::<usize>(), 200),
        part in 1..70_000_usize,
    ) {
        let mut queues: Vec<Vec<Vec<u8>>> = Vec::new();
        for (writer, lengths) in lengths.iter().enumerate() {
            let messages = lengths.iter().enumerate();
            let fragments = messages.flat_map(|(number, length)| {
                cut(writer as u64 + 1, number as u64, &message(writer * 100 + number, *length))
            });
            queues.push(fragments.collect());
        }
        let mut bytes = Vec::new();
        let mut choices = choices.into_iter().cycle();
        while queues.iter().any(|queue| !queue.is_empty()) {
            let which = choices.next().unwrap_or_default() % queues.len();
            let which = (which..).map(|which| which % queues.len()).find(|which| !queues[*which].is_empty());
            bytes.extend(queues[which.unwrap_or_default()].remove(0));
        }
        let mut assembly = Assembly::new(1 << 20);
        let mut out = run(&mut assembly, &bytes, part);
        let mut expected: Vec<_> = lengths.iter().enumerate().flat_map(|(writer, lengths)| {
            lengths.iter().enumerate().map(move |(number, length)| Ok(message(writer * 100 + number, *length)))
        }).collect();
        let key = |found: &Result<Vec<u8>, Found>| found.as_ref().ok().cloned();
        out.sort_by_key(key);
        expected.sort_by_key(key);
        prop_assert_eq!(out, expected);
        prop_assert!(assembly.is_empty() && assembly.held == 0 && assembly.lost() == 0);
    }

    #[test]
    fn fragments_in_any_order_never_make_a_message_that_nobody_sent(
        lengths in vec(0..20_000_usize, 1..6),
        picks in vec(any::<(usize, usize)>(), 0..60),
        part in 1..70_000_usize,
    ) {
        let messages: Vec<_> =
            lengths.iter().enumerate().map(|(number, length)| message(number, *length)).collect();
        let cuts: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(number, message)| cut(1 + number as u64 % 2, number as u64, message))
            .collect();
        let picked = picks.iter().map(|(which, piece)| {
            let fragments = &cuts[which % cuts.len()];
            &fragments[piece % fragments.len()]
        });
        let bytes: Vec<u8> = picked.flatten().copied().collect();
        let mut assembly = Assembly::new(1 << 20);
        for found in run(&mut assembly, &bytes, part) {
            prop_assert!(messages.contains(&found.unwrap()));
        }
        let held: usize = assembly.unfinished.values().map(|unfinished| unfinished.bytes.len()).sum();
        prop_assert_eq!(assembly.held, held);
        prop_assert!(held <= bytes.len());
        assembly.bury_all();
        prop_assert!(assembly.held == 0 && assembly.is_empty());
    }

    #[test]
    fn garbage_between_fragments_costs_only_itself(
        garbage in vec(vec(any::<u8>().prop_filter("not a fragment's first", |byte| *byte != b'i'), 1..40), 1..8),
        part in 1..100_usize,
    ) {
        let mut bytes = Vec::new();
        for (number, garbage) in garbage.iter().enumerate() {
            bytes.extend_from_slice(garbage);
            bytes.extend(cut(1, number as u64, &message(number, number * 9)).concat());
        }
        let out = run(&mut Assembly::new(1 << 20), &bytes, part);
        prop_assert_eq!(out.iter().filter(|found| found.is_err()).count(), garbage.len());
        let messages: Vec<_> = out.into_iter().flatten().collect();
        let expected: Vec<_> = (0..garbage.len()).map(|number| message(number, number * 9)).collect();
        prop_assert_eq!(messages, expected);
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(
        parts in vec((any::<bool>(), vec(any::<u8>(), 0..50)), 0..40),
        part in 1..200_usize,
    ) {
        let bytes: Vec<u8> = parts
            .into_iter()
            .flat_map(|(magic, bytes)| if magic { [b"ipF1\0\0".to_vec(), bytes].concat() } else { bytes })
            .collect();
        let mut assembly = Assembly::new(1000);
        run(&mut assembly, &bytes, part);
        prop_assert!(assembly.held <= bytes.len());
    }
}

#[test]
fn a_message_given_up_for_the_next_is_not_lost() {
    let mut assembly = Assembly::new(1 << 20);
    let mut bytes = cut(1, 0, &message(0, 10_000))[..2].concat();
    bytes.extend(cut(1, 1, &message(1, 9_000)).concat());
    bytes.extend_from_slice(&cut(1, 2, &message(2, 10_000))[0]);
    bytes.extend(cut(1, 3, b"short").concat());
    bytes.extend_from_slice(&cut(1, 4, &message(4, 10_000))[0]);
    bytes.extend(Fragment { writer: 1, message: 4, kind: Kind::GiveUp }.header());
    let out = run(&mut assembly, &bytes, 4096);
    assert_eq!(out, [Ok(message(1, 9_000)), Ok(b"short".to_vec())]);
    assert!(assembly.is_empty() && assembly.lost() == 0);
}

#[test]
fn a_message_without_its_beginning_is_lost_once() {
    let mut assembly = Assembly::new(1 << 20);
    let fragments = cut(1, 0, &message(0, 20_000));
    let bytes = [fragments[1..].concat(), cut(1, 1, b"next").concat()].concat();
    assert_eq!(run(&mut assembly, &bytes, 4096), [Ok(b"next".to_vec())]);
    assert_eq!(assembly.lost(), 1);
}

#[test]
fn the_dead_are_buried_when_all_that_they_left_has_been_seen() {
    let mut assembly = Assembly::new(1 << 20);
    let fragments = cut(1, 0, &message(0, 10_000));
    run(&mut assembly, &fragments[0], 4096);
    run(&mut assembly, &cut(2, 0, &message(0, 10_000))[0], 4096);
    // The rest of its message lies in the FIFO: it comes in time.
    assert!(assembly.condemn(8192, |writer| writer == 1));
    assert!(!assembly.condemn(8192, |writer| writer == 1), "already");
    assembly.bury(false);
    let out = run(&mut assembly, &fragments[1..].concat(), 4096);
    assert_eq!(out, [Ok(message(0, 10_000))]);
    // It does not come.
    run(&mut assembly, &fragments[0], 4096);
    assert!(assembly.condemn(100, |writer| writer == 1));
    run(
        &mut assembly,
        &cut(2, 1, b"from another, and more than a hundred bytes").concat().repeat(3),
        4096,
    );
    assembly.bury(false);
    assert_eq!((assembly.lost(), assembly.is_empty()), (1, true));
}

#[test]
fn when_much_is_unfinished_it_wants_an_inspection() {
    let mut assembly = Assembly::new(1 << 20);
    let mut writers = 0;
    while !assembly.wants_inspection() {
        writers += 1;
        run(&mut assembly, &cut(writers, 0, &message(0, 10_000))[0], 4096);
    }
    assert!((10..=20).contains(&writers), "{writers}");
    assembly.condemn(0, |_| false);
    assert!(!assembly.wants_inspection());
}

#[test]
fn writers_that_die_one_after_the_other_in_a_busy_pipe_leave_little_behind() {
    let mut assembly = Assembly::new(1 << 20);
    let mut most = 0;
    for writer in 1..=5_000 {
        let fragments = cut(writer, 0, &message(0, 10_000));
        assert_eq!(run(&mut assembly, &fragments[0], PAYLOAD), []);
        if assembly.wants_inspection() {
            assembly.condemn(0, |_| true);
        }
        assembly.bury(false);
        most = most.max(assembly.unfinished.len());
    }
    assert!(most <= 32, "{most} unfinished messages of dead writers");
}

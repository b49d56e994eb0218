//! The pipe as a channel in one process: messages, plain ends, capacity, and what the errors say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::pattern;
use ipc_pipe::{Capabilities, pipe, pipe_with};
use ipc_pipe::{ErrorKind, Options, PIPE_BUF, PipeExt, PipeReceiver, PipeSender, Receiver, Sender};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::time::{Duration, Instant};

fn options(text: &str) -> Options {
    ipc_pipe::Endpoint::parse(format!("pipe://fd/0?{text}")).unwrap().options().clone()
}

#[test]
fn messages_of_any_size_arrive_whole_and_in_order() {
    let (mut sender, mut receiver) = pipe().unwrap();
    let sizes = [0, 1, 4_091, 4_092, 4_093, 65_532, 65_536, 65_537, 1 << 20, 3];
    let sending = std::thread::spawn(move || {
        for size in sizes {
            sender.send(&pattern(size)).unwrap();
        }
    });
    for size in sizes {
        assert_eq!(receiver.recv().unwrap(), pattern(size));
    }
    sending.join().unwrap();
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn a_sender_without_a_receiver_is_told() {
    let (mut sender, receiver) = pipe().unwrap();
    drop(receiver);
    let error = sender.send(b"hello?").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.endpoint().unwrap().starts_with("pipe://fd/"), "{error}");
}

#[test]
fn an_empty_pipe_would_block_and_a_deadline_is_kept() {
    let (sender, mut receiver) = pipe().unwrap();
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    let start = Instant::now();
    let error = receiver.recv_timeout(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(20));
    drop(sender);
}

#[test]
fn a_receiver_that_sleeps_at_once_keeps_deadlines_too() {
    let (mut sender, mut receiver) = pipe_with(&options("waiting=block")).unwrap();
    for _ in 0..2 {
        assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
        let sending = std::thread::spawn(move || {
            sender.send(b"sooner or later").unwrap();
            sender
        });
        assert_eq!(receiver.recv().unwrap(), b"sooner or later"); // from here on reads block …
        sender = sending.join().unwrap();
        assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock); // … and do not
        let short = Duration::from_millis(5);
        assert_eq!(receiver.recv_timeout(short).unwrap_err().kind(), ErrorKind::TimedOut);
    }
    let ending = std::thread::spawn(move || drop(sender));
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    ending.join().unwrap();
}

#[test]
fn a_full_pipe_takes_a_message_up_to_pipe_buf_whole_or_not_at_all() {
    for free in [1, 100, PIPE_BUF - 1] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let capacity = writer.set_capacity(PIPE_BUF * 2).unwrap();
        writer.write_all(&pattern(capacity - free)).unwrap();
        let mut sender = PipeSender::from_writer(writer, &options("framing=raw")).unwrap();
        // One byte more than there is room for.
        let error = sender.try_send(&pattern(free + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let error = sender.send_timeout(&pattern(free + 1), Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(reader.bytes_waiting().unwrap(), capacity - free, "nothing half-written");
    }
}

#[test]
fn a_long_message_that_ran_out_of_time_half_way_is_finished_later() {
    let (mut sender, mut receiver) = pipe().unwrap();
    let long = pattern(1 << 20);
    sender.send_timeout(&long, Duration::from_millis(1)).unwrap();
    let receiving = std::thread::spawn(move || {
        assert_eq!(receiver.recv().unwrap(), pattern(1 << 20));
        assert_eq!(receiver.recv().unwrap(), b"next");
        receiver
    });
    sender.send(b"next").unwrap();
    receiving.join().unwrap();
}

#[test]
fn plain_ends_become_framed_and_framed_ones_plain() {
    let (reader, writer) = std::io::pipe().unwrap();
    let lines = options("framing=lines");
    let mut sender = PipeSender::from_writer(writer, &lines).unwrap();
    let mut receiver = PipeReceiver::from_reader(reader, &lines).unwrap();
    sender.send(b"one").unwrap();
    sender.send(b"two").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"one");

    let mut writer = BufWriter::new(sender.into_writer().unwrap());
    let (ahead, reader) = receiver.into_reader().unwrap();
    assert_eq!(ahead, b"two\n", "what was read ahead is not lost");
    writeln!(writer, "{} {} {}", 10, 20, 30).unwrap();
    writer.flush().unwrap();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert_eq!(line, "10 20 30\n");
}

#[test]
fn a_plain_end_blocks_also_after_it_has_been_framed() {
    let (sender, receiver) = pipe().unwrap();
    let mut writer = sender.into_writer().unwrap();
    let (_, mut reader) = receiver.into_reader().unwrap();
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all
    });
    // More than the pipe holds: an end that does not block would fail here.
    writer.write_all(&pattern(300_000)).unwrap();
    drop(writer);
    assert_eq!(reading.join().unwrap(), pattern(300_000));
}

#[test]
fn framing_a_plain_end_leaves_its_copies_blocking() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let (reader, _writer) = std::io::pipe().unwrap();
    let copy = reader.try_clone().unwrap();
    let mut receiver = PipeReceiver::from_reader(reader, &Options::default()).unwrap();
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    let flags = OFlag::from_bits_retain(fcntl(&copy, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK));
}

#[test]
fn every_framing_works_and_says_what_it_cannot_carry() {
    for (framing, good, bad) in [
        ("length", &b"\n\0"[..], None),
        ("lines", b"a line", Some(&b"two\nlines"[..])),
        ("nul", b"two\nlines", Some(b"a\0b")),
        ("fixed:4", b"four", Some(b"five?")),
        ("raw", b"anything", Some(b"")),
    ] {
        let (mut sender, mut receiver) = pipe_with(&options(&format!("framing={framing}"))).unwrap();
        sender.send(good).unwrap();
        assert_eq!(receiver.recv().unwrap(), good, "{framing}");
        if let Some(bad) = bad {
            assert_eq!(sender.send(bad).unwrap_err().kind(), ErrorKind::InvalidMessage, "{framing}");
        }
        sender.send(good).unwrap();
        assert_eq!(receiver.recv().unwrap(), good, "{framing}, after the error");
    }
}

#[test]
fn capacity_is_asked_set_by_option_and_limited_by_name() {
    let (sender, receiver) = pipe_with(&options("capacity=128K")).unwrap();
    assert_eq!(sender.capacity().unwrap(), 128 << 10);
    assert_eq!(receiver.set_capacity(5_000).unwrap(), 8_192);
    assert_eq!(sender.capacity().unwrap(), 8_192);
    for too_much in [usize::MAX, i32::MAX as usize + 1, i32::MAX as usize] {
        let error = sender.set_capacity(too_much).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{too_much}");
        let limit = error.limit().unwrap();
        assert_eq!(limit.name, "pipe-max-size");
        let now = std::fs::read_to_string("/proc/sys/fs/pipe-max-size").unwrap();
        assert_eq!(limit.value.to_string(), now.trim());
    }
}

#[test]
fn the_first_long_message_enlarges_a_pipe_whose_capacity_was_not_asked_for() {
    let mut raw = options("framing=raw");
    for asked in [None, Some(65_536)] {
        raw.capacity = asked;
        let (mut sender, _receiver) = pipe_with(&raw).unwrap();
        let before = sender.capacity().unwrap();
        sender.send(&[0; 1000]).unwrap();
        assert_eq!(sender.capacity().unwrap(), before, "short messages need no more");
        let _ = sender.try_send(&[0; 65_536]);
        let after = sender.capacity().unwrap();
        // As much as that only where the limits allow it.
        assert!(after == before || (asked.is_none() && after == 262_144), "{before} became {after}");
    }
}

#[test]
fn a_pipe_cannot_be_made_smaller_than_what_is_in_it() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&pattern(3 * PIPE_BUF)).unwrap();
    let error = reader.set_capacity(PIPE_BUF).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
}

#[test]
fn bytes_waiting_are_counted() {
    let (mut sender, receiver) = pipe_with(&options("framing=lines")).unwrap();
    assert_eq!(receiver.bytes_waiting().unwrap(), 0);
    sender.send(b"1234").unwrap();
    assert_eq!(receiver.bytes_waiting().unwrap(), 5);
    assert_eq!(sender.bytes_waiting().unwrap(), 5);
}

#[test]
fn options_of_other_transports_are_refused() {
    let options = Options::default().mode(0o600);
    let error = pipe_with(&options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOption);
}

#[test]
fn capabilities_follow_the_options() {
    let (sender, receiver) = pipe().unwrap();
    assert_eq!(sender.capabilities(), ipc_pipe::CAPABILITIES);
    assert_eq!(receiver.capabilities(), ipc_pipe::CAPABILITIES);
    let (sender, _receiver) = pipe_with(&options("framing=raw&max_message=100")).unwrap();
    let Capabilities { max_message, .. } = sender.capabilities();
    assert_eq!(max_message, Some(100));
    let (sender, _receiver) = pipe_with(&options("framing=fixed:7")).unwrap();
    assert_eq!(sender.capabilities().max_message, Some(7));
}

#[test]
fn both_ends_move_to_threads_and_hide_behind_the_traits() {
    let (sender, receiver) = pipe().unwrap();
    let mut sender: Box<dyn Sender> = Box::new(sender);
    let mut receiver: Box<dyn Receiver> = Box::new(receiver);
    std::thread::spawn(move || sender.send(b"moved").unwrap());
    assert_eq!(receiver.recv().unwrap(), b"moved");
}

//! Peers that know nothing of us: the shell, C programs, who writes fragments by the picture, and noise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Place;
use ipc_fifo::{ErrorKind, FifoReceiver, FifoSender, Receiver, Sender};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

#[test]
fn the_shell_writes_lines_and_reads_lines() {
    let place = Place::new();
    let endpoint = place.endpoint("?framing=lines");
    let mut receiver = FifoReceiver::bind(&endpoint).unwrap();
    let script = "printf 'one\\n\\nthree' > \"$0\"";
    let status = Command::new("sh").args(["-c", script]).arg(place.path()).status().unwrap();
    assert!(status.success());
    for line in ["one", "", "three"] {
        assert_eq!(receiver.recv().unwrap(), line.as_bytes());
    }
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    drop(receiver);

    let mut sender = FifoSender::bind(&endpoint).unwrap();
    let reader = Command::new("cat").arg(place.path()).stdout(Stdio::piped()).spawn().unwrap();
    sender.send(b"four").unwrap();
    sender.send(&[b'5'; 10_000]).unwrap();
    drop(sender);
    let output = reader.wait_with_output().unwrap().stdout;
    assert_eq!(output, ["four\n", &"5".repeat(10_000), "\n"].concat().as_bytes());
}

#[test]
fn a_c_program_writes_records_of_its_own() {
    let place = Place::new();
    mkfifo(&place.path(), Mode::S_IRWXU).unwrap();
    // Both open as C programs do: each blocks until the other is there.
    let path = place.path();
    let writing = thread::spawn(move || {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(&[1; 16]).unwrap();
        file.write_all(&[2; 16]).unwrap();
        file.write_all(&[3; 5]).unwrap();
    });
    let mut receiver = FifoReceiver::connect(place.endpoint("?framing=fixed:16")).unwrap();
    assert_eq!(receiver.recv().unwrap(), [1; 16]);
    assert_eq!(receiver.recv().unwrap(), [2; 16]);
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Truncated);
    writing.join().unwrap();
}

#[test]
fn bytes_of_a_stranger_are_told_once_and_passed_over() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    let mut sender = FifoSender::connect(place.endpoint("")).unwrap();
    let mut stranger = OpenOptions::new().write(true).open(place.path()).unwrap();
    sender.send(b"before").unwrap();
    stranger.write_all(b"what is this? ipF1 and more, ipF").unwrap();
    sender.send(b"after").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"before");
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Corrupted);
    assert_eq!(receiver.recv().unwrap(), b"after");

    // Half a header, behind which nothing comes.
    stranger.write_all(b"ipF1\0\0").unwrap();
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::Corrupted);
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    sender.send(b"and on").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"and on");
}

/// A fragment, made by the picture in the front page and not by the code.
fn fragment(writer: u64, message: u64, total: u32, offset: u32, bytes: &[u8]) -> Vec<u8> {
    let mut fragment = b"ipF1\0\0".to_vec();
    fragment.extend((bytes.len() as u16).to_le_bytes());
    fragment.extend(writer.to_le_bytes());
    fragment.extend(message.to_le_bytes());
    fragment.extend(total.to_le_bytes());
    fragment.extend(offset.to_le_bytes());
    fragment.extend(bytes);
    fragment
}

#[test]
fn who_knows_only_the_picture_can_write_fragments() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    let mut stranger = OpenOptions::new().write(true).open(place.path()).unwrap();
    stranger.write_all(&fragment(5, 1, 7, 0, b"one")).unwrap();
    stranger.write_all(&fragment(6, 9, 3, 0, b"two")).unwrap();
    stranger.write_all(&fragment(5, 1, 7, 3, b" and")).unwrap();
    assert_eq!(receiver.recv().unwrap(), b"two");
    assert_eq!(receiver.recv().unwrap(), b"one and");
}

#[test]
fn a_flood_of_beginnings_by_nobody_is_forgotten_while_it_comes() {
    const FLOOD: u64 = 20_000;
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    let mut stranger = OpenOptions::new().write(true).open(place.path()).unwrap();
    let flood = thread::spawn(move || {
        for writer in 1..=FLOOD {
            stranger.write_all(&fragment(writer, 1, u32::MAX >> 8, 0, &[0; 100])).unwrap();
        }
        stranger.write_all(&fragment(FLOOD + 1, 1, 4, 0, b"last")).unwrap();
        stranger
    });
    assert_eq!(receiver.recv().unwrap(), b"last");
    assert!(receiver.lost() > FLOOD / 2, "{}", receiver.lost());
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(receiver.lost(), FLOOD);
    drop(flood.join().unwrap());
}

//! A C program at the other end, in every framing that C programs speak; `peer.c` is the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{PATIENCE, alone, pattern, wait};
use ipc_pipe::{Endpoint, ErrorKind, PipeReceiver, PipeSender, Receiver, Sender, hand_over_as};
use std::process::Command;

fn echoed_by_c(framing: &str, messages: &[Vec<u8>]) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("peer");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer.c");
    let compiled = Command::new("cc").args(["-Wall", "-Werror", source, "-o"]).arg(&program).status();
    assert!(compiled.expect("a C compiler, cc, is needed").success());

    let (their_reader, our_writer) = std::io::pipe().unwrap();
    let (our_reader, their_writer) = std::io::pipe().unwrap();
    let mut command = Command::new(program);
    command.arg(framing);
    hand_over_as(their_reader, 3, &mut command).unwrap();
    hand_over_as(their_writer, 4, &mut command).unwrap();
    let mut child = command.spawn().unwrap();
    drop(command);

    let options = Endpoint::parse(format!("pipe://stdin?framing={framing}")).unwrap().options().clone();
    let mut sender = PipeSender::from_writer(our_writer, &options).unwrap();
    let mut receiver = PipeReceiver::from_reader(our_reader, &options).unwrap();
    for message in messages {
        sender.send(message).unwrap();
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), message);
    }
    drop(sender);
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(wait(&mut child).success());
}

#[test]
fn frames_of_our_own() {
    alone("frames_of_our_own", || {
        echoed_by_c("length", &[pattern(0), pattern(1), pattern(4_096), pattern(1 << 20)]);
    });
}

#[test]
fn arrays_of_fifty_characters() {
    alone("arrays_of_fifty_characters", || {
        echoed_by_c("fixed:50", &[vec![0; 50], pattern(50), vec![b'x'; 50]]);
    });
}

#[test]
fn lines_by_stdio() {
    alone("lines_by_stdio", || {
        echoed_by_c(
            "lines",
            &[b"a line".to_vec(), Vec::new(), vec![b'x'; 10_000], b"\xff\xfe".to_vec()],
        );
    });
}

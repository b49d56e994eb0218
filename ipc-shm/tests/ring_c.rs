//! A program in C at the other end: `c/ring_peer.c` joins by the layout alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "ring_common/mod.rs"]
mod common;

use common::name;
use ipc_shm::{ErrorKind, Receiver, Sender, ShmReceiver, ShmSender};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

#[test]
fn a_c_program_sends_and_leaves() {
    let name = name();
    let mut receiver = ShmReceiver::bind(format!("{name}?capacity=8K")).unwrap();
    let mut peer = start(&["send", c_name(&name), "3000"]);
    for number in 0..3000 {
        let expected = vec![number as u8; number * 37 % 1500];
        assert!(receiver.recv().unwrap() == expected, "message {number}");
    }
    assert_eq!(receiver.recv().map(|_| ()).unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(peer.wait().unwrap().success());
    assert_eq!(receiver.stats().peer_pid, Some(peer.id()));
}

#[test]
fn a_c_program_receives_until_the_sender_leaves() {
    let name = name();
    let mut sender = ShmSender::bind(format!("{name}?capacity=8K")).unwrap();
    let mut peer = start(&["recv", c_name(&name)]);
    let lengths = || (0..1000).map(|number: usize| number * 61 % 9000);
    let lines = BufReader::new(peer.stdout.take().unwrap()).lines();
    let sending = std::thread::spawn(move || {
        for length in lengths() {
            sender.send(&vec![length as u8; length]).unwrap();
        }
    });
    let received: Vec<_> = lines.map(Result::unwrap).collect();
    sending.join().unwrap();
    let expected = lengths().map(|length| format!("{length} {}", length * (length & 255)));
    assert!(received.into_iter().eq(expected));
    assert!(peer.wait().unwrap().success());
}

#[test]
fn a_killed_c_program_is_noticed() {
    let name = name();
    let mut sender = ShmSender::bind(format!("{name}?capacity=8K")).unwrap();
    let mut peer = start(&["recv", c_name(&name)]);
    common::until("it is there", || sender.stats().peer_pid.is_some());
    peer.kill().unwrap();
    let error = loop {
        if let Err(error) = sender.send(&[1; 1000]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    peer.wait().unwrap();
    let second = start(&["recv", c_name(&name)]).wait_with_output().unwrap();
    assert!(!second.status.success());
}

fn c_name(name: &str) -> &str {
    name.trim_start_matches("shm:/")
}

fn start(arguments: &[&str]) -> Child {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ring_peer");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/ring_peer.c");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&program)
            .arg(source)
            .arg("-lrt");
        assert!(compiler.status().unwrap().success());
        program
    });
    Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().unwrap()
}

//! Children by fork(2). They need a process of one thread, so this file has its own `main`, which runs one
//! test after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_pipe::{ErrorKind, Options, Receiver, Sender, fork, pipe, pipe_with};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let tests: [(&str, fn()); 8] = [
        ("a_child_sends_to_its_parent", a_child_sends_to_its_parent),
        ("a_child_receives_until_its_parent_stops", a_child_receives_until_its_parent_stops),
        ("the_end_is_seen_though_the_child_lives_on", the_end_is_seen_though_the_child_lives_on),
        ("a_child_that_fails_or_panics_says_so", a_child_that_fails_or_panics_says_so),
        ("a_child_can_be_killed_and_waited_for_twice", a_child_can_be_killed_and_waited_for_twice),
        ("a_child_drops_nothing_of_its_parents", a_child_drops_nothing_of_its_parents),
        ("a_child_does_not_finish_what_its_parent_sends", a_child_does_not_finish_what_its_parent_sends),
        ("with_other_threads_fork_is_refused", with_other_threads_fork_is_refused),
    ];
    for (name, test) in tests {
        println!("test {name}");
        test();
    }
}

fn a_child_sends_to_its_parent() {
    let (mut sender, receiver) = pipe().unwrap();
    let (mut receiver, mut child) = fork(receiver, move || {
        sender.send(b"done")?;
        Ok(())
    })
    .unwrap();
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), b"done");
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(child.wait().unwrap().success());
}

fn a_child_receives_until_its_parent_stops() {
    let (sender, mut receiver) = pipe().unwrap();
    let (mut sender, mut child) = fork(sender, move || {
        let mut count = 0;
        while receiver.recv_timeout(PATIENCE).is_ok() {
            count += 1;
        }
        // Had the child kept a copy of the sender, this would be a timeout.
        let ended = receiver.recv_timeout(PATIENCE).unwrap_err().kind() == ErrorKind::Disconnected;
        if ended && count == 1_000 { Ok(()) } else { Err(format!("{count} messages").into()) }
    })
    .unwrap();
    for number in 0..1_000_u32 {
        sender.send(&number.to_le_bytes()).unwrap();
    }
    drop(sender);
    assert!(child.wait().unwrap().success());
}

fn the_end_is_seen_though_the_child_lives_on() {
    let (mut sender, receiver) = pipe().unwrap();
    let (mut receiver, mut child) = fork(receiver, move || {
        sender.send(b"bye")?;
        drop(sender);
        loop {
            std::thread::park();
        }
    })
    .unwrap();
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), b"bye");
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap_err().kind(), ErrorKind::Disconnected);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn a_child_that_fails_or_panics_says_so() {
    let ((), mut child) = fork((), || Err("this is meant to fail".into())).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let ((), mut child) = fork((), || {
        std::panic::set_hook(Box::new(|_| {})); // in the child alone; it would look like a failure
        panic!("this is meant to panic")
    })
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(101));
}

fn a_child_can_be_killed_and_waited_for_twice() {
    let ((), mut child) = fork((), || {
        loop {
            std::thread::park();
        }
    })
    .unwrap();
    assert_ne!(child.id(), std::process::id());
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
    assert_eq!(child.wait().unwrap(), status);
    child.kill().unwrap(); // its number may be another's by now, so nothing is sent
}

fn a_child_drops_nothing_of_its_parents() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ((), mut child) = fork((), || Ok(())).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(file.path().exists(), "the child has removed its parent's file");
}

fn a_child_does_not_finish_what_its_parent_sends() {
    let (mut sender, mut receiver) = pipe_with(&Options::default().capacity(65_536)).unwrap();
    // A part of it goes out, and the sender keeps the rest.
    let message = vec![7; 80_000];
    sender.try_send(&message).unwrap();
    // What has gone out is read, so that there is room for the rest.
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    let ((mut sender, mut receiver), mut child) = fork((sender, receiver), || Ok(())).unwrap();
    assert!(child.wait().unwrap().success());
    sender.send(b"next").unwrap();
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), message);
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), b"next");
}

fn with_other_threads_fork_is_refused() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || stopped.recv());
    let error = fork((), || Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("2 threads"), "{error}");
    drop(stop);
    other.join().unwrap().unwrap_err();
    // Joined, it is no obstacle any more.
    let ((), mut child) = fork((), || Ok(())).unwrap();
    assert!(child.wait().unwrap().success());
}

//! The ring where /proc does not show the other process: hidden from other users, or not mounted at all.
//! What cannot be seen is not dead, and what is dead is noticed all the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Running, child, is_root, role, say, start};
use ipc_shm::{ErrorKind, Receiver, Ring, Sender, ShmReceiver};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgid, setuid};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// What second processes do, with the ring that is their standard input. The argument says how much of
/// `/proc` they have, and for the receiver: whose end to await.
#[test]
fn child_process() {
    let Some((role, argument)) = role() else { return };
    let (proc, sender) = argument.split_once(' ').unwrap();
    match proc {
        "hidden" => {
            own_proc("proc", "hidepid=2");
            setgid(Gid::from_raw(60_022)).unwrap();
            setuid(Uid::from_raw(60_022)).unwrap();
            assert!(Path::new("/proc/self/stat").exists());
        }
        "missing" => {
            own_proc("tmpfs", "");
            assert!(!Path::new("/proc/self").exists());
        }
        other => assert_eq!(other, "whole"),
    }
    let ring = Ring::from_fd(std::io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap();
    match role.as_str() {
        "send, and wait" => {
            let mut sender = ring.sender().unwrap();
            sender.send(b"here").unwrap();
            say("sent");
            loop {
                std::thread::park();
            }
        }
        "receive" => {
            assert_eq!(proc == "whole", Path::new(&format!("/proc/{sender}/stat")).exists());
            let mut receiver = ring.receiver().unwrap();
            assert_eq!(receiver.recv().unwrap(), b"here");
            // It looks after its peer several times meanwhile.
            say(&format!("{:?}", waited(&mut receiver, Duration::from_millis(120))));
            say(&format!("{:?}", waited(&mut receiver, Duration::from_secs(10))));
        }
        other => panic!("no such role: {other}"),
    }
}

fn waited(receiver: &mut ShmReceiver, timeout: Duration) -> ErrorKind {
    receiver.recv_timeout(timeout).map(|_| ()).unwrap_err().kind()
}

/// A mount namespace with another file system at `/proc`.
fn own_proc(kind: &str, options: &str) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some(kind), "/proc", Some(kind), MsFlags::empty(), Some(options)).unwrap();
}

/// A receiver that sees so much of `/proc` waits for a sender that lives, and then was killed.
fn watch_a_sender(sender: &str, receiver: &str) {
    if !is_root() {
        return;
    }
    let ring = Ring::one_way(1 << 16).unwrap();
    let start = |role: &str, argument: &str| -> Running {
        let mut command = child(role, argument);
        command.stdin(ring.try_clone_fd().unwrap());
        start(command)
    };
    let mut sending = start("send, and wait", &format!("{sender} -"));
    assert_eq!(sending.hear(), "sent");
    let mut receiving = start("receive", &format!("{receiver} {}", sending.id()));
    assert_eq!(receiving.hear(), "TimedOut", "it lives");
    sending.kill();
    assert_eq!(receiving.hear(), "Disconnected");
    receiving.finish();
}

#[test]
fn a_peer_that_proc_hides_is_not_dead_before_it_is() {
    watch_a_sender("whole", "hidden");
}

#[test]
fn a_peer_is_watched_without_proc() {
    watch_a_sender("whole", "missing");
}

#[test]
fn a_peer_that_has_no_proc_is_watched() {
    watch_a_sender("missing", "whole");
}

#[test]
fn two_without_proc_watch_each_other() {
    watch_a_sender("missing", "missing");
}

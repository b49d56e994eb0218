//! Whether the peer still lives: killed, stopped, forked, just coming, in another pid namespace, or another
//! process by its id.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // to fork

#[path = "ring_common/mod.rs"]
mod common;

use common::{Child, kind, name, until};
use ipc_shm::{ErrorKind, Receiver, Ring, Segment, Sender, ShmPair, ShmReceiver, ShmSender};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    match task.as_str() {
        "answer" => {
            let mut pair = ShmPair::connect(&name).unwrap();
            while let Ok(question) = pair.recv_vec() {
                pair.send(&question).unwrap();
            }
        }
        "send for ever" => {
            let mut sender = ShmSender::connect(&name).unwrap();
            while sender.send(b"again").is_ok() {}
        }
        "send a long message" => {
            let mut sender = ShmSender::connect(&name).unwrap();
            sender.send(b"first").unwrap();
            sender.send(&vec![7; 1 << 20]).unwrap();
        }
        "fork, and wait" => {
            let mut sender = ShmSender::connect(&name).unwrap();
            // SAFETY: the child does nothing but wait.
            match unsafe { nix::unistd::fork() }.unwrap() {
                nix::unistd::ForkResult::Child => {
                    common::wait_for_end_of_input();
                    std::process::exit(0);
                }
                nix::unistd::ForkResult::Parent { .. } => {
                    sender.send(b"forked").unwrap();
                    common::wait_for_ever();
                }
            }
        }
        "send, and become another program" => {
            use std::os::unix::process::CommandExt;
            let mut sender = ShmSender::connect(&name).unwrap();
            sender.send(b"last").unwrap();
            // It reads the input that the parent keeps open, and says nothing.
            panic!("{}", std::process::Command::new("cat").exec());
        }
        "send from a new pid namespace" => {
            // It has said before where it is.
            drop(Ring::one_way(4096).unwrap().sender().unwrap());
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWPID).unwrap();
            // SAFETY: the child uses what it makes itself only.
            match unsafe { nix::unistd::fork() }.unwrap() {
                nix::unistd::ForkResult::Child => {
                    let mut sender = ShmSender::connect(&name).unwrap();
                    sender.send(b"from there").unwrap();
                    common::wait_for_end_of_input();
                    // SAFETY: ends the process, without a word to the other.
                    unsafe { libc::_exit(0) };
                }
                nix::unistd::ForkResult::Parent { child } => {
                    nix::sys::wait::waitpid(child, None).unwrap();
                }
            }
        }
        other => panic!("no such task: {other}"),
    }
}

#[test]
fn a_sender_killed_inside_a_message_is_truncated_then_disconnected() {
    let name = name();
    let mut receiver = ShmReceiver::bind(format!("{name}?capacity=4K")).unwrap();
    let mut child = Child::start("send a long message", &name);
    assert_eq!(receiver.recv().unwrap(), b"first");
    // The record after it: the word of its head, with the bit that says that more follow.
    let memory = Segment::open(&name).unwrap();
    let head = memory.atomic_u64(4096 + 16).unwrap();
    until("a piece is there", || head.load(std::sync::atomic::Ordering::Acquire) >> 32 == 0b101);
    child.kill();
    assert_eq!(kind(receiver.recv()), ErrorKind::Truncated);
    assert_eq!(kind(receiver.recv()), ErrorKind::Disconnected);
    assert_eq!(kind(receiver.try_recv()), ErrorKind::Disconnected);
}

#[test]
fn a_killed_peer_that_nobody_waits_for_is_noticed_within_a_second() {
    let name = name();
    let mut receiver = ShmReceiver::bind(&name).unwrap();
    let mut child = Child::start("send for ever", &name);
    receiver.recv().unwrap();
    child.kill_and_leave();
    let started = Instant::now();
    while receiver.recv_timeout(10 * SECOND).is_ok() {}
    assert_eq!(kind(receiver.recv()), ErrorKind::Disconnected);
    assert!(started.elapsed() < SECOND, "{:?}", started.elapsed());
}

#[test]
fn a_stopped_peer_is_not_a_dead_one() {
    let name = name();
    let mut receiver = ShmReceiver::bind(&name).unwrap();
    let child = Child::start("send for ever", &name);
    receiver.recv().unwrap();
    child.stop();
    let error = loop {
        match receiver.recv_timeout(Duration::from_millis(200)) {
            Ok(message) => assert_eq!(message, b"again"),
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(error, ErrorKind::TimedOut);
    child.resume();
    assert_eq!(receiver.recv().unwrap(), b"again");
}

#[test]
fn a_child_of_a_killed_peer_does_not_keep_the_connection_up() {
    let name = name();
    let mut receiver = ShmReceiver::bind(&name).unwrap();
    let mut child = Child::start("fork, and wait", &name);
    assert_eq!(receiver.recv().unwrap(), b"forked");
    let started = Instant::now();
    child.kill();
    assert_eq!(kind(receiver.recv_timeout(10 * SECOND)), ErrorKind::Disconnected);
    assert!(started.elapsed() < SECOND);
}

#[test]
fn the_death_of_a_peer_in_another_pid_namespace_shows_by_its_locks() {
    const NAMESPACE_OF_A: usize = 128 + 8;
    let name = name();
    let mut receiver = ShmReceiver::bind(&name).unwrap();
    let mut child = Child::start("send for ever", &name);
    until("it has come", || receiver.stats().peer_pid.is_some());
    let memory = Segment::open(&name).unwrap();
    let namespace = memory.atomic_u64(NAMESPACE_OF_A).unwrap();
    until("it has said where", || namespace.load(Relaxed) != 0);
    namespace.store(1, Relaxed);
    drop(memory);
    receiver.recv().unwrap();
    child.kill_and_leave();
    while receiver.recv_timeout(10 * SECOND).is_ok() {}
    assert_eq!(kind(receiver.recv()), ErrorKind::Disconnected);
}

#[test]
fn a_peer_that_becomes_another_program_is_gone() {
    let name = name();
    let mut receiver = ShmReceiver::bind(&name).unwrap();
    let mut child = Child::start("send, and become another program", &name);
    assert_eq!(receiver.recv_timeout(10 * SECOND).unwrap(), b"last");
    assert_eq!(kind(receiver.recv_timeout(10 * SECOND)), ErrorKind::Disconnected);
    assert!(child.runs());
}

#[test]
fn a_process_forked_into_a_new_pid_namespace_says_that_it_is_there() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root may make pid namespaces");
    }
    let name = name();
    let mut receiver = ShmReceiver::bind(&name).unwrap();
    let mut child = Child::start("send from a new pid namespace", &name);
    assert_eq!(receiver.recv_timeout(10 * SECOND).unwrap(), b"from there");
    assert_eq!(kind(receiver.recv_timeout(Duration::from_millis(60))), ErrorKind::TimedOut, "it lives");
    assert!(child.succeeds());
    assert_eq!(kind(receiver.recv_timeout(10 * SECOND)), ErrorKind::Disconnected);
}

/// A side that says whose it is, and nothing else yet: a process of this id, which has ended.
fn claimed_side_a(ring: &Ring) -> Segment {
    const CLAIM_OF_A: usize = 128;
    let mut child = Child::start("none", "none");
    child.kill();
    let memory = Segment::from_fd(ring.try_clone_fd().unwrap()).unwrap();
    let claim = memory.atomic_u64(CLAIM_OF_A).unwrap();
    claim.store(1 << 22 | u64::from(child.id()), Relaxed);
    memory
}

#[test]
fn a_peer_that_is_just_coming_is_not_dead() {
    const NAMESPACE_OF_A: usize = 128 + 8;
    const STATE_OF_A: usize = 128 + 16;
    let ring = Ring::one_way(4096).unwrap();
    let mut receiver = ring.receiver().unwrap();
    let memory = claimed_side_a(&ring);
    assert_eq!(kind(receiver.recv_timeout(Duration::from_millis(50))), ErrorKind::TimedOut);
    // Its id means nothing here.
    memory.atomic_u64(NAMESPACE_OF_A).unwrap().store(1, Relaxed);
    memory.atomic_u64(STATE_OF_A).unwrap().store(1, Relaxed);
    assert_eq!(kind(receiver.recv_timeout(Duration::from_millis(150))), ErrorKind::TimedOut);
}

#[test]
fn a_peer_that_was_killed_while_coming_is_noticed() {
    let ring = Ring::one_way(4096).unwrap();
    let mut receiver = ring.receiver().unwrap();
    claimed_side_a(&ring);
    let started = Instant::now();
    assert_eq!(kind(receiver.recv_timeout(10 * SECOND)), ErrorKind::Disconnected);
    assert!(started.elapsed() < SECOND);
}

/// A side A that is here: of this process id, started so many ticks after the system.
fn side_a_of(ring: &Ring, id: u32, started: u64) {
    const SIDE_A: usize = 128;
    const NAMESPACE_OF_B: usize = 256 + 8;
    let memory = Segment::from_fd(ring.try_clone_fd().unwrap()).unwrap();
    let word = |at| memory.atomic_u64(at).unwrap();
    word(SIDE_A).store(started << 22 | u64::from(id), Relaxed);
    word(SIDE_A + 8).store(word(NAMESPACE_OF_B).load(Relaxed), Relaxed);
    word(SIDE_A + 16).store(1, Relaxed);
}

/// Field 22 of proc_pid_stat(5).
fn start_time(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(19).unwrap().parse().unwrap()
}

#[test]
fn another_process_that_has_got_the_id_of_a_dead_peer_does_not_stand_in_for_it() {
    let name = name();
    let _bound = ShmPair::bind(&name).unwrap();
    let child = Child::start("answer", &name); // lives, and has nothing to do with these rings
    let started = start_time(child.id());
    for (claimed, is_it) in [(started, true), (started - 1, false), (started + 1, false), (1, false)] {
        let ring = Ring::one_way(4096).unwrap();
        let mut receiver = ring.receiver().unwrap();
        side_a_of(&ring, child.id(), claimed);
        let expected = if is_it { ErrorKind::TimedOut } else { ErrorKind::Disconnected };
        let received = receiver.recv_timeout(Duration::from_millis(if is_it { 60 } else { 10_000 }));
        assert_eq!(kind(received), expected, "claimed {claimed}, started {started}");
    }
}

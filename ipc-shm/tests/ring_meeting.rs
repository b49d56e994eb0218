//! Who meets whom: by name, by key, by descriptor, across a fork; and whose name it is when somebody goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // to fork

#[path = "ring_common/mod.rs"]
mod common;

use common::{Child, kind, name, until};
use ipc_shm::{
    ErrorKind, Options, Receiver, Ring, Segment, Sender, ShmPair, ShmReceiver, ShmSender, Waiting,
};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    match task.as_str() {
        "bind a sender, and wait" => {
            let mut sender = ShmSender::bind(&name).unwrap();
            sender.send(b"bound").unwrap();
            common::wait_for_ever();
        }
        "answer another user" => {
            // It stays in root's group, to which the mode opens the ring.
            nix::unistd::setuid(nix::unistd::Uid::from_raw(60_023)).unwrap();
            let refused = |options| ShmPair::connect(format!("{name}?{options}")).unwrap_err().kind();
            assert_eq!(refused("mode=0660"), ErrorKind::WrongOwner);
            assert_eq!(refused("mode=0660&uid=60024"), ErrorKind::WrongOwner);
            assert_eq!(refused("uid=0"), ErrorKind::PermissionDenied);
            let mut pair = ShmPair::connect(format!("{name}?mode=0660&uid=0")).unwrap();
            let question = pair.recv_vec().unwrap();
            pair.send(&question).unwrap();
            common::wait_for_ever();
        }
        "bind a sender, drop it in a child" => {
            let mut sender = ShmSender::bind(&name).unwrap();
            // SAFETY: the child drops what it has inherited, and ends.
            match unsafe { nix::unistd::fork() }.unwrap() {
                nix::unistd::ForkResult::Child => {
                    drop(sender);
                    std::process::exit(0);
                }
                nix::unistd::ForkResult::Parent { child } => {
                    nix::sys::wait::waitpid(child, None).unwrap();
                    sender.send(b"still here").unwrap();
                    common::wait_for_ever();
                }
            }
        }
        other => panic!("no such task: {other}"),
    }
}

#[test]
fn no_peer_yet_is_not_closed() {
    let mut receiver = ShmReceiver::bind(name()).unwrap();
    assert_eq!(kind(receiver.try_recv()), ErrorKind::WouldBlock);
    assert_eq!(kind(receiver.recv_timeout(Duration::from_millis(120))), ErrorKind::TimedOut);
    assert_eq!(receiver.stats().peer_pid, None);
}

#[test]
fn a_ring_has_all_its_room_from_the_beginning() {
    use std::os::unix::fs::MetadataExt;
    let name = name();
    // Longer than what a segment reserves by itself.
    match ShmReceiver::bind(format!("{name}?capacity=64M")) {
        Ok(_receiver) => {
            let file = format!("/dev/shm/{}", name.strip_prefix("shm://").unwrap());
            assert_eq!(std::fs::metadata(file).unwrap().blocks() * 512, (64 << 20) + 4096);
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::LimitExceeded);
            println!("skipped: {error}");
        }
    }
}

#[test]
fn a_second_peer_is_told_that_it_is_busy() {
    let name = name();
    let _receiver = ShmReceiver::bind(&name).unwrap();
    let sender = ShmSender::connect(&name).unwrap();
    assert_eq!(ShmSender::connect(&name).unwrap_err().kind(), ErrorKind::Busy);
    drop(sender);
    assert_eq!(ShmSender::connect(&name).unwrap_err().kind(), ErrorKind::NoPeer);
    assert_eq!(ShmPair::connect(&name).unwrap_err().kind(), ErrorKind::GeometryMismatch);
}

#[test]
fn two_ends_of_the_same_kind_are_told_so_and_not_that_the_owner_is_gone() {
    let (of_receiver, of_sender) = (name(), name());
    let _receiver = ShmReceiver::bind(&of_receiver).unwrap();
    let _sender = ShmSender::bind(&of_sender).unwrap();
    let soon = Duration::from_secs(5);
    for error in [
        ShmReceiver::connect(&of_receiver).unwrap_err(),
        ShmSender::connect(&of_sender).unwrap_err(),
        ShmReceiver::connect_timeout(&of_receiver, soon).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.to_string().contains("this very end"), "{error}");
    }
    // Nothing was taken by it.
    ShmSender::connect(&of_receiver).unwrap();
}

#[test]
fn errors_name_the_call_that_failed_and_a_wait_that_was_in_vain_says_for_what() {
    let name = name();
    let _receiver = ShmReceiver::bind(&name).unwrap();
    assert_eq!(ShmReceiver::bind(&name).unwrap_err().operation(), "bind");
    assert_eq!(ShmPair::bind(format!("{name}?uid=60023")).unwrap_err().operation(), "bind");
    let missing = format!("{name}-missing");
    assert_eq!(ShmSender::connect(&missing).unwrap_err().operation(), "connect");
    let soon = Duration::from_millis(30);
    let error = ShmSender::connect_timeout(&missing, soon).unwrap_err();
    assert!(error.to_string().starts_with(&format!("connect {missing}: ")), "{error}");
    assert!(error.to_string().ends_with(": nobody has made it"), "{error}");

    // The name is there, but its conversation is over.
    drop(ShmSender::connect(&name).unwrap());
    let error = ShmSender::connect_timeout(&name, soon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("a conversation is over there"), "{error}");
}

#[test]
fn connect_finds_what_is_there_only() {
    let name = name();
    assert_eq!(ShmSender::connect(&name).unwrap_err().kind(), ErrorKind::NotFound);
    let soon = Duration::from_millis(30);
    assert_eq!(ShmSender::connect_timeout(&name, soon).unwrap_err().kind(), ErrorKind::TimedOut);
    let waiting = std::thread::spawn({
        let name = name.clone();
        move || ShmSender::connect_timeout(&name, 10 * SECOND)
    });
    let receiver = ShmReceiver::bind(&name).unwrap();
    waiting.join().unwrap().unwrap();
    drop(receiver);
    assert_eq!(ShmSender::connect(&name).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ShmSender::bind("fifo:///tmp/x").unwrap_err().kind(), ErrorKind::UnknownScheme);
}

#[test]
fn a_name_of_a_killed_owner_is_no_peer_and_is_taken_over() {
    let name = name();
    let mut child = Child::start("bind a sender, and wait", &name);
    let mut receiver = ShmReceiver::connect_timeout(&name, 10 * SECOND).unwrap();
    assert_eq!(receiver.recv().unwrap(), b"bound");
    assert_eq!(receiver.stats().peer_pid, Some(child.id()));
    child.kill();
    assert_eq!(kind(receiver.recv()), ErrorKind::Disconnected);
    assert_eq!(ShmReceiver::connect(&name).unwrap_err().kind(), ErrorKind::NoPeer);
    let mut again = ShmReceiver::bind(&name).unwrap();
    let mut sender = ShmSender::connect(&name).unwrap();
    sender.send(b"anew").unwrap();
    assert_eq!(again.recv().unwrap(), b"anew");
}

#[test]
fn a_forked_child_that_drops_an_end_changes_nothing() {
    let name = name();
    let mut child = Child::start("bind a sender, drop it in a child", &name);
    let mut receiver = ShmReceiver::connect_timeout(&name, 10 * SECOND).unwrap();
    assert_eq!(receiver.recv().unwrap(), b"still here");
    assert_eq!(kind(receiver.recv_timeout(Duration::from_millis(60))), ErrorKind::TimedOut);
    assert!(child.runs());
    assert_eq!(ShmReceiver::bind(&name).unwrap_err().kind(), ErrorKind::AddrInUse);
    child.kill();
    drop(ShmReceiver::bind(&name).expect("taken over, so that nothing is left"));
}

#[test]
fn an_owner_whose_id_another_process_has_by_now_is_no_peer() {
    const CLAIM_OF_A: usize = 128;
    let name = name();
    let _sender = ShmSender::bind(&name).unwrap();
    let memory = Segment::open(&name).unwrap();
    memory.atomic_u64(CLAIM_OF_A).unwrap().fetch_sub(1 << 22, Relaxed);
    assert_eq!(ShmReceiver::connect(&name).unwrap_err().kind(), ErrorKind::NoPeer);
    memory.atomic_u64(CLAIM_OF_A).unwrap().fetch_add(1 << 22, Relaxed);
    drop(ShmReceiver::connect(&name).unwrap());
}

#[test]
fn the_name_of_a_stopped_owner_is_in_use() {
    for name in [name(), common::names::unique_key()] {
        let mut child = Child::start("bind a sender, and wait", &name);
        until("it has bound", || Segment::open(&name).is_ok());
        child.stop();
        until("it has stopped", || child.is_stopped());
        assert_eq!(ShmReceiver::bind(&name).unwrap_err().kind(), ErrorKind::AddrInUse, "{name}");
        child.resume();
        let mut receiver = ShmReceiver::connect_timeout(&name, 10 * SECOND).unwrap();
        assert_eq!(receiver.recv().unwrap(), b"bound");
        child.kill();
        drop(receiver);
        drop(ShmReceiver::bind(&name).expect("taken over, so that nothing is left"));
    }
}

#[test]
fn a_system_v_key_is_gone_when_both_have_met_and_is_taken_over_from_the_dead() {
    let key = common::names::unique_key();
    let mut child = Child::start("bind a sender, and wait", &key);
    until("it has bound", || Segment::open(&key).is_ok());
    assert_eq!(ShmReceiver::bind(&key).unwrap_err().kind(), ErrorKind::AddrInUse);
    child.kill();
    let mut receiver = ShmReceiver::bind(&key).unwrap();
    let mut sender = ShmSender::connect(&key).unwrap();
    assert_eq!(Segment::open(&key).unwrap_err().kind(), ErrorKind::NotFound);
    sender.send(b"met").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"met");
    // The key is free for the next two.
    drop(ShmReceiver::bind(&key).unwrap());
    sender.send(b"still").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"still");
}

#[test]
fn a_ring_of_another_user_is_joined_by_who_says_whose_it_must_be() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: it takes root to become another user");
    }
    for name in [name(), common::names::unique_key()] {
        let another = ShmPair::bind(format!("{name}?mode=0660&uid=60023")).unwrap_err();
        assert_eq!(another.kind(), ErrorKind::WrongOwner, "it would be root's");
        let mut pair = ShmPair::bind(format!("{name}?mode=0660&uid=0")).unwrap();
        let mut child = Child::start("answer another user", &name);
        pair.send(b"question").unwrap();
        assert_eq!(pair.recv_timeout(10 * SECOND).unwrap(), b"question");
        child.kill();
        assert_eq!(kind(pair.recv()), ErrorKind::Disconnected);
        drop(pair);
        assert_eq!(Segment::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn dropping_the_sending_half_of_a_pair_ends_one_direction_only() {
    let name = name();
    let (server_tx, mut server_rx) = ShmPair::bind(&name).unwrap().split();
    let (mut client_tx, mut client_rx) = ShmPair::connect(&name).unwrap().split();
    drop(server_tx);
    assert_eq!(kind(client_rx.recv()), ErrorKind::Disconnected);
    client_tx.send(b"still").unwrap();
    assert_eq!(server_rx.recv().unwrap(), b"still");
    assert_eq!(ShmPair::connect(&name).unwrap_err().kind(), ErrorKind::Busy);
}

#[test]
fn an_unnamed_ring_is_handed_over_by_descriptor_and_each_end_taken_once() {
    let ring = Ring::both_ways(4096).unwrap();
    let theirs = Ring::from_fd(ring.try_clone_fd().unwrap()).unwrap();
    let (mut one, mut two) = (ring.pair().unwrap(), theirs.pair().unwrap());
    assert_eq!(ring.pair().unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(ring.sender().unwrap_err().kind(), ErrorKind::GeometryMismatch);
    one.send(b"ping").unwrap();
    assert_eq!(two.recv().unwrap(), b"ping");
    two.send(b"pong").unwrap();
    assert_eq!(one.recv().unwrap(), b"pong");
    let other = Segment::anonymous(1 << 16).unwrap();
    let fd = other.fd().unwrap().try_clone_to_owned().unwrap();
    assert_eq!(Ring::from_fd(fd).unwrap_err().kind(), ErrorKind::NoPeer);
}

#[test]
fn an_unnamed_ring_takes_the_options_that_need_no_name() {
    let options = Options::default().max_message(100).waiting(Waiting::Block);
    let ring = Ring::one_way(4096).unwrap().with_options(options).unwrap();
    let mut sender = ring.sender().unwrap();
    let error = sender.send(&[0; 101]).unwrap_err();
    assert_eq!((error.kind(), error.limit().unwrap().value), (ErrorKind::MessageTooLarge, 100));
    let error = ring.with_options(Options::default().mode(0o600)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOption, "{error}");
}

#[test]
fn ends_taken_after_a_fork_talk_across_it() {
    let ring = Ring::both_ways(4096).unwrap();
    // SAFETY: the child uses what it has inherited only, and ends.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let mut pair = ring.pair().unwrap();
            let question = pair.recv_vec().unwrap();
            pair.send(&question).unwrap();
            // Without running anything else of the test harness.
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        nix::unistd::ForkResult::Parent { child } => {
            let mut pair = ring.pair().unwrap();
            pair.send(b"across").unwrap();
            assert_eq!(pair.recv().unwrap(), b"across");
            assert_eq!(kind(pair.recv()), ErrorKind::Disconnected);
            nix::sys::wait::waitpid(child, None).unwrap();
        }
    }
}

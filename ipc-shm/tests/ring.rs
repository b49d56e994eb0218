//! The ring as its users see it: who meets whom, what is left when somebody goes, and messages in place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)]

#[path = "ring_common/mod.rs"]
mod common;

use common::{Child, name, until};
use ipc_shm::{ErrorKind, Receiver, Ring, Segment, Sender, ShmPair, ShmReceiver, ShmSender, Wait};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

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
        "answer" => {
            let mut pair = ShmPair::connect(&name).unwrap();
            while let Ok(question) = pair.recv_vec() {
                pair.send(&question).unwrap();
            }
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
        "send for ever" => {
            let mut sender = ShmSender::connect(&name).unwrap();
            while sender.send(b"again").is_ok() {}
        }
        "send a long message" => {
            let mut sender = ShmSender::connect(&name).unwrap();
            sender.send(b"first").unwrap();
            sender.send(&vec![7; 1 << 20]).unwrap();
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
        other => panic!("no such task: {other}"),
    }
}

#[test]
fn who_sleeps_is_woken_across_processes_at_once() {
    const TURNS: u32 = 200;
    let name = format!("{}?waiting=block", name());
    let mut pair = ShmPair::bind(&name).unwrap();
    let _child = Child::start("answer", &name);
    let mut turn = |number: u32| {
        pair.send(&number.to_le_bytes()).unwrap();
        assert_eq!(pair.recv().unwrap(), number.to_le_bytes());
    };
    turn(0); // the child has come
    let started = Instant::now();
    (0..TURNS).for_each(&mut turn);
    // A sleeper that only looked again by itself would sleep for 20 milliseconds in each turn.
    assert!(started.elapsed() < TURNS * Duration::from_millis(20) / 4, "{:?}", started.elapsed());
    assert!(pair.split().1.stats().sleeps >= u64::from(TURNS / 2), "they did not sleep");
}

#[test]
fn no_peer_yet_is_not_closed() {
    let mut receiver = ShmReceiver::bind(name()).unwrap();
    assert_eq!(kind(receiver.try_recv()), ErrorKind::WouldBlock);
    assert_eq!(kind(receiver.recv_timeout(Duration::from_millis(120))), ErrorKind::TimedOut);
    assert_eq!(receiver.stats().peer_pid, None);
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
fn a_lost_wake_up_costs_a_short_delay() {
    const CONSUMER_WAITS: usize = 1024 + 128;
    let ring = Ring::one_way(4096).unwrap();
    let memory = Segment::from_fd(ring.try_clone_fd().unwrap()).unwrap();
    let waits = memory.atomic_u64(CONSUMER_WAITS).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let receiving = common::asleep(move || (receiver.recv_vec(), Instant::now()));
    // As if somebody had been killed between clearing the word and waking.
    waits.store(0, Relaxed);
    sender.send(b"message").unwrap();
    let sent = Instant::now();
    let (received, at) = receiving.join().unwrap();
    assert_eq!(received.unwrap(), b"message");
    assert!(at.saturating_duration_since(sent) < Duration::from_millis(100));
}

#[test]
fn a_lost_wake_up_costs_a_sender_a_short_delay() {
    const PRODUCER_WAITS: usize = 1024 + 136;
    let ring = Ring::one_way(4096).unwrap();
    let memory = Segment::from_fd(ring.try_clone_fd().unwrap()).unwrap();
    let waits = memory.atomic_u64(PRODUCER_WAITS).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    while sender.try_send(&[1; 500]).is_ok() {}
    let sending = common::asleep(move || (sender.send(&[2; 500]), Instant::now()));
    // As if the receiver had been killed between clearing the word and waking, but had read everything.
    waits.store(0, Relaxed);
    while receiver.try_recv().is_ok_and(|message| message[0] == 1) {}
    let read = Instant::now();
    let (sent, at) = sending.join().unwrap();
    sent.unwrap();
    assert!(at.saturating_duration_since(read) < Duration::from_millis(100));
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
fn a_full_ring_has_room_again_when_a_few_messages_were_read() {
    let ring = Ring::one_way(1 << 16).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for _ in 0..3 {
        while sender.try_send(&[1; 100]).is_ok() {}
        assert_eq!(sender.try_send(&[1; 100]).unwrap_err().kind(), ErrorKind::WouldBlock);
        // One to make room, and as much as may have to be left free at the end of the ring.
        for _ in 0..3 {
            receiver.recv().unwrap();
        }
        sender.try_send(&[1; 100]).unwrap();
    }
    while sender.try_send(&[1; 100]).is_ok() {}
    let timeout = Duration::from_millis(60);
    assert_eq!(sender.send_timeout(&[1; 100], timeout).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn messages_of_every_length_pass_a_ring_that_is_shorter() {
    let ring = Ring::one_way(4096).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let lengths = || (0..12_000usize).step_by(13).chain(1000..1100).chain(2000..2100).chain(4050..4150);
    let message = |length: usize| (0..length).map(|at| (at * 31 + length) as u8).collect::<Vec<_>>();
    let sending = std::thread::spawn(move || {
        for length in lengths() {
            sender.send(&message(length)).unwrap();
        }
        sender
    });
    for length in lengths() {
        assert!(receiver.recv().unwrap() == message(length), "{length} bytes");
    }
    let stats = sending.join().unwrap().stats();
    assert_eq!(stats.messages, lengths().count() as u64);
    assert_eq!(stats.bytes, lengths().sum::<usize>() as u64);
    assert_eq!(stats.peer_pid, Some(std::process::id()));
    let received = receiver.stats();
    assert_eq!((received.messages, received.bytes), (stats.messages, stats.bytes));
}

#[test]
fn a_message_cut_short_by_its_deadline_goes_on_at_the_next_call() {
    let ring = Ring::one_way(4096).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let long: Vec<u8> = (0..100_000).map(|at: u32| at as u8).collect();
    sender.try_send(&long).expect("a part is on its way, so it is accepted");
    assert_eq!(sender.try_send(b"no").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(sender.flush(Wait::Never).unwrap_err().kind(), ErrorKind::WouldBlock);
    let receiving = std::thread::spawn(move || {
        let long = receiver.recv_vec().unwrap();
        (long, receiver.recv_vec().unwrap())
    });
    sender.send(b"next").unwrap();
    assert_eq!(receiving.join().unwrap(), (long, b"next".to_vec()));
}

#[test]
fn a_loan_is_written_and_a_message_read_in_place() {
    let ring = Ring::one_way(1 << 16).unwrap();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    for length in [0, 1, 8, 100, sender.max_loan()] {
        // SAFETY: the other end is this test's, and does not touch what is lent.
        let mut loan = unsafe { sender.loan(length, Wait::Never) }.unwrap();
        loan.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
        loan.commit();
        // SAFETY: as above.
        let message = unsafe { receiver.borrow(Wait::Never) }.unwrap();
        assert_eq!(message.len(), length);
        assert!(message.iter().enumerate().all(|(at, byte)| *byte == at as u8));
        assert_eq!(message.as_ptr().addr() % 8, 0);
    }
    // SAFETY: as above.
    let _not_committed = unsafe { sender.loan(10, Wait::Never) }.unwrap();
    assert_eq!(kind(receiver.try_recv()), ErrorKind::WouldBlock);
    let beyond = sender.max_loan() + 1;
    // SAFETY: as above.
    let error = unsafe { sender.loan(beyond, Wait::Never) }.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    sender.try_send(&vec![0; 40_000]).unwrap();
    // SAFETY: as above.
    let error = unsafe { receiver.borrow(Wait::Never) }.map(|message| message.len()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(receiver.recv().unwrap().len(), 40_000);
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

fn kind<T>(result: ipc_shm::Result<T>) -> ErrorKind {
    result.map(|_| ()).unwrap_err().kind()
}

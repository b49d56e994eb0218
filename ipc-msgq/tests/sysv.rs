//! System V queues: types, waiting, removal, private queues, pairs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Second, SysvName, role, say, until};
use ipc_msgq::{ErrorKind, Receiver, Select, Sender, SysvPair, SysvReceiver, SysvSender, Wait};
use nix::sched::{CloneFlags, unshare};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use nix::unistd::Uid;
use std::thread;
use std::time::{Duration, Instant};

fn private() -> (SysvSender, SysvReceiver) {
    let receiver = SysvReceiver::private().unwrap();
    (SysvSender::attach(receiver.id()).unwrap(), receiver)
}

fn send_types(sender: &mut SysvSender, types: &[i64]) {
    for kind in types {
        sender.send_with_type(kind.to_string().as_bytes(), *kind, Wait::Never).unwrap();
    }
}

fn recv_type(receiver: &mut SysvReceiver, select: Select) -> Result<i64, ErrorKind> {
    let (kind, message) = receiver.recv_selected(select, Wait::Never).map_err(|error| error.kind())?;
    assert_eq!(message, kind.to_string().as_bytes());
    Ok(kind)
}

#[test]
fn any_receives_in_the_order_of_sending() {
    let (mut sender, mut receiver) = private();
    send_types(&mut sender, &[5, 3, 9]);
    let got: Vec<_> = (0..3).map(|_| recv_type(&mut receiver, Select::Any).unwrap()).collect();
    assert_eq!(got, [5, 3, 9]);
}

#[test]
fn equal_receives_its_type_only_and_leaves_the_rest() {
    let (mut sender, mut receiver) = private();
    send_types(&mut sender, &[5, 3, 9]);
    assert_eq!(recv_type(&mut receiver, Select::Equal(3)), Ok(3));
    assert_eq!(recv_type(&mut receiver, Select::Equal(3)), Err(ErrorKind::WouldBlock));
    assert_eq!(receiver.status().unwrap().messages, 2);
}

#[test]
fn up_to_receives_the_lowest_type_first() {
    let (mut sender, mut receiver) = private();
    send_types(&mut sender, &[5, 3, 9, 4]);
    let mut next = || recv_type(&mut receiver, Select::UpTo(5));
    assert_eq!([next(), next(), next()], [Ok(3), Ok(4), Ok(5)]);
    assert_eq!(next(), Err(ErrorKind::WouldBlock));
}

#[test]
fn the_option_type_says_what_is_sent_and_what_is_chosen() {
    let name = SysvName::new();
    let _owner = SysvReceiver::bind(&name.endpoint).unwrap();
    for kind in [7, 2, 4] {
        SysvSender::connect(name.with(&format!("type={kind}"))).unwrap().send(b"x").unwrap();
    }
    let kind = |option| {
        let mut receiver = SysvReceiver::connect(name.with(option)).unwrap();
        receiver.recv_with_type(Wait::Never).map(|(kind, _)| kind).map_err(|error| error.kind())
    };
    assert_eq!(kind("type=-4"), Ok(2));
    assert_eq!(kind("type=4"), Ok(4));
    assert_eq!(kind("type=4"), Err(ErrorKind::WouldBlock));
    assert_eq!(kind("type=0"), Ok(7));
}

#[test]
fn a_type_below_one_is_refused_and_says_the_range() {
    let name = SysvName::new();
    for option in ["type=0", "type=-1"] {
        let error = SysvSender::bind(name.with(option)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert!(error.to_string().contains("from 1"), "{error}");
        assert_eq!(SysvPair::bind(name.with(option)).unwrap_err().kind(), ErrorKind::InvalidOption);
    }
    let (mut sender, mut receiver) = private();
    assert_eq!(
        sender.send_with_type(b"x", 0, Wait::Never).unwrap_err().kind(),
        ErrorKind::InvalidOption
    );
    for select in [Select::Equal(0), Select::Equal(-3), Select::UpTo(0), Select::UpTo(i64::MIN)] {
        assert_eq!(recv_type(&mut receiver, select), Err(ErrorKind::InvalidOption));
    }
    send_types(&mut sender, &[i64::MAX]);
    assert_eq!(recv_type(&mut receiver, Select::UpTo(i64::MAX)), Ok(i64::MAX));
}

#[test]
fn messages_of_every_length_arrive_whole_and_one_too_long_is_refused() {
    let (mut sender, mut receiver) = private();
    let max = sender.capabilities().max_message.unwrap();
    for length in (0..=20).chain([max / 2, max - 1, max]) {
        let message = vec![u8::try_from(length % 251).unwrap(); length];
        sender.send(&message).unwrap();
        assert_eq!(receiver.recv().unwrap(), message);
    }
    let error = sender.send(&vec![0; max + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    assert!(error.to_string().contains("MSGMAX"), "{error}");
    sender.send(b"as good as before").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"as good as before");
}

#[test]
fn a_message_longer_than_the_capacity_is_refused_and_does_not_wait_for_ever() {
    let name = SysvName::new();
    let mut sender = SysvSender::bind(name.with("capacity=100")).unwrap();
    assert_eq!(sender.status().unwrap().capacity, 100);
    sender.send(&[0; 100]).unwrap();
    let error = sender.send(&[0; 101]).unwrap_err();
    assert_eq!((error.kind(), error.limit().unwrap().value), (ErrorKind::MessageTooLarge, 100));
}

#[test]
fn a_full_queue_would_block_times_out_and_goes_on_when_there_is_room() {
    let (mut sender, mut receiver) = private();
    let mut sent: u32 = 0;
    let error = loop {
        match sender.try_send(&[0; 1024]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(sender.status().unwrap().bytes, sender.status().unwrap().capacity);
    // Those need no room.
    sender.try_send(b"").unwrap();
    let timeout = Duration::from_millis(20);
    let started = Instant::now();
    assert_eq!(sender.send_timeout(b"x", timeout).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() >= timeout);
    let sending = thread::spawn(move || {
        sender.send(b"last").unwrap();
        sender.send_timeout(b"very last", Duration::from_secs(60)).unwrap();
    });
    for _ in 0..sent {
        assert_eq!(receiver.recv().unwrap(), [0; 1024]);
    }
    for expected in [&b""[..], b"last", b"very last"] {
        assert_eq!(receiver.recv().unwrap(), expected);
    }
    sending.join().unwrap();
}

#[test]
fn removal_wakes_who_waits_and_everybody_later_is_told_too() {
    for wait in [Wait::Forever, Wait::timeout(Duration::from_secs(60))] {
        let (mut sender, mut receiver) = private();
        while sender.try_send(&[0; 1024]).is_ok() {}
        let id = sender.id();
        let (tell, told) = std::sync::mpsc::channel();
        let waiting = [
            thread::spawn({
                let tell = tell.clone();
                move || {
                    tell.send(nix::unistd::gettid()).unwrap();
                    let kind = sender.send_within(b"x", wait).unwrap_err().kind();
                    (
                        kind,
                        sender.try_send(b"x").unwrap_err().kind(),
                        sender.status().unwrap_err().kind(),
                    )
                }
            }),
            thread::spawn(move || {
                tell.send(nix::unistd::gettid()).unwrap();
                let kind = receiver.recv_selected(Select::Equal(2), wait).unwrap_err().kind();
                (kind, receiver.try_recv().unwrap_err().kind(), receiver.status().unwrap_err().kind())
            }),
        ];
        for thread in [told.recv().unwrap(), told.recv().unwrap()] {
            until("it sleeps", || {
                let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
                stat.rsplit(')').next().unwrap().trim_start().starts_with('S')
            });
        }
        SysvSender::attach(id).unwrap().remove().unwrap();
        for thread in waiting {
            assert_eq!(
                thread.join().unwrap(),
                (ErrorKind::Removed, ErrorKind::Removed, ErrorKind::Removed)
            );
        }
    }
}

#[test]
fn signals_neither_end_a_wait_nor_make_it_longer() {
    let (mut sender, mut receiver) = private();
    let flag = std::sync::Arc::default();
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, flag).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let receiving = thread::spawn(move || {
        tell.send(pthread_self()).unwrap();
        let timeout = Duration::from_millis(50);
        let started = Instant::now();
        assert_eq!(receiver.recv_timeout(timeout).unwrap_err().kind(), ErrorKind::TimedOut);
        let waited = started.elapsed();
        assert!((timeout..timeout * 20).contains(&waited), "{waited:?}");
        tell.send(pthread_self()).unwrap();
        receiver.recv_vec().unwrap()
    });
    let thread = told.recv().unwrap();
    while told.try_recv().is_err() && !receiving.is_finished() {
        pthread_kill(thread, Signal::SIGUSR1).unwrap();
        thread::yield_now();
    }
    for _ in 0..500 {
        pthread_kill(thread, Signal::SIGUSR1).unwrap();
        thread::yield_now();
    }
    sender.send(b"x").unwrap();
    assert_eq!(receiving.join().unwrap(), b"x");
}

#[test]
fn the_last_users_and_the_contents_can_be_asked_for() {
    let (mut sender, mut receiver) = private();
    let fresh = receiver.status().unwrap();
    assert_eq!((fresh.last_sender, fresh.last_receiver), (None, None));
    sender.send(b"12345").unwrap();
    sender.send(b"678").unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    let status = receiver.status().unwrap();
    assert_eq!((status.messages, status.bytes, status.last_sender), (2, 8, Some(own)));
    assert_eq!((status.owner, status.mode), (Uid::effective().as_raw(), 0o600));
    receiver.recv().unwrap();
    assert_eq!(receiver.status().unwrap().last_receiver, Some(own));
}

#[test]
fn a_message_larger_than_the_limit_was_is_still_received_whole() {
    const TEST: &str = "a_message_larger_than_the_limit_was_is_still_received_whole";
    if role("limited").is_some() {
        // A namespace of its own, so that its limit is nobody else's.
        unshare(CloneFlags::CLONE_NEWIPC).unwrap();
        let msgmax = |value: &str| std::fs::write("/proc/sys/kernel/msgmax", value).unwrap();
        msgmax("100");
        let mut receiver = SysvReceiver::private().unwrap();
        let mut old = SysvSender::attach(receiver.id()).unwrap();
        msgmax("5000");
        let mut sender = SysvSender::attach(receiver.id()).unwrap();
        sender.send(&[7; 5000]).unwrap();
        sender.send(b"next").unwrap();
        assert_eq!(receiver.recv().unwrap(), [7; 5000]);
        assert_eq!(receiver.recv().unwrap(), b"next");
        assert_eq!(old.send(&[7; 101]).unwrap_err().kind(), ErrorKind::MessageTooLarge);
        msgmax("50");
        let error = sender.send(&[7; 51]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        say("whole");
        return;
    }
    if !Uid::effective().is_root() {
        println!("skipped: it takes root to have an IPC namespace of one's own");
        return;
    }
    Second::start(TEST, "limited", "").hear("whole");
}

#[test]
fn a_private_queue_goes_with_its_owner_and_others_may_attach() {
    let receiver = SysvReceiver::private().unwrap();
    let id = receiver.id();
    SysvSender::attach(id).unwrap().send(b"x").unwrap();
    assert_eq!(receiver.status().unwrap().messages, 1);
    drop(receiver);
    assert_eq!(SysvSender::attach(id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(SysvReceiver::attach(-1).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_pair_uses_two_types_and_may_share_its_queue_with_another() {
    let name = SysvName::new();
    let mut server = SysvPair::bind(&name.endpoint).unwrap();
    let mut client = SysvPair::connect(&name.endpoint).unwrap();
    let mut other = SysvPair::connect(name.with("type=10")).unwrap();
    other.send(b"not for the server").unwrap();
    client.send(b"question").unwrap();
    assert_eq!(server.recv().unwrap(), b"question");
    server.send(b"answer").unwrap();
    assert_eq!(client.recv().unwrap(), b"answer");
    for pair in [&mut server, &mut client, &mut other] {
        assert_eq!(pair.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    assert!(client.has_owner().unwrap());
}

//! Several senders and one receiver, and one sender and several receivers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "ring_common/mod.rs"]
mod common;

use common::{Child, name, until};
use ipc_shm::{ErrorKind, Receiver, Segment, Sender, ShmFanIn, ShmFanOut, ShmReceiver, ShmSender, Slow};
use std::time::{Duration, Instant};

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    let mut sender = ShmFanIn::connect(&name).unwrap();
    if task == "answer" {
        let mut turns = ShmReceiver::connect(turns_of(&name)).unwrap();
        while let Ok(turn) = turns.recv() {
            // The receiver is asleep by then.
            std::thread::sleep(Duration::from_millis(1));
            sender.send(turn).unwrap();
        }
        return;
    }
    for number in 0..task.parse().unwrap() {
        sender.send(format!("{} {number}", std::process::id()).as_bytes()).unwrap();
    }
    common::wait_for_end_of_input();
}

/// The ring that tells the child when to send, beside the one it sends into.
fn turns_of(name: &str) -> String {
    let (object, options) = name.split_once('?').unwrap();
    format!("{object}-turns?{options}")
}

#[test]
fn a_receiver_of_many_is_woken_across_processes_at_once() {
    const TURNS: u32 = 200;
    let name = format!("{}?waiting=block", name());
    let mut receiver = ShmFanIn::bind(&name, 3).unwrap();
    let mut turns = ShmSender::bind(turns_of(&name)).unwrap();
    let _child = Child::start("answer", &name);
    let mut turn = |number: u32| {
        turns.send(&number.to_le_bytes()).unwrap();
        assert_eq!(receiver.recv().unwrap(), number.to_le_bytes());
    };
    turn(0); // the child has come
    let started = Instant::now();
    (0..TURNS).for_each(&mut turn);
    // A sleeper that only looked again by itself would sleep for 40 milliseconds in each turn.
    assert!(started.elapsed() < TURNS * Duration::from_millis(40) / 8, "{:?}", started.elapsed());
}

#[test]
fn a_lost_wake_up_costs_a_receiver_of_many_a_short_delay() {
    const CONSUMER_WAITS: usize = 1024 + 128;
    let name = name();
    let receiver = ShmFanIn::bind(&name, 2).unwrap();
    let mut sender = ShmFanIn::connect(&name).unwrap();
    let memory = Segment::open(sender.endpoint()).unwrap();
    let waits = memory.atomic_u64(CONSUMER_WAITS).unwrap();
    common::receives_without_being_woken(waits, &mut sender, receiver);
}

#[test]
fn connecting_says_why_there_is_no_place_and_can_wait_for_one() {
    let (one, soon) = (name(), Duration::from_millis(30));
    let error = ShmFanIn::connect_timeout(&one, soon).unwrap_err();
    assert_eq!(error.to_string(), format!("connect {one}: the time ran out: nobody has made it"));
    let _receiver = ShmFanIn::bind(&one, 1).unwrap();
    let sender = ShmFanIn::connect_timeout(&one, soon).unwrap();
    assert_eq!(ShmFanIn::connect_timeout(&one, soon).unwrap_err().kind(), ErrorKind::TimedOut);
    drop(sender);

    // Those of one kind take no part in the other.
    let other = name();
    let _receiver = ShmFanIn::bind(&other, 1).unwrap();
    let error = ShmFanOut::connect(&other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().starts_with(&format!("connect {other}: ")), "{error}");
    assert!(error.to_string().contains("this very end"), "{error}");
}

#[test]
fn a_stopped_sender_keeps_its_place() {
    const COUNT: usize = 2000;
    let name = format!("{}?capacity=4K", name());
    let mut receiver = ShmFanIn::bind(&name, 1).unwrap();
    let child = Child::start(&COUNT.to_string(), &name);
    let mut next = 0;
    let mut take = |message: &[u8]| {
        assert_eq!(message, format!("{} {next}", child.id()).as_bytes());
        next += 1;
    };
    take(receiver.recv().unwrap());
    child.stop();
    until("it has stopped", || child.is_stopped());
    // What it has sent before; then nothing, for longer than an end would go unnoticed.
    let error = loop {
        match receiver.recv_timeout(Duration::from_millis(150)) {
            Ok(message) => take(message),
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(error, ErrorKind::TimedOut);
    assert_eq!(ShmFanIn::connect(&name).unwrap_err().kind(), ErrorKind::Busy);
    child.resume();
    take(receiver.recv().unwrap());
}

#[test]
fn messages_of_several_processes_arrive_whole_and_in_each_ones_order() {
    const COUNT: usize = 2000;
    let name = name();
    let mut receiver = ShmFanIn::bind(format!("{name}?capacity=4K"), 4).unwrap();
    let children: Vec<_> = (0..4).map(|_| Child::start(&COUNT.to_string(), &name)).collect();
    let mut next = vec![0; children.len()];
    for _ in 0..children.len() * COUNT {
        let message = String::from_utf8(receiver.recv_vec().unwrap()).unwrap();
        let (id, number) = message.split_once(' ').unwrap();
        let from = children.iter().position(|child| child.id().to_string() == id).unwrap();
        assert_eq!(number, next[from].to_string());
        next[from] += 1;
    }
    assert_eq!(receiver.try_recv().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_killed_sender_disturbs_nobody_and_its_place_is_free_again() {
    let name = name();
    let mut receiver = ShmFanIn::bind(&name, 2).unwrap();
    let mut other = ShmFanIn::connect(&name).unwrap();
    for _ in 0..3 {
        let mut child = Child::start("1", &name);
        receiver.recv().unwrap();
        assert_eq!(ShmFanIn::connect(&name).unwrap_err().kind(), ErrorKind::Busy);
        child.kill();
        until("its place is free again", || {
            other.send(b"other").unwrap();
            assert_eq!(receiver.recv().unwrap(), b"other");
            ShmFanIn::connect(&name).is_ok()
        });
        // What connected for a moment has left again.
        let timeout = Duration::from_millis(60);
        assert_eq!(receiver.recv_timeout(timeout).map(|_| ()).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}

#[test]
fn a_place_that_is_being_made_anew_does_not_hide_those_behind_it() {
    let name = name();
    let mut receiver = ShmFanIn::bind(&name, 2).unwrap();
    // As it is while the receiver makes the first place anew.
    let object = name.strip_prefix("shm://").unwrap();
    std::fs::remove_file(format!("/dev/shm/{object}.0")).unwrap();
    let mut sender = ShmFanIn::connect(&name).unwrap();
    sender.send(b"behind").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"behind");
    assert_eq!(ShmFanIn::connect(&name).unwrap_err().kind(), ErrorKind::Busy);
}

#[test]
fn a_receiver_of_many_sleeps_until_one_of_them_sends() {
    let name = name();
    let mut receiver = ShmFanIn::bind(&name, 3).unwrap();
    let mut senders: Vec<_> = (0..3).map(|_| ShmFanIn::connect(&name).unwrap()).collect();
    for turn in 0..30 {
        let receiving = std::thread::spawn(move || {
            let message = receiver.recv_vec().unwrap();
            (receiver, message)
        });
        senders[turn % 3].send(&[turn as u8]).unwrap();
        let message;
        (receiver, message) = receiving.join().unwrap();
        assert_eq!(message, [turn as u8]);
    }
    drop(receiver);
    assert_eq!(senders[0].send(b"").unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(ShmFanIn::connect(&name).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ShmFanIn::bind(&name, 0).unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn every_receiver_sees_every_message_and_a_slow_one_holds_the_sender_back() {
    const COUNT: u32 = 3000;
    let name = name();
    let mut sender = ShmFanOut::bind(format!("{name}?capacity=4K"), 3, Slow::Hold).unwrap();
    sender.send(b"to nobody").unwrap();
    let receivers: Vec<_> = (0..3).map(|_| ShmFanOut::connect(&name).unwrap()).collect();
    assert_eq!(sender.receivers(), 3);
    assert_eq!(ShmFanOut::connect(&name).unwrap_err().kind(), ErrorKind::Busy);
    let receiving = receivers.into_iter().map(|mut receiver| {
        std::thread::spawn(move || {
            for number in 0..COUNT {
                assert_eq!(receiver.recv().unwrap(), number.to_le_bytes());
            }
            receiver.recv().map(|_| ()).unwrap_err().kind()
        })
    });
    let receiving: Vec<_> = receiving.collect();
    for number in 0..COUNT {
        sender.send(&number.to_le_bytes()).unwrap();
    }
    drop(sender);
    for thread in receiving {
        assert_eq!(thread.join().unwrap(), ErrorKind::Disconnected);
    }
}

#[test]
fn fans_tell_what_went_to_whom_and_came_from_whom() {
    let name = name();
    let mut to_all = ShmFanOut::bind(format!("{name}-out"), 3, Slow::Hold).unwrap();
    let mut from_all = ShmFanIn::bind(format!("{name}-in"), 3).unwrap();
    assert_eq!((to_all.stats().count(), from_all.stats().count()), (0, 0));
    let _one = ShmFanOut::connect(format!("{name}-out")).unwrap();
    to_all.send(b"to one").unwrap();
    let _two = ShmFanOut::connect(format!("{name}-out")).unwrap();
    to_all.send(b"to both").unwrap();
    let sent: Vec<_> = to_all.stats().map(|stats| (stats.messages, stats.bytes)).collect();
    assert_eq!(sent, [(2, 13), (1, 7)]);
    let mut one = ShmFanIn::connect(format!("{name}-in")).unwrap();
    let _silent = ShmFanIn::connect(format!("{name}-in")).unwrap();
    one.send(b"from one").unwrap();
    from_all.recv().unwrap();
    let came: Vec<_> = from_all.stats().map(|stats| (stats.messages, stats.bytes)).collect();
    assert_eq!(came, [(1, 8), (0, 0)]);
    assert!(from_all.stats().all(|stats| stats.peer_pid == Some(std::process::id())));
}

#[test]
fn receivers_that_have_left_are_not_counted() {
    let name = name();
    let mut sender = ShmFanOut::bind(&name, 2, Slow::Hold).unwrap();
    let (one, two) = (ShmFanOut::connect(&name).unwrap(), ShmFanOut::connect(&name).unwrap());
    assert_eq!(sender.receivers(), 2);
    drop(one);
    assert_eq!(sender.receivers(), 1);
    // Its place is free.
    let again = ShmFanOut::connect(&name).unwrap();
    assert_eq!(sender.receivers(), 2);
    drop((two, again));
    assert_eq!(sender.receivers(), 0);
}

#[test]
fn a_place_that_could_not_be_made_anew_is_tried_again() {
    let name = name();
    let mut sender = ShmFanOut::bind(&name, 1, Slow::Hold).unwrap();
    let receiver = ShmFanOut::connect(&name).unwrap();
    // Something else has its name for a while.
    let file = format!("/dev/shm/{}.0", name.strip_prefix("shm://").unwrap());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    drop(receiver);
    sender.send(b"to nobody").unwrap();
    std::fs::remove_dir(&file).unwrap();
    sender.send(b"to nobody").unwrap();
    let mut receiver = ShmFanOut::connect(&name).unwrap();
    sender.send(b"hello").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"hello");
}

#[test]
fn a_full_receiver_that_holds_back_means_that_nobody_gets_the_message() {
    let name = name();
    let mut sender = ShmFanOut::bind(format!("{name}?capacity=4K"), 2, Slow::Hold).unwrap();
    let (mut fast, slow) = (ShmFanOut::connect(&name).unwrap(), ShmFanOut::connect(&name).unwrap());
    let mut sent = 0;
    let error = loop {
        match sender.try_send(&[1; 500]) {
            Ok(()) => sent += 1,
            Err(error) => break error.kind(),
        }
        fast.recv().unwrap();
    };
    assert_eq!(error, ErrorKind::WouldBlock);
    assert_eq!(fast.try_recv().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(slow);
    sender.send(&[1; 500]).unwrap();
    assert_eq!(fast.recv().unwrap(), [1; 500]);
    assert!(sent > 3 && sender.receivers() == 1);
    assert_eq!(sender.send(&[1; 2000]).unwrap_err().kind(), ErrorKind::MessageTooLarge);
}

#[test]
fn a_slow_receiver_is_dropped_and_reads_what_it_has_got() {
    let name = name();
    let mut sender = ShmFanOut::bind(format!("{name}?capacity=4K"), 2, Slow::Drop).unwrap();
    let (mut fast, mut slow) = (ShmFanOut::connect(&name).unwrap(), ShmFanOut::connect(&name).unwrap());
    for number in 0..100 {
        sender.send(&[number; 100]).unwrap();
        assert_eq!(fast.recv().unwrap(), [number; 100]);
    }
    let mut number = 0;
    let error = loop {
        match slow.recv() {
            Ok(message) => assert_eq!(message, [number; 100]),
            Err(error) => break error.kind(),
        }
        number += 1;
    };
    assert_eq!(error, ErrorKind::Disconnected);
    assert!((10..100).contains(&number));
    let mut again = ShmFanOut::connect(&name).unwrap();
    sender.send(b"again").unwrap();
    assert_eq!(again.recv().unwrap(), b"again");
}

//! POSIX queues: priorities, sizes, waiting, polling, pairs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::MqName;
use ipc_msgq::{ErrorKind, MqPair, MqReceiver, MqSender, Pair, Receiver, Sender, Wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn ends(endpoint: &str) -> (MqSender, MqReceiver) {
    let receiver = MqReceiver::bind(endpoint).unwrap();
    (MqSender::connect(endpoint).unwrap(), receiver)
}

#[test]
fn high_priorities_come_first_and_equal_ones_in_order() {
    let name = MqName::new();
    let (mut sender, mut receiver) = ends(&name.small());
    for (message, priority) in [(b"a", 1), (b"b", 32_767), (b"c", 0), (b"d", 1)] {
        sender.send_with_priority(message, priority, Wait::Never).unwrap();
    }
    let mut got = || {
        let (priority, message) = receiver.recv_with_priority(Wait::Never).unwrap();
        (message.to_vec(), priority)
    };
    assert_eq!(got(), (b"b".to_vec(), 32_767));
    assert_eq!(got(), (b"a".to_vec(), 1));
    assert_eq!(got(), (b"d".to_vec(), 1));
    assert_eq!(got(), (b"c".to_vec(), 0));
}

#[test]
fn a_priority_of_32768_is_refused_and_says_the_range() {
    let name = MqName::new();
    let (mut sender, mut receiver) = ends(&name.small());
    let error = sender.send_with_priority(b"x", 32_768, Wait::Forever).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPriority);
    assert!(error.to_string().contains("0 to 32767"), "{error}");
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_option_priority_is_that_of_every_message() {
    let name = MqName::new();
    let mut receiver = MqReceiver::bind(name.small()).unwrap();
    MqSender::connect(name.with("priority=9")).unwrap().send(b"x").unwrap();
    assert_eq!(receiver.recv_with_priority(Wait::Never).unwrap(), (9, &b"x"[..]));
}

#[test]
fn sizes_are_as_asked_and_can_be_asked_for() {
    let name = MqName::new();
    let (mut sender, receiver) = ends(&name.with("capacity=3&max_message=17"));
    sender.send(b"x").unwrap();
    let attributes = receiver.attributes().unwrap();
    assert_eq!((attributes.capacity, attributes.max_message, attributes.waiting), (3, 17, 1));
    assert_eq!(sender.capabilities().max_message, Some(17));
}

#[test]
fn a_size_that_is_not_asked_for_is_the_systems_default() {
    let name = MqName::new();
    let receiver = MqReceiver::bind(name.with("max_message=16")).unwrap();
    let default: usize =
        std::fs::read_to_string("/proc/sys/fs/mqueue/msg_default").unwrap().trim().parse().unwrap();
    assert_eq!(receiver.attributes().unwrap().capacity, default);
}

#[test]
fn a_queue_of_other_sizes_tells_both() {
    let name = MqName::new();
    let _receiver = MqReceiver::bind(name.with("capacity=3&max_message=17")).unwrap();
    let error = MqSender::connect(name.with("capacity=5&max_message=18")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GeometryMismatch);
    let text = error.to_string();
    assert!(
        ["3 messages of up to 17", "5 of up to 18"].iter().all(|part| text.contains(part)),
        "{text}"
    );
}

#[test]
fn messages_of_every_length_up_to_the_longest_arrive_whole_and_one_more_is_too_large() {
    let name = MqName::new();
    let (mut sender, mut receiver) = ends(&name.small());
    for length in 0..=64 {
        let message = vec![length; usize::from(length)];
        sender.send(&message).unwrap();
        assert_eq!(receiver.recv().unwrap(), message);
    }
    let error = sender.send(&[0; 65]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    assert_eq!(error.limit().map(|limit| (limit.name, limit.value)), Some(("mq_msgsize", 64)));
    sender.send(b"as good as before").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"as good as before");
}

#[test]
fn a_receiver_that_knows_no_sizes_takes_the_longest_message() {
    let name = MqName::new();
    let mut sender = MqSender::bind(name.with("capacity=1&max_message=300")).unwrap();
    let mut receiver = MqReceiver::connect(&name.0).unwrap();
    sender.send(&[7; 300]).unwrap();
    assert_eq!(receiver.recv().unwrap(), [7; 300]);
}

#[test]
fn a_full_queue_would_block_times_out_and_goes_on_when_there_is_room() {
    let name = MqName::new();
    let (mut sender, mut receiver) = ends(&name.with("capacity=2&max_message=8"));
    sender.send(b"1").unwrap();
    sender.send(b"2").unwrap();
    assert_eq!(sender.try_send(b"3").unwrap_err().kind(), ErrorKind::WouldBlock);
    let timeout = Duration::from_millis(20);
    let started = Instant::now();
    assert_eq!(sender.send_timeout(b"3", timeout).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() >= timeout);
    let sending = thread::spawn(move || sender.send(b"3"));
    for expected in [b"1", b"2", b"3"] {
        assert_eq!(receiver.recv().unwrap(), expected);
    }
    sending.join().unwrap().unwrap();
}

#[test]
fn an_empty_queue_would_block_times_out_and_wakes_its_receiver() {
    for waiting in ["adaptive", "block", "spin"] {
        let name = MqName::new();
        let (mut sender, mut receiver) =
            ends(&name.with(&format!("capacity=2&max_message=8&waiting={waiting}")));
        assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
        let timeout = Duration::from_millis(20);
        let started = Instant::now();
        assert_eq!(receiver.recv_timeout(timeout).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() >= timeout);
        let receiving = thread::spawn(move || {
            let long = Duration::from_secs(60);
            [receiver.recv_vec(), receiver.recv_timeout(long).map(<[u8]>::to_vec)]
        });
        sender.send(b"for ever").unwrap();
        sender.send(b"a time").unwrap();
        let [first, second] = receiving.join().unwrap();
        assert_eq!((first.unwrap(), second.unwrap()), (b"for ever".to_vec(), b"a time".to_vec()));
    }
}

#[test]
fn signals_neither_end_a_wait_nor_make_it_longer() {
    let name = MqName::new();
    let (mut sender, mut receiver) = ends(&name.with("capacity=2&max_message=8&waiting=block"));
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&flag)).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let receiving = thread::spawn(move || {
        tell.send(pthread_self()).unwrap();
        let timeout = Duration::from_millis(50);
        let started = Instant::now();
        assert_eq!(receiver.recv_timeout(timeout).unwrap_err().kind(), ErrorKind::TimedOut);
        let waited = started.elapsed();
        assert!((timeout..timeout * 20).contains(&waited), "{waited:?}");
        tell.send(pthread_self()).unwrap();
        assert_eq!(receiver.recv().unwrap(), b"x");
        // The storm needs this thread alive.
        tell.send(pthread_self()).unwrap();
        receiver
    });
    let thread = told.recv().unwrap();
    let storm = |count| {
        for _ in 0..count {
            pthread_kill(thread, Signal::SIGUSR1).unwrap();
            thread::yield_now();
        }
    };
    while told.try_recv().is_err() && !receiving.is_finished() {
        storm(1);
    }
    storm(500);
    assert!(flag.load(Ordering::Relaxed));
    sender.send(b"x").unwrap();
    told.recv().unwrap();
    receiving.join().unwrap();
}

#[test]
fn descriptors_tell_when_there_is_a_message_and_when_there_is_room() {
    let name = MqName::new();
    let (mut sender, mut receiver) = ends(&name.with("capacity=1&max_message=8"));
    let ready = |fd: &dyn AsFdDyn, flags| {
        poll(&mut [PollFd::new(fd.fd(), flags)], PollTimeout::ZERO).unwrap() == 1
    };
    assert!(ready(&sender, PollFlags::POLLOUT) && !ready(&receiver, PollFlags::POLLIN));
    sender.send(b"x").unwrap();
    assert!(!ready(&sender, PollFlags::POLLOUT) && ready(&receiver, PollFlags::POLLIN));
    receiver.recv().unwrap();
    assert!(ready(&sender, PollFlags::POLLOUT) && !ready(&receiver, PollFlags::POLLIN));
}

trait AsFdDyn {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_>;
}

impl<T: AsFd> AsFdDyn for T {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

#[test]
fn descriptors_are_closed_on_exec() {
    let name = MqName::new();
    let receiver = MqReceiver::bind(name.small()).unwrap();
    let flags = nix::fcntl::fcntl(&receiver, nix::fcntl::FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags & nix::libc::FD_CLOEXEC, nix::libc::FD_CLOEXEC);
}

#[test]
fn several_senders_lose_and_mix_nothing() {
    let name = MqName::new();
    let mut receiver = MqReceiver::bind(name.with("capacity=4&max_message=16")).unwrap();
    let senders: Vec<_> = (0..4_u64)
        .map(|sender| {
            let mut queue = MqSender::connect(&name.0).unwrap();
            thread::spawn(move || {
                for number in 0..500_u64 {
                    queue.send(&[sender.to_le_bytes(), number.to_le_bytes()].concat()).unwrap();
                }
            })
        })
        .collect();
    let mut next = [0_u64; 4];
    for _ in 0..2000 {
        let message = receiver.recv().unwrap();
        let number = |at: usize| u64::from_le_bytes(message[at..at + 8].try_into().unwrap());
        let sender = usize::try_from(number(0)).unwrap();
        assert_eq!(number(8), next[sender]);
        next[sender] += 1;
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn a_pair_goes_both_ways_and_neither_way_stops_the_other() {
    let name = MqName::new();
    let mut server = MqPair::bind(name.small()).unwrap();
    let mut client = MqPair::connect(name.small()).unwrap();
    while client.try_send(b"question").is_ok() {}
    server.send(b"answer").unwrap();
    assert_eq!(client.recv().unwrap(), b"answer");
    assert_eq!(server.recv().unwrap(), b"question");
    assert!(server.capabilities().bidirectional);
}

#[test]
fn a_pair_has_one_peer_and_a_second_is_told_busy_until_the_first_is_gone() {
    let name = MqName::new();
    let server = MqPair::bind(name.small()).unwrap();
    assert!(!server.has_peer().unwrap());
    let client = MqPair::connect(&name.0).unwrap();
    assert!(server.has_peer().unwrap() && client.has_peer().unwrap());
    assert_eq!(MqPair::connect(&name.0).unwrap_err().kind(), ErrorKind::Busy);
    let (sender, receiver) = client.split();
    drop(sender);
    assert_eq!(MqPair::connect(&name.0).unwrap_err().kind(), ErrorKind::Busy);
    drop(receiver);
    assert!(!server.has_peer().unwrap());
    let client = MqPair::connect(&name.0).unwrap();
    drop(server);
    assert!(!client.has_peer().unwrap());
}

#[test]
fn the_names_of_a_pair_last_until_both_halves_are_dropped() {
    let name = MqName::new();
    let (sender, receiver) = Box::new(MqPair::bind(name.small()).unwrap()).split_boxed();
    drop(sender);
    assert!(MqPair::connect(&name.0).is_ok());
    drop(receiver);
    assert_eq!(MqPair::connect(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ipc_msgq::remove(format!("{}.reply", name.0)).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_pair_whose_second_name_is_too_long_is_refused() {
    let error = MqPair::bind(format!("mq://{}", "x".repeat(250))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NameTooLong);
    let name = format!("mq://{}", "x".repeat(255));
    drop(MqSender::bind(format!("{name}?capacity=1&max_message=1")).unwrap());
}

//! TCP and Unix streams: halves, foreign peers, and peers that vanish, dawdle or lie.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{abstract_endpoint, role, start, stay};
use ipc_socket::{ErrorKind, Listener, Pair, Receiver, Scheme, Sender, SocketPair, Wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The endpoint of a listener for each kind of stream; `options` begin with a question mark.
fn listeners(options: &str) -> Vec<Listener> {
    let unix = abstract_endpoint("unix");
    ["tcp://127.0.0.1:0", &unix]
        .iter()
        .map(|text| Listener::bind(format!("{text}{options}")).unwrap())
        .collect()
}

fn connected(options: &str) -> Vec<(SocketPair, SocketPair)> {
    let listeners = listeners(options);
    let meet = |listener: &Listener| {
        (SocketPair::connect(listener.endpoint()).unwrap(), listener.accept().unwrap())
    };
    listeners.iter().map(meet).collect()
}

/// Our end with a foreign one that writes and reads bytes as it likes.
fn foreign(options: &str) -> (SocketPair, TcpStream) {
    let listener = Listener::bind(format!("tcp://127.0.0.1:0{options}")).unwrap();
    let text = listener.endpoint().to_string();
    let port = text.split('?').next().unwrap().rsplit(':').next().unwrap().parse();
    let stream = TcpStream::connect(("127.0.0.1", port.unwrap())).unwrap();
    (listener.accept().unwrap(), stream)
}

#[test]
fn halves_work_in_two_threads_and_share_one_descriptor() {
    for (client, server) in connected("") {
        let (mut sender, mut receiver) = client.split();
        let echo = std::thread::spawn(move || {
            let (mut out, mut into) = Box::new(server).split_boxed();
            while let Ok(message) = into.recv() {
                out.send(message).unwrap();
            }
        });
        let sending = std::thread::spawn(move || {
            for number in 0..10_000u32 {
                sender.send(&number.to_le_bytes()).unwrap();
            }
        });
        for number in 0..10_000u32 {
            assert_eq!(receiver.recv().unwrap(), number.to_le_bytes());
        }
        sending.join().unwrap();
        // The sender is gone, so the echo ended, too.
        assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
        echo.join().unwrap();
    }
}

#[test]
fn a_dropped_sender_ends_its_direction_and_not_the_other() {
    for (client, mut server) in connected("") {
        let (mut sender, mut receiver) = client.split();
        sender.send(b"last words").unwrap();
        drop(sender);
        assert_eq!(server.recv().unwrap(), b"last words");
        for _ in 0..2 {
            assert_eq!(server.recv().unwrap_err().kind(), ErrorKind::Disconnected);
        }
        server.send(b"answer").unwrap();
        assert_eq!(receiver.recv().unwrap(), b"answer");
    }
}

#[test]
fn a_dropped_receiver_is_noticed_over_unix() {
    let (client, mut server) = connected("").pop().unwrap();
    let (_sender, receiver) = client.split();
    drop(receiver);
    assert_eq!(server.send(b"x").unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn the_first_send_to_a_closed_tcp_peer_may_succeed_and_a_later_one_fails() {
    for (client, mut server) in connected("") {
        drop(client);
        let deadline = Instant::now() + Duration::from_secs(10);
        // Sent is not delivered: the kernel learns of the reset only from the answer to a send.
        while server.send(b"x").is_ok() {
            assert!(Instant::now() < deadline);
        }
        assert_eq!(server.send(b"x").unwrap_err().kind(), ErrorKind::Disconnected);
        assert_eq!(server.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    }
}

#[test]
fn what_was_sent_is_read_even_if_the_peer_left_our_messages_unread() {
    let mut pairs = connected("");
    pairs.push(SocketPair::anonymous(ipc_socket::Scheme::UnixPacket).unwrap());
    for (mut client, mut server) in pairs {
        server.send(b"never read").unwrap();
        for number in 0..100u8 {
            client.send(&[number]).unwrap();
        }
        drop(client);
        for number in 0..100u8 {
            assert_eq!(server.recv().unwrap(), [number]);
        }
        for _ in 0..2 {
            assert_eq!(server.recv().unwrap_err().kind(), ErrorKind::Disconnected);
        }
    }
}

#[test]
fn what_was_sent_is_read_even_if_messages_came_after_our_receiver_was_dropped() {
    let listener = Listener::bind("tcp://127.0.0.1:0").unwrap();
    let client = SocketPair::connect(listener.endpoint()).unwrap();
    let mut server = listener.accept().unwrap();
    let (mut sender, receiver) = client.split();
    drop(receiver);
    server.send(b"never read").unwrap();
    // More than the server's side takes unread, so that much waits in ours.
    let (mut sent, mut read) = (0, 0);
    while sender.try_send(&[7; 1000]).is_ok() {
        sent += 1;
    }
    // The rest of the last one.
    while sender.flush(Wait::Never).is_err() {
        server.recv().unwrap();
        read += 1;
    }
    drop(sender);
    while server.recv().is_ok() {
        read += 1;
    }
    assert_eq!(read, sent);
}

#[test]
fn a_peer_that_vanishes_inside_a_message_leaves_it_truncated() {
    let (mut ours, mut theirs) = foreign("");
    theirs.write_all(b"\x05\0\0\0whole\x09\0\0\0hal").unwrap();
    drop(theirs);
    assert_eq!(ours.recv().unwrap(), b"whole");
    assert_eq!(ours.recv().unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(ours.recv().unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn a_killed_peer_costs_its_last_message_at_most() {
    if let Some(endpoint) = role() {
        let mut pair = SocketPair::connect(&endpoint).unwrap();
        pair.send(b"first").unwrap();
        // More than the socket holds: the rest stays behind.
        let _ = pair.send_timeout(&vec![1; 32 << 20], Duration::from_millis(100));
        eprintln!("half-way");
        return stay();
    }
    for listener in listeners("") {
        let endpoint = listener.endpoint().to_string();
        let mut other = start("a_killed_peer_costs_its_last_message_at_most", &endpoint);
        let mut pair = listener.accept().unwrap();
        other.hears("half-way");
        other.kill();
        assert_eq!(pair.recv().unwrap(), b"first");
        assert_eq!(pair.recv().unwrap_err().kind(), ErrorKind::Truncated);
        assert_eq!(pair.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    }
}

#[test]
fn a_length_that_lies_is_not_believed() {
    for length in [u32::MAX, (64 << 20) + 1] {
        let (mut ours, mut theirs) = foreign("");
        theirs.write_all(&length.to_le_bytes()).unwrap();
        let error = ours.recv().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        assert_eq!(error.limit().unwrap().value, 64 << 20);
    }
}

#[test]
fn memory_grows_with_what_has_come_and_not_with_what_was_announced() {
    if role().is_some() {
        let (mut ours, mut theirs) = foreign("?max_message=1G");
        theirs.write_all(&(1u32 << 30).to_le_bytes()).unwrap();
        theirs.write_all(&[0; 100_000]).unwrap();
        assert_eq!(
            ours.recv_timeout(Duration::from_millis(100)).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 64 << 10, "{kib} KiB");
        return;
    }
    start("memory_grows_with_what_has_come_and_not_with_what_was_announced", "measure").succeeds();
}

#[test]
fn a_peer_that_sends_byte_by_byte_does_not_hold_a_call_beyond_its_deadline() {
    let (mut ours, mut theirs) = foreign("");
    let timeout = Duration::from_millis(100);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let drip = scope.spawn(|| {
            theirs.set_nodelay(true).unwrap();
            theirs.write_all(&1000u32.to_le_bytes()).unwrap();
            let mut sent = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) && sent < 900 {
                theirs.write_all(&[sent as u8]).unwrap();
                sent += 1;
                std::thread::park_timeout(Duration::from_millis(5));
            }
            for byte in sent..1000 {
                theirs.write_all(&[byte as u8]).unwrap();
            }
        });
        let began = Instant::now();
        assert_eq!(ours.recv_timeout(timeout).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(
            began.elapsed() >= timeout && began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        // And what had come is kept.
        let expected: Vec<u8> = (0..1000).map(|byte| byte as u8).collect();
        assert_eq!(ours.recv().unwrap(), expected);
        drip.join().unwrap();
    });
}

#[test]
fn sigpipe_does_not_kill() {
    let test = "sigpipe_does_not_kill";
    let Some(how) = role() else {
        // Over seqpackets the kernel raises none, whatever the flags.
        for scheme in ["tcp", "unix", "unixpacket"] {
            start(test, &format!("{scheme} message")).succeeds();
            start(test, &format!("{scheme} long message")).succeeds();
        }
        for scheme in ["unix", "unixpacket"] {
            start(test, &format!("{scheme} descriptors")).succeeds();
        }
        return;
    };
    use nix::sys::signal::{SigHandler, Signal, signal};
    #[allow(unsafe_code)]
    // SAFETY: the default action is no handler of ours that could do wrong.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    eprintln!("{how}"); // For whoever reads what has killed it.
    let (scheme, what) = how.split_once(' ').unwrap();
    let name = match scheme {
        "tcp" => "tcp://127.0.0.1:0".to_owned(),
        _ => abstract_endpoint(scheme),
    };
    let listener = Listener::bind(name).unwrap();
    let client = SocketPair::connect(listener.endpoint()).unwrap();
    let mut server = listener.accept().unwrap();
    drop(client);
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut send = || match what {
        "descriptors" => server.send_with_fds(b"x", &[writer.as_fd()], Wait::Forever),
        "long message" => server.send(&[0; 100_000]),
        _ => server.send(b"x"),
    };
    while send().is_ok() {}
    for _ in 0..2 {
        assert_eq!(send().unwrap_err().kind(), ErrorKind::Disconnected);
    }
}

#[test]
fn foreign_programs_are_spoken_to_in_their_own_framing() {
    let (mut ours, mut theirs) = foreign("?framing=lines");
    theirs.write_all(b"one\n\ntwo").unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(ours.recv().unwrap(), b"one");
    assert_eq!(ours.recv().unwrap(), b"");
    assert_eq!(ours.recv().unwrap(), b"two");
    ours.send(b"three").unwrap();
    drop(ours);
    let mut text = String::new();
    theirs.read_to_string(&mut text).unwrap();
    assert_eq!(text, "three\n");

    let (mut ours, mut theirs) = foreign("?framing=fixed:4");
    theirs.write_all(b"abcdefgh").unwrap();
    assert_eq!(ours.recv().unwrap(), b"abcd");
    assert_eq!(ours.recv().unwrap(), b"efgh");

    let (mut ours, mut theirs) = foreign("?framing=raw");
    theirs.write_all(b"whatever").unwrap();
    assert_eq!(ours.recv().unwrap(), b"whatever");
    assert_eq!(ours.capabilities().boundaries, ipc_socket::Boundaries::None);
}

#[test]
fn the_flags_of_a_shared_socket_are_left_alone() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let theirs = one.try_clone().unwrap();
    let mut one = SocketPair::from_fd(one.into(), "unix://@x").unwrap();
    let mut other = SocketPair::from_fd(other.into(), "unix://@x").unwrap();
    assert_eq!(one.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut sent = 0;
    while other.try_send(&[0; 10_000]).is_ok() {
        sent += 1;
    }
    assert!(sent > 1);
    let flags = OFlag::from_bits_truncate(fcntl(&theirs, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK));
}

#[test]
fn a_message_that_did_not_fit_in_time_goes_out_before_the_next() {
    for (mut client, mut server) in connected("") {
        let long = vec![7; 32 << 20];
        client.send_timeout(&long, Duration::from_millis(20)).unwrap();
        let receiving = std::thread::spawn(move || {
            assert_eq!(server.recv().unwrap().len(), 32 << 20);
            assert_eq!(server.recv().unwrap(), b"next");
        });
        client.flush(Wait::Forever).unwrap();
        client.send(b"next").unwrap();
        receiving.join().unwrap();
    }
}

#[test]
fn messages_over_the_limit_are_refused_and_nothing_is_sent() {
    for (mut client, mut server) in connected("?max_message=10") {
        let error = client.send(&[0; 11]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        client.send(&[1; 10]).unwrap();
        assert_eq!(server.recv().unwrap(), [1; 10]);
        assert_eq!(client.capabilities().max_message, Some(10));
    }
}

#[test]
fn who_receives_until_it_would_block_and_then_polls_misses_nothing() {
    let (mut sender, mut receiver) = SocketPair::anonymous(Scheme::Unix).unwrap();
    let shows = |receiver: &SocketPair, limit: PollTimeout| {
        let mut fds = [PollFd::new(receiver.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, limit).unwrap() == 1
    };
    sender.send_batch(&[b"one", b"two"], Wait::Forever).unwrap();
    assert!(shows(&receiver, PollTimeout::NONE));
    assert_eq!(receiver.try_recv().unwrap(), b"one");
    // It has been read ahead, so who polls now, and not after WouldBlock, waits for a message that is here.
    assert!(!shows(&receiver, PollTimeout::ZERO));
    assert_eq!(receiver.try_recv().unwrap(), b"two");
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    sender.send(b"three").unwrap();
    assert!(shows(&receiver, PollTimeout::NONE));
    assert_eq!(receiver.try_recv().unwrap(), b"three");
}

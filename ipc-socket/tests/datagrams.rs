//! Datagrams and seqpackets: whole messages, who sent them, what is lost, and what the end looks like.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{abstract_endpoint, role, start, stay, unique};
use ipc_socket::{Datagram, ErrorKind, Listener, Peer, Receiver, Scheme, Sender, SocketPair, Wait};
use socket2::{Domain, Socket, Type};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(10);

fn both() -> [String; 2] {
    ["udp://127.0.0.1:0".into(), abstract_endpoint("unixgram")]
}

/// Our seqpacket end and a foreign one.
fn packets(options: &str) -> (SocketPair, Socket) {
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    (SocketPair::from_fd(ours.into(), format!("unixpacket://@x{options}")).unwrap(), theirs)
}

#[test]
fn a_bound_socket_answers_whom_it_heard_last() {
    for endpoint in both() {
        let mut server = Datagram::bind(&endpoint).unwrap();
        assert_eq!(server.send(b"anybody?").unwrap_err().kind(), ErrorKind::NoPeer);
        let mut one = Datagram::connect(server.endpoint()).unwrap();
        let mut other = Datagram::connect(server.endpoint()).unwrap();
        one.send(b"one").unwrap();
        other.send(b"").unwrap();
        let (message, first) = server.recv_from(Wait::Forever).unwrap();
        assert_eq!(message, b"one");
        assert_eq!(server.recv().unwrap(), b"");
        server.send(b"to the other").unwrap();
        server.send_to(b"to one", &first, Wait::Forever).unwrap();
        assert_eq!(one.recv().unwrap(), b"to one");
        assert_eq!(other.recv().unwrap(), b"to the other");
    }
}

#[test]
fn every_address_hears_and_answers_both_families() {
    let mut server = Datagram::bind("udp://*:0").unwrap();
    let endpoint = server.endpoint().to_string();
    let port = endpoint.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "[::1]"] {
        let mut client = Datagram::connect(format!("udp://{host}:{port}")).unwrap();
        client.send(b"question").unwrap();
        let (message, peer) = server.recv_from(Wait::timeout(LONG)).unwrap();
        assert_eq!(message, b"question");
        assert!(peer.to_string().starts_with(&format!("{host}:")), "{peer}");
        server.send(b"answer").unwrap();
        assert_eq!(client.recv_timeout(LONG).unwrap(), b"answer");
    }
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let mut server = Datagram::bind("udp://127.0.0.1:0").unwrap();
    let mut client = Datagram::connect(server.endpoint()).unwrap();
    client.send(b"hello").unwrap();
    let (_, peer) = server.recv_from(Wait::Forever).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"noise", peer.socket_addr().unwrap()).unwrap();
    server.send(b"answer").unwrap();
    assert_eq!(client.recv().unwrap(), b"answer");
}

#[test]
fn messages_up_to_the_limit_arrive_whole_and_longer_ones_are_refused() {
    for endpoint in both() {
        let mut server = Datagram::bind(&endpoint).unwrap();
        let mut client = Datagram::connect(server.endpoint()).unwrap();
        let max = client.capabilities().max_message.unwrap();
        let error = client.send(&vec![0; max + 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        assert_eq!(error.limit().unwrap().value, max as u64);
        client.send(&vec![7; max]).unwrap();
        assert_eq!(server.recv().unwrap(), vec![7; max]);
    }
}

#[test]
fn a_message_longer_than_the_receiver_takes_is_never_shortened() {
    let name = unique("short");
    let mut server = Datagram::bind(format!("unixgram://@{name}?max_message=10")).unwrap();
    let mut client = Datagram::connect(format!("unixgram://@{name}")).unwrap();
    client.send(&[1; 11]).unwrap();
    client.send(&[2; 10]).unwrap();
    let error = server.recv().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    assert!(error.to_string().contains("a message of 11 bytes has come"), "{error}");
    assert_eq!(server.recv().unwrap(), [2; 10]);

    let (mut ours, theirs) = packets("?max_message=10");
    theirs.send(&[1; 11]).unwrap();
    theirs.send(&[2; 10]).unwrap();
    assert_eq!(ours.recv().unwrap_err().kind(), ErrorKind::MessageTooLarge);
    assert_eq!(ours.recv().unwrap(), [2; 10]);
}

#[test]
fn capacity_and_max_message_raise_the_longest_message_for_both_sides() {
    for option in ["max_message=1M", "capacity=1M"] {
        let name = abstract_endpoint("unixgram") + "?" + option;
        let mut server = Datagram::bind(&name).unwrap();
        let mut client = Datagram::connect(&name).unwrap();
        let max = client.capabilities().max_message.unwrap();
        client.send(&vec![3; max]).unwrap();
        assert_eq!(server.recv().unwrap(), vec![3; max]);

        let name = abstract_endpoint("unixpacket") + "?" + option;
        let listener = Listener::bind(&name).unwrap();
        let mut client = SocketPair::connect(&name).unwrap();
        let mut server = listener.accept().unwrap();
        let max = client.capabilities().max_message.unwrap();
        client.send(&vec![3; max]).unwrap();
        assert_eq!(server.recv().unwrap(), vec![3; max]);
    }
}

#[test]
fn an_empty_seqpacket_message_of_a_foreign_peer_is_not_the_end() {
    let (mut ours, theirs) = packets("");
    theirs.send(b"").unwrap();
    theirs.send(b"x").unwrap();
    theirs.send(b"").unwrap();
    drop(theirs);
    assert_eq!(ours.recv().unwrap(), b"");
    assert_eq!(ours.recv().unwrap(), b"x");
    assert_eq!(ours.recv().unwrap(), b"");
    for _ in 0..2 {
        assert_eq!(ours.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    }
}

#[test]
fn an_empty_message_sent_before_we_had_the_socket_is_not_the_end_either() {
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    theirs.send(b"").unwrap();
    let mut ours = SocketPair::from_fd(ours.into(), "unixpacket://@x").unwrap();
    assert_eq!(ours.recv().unwrap(), b"");
    assert_eq!(ours.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_seqpacket_peer_that_left_messages_unread_is_drained_first() {
    let (mut ours, theirs) = packets("");
    ours.send(b"never read").unwrap();
    theirs.send(b"one").unwrap();
    theirs.send(b"two").unwrap();
    drop(theirs);
    assert_eq!(ours.recv().unwrap(), b"one");
    assert_eq!(ours.recv().unwrap(), b"two");
    assert_eq!(ours.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(ours.send(b"x").unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn a_datagram_receiver_that_is_gone_is_gone_for_good() {
    let name = abstract_endpoint("unixgram");
    let server = Datagram::bind(&name).unwrap();
    let mut client = Datagram::connect(&name).unwrap();
    drop(server);
    assert_eq!(client.send(b"x").unwrap_err().kind(), ErrorKind::Disconnected);
    // Also when another has taken the name.
    let _next = Datagram::bind(&name).unwrap();
    assert_eq!(client.send(b"x").unwrap_err().kind(), ErrorKind::Disconnected);
    Datagram::connect(&name).unwrap().send(b"x").unwrap();
}

#[test]
fn a_third_process_is_heard_and_known_by_its_user() {
    if let Some(path) = role() {
        UnixDatagram::unbound().unwrap().send_to(b"hello", path).unwrap();
        return stay();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let us = nix::unistd::getuid().as_raw();
    let mut server = Datagram::bind(format!("unixgram://{}?uid={us}", path.display())).unwrap();
    let mut client = Datagram::connect(format!("unixgram://{}", path.display())).unwrap();
    client.send(b"second").unwrap();
    assert_eq!(server.recv().unwrap(), b"second");
    let third = "a_third_process_is_heard_and_known_by_its_user";
    let third = start(third, path.to_str().unwrap());
    let (message, peer) = server.recv_from(Wait::Forever).unwrap();
    assert_eq!(message, b"hello");
    assert_eq!(peer.credentials().unwrap().uid(), us);
    assert_eq!(peer.credentials().unwrap().pid(), Some(third.child.id()));
    assert!(!peer.can_be_answered());
    assert_eq!(server.send(b"whom?").unwrap_err().kind(), ErrorKind::NoPeer);
    third.succeeds();
}

#[test]
fn messages_of_the_wrong_user_are_passed_over() {
    let name = unique("uid");
    let us = nix::unistd::getuid().as_raw();
    let mut server = Datagram::bind(format!("unixgram://@{name}?uid={}", us + 1)).unwrap();
    let mut client = Datagram::connect(format!("unixgram://@{name}")).unwrap();
    client.send(b"let me in").unwrap();
    assert_eq!(server.recv_timeout(SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(server.turned_away(), 1);
}

#[test]
fn messages_of_the_wrong_user_do_not_hold_a_recv_beyond_its_deadline() {
    let name = unique("flood");
    let us = nix::unistd::getuid().as_raw();
    let mut server = Datagram::bind(format!("unixgram://@{name}?uid={}", us + 1)).unwrap();
    let mut client = Datagram::connect(format!("unixgram://@{name}")).unwrap();
    for _ in 0..5 {
        client.send(b"let me in").unwrap();
    }
    // The time is over at once, and yet the first look finds something.
    assert_eq!(server.recv_timeout(Duration::ZERO).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(server.turned_away(), 1);
}

#[test]
fn what_udp_drops_is_counted_exactly() {
    const SENT: u64 = 5_000;
    let mut server = Datagram::bind("udp://127.0.0.1:0?capacity=64K").unwrap();
    let mut client = Datagram::connect(server.endpoint()).unwrap();
    for _ in 0..SENT {
        client.send(&[0; 1_000]).unwrap();
    }
    let mut received = 0;
    while server.try_recv().is_ok() {
        received += 1;
    }
    // The count comes with the next one that finds room.
    client.send(b"last").unwrap();
    assert_eq!(server.recv().unwrap(), b"last");
    assert!(server.dropped() > 0);
    assert_eq!(received + server.dropped(), SENT);
}

#[test]
fn connected_udp_says_once_that_nobody_was_there_and_sends_again() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut client = Datagram::connect(format!("udp://{address}")).unwrap();
    drop(server);
    client.send(b"lost").unwrap();
    assert_eq!(client.recv_timeout(Duration::from_secs(5)).unwrap_err().kind(), ErrorKind::NoPeer);
    client.send(b"lost, too").unwrap();
    let server = UdpSocket::bind(address).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The error that waits is about the one before; this one goes out.
    client.send(b"heard").unwrap();
    let mut buffer = [0; 10];
    assert_eq!(server.recv(&mut buffer).unwrap(), 5);
}

#[test]
fn a_full_unix_datagram_receiver_holds_its_senders_back() {
    let name = abstract_endpoint("unixgram");
    let mut server = Datagram::bind(&name).unwrap();
    let mut client = Datagram::connect(&name).unwrap();
    let mut sent = 0;
    while client.try_send(&[0; 100]).is_ok() {
        sent += 1;
    }
    assert_eq!(client.send_timeout(&[0; 100], SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
    for _ in 0..sent {
        server.recv().unwrap();
    }
    // And the other way, where the kernel does not tell of room.
    let mut held_back = 0;
    while server.try_send(&[0; 100]).is_ok() {
        held_back += 1;
    }
    let began = Instant::now();
    assert_eq!(server.send_timeout(&[0; 100], SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(5));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..=held_back {
                client.recv().unwrap();
            }
        });
        server.send(&[0; 100]).unwrap();
    });
}

#[test]
fn a_peer_can_be_named() {
    let mut server = Datagram::bind("udp://127.0.0.1:0").unwrap();
    let mut other = Datagram::bind("udp://127.0.0.1:0").unwrap();
    let peer = Peer::at(server.endpoint()).unwrap();
    other.send_to(b"unasked", &peer, Wait::Forever).unwrap();
    assert_eq!(server.recv().unwrap(), b"unasked");
    assert_eq!(peer.to_string(), server.endpoint().to_string().trim_start_matches("udp://"));
}

#[test]
fn a_name_in_use_is_in_use_and_a_stale_one_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let endpoint = format!("unixgram://{}", path.display());
    drop(UnixDatagram::bind(&path).unwrap());
    let first = Datagram::bind(&endpoint).unwrap();
    assert_eq!(Datagram::bind(&endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(
        Listener::bind(endpoint.replace("unixgram", "unix")).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    let (sender, receiver) = first.split();
    drop(sender);
    assert!(path.exists());
    drop(receiver);
    assert!(!path.exists());
    let first = Datagram::bind("udp://127.0.0.1:0").unwrap();
    assert_eq!(Datagram::bind(first.endpoint()).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(first.endpoint().scheme(), Scheme::Udp);
}

#[test]
fn a_path_of_the_wrong_user_is_not_connected_to() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = format!("unixgram://{}/s", dir.path().display());
    let _server = Datagram::bind(&endpoint).unwrap();
    let us = nix::unistd::getuid().as_raw();
    Datagram::connect(format!("{endpoint}?uid={us}")).unwrap();
    let error = Datagram::connect(format!("{endpoint}?uid={}", us + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongOwner);
}

//! A receiver that is to sleep at once, for as long as it takes, sleeps in the call that receives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{abstract_endpoint, until};
use ipc_socket::{Datagram, ErrorKind, Listener, Pair, Receiver, Result, Scheme, Sender, SocketPair};
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::Duration;

/// So many of them tell that the other end is gone.
const CONNECTED: usize = 4;

type Ends = (Box<dyn Pair>, Box<dyn Pair>);

/// One connection of each kind, whose receivers sleep at once; the connected ones first.
fn all() -> Vec<Ends> {
    let mut all: Vec<Ends> = Vec::new();
    for address in
        ["tcp://127.0.0.1:0".to_owned(), abstract_endpoint("unix"), abstract_endpoint("unixpacket")]
    {
        let listener = Listener::bind(format!("{address}?waiting=block")).unwrap();
        let client = SocketPair::connect(listener.endpoint()).unwrap();
        all.push((Box::new(client), Box::new(listener.accept().unwrap())));
    }
    let address = abstract_endpoint("unix");
    let listener = Listener::bind(format!("{address}?waiting=block&descriptors=true")).unwrap();
    let client = SocketPair::connect(listener.endpoint()).unwrap();
    all.push((Box::new(client), Box::new(listener.accept().unwrap())));
    for address in ["udp://127.0.0.1:0".to_owned(), abstract_endpoint("unixgram")] {
        let server = Datagram::bind(format!("{address}?waiting=block")).unwrap();
        let client = Datagram::connect(server.endpoint()).unwrap();
        all.push((Box::new(client), Box::new(server)));
    }
    all
}

/// Whether the thread sleeps in one of `calls`; `None` where this system does not tell.
fn sleeps_in(thread: i32, calls: &[libc::c_long]) -> Option<bool> {
    let told = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    let call = told.split_whitespace().next()?.to_owned();
    Some(calls.iter().any(|number| number.to_string() == call))
}

/// A thread that receives once, and sleeps in the call that does.
fn asleep(mut end: Box<dyn Pair>) -> JoinHandle<Result<Vec<u8>>> {
    let (told, tid) = std::sync::mpsc::channel();
    let receiving = std::thread::spawn(move || {
        told.send(nix::unistd::gettid().as_raw()).unwrap();
        end.recv().map(<[u8]>::to_vec)
    });
    let tid = tid.recv().unwrap();
    until("it sleeps in recv", || {
        sleeps_in(tid, &[libc::SYS_recvfrom, libc::SYS_recvmsg]).unwrap_or_else(|| {
            eprintln!("not looked at: there is no /proc/self/task/N/syscall");
            true
        })
    });
    receiving
}

#[test]
fn the_call_that_receives_is_the_one_that_waits() {
    for (mut client, server) in all() {
        let receiving = asleep(server);
        client.send(b"good morning").unwrap();
        assert_eq!(receiving.join().unwrap().unwrap(), b"good morning");
    }
}

#[test]
fn calls_that_are_not_to_wait_do_not() {
    for (mut client, mut server) in all() {
        for end in [&mut client, &mut server] {
            assert_eq!(end.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
            let error = end.recv_timeout(Duration::from_millis(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        client.send(b"message").unwrap();
        assert_eq!(server.recv().unwrap(), b"message");
        assert_eq!(server.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn the_end_wakes_whoever_waits() {
    for (client, server) in all().into_iter().take(CONNECTED) {
        let receiving = asleep(server);
        drop(client);
        assert_eq!(receiving.join().unwrap().unwrap_err().kind(), ErrorKind::Disconnected);
    }
}

#[test]
fn a_socket_from_elsewhere_that_does_not_block_is_waited_for_all_the_same() {
    for (kind, scheme) in [
        (SockType::Stream, Scheme::Unix),
        (SockType::SeqPacket, Scheme::UnixPacket),
        (SockType::Datagram, Scheme::UnixGram),
    ] {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let (one, other) = socketpair(AddressFamily::Unix, kind, None, flags).unwrap();
        let open = |socket: OwnedFd| -> Box<dyn Pair> {
            match scheme {
                Scheme::UnixGram => Box::new(Datagram::from_fd(socket, blocking(scheme)).unwrap()),
                _ => Box::new(SocketPair::from_fd(socket, blocking(scheme)).unwrap()),
            }
        };
        let (mut one, mut other) = (open(one), open(other));
        let answering = std::thread::spawn(move || {
            for _ in 0..10 {
                let message = other.recv().unwrap().to_vec();
                other.send(&message).unwrap();
            }
        });
        for number in 0..10 {
            one.send(&[number]).unwrap();
            assert_eq!(one.recv().unwrap(), [number]);
        }
        answering.join().unwrap();
    }
}

fn blocking(scheme: Scheme) -> String {
    format!("{scheme}://@x?waiting=block")
}

//! What takes a network of its own: TCP that meets itself, and connections that the network loses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{is_root, role, start};
use ipc_socket::{ErrorKind, Listener, Receiver, Sender, SocketPair};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// Runs `inside` in a second process, with a network of its own that reaches no further than itself.
fn in_a_network_of_its_own(test: &str, inside: impl FnOnce()) {
    if role().is_none() {
        if is_root() {
            // What a second process says is not shown if it succeeds.
            let mut other = start(test, "inside");
            match other.hears("result").as_str() {
                "done" => {}
                reason => eprintln!("passed over: {reason}"),
            }
            other.succeeds();
        }
        return;
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    match Command::new("ip").args(["link", "set", "lo", "up"]).status() {
        Ok(status) => assert!(status.success()),
        Err(error) => return eprintln!("result there is no program ip: {error}"),
    }
    inside();
    eprintln!("result done");
}

#[test]
fn tcp_does_not_connect_to_itself() {
    in_a_network_of_its_own("tcp_does_not_connect_to_itself", || {
        // A connecting socket can come from one port only: the very port that it connects to.
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000").unwrap();
        let error = SocketPair::connect("tcp://127.0.0.1:40000").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoPeer);
        assert!(error.to_string().contains("connected to itself"), "{error}");
        // And the port is free for the server that was looked for.
        Listener::bind("tcp://127.0.0.1:40000").unwrap();
    });
}

#[test]
fn a_connection_that_the_network_has_lost_is_gone_and_no_deadline_of_the_callers_is_over() {
    let test = "a_connection_that_the_network_has_lost_is_gone_and_no_deadline_of_the_callers_is_over";
    in_a_network_of_its_own(test, || {
        let listener = Listener::bind("tcp://127.0.0.1:40000").unwrap();
        let connect = || {
            let stream = TcpStream::connect("127.0.0.1:40000").unwrap();
            let soon = Some(Duration::from_millis(100));
            socket2::SockRef::from(&stream).set_tcp_user_timeout(soon).unwrap();
            let ours = SocketPair::from_fd(stream.into(), "tcp://127.0.0.1:40000").unwrap();
            (ours, listener.accept().unwrap())
        };
        let (mut sends, _server) = connect();
        let (mut receives, _another) = connect();
        let cut = Command::new("ip").args(["link", "set", "lo", "down"]).status();
        assert!(cut.unwrap().success());
        receives.send(b"on its way").unwrap();
        for _ in 0..2 {
            assert_eq!(receives.recv().unwrap_err().kind(), ErrorKind::Disconnected);
        }
        // A message of which a part has gone out.
        for _ in 0..2 {
            let error = sends.send(&vec![0; 32 << 20]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Disconnected);
        }
    });
}

//! Copies of sockets in forked children: what a child drops is its copy, and the parent's goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{role, start, until};
use ipc_socket::{Datagram, Listener, Receiver, Scheme, Sender, SocketPair};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::os::fd::AsFd;
use std::time::Duration;

/// Forks, drops the child's copy of `value` and ends it.
fn dropped_in_a_child<T>(value: T) -> T {
    #[allow(unsafe_code)]
    // SAFETY: the only other thread waits for this one, so it holds no lock; the child drops and ends.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(value);
            #[allow(unsafe_code)]
            // SAFETY: ends the process without running anything of the parent's.
            unsafe {
                nix::libc::_exit(0)
            }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            value
        }
    }
}

#[test]
fn a_forked_copy_of_an_owner_does_not_remove_the_name() {
    let test = "a_forked_copy_of_an_owner_does_not_remove_the_name";
    if role().is_none() {
        return start(test, "forker").succeeds();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    for scheme in ["unix", "unixpacket"] {
        let endpoint = format!("{scheme}://{}", path.display());
        let listener = dropped_in_a_child(Listener::bind(&endpoint).unwrap());
        SocketPair::connect(&endpoint).unwrap();
        listener.accept().unwrap();
        drop(listener);
        assert!(!path.exists());
    }
    let endpoint = format!("unixgram://{}", path.display());
    let mut bound = dropped_in_a_child(Datagram::bind(&endpoint).unwrap());
    Datagram::connect(&endpoint).unwrap().send(b"x").unwrap();
    assert_eq!(bound.recv_timeout(Duration::from_secs(10)).unwrap(), b"x");
}

#[test]
fn forked_copies_of_the_halves_do_not_end_the_connection() {
    let test = "forked_copies_of_the_halves_do_not_end_the_connection";
    if role().is_none() {
        return start(test, "forker").succeeds();
    }
    for scheme in [Scheme::Unix, Scheme::UnixPacket] {
        let (one, mut other) = SocketPair::anonymous(scheme).unwrap();
        let (mut sender, mut receiver) = dropped_in_a_child(one.split());
        let soon = Duration::from_secs(10);
        sender.send(b"there").unwrap();
        assert_eq!(other.recv_timeout(soon).unwrap(), b"there");
        other.send(b"back").unwrap();
        assert_eq!(receiver.recv_timeout(soon).unwrap(), b"back");
    }
}

#[test]
fn a_forked_copy_of_a_tcp_connection_does_not_take_what_has_come() {
    let test = "a_forked_copy_of_a_tcp_connection_does_not_take_what_has_come";
    if role().is_none() {
        return start(test, "forker").succeeds();
    }
    let listener = Listener::bind("tcp://127.0.0.1:0").unwrap();
    let mut client = SocketPair::connect(listener.endpoint()).unwrap();
    let server = listener.accept().unwrap();
    client.send(b"for the parent").unwrap();
    until("it has come", || {
        poll(&mut [PollFd::new(server.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
    });
    let mut server = dropped_in_a_child(server);
    let soon = Duration::from_secs(10);
    assert_eq!(server.recv_timeout(soon).unwrap(), b"for the parent");
    server.send(b"for the client").unwrap();
    assert_eq!(client.recv_timeout(soon).unwrap(), b"for the client");
}

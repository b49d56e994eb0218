//! Who the peer of a Unix socket is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{
    abstract_endpoint, is_root, linux_is_at_least, meet, role, start, start_with, stay, unique,
};
use ipc_socket::{ErrorKind, Listener, Receiver, Sender, SocketPair};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn the_peer_of_a_unix_socket_is_known() {
    for scheme in ["unix", "unixpacket"] {
        let (client, server) = meet(scheme, "");
        for end in [&client, &server] {
            let peer = end.peer_credentials().unwrap();
            assert_eq!(peer.uid(), nix::unistd::getuid().as_raw());
            assert_eq!(peer.gid(), nix::unistd::getgid().as_raw());
            assert_eq!(peer.pid(), Some(std::process::id()));
            // It is this process, which has not ended.
            if let Some(pidfd) = pidfd_of_peer(end) {
                assert!(!has_ended(&pidfd, PollTimeout::ZERO));
            }
        }
    }
    let listener = Listener::bind("tcp://127.0.0.1:0").unwrap();
    let client = SocketPair::connect(listener.endpoint()).unwrap();
    assert_eq!(client.peer_credentials().unwrap_err().kind(), ErrorKind::Unsupported);
}

/// `None`, with the reason printed, where the kernel knows none.
fn pidfd_of_peer(end: &SocketPair) -> Option<OwnedFd> {
    match end.peer_pidfd() {
        Ok(pidfd) => Some(pidfd),
        Err(error) => {
            assert!(!linux_is_at_least(6, 5), "{error}");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            eprintln!("not looked at: before Linux 6.5 there is no pidfd of a peer");
            None
        }
    }
}

/// Whether the process ends within `patience`: then its pidfd can be read.
fn has_ended(pidfd: &OwnedFd, patience: PollTimeout) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, patience).unwrap() == 1
}

#[test]
fn the_pidfd_of_a_peer_tells_when_it_has_been_killed() {
    let test = "the_pidfd_of_a_peer_tells_when_it_has_been_killed";
    if let Some(endpoint) = role() {
        let _pair = SocketPair::connect(endpoint).unwrap();
        return stay();
    }
    for scheme in ["unix", "unixpacket"] {
        let listener = Listener::bind(abstract_endpoint(scheme)).unwrap();
        let other = start(test, listener.endpoint().text());
        let server = listener.accept().unwrap();
        assert_eq!(server.peer_credentials().unwrap().pid(), Some(other.child.id()));
        let Some(pidfd) = pidfd_of_peer(&server) else { return };
        assert!(!has_ended(&pidfd, PollTimeout::ZERO));
        other.kill();
        assert!(has_ended(&pidfd, PollTimeout::from(10_000_u16)));
    }
}

#[test]
fn the_peer_of_a_client_is_who_listened_and_not_who_accepted() {
    let test = "the_peer_of_a_client_is_who_listened_and_not_who_accepted";
    match role().as_deref().map(|role| role.split_once(' ').unwrap()) {
        None => {}
        Some(("listen", endpoint)) => {
            // The one that accepts gets the listening socket as its standard input.
            let listener = Listener::bind(endpoint).unwrap();
            let inherited = listener.as_fd().try_clone_to_owned().unwrap();
            let acceptor = start_with(test, &format!("accept {endpoint}"), |command| {
                command.stdin(Stdio::from(inherited)).stderr(Stdio::piped());
            });
            eprintln!("acceptor {}", acceptor.child.id());
            return stay();
        }
        Some((_, endpoint)) => {
            let listener = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
            let listener = Listener::from_fd(listener, endpoint).unwrap();
            let mut pair = listener.accept_timeout(Duration::from_secs(20)).unwrap();
            while let Ok(message) = pair.recv_vec() {
                pair.send(&message).unwrap();
            }
            return;
        }
    }
    for scheme in ["unix", "unixpacket"] {
        let name = abstract_endpoint(scheme);
        let mut other = start(test, &format!("listen {name}"));
        let acceptor: u32 = other.hears("acceptor").parse().unwrap();
        let mut client = SocketPair::connect(&name).unwrap();
        client.send(b"accepted?").unwrap();
        assert_eq!(client.recv().unwrap(), b"accepted?");
        let peer = client.peer_credentials().unwrap().pid();
        assert_eq!(peer, Some(other.child.id()), "it was {acceptor} that accepted");
        let pidfd = pidfd_of_peer(&client);
        other.kill();
        // The process that listened has ended, and the conversation has not.
        if let Some(pidfd) = pidfd {
            assert!(has_ended(&pidfd, PollTimeout::from(10_000_u16)));
        }
        client.send(b"still there?").unwrap();
        assert_eq!(client.recv().unwrap(), b"still there?");
    }
}

#[test]
fn a_client_of_the_wrong_user_is_turned_away_and_the_next_is_served() {
    if let Some(name) = role() {
        let mut pair = SocketPair::connect(name).unwrap();
        eprintln!("got {:?}", pair.recv().unwrap_err().kind());
        return;
    }
    if !is_root() {
        return;
    }
    let name = abstract_endpoint("unix");
    let listener = Listener::bind(format!("{name}?uid=0")).unwrap();
    let test = "a_client_of_the_wrong_user_is_turned_away_and_the_next_is_served";
    // The binary may lie where another user cannot go, so a copy is run.
    let copy = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir();
    let copy = copy.unwrap();
    let program = copy.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept().unwrap().peer_credentials().unwrap());
        let stranger = std::process::Command::new(&program)
            .args(["--exact", test, "--nocapture"])
            .env("IPC_SOCKET_TEST_ROLE", &name)
            .uid(1000)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&stranger.stderr);
        assert!(said.contains("got Disconnected"), "{said}");
        assert!(!accepting.is_finished());
        assert_eq!(listener.turned_away(), 1);
        let _client = SocketPair::connect(&name).unwrap();
        assert_eq!(accepting.join().unwrap().uid(), 0);
    });
}

#[test]
fn clients_of_the_wrong_user_do_not_hold_an_accept_beyond_its_deadline() {
    let name = abstract_endpoint("unix");
    let wrong = nix::unistd::getuid().as_raw() + 1;
    let listener = Listener::bind(format!("{name}?uid={wrong}")).unwrap();
    let _clients: Vec<_> = (0..5).map(|_| SocketPair::connect(&name).unwrap()).collect();
    // The time is over at once, and yet the first look finds a client.
    let error = listener.accept_timeout(std::time::Duration::ZERO).unwrap_err();
    assert_eq!((error.kind(), listener.turned_away()), (ErrorKind::TimedOut, 1));
}

#[test]
fn a_listener_of_the_wrong_user_is_refused() {
    let name = unique("squatter");
    let _listener = Listener::bind(format!("unix://@{name}")).unwrap();
    let wrong = nix::unistd::getuid().as_raw() + 1;
    let error = SocketPair::connect(format!("unix://@{name}?uid={wrong}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongOwner);
    // So is one at the other end of a socket that came from elsewhere.
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = SocketPair::from_fd(one.into(), format!("unix://@x?uid={wrong}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongOwner);
}

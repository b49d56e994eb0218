//! Who the peer of a Unix socket is, and the descriptors it sends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{abstract_endpoint, is_root, linux_is_at_least, role, start, start_with, stay, unique};
use ipc_socket::{Datagram, ErrorKind, Listener, Receiver, Sender, SocketPair, Wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

/// From this version on, the kernel refuses to send descriptors to who has not asked for them.
const PASS_RIGHTS: (u32, u32) = (6, 16);

fn meet(scheme: &str, options: &str) -> (SocketPair, SocketPair) {
    let name = abstract_endpoint(scheme);
    let listener = Listener::bind(format!("{name}{options}")).unwrap();
    let client = SocketPair::connect(&name).unwrap();
    (client, listener.accept().unwrap())
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

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

#[test]
fn descriptors_come_with_their_own_message() {
    for scheme in ["unix", "unixpacket"] {
        let (mut client, mut server) = meet(scheme, "?descriptors=true");
        let (mut reader, writer) = std::io::pipe().unwrap();
        client.send(b"plain").unwrap();
        client.send_with_fds(b"two", &[writer.as_fd(), writer.as_fd()], Wait::Forever).unwrap();
        client.send(b"plain").unwrap();
        client.send_with_fds(b"", &[writer.as_fd()], Wait::Forever).unwrap();
        client.send_with_fds(&vec![1; 100_000], &[writer.as_fd()], Wait::Forever).unwrap();
        drop(writer);
        let mut count = |message: &[u8]| {
            let (got, descriptors) = server.recv_with_fds(Wait::Forever).unwrap();
            assert_eq!(got, message);
            for descriptor in &descriptors {
                std::fs::File::from(descriptor.try_clone().unwrap()).write_all(b".").unwrap();
            }
            descriptors.len()
        };
        assert_eq!(count(b"plain"), 0);
        assert_eq!(count(b"two"), 2);
        assert_eq!(count(b"plain"), 0);
        assert_eq!(count(b""), 1);
        assert_eq!(count(&[1; 100_000]), 1);
        // All that were opened have been closed: the pipe ends.
        let mut dots = String::new();
        reader.read_to_string(&mut dots).unwrap();
        assert_eq!(dots, "....");
    }
}

#[test]
fn descriptors_come_with_datagrams() {
    let name = abstract_endpoint("unixgram");
    let mut receiver = Datagram::bind(format!("{name}?descriptors=true")).unwrap();
    let mut sender = Datagram::connect(&name).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    sender.send_with_fds(b"x", &[writer.as_fd()], Wait::Forever).unwrap();
    drop(writer);
    let (message, peer, descriptors) = receiver.recv_with_fds(Wait::Forever).unwrap();
    assert_eq!((message, descriptors.len()), (&b"x"[..], 1));
    assert!(peer.can_be_answered());
    drop(descriptors);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
}

/// Whether descriptors went: they must where `options` ask for them, and must not where the kernel can refuse.
fn went(sent: ipc_socket::Result<()>, options: &str) -> bool {
    let (major, minor) = PASS_RIGHTS;
    match sent {
        Ok(()) => {
            let refusable = linux_is_at_least(major, minor);
            assert!(!(options.is_empty() && refusable), "nobody asked for them, and they went");
            true
        }
        Err(error) => {
            assert_eq!((error.kind(), options), (ErrorKind::PermissionDenied, ""), "{error}");
            false
        }
    }
}

#[test]
fn descriptors_nobody_asked_for_are_refused_from_the_first_moment_on_and_both_ways() {
    if !linux_is_at_least(PASS_RIGHTS.0, PASS_RIGHTS.1) {
        return eprintln!("passed over: before Linux 6.16 the kernel does not refuse them");
    }
    let (_reader, writer) = std::io::pipe().unwrap();
    let refused = |sent: ipc_socket::Result<()>| {
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::PermissionDenied);
    };
    for scheme in ["unix", "unixpacket"] {
        let listener = Listener::bind(abstract_endpoint(scheme)).unwrap();
        let mut client = SocketPair::connect(listener.endpoint()).unwrap();
        // Nobody has accepted yet.
        refused(client.send_with_fds(b"x", &[writer.as_fd()], Wait::Forever));
        let mut server = listener.accept().unwrap();
        refused(client.send_with_fds(b"x", &[writer.as_fd()], Wait::Forever));
        refused(server.send_with_fds(b"x", &[writer.as_fd()], Wait::Forever));
    }
}

#[test]
fn descriptors_nobody_asked_for_are_never_opened() {
    if role().is_some() {
        // In a process of its own, so that nobody else opens or closes any meanwhile.
        for scheme in ["unix", "unixpacket"] {
            for options in ["", "?descriptors=true"] {
                let (mut client, mut server) = meet(scheme, options);
                let (reader, writer) = std::io::pipe().unwrap();
                let before = open_descriptors();
                let sent = client.send_with_fds(b"x", &[writer.as_fd()], Wait::Forever);
                if !went(sent, options) {
                    client.send(b"x").unwrap();
                }
                assert_eq!(server.recv().unwrap(), b"x");
                assert_eq!(open_descriptors(), before);
                drop(writer);
                assert_eq!(std::io::read_to_string(reader).unwrap(), "");
                let unasked = server.recv_with_fds(Wait::Never).unwrap_err().kind();
                let expected =
                    if options.is_empty() { ErrorKind::Unsupported } else { ErrorKind::WouldBlock };
                assert_eq!(unasked, expected);
            }
        }
        for options in ["", "?descriptors=true"] {
            let name = abstract_endpoint("unixgram");
            let mut receiver = Datagram::bind(format!("{name}{options}")).unwrap();
            let mut sender = Datagram::connect(&name).unwrap();
            let (reader, writer) = std::io::pipe().unwrap();
            let before = open_descriptors();
            if !went(sender.send_with_fds(b"x", &[writer.as_fd()], Wait::Forever), options) {
                sender.send(b"x").unwrap();
            }
            assert_eq!(receiver.recv().unwrap(), b"x");
            assert_eq!(open_descriptors(), before);
            drop(writer);
            assert_eq!(std::io::read_to_string(reader).unwrap(), "");
        }
        return;
    }
    start("descriptors_nobody_asked_for_are_never_opened", "count").succeeds();
}

#[test]
fn descriptors_that_cannot_be_opened_are_reported_and_none_leaks() {
    if role().is_some() {
        for scheme in ["unix", "unixpacket"] {
            let (mut client, mut server) = meet(scheme, "?descriptors=true");
            let (_reader, writer) = std::io::pipe().unwrap();
            let many = [writer.as_fd(); 50];
            client.send_with_fds(b"x", &many, Wait::Forever).unwrap();
            client.send(b"next").unwrap();
            let before = open_descriptors();
            let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
            setrlimit(Resource::RLIMIT_NOFILE, before as u64 + 10, hard).unwrap();
            let error = server.recv_with_fds(Wait::Forever).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitExceeded);
            assert_eq!(error.limit().unwrap().name, "RLIMIT_NOFILE");
            setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
            assert_eq!(open_descriptors(), before);
            assert_eq!(server.recv().unwrap(), b"next");
        }
        return;
    }
    start_with("descriptors_that_cannot_be_opened_are_reported_and_none_leaks", "limit", |_| {})
        .succeeds();
}

#[test]
fn a_peer_cannot_pile_up_descriptors_behind_one_unfinished_message() {
    let test = "a_peer_cannot_pile_up_descriptors_behind_one_unfinished_message";
    if role().is_none() {
        return start(test, "alone").succeeds();
    }
    let (foreign, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut server =
        SocketPair::from_fd(OwnedFd::from(ours), "unix://@foreign?descriptors=true").unwrap();
    let some = vec![foreign.as_raw_fd(); 200];
    let rights = [nix::sys::socket::ControlMessage::ScmRights(&some)];
    let before = open_descriptors();
    let send = |bytes: &[u8]| {
        let flags = nix::sys::socket::MsgFlags::empty();
        let slices = [std::io::IoSlice::new(bytes)];
        nix::sys::socket::sendmsg::<()>(foreign.as_raw_fd(), &slices, &rights, flags, None).unwrap();
    };
    send(&4u32.to_le_bytes());
    for _ in 0..3 {
        send(b"x");
        assert_eq!(server.recv_with_fds(Wait::Never).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(open_descriptors() <= before + 253, "{} before, {}", before, open_descriptors());
    }
    send(b"x");
    let error = server.recv_with_fds(Wait::Forever).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(open_descriptors(), before);
    // The next message is as good as the first.
    server.send(b"still here").unwrap();
    (&foreign).write_all(&[0; 4]).unwrap();
    assert_eq!(server.recv_with_fds(Wait::Forever).unwrap().0, b"");
}

#[test]
fn more_descriptors_than_a_message_carries_are_refused() {
    let (mut client, mut server) = meet("unix", "?descriptors=true");
    let (_reader, writer) = std::io::pipe().unwrap();
    let error = client.send_with_fds(b"x", &[writer.as_fd(); 254], Wait::Forever).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    client.send_with_fds(b"x", &[writer.as_fd(); 253], Wait::Forever).unwrap();
    assert_eq!(server.recv_with_fds(Wait::Forever).unwrap().1.len(), 253);
}

#[test]
fn received_descriptors_are_close_on_exec() {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let (mut client, mut server) = meet("unix", "?descriptors=true");
    let (_reader, writer) = std::io::pipe().unwrap();
    client.send_with_fds(b"x", &[writer.as_fd()], Wait::Forever).unwrap();
    let (_, descriptors): (_, Vec<OwnedFd>) = server.recv_with_fds(Wait::Forever).unwrap();
    let flags = fcntl(&descriptors[0], FcntlArg::F_GETFD).unwrap();
    assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
}

#[test]
fn descriptors_need_a_framing_that_says_where_messages_end() {
    for framing in ["lines", "nul"] {
        let name = abstract_endpoint("unix");
        let wanted = format!("{name}?framing={framing}&descriptors=true");
        assert_eq!(Listener::bind(&wanted).unwrap_err().kind(), ErrorKind::InvalidOption);
        let _listener = Listener::bind(&name).unwrap();
        assert_eq!(SocketPair::connect(&wanted).unwrap_err().kind(), ErrorKind::InvalidOption);
    }
    let name = abstract_endpoint("unix");
    let listener = Listener::bind(format!("{name}?framing=fixed:2&descriptors=true")).unwrap();
    let mut client = SocketPair::connect(format!("{name}?framing=fixed:2")).unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    client.send(b"no").unwrap();
    client.send_with_fds(b"ok", &[writer.as_fd()], Wait::Forever).unwrap();
    let mut server = listener.accept().unwrap();
    assert_eq!(server.recv_with_fds(Wait::Forever).unwrap().1.len(), 0);
    assert_eq!(server.recv_with_fds(Wait::Forever).unwrap().1.len(), 1);
}

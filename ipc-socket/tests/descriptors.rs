//! Descriptors that come with messages: asked for, not asked for, too many, and none left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{abstract_endpoint, linux_is_at_least, meet, role, start, start_with};
use ipc_socket::{Datagram, ErrorKind, Listener, Receiver, Sender, SocketPair, Wait};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// From this version on, the kernel refuses to send descriptors to who has not asked for them.
const PASS_RIGHTS: (u32, u32) = (6, 16);

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
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

//! Binding and connecting: ports, addresses, who is there and who is not, and waiting for both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{abstract_endpoint, unique, until};
use ipc_core::conformance::under_a_storm_of_signals;
use ipc_socket::{Datagram, ErrorKind, Listener, Receiver, Scheme, Sender, SocketPair, Wait};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use socket2::{Domain, Socket, Type};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(50);

fn meet(listener: &Listener, endpoint: impl ipc_socket::ToEndpoint) {
    let mut client = SocketPair::connect(endpoint).unwrap();
    let mut server = listener.accept().unwrap();
    client.send(b"there").unwrap();
    assert_eq!(server.recv().unwrap(), b"there");
    server.send(b"back").unwrap();
    assert_eq!(client.recv().unwrap(), b"back");
}

#[test]
fn a_free_port_is_found_told_and_connected_to() {
    for text in
        ["tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "tcp://[::1]:0", "tcp://*:0", "tcp://localhost:0"]
    {
        let listener = Listener::bind(text).unwrap();
        let endpoint = listener.endpoint().to_string();
        assert!(!endpoint.ends_with(":0") && !endpoint.ends_with('*'), "{endpoint}");
        meet(&listener, &endpoint);
        assert_eq!(SocketPair::connect(text).unwrap_err().kind(), ErrorKind::InvalidEndpoint);
    }
}

#[test]
fn every_address_takes_both_families() {
    let listener = Listener::bind("tcp://*:0").unwrap();
    let port = listener.endpoint().to_string();
    let port = port.rsplit(':').next().unwrap();
    meet(&listener, format!("tcp://127.0.0.1:{port}"));
    meet(&listener, format!("tcp://[::1]:{port}"));
    let client = SocketPair::connect(format!("tcp://127.0.0.1:{port}")).unwrap();
    let server = listener.accept().unwrap();
    assert!(server.endpoint().to_string().starts_with("tcp://127.0.0.1:"), "{}", server.endpoint());
    drop(client);
}

#[test]
fn ipc_is_another_spelling_of_unix() {
    let name = unique("alias");
    let listener = Listener::bind(format!("ipc://@{name}")).unwrap();
    meet(&listener, format!("unix://@{name}"));
}

#[test]
fn who_is_not_there_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let unix = format!("unix://{}", path.display());
    let kind = |endpoint: &str| SocketPair::connect(endpoint).unwrap_err().kind();
    assert_eq!(kind(&unix), ErrorKind::NotFound);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert_eq!(kind(&unix), ErrorKind::NoPeer);
    let listener = Listener::bind(format!("unixpacket://{}", path.display())).unwrap();
    assert_eq!(kind(&unix), ErrorKind::WrongType);
    drop(listener);
    assert_eq!(kind(&abstract_endpoint("unix")), ErrorKind::NoPeer);
    let free = Listener::bind("tcp://127.0.0.1:0").unwrap().endpoint().to_string();
    assert_eq!(kind(&free), ErrorKind::NoPeer);
    assert_eq!(kind("tcp://no-such-host.invalid:1"), ErrorKind::NotFound);
    assert_eq!(kind("udp://127.0.0.1:1"), ErrorKind::UnknownScheme);
}

#[test]
fn a_wrong_scheme_or_descriptor_is_told_what_would_be_right() {
    let says = |result: ipc_socket::Result<SocketPair>, what: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    says(SocketPair::connect("udp://127.0.0.1:1"), "use Datagram");
    says(Listener::bind("unixgram://@x").and_then(|listener| listener.accept()), "use Datagram");
    says(
        Datagram::bind("unix://@x").and(SocketPair::connect("unix://@x")),
        "use Listener and SocketPair",
    );
    says(SocketPair::connect("mq://x"), "this crate's are tcp, unix, unixpacket, unixgram, udp");
    says(SocketPair::anonymous(Scheme::Tcp).map(|(one, _)| one), "unix and unixpacket");
    let nobodys = "descriptor 1000000 is not open; whoever starts this program has to hand it over";
    says(SocketPair::connect("unix://fd/1000000"), nobodys);
    says(Listener::bind("tcp://fd/1000000").and_then(|listener| listener.accept()), nobodys);
}

#[test]
fn connect_waits_for_a_name_that_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let free = Listener::bind("tcp://127.0.0.1:0").unwrap().endpoint().to_string();
    let path = format!("unix://{}/s", dir.path().display());
    for endpoint in [free, path, abstract_endpoint("unix"), abstract_endpoint("unixpacket")] {
        std::thread::scope(|scope| {
            let client = scope.spawn(|| SocketPair::connect_timeout(&endpoint, Duration::from_secs(10)));
            let early = SocketPair::connect(&endpoint).unwrap_err().kind();
            assert!(matches!(early, ErrorKind::NoPeer | ErrorKind::NotFound));
            let listener = Listener::bind(&endpoint).unwrap();
            listener.accept().unwrap();
            client.join().unwrap().unwrap();
        });
    }
}

#[test]
fn connect_waits_no_longer_than_asked() {
    let began = Instant::now();
    let error = SocketPair::connect_timeout(abstract_endpoint("unix"), SHORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("nobody was there"), "{error}");
    assert!(began.elapsed() >= SHORT && began.elapsed() < Duration::from_secs(5));
}

#[test]
fn signals_do_not_make_a_connect_wait_longer() {
    under_a_storm_of_signals(SHORT..SHORT * 20, || {
        let error = SocketPair::connect_timeout(abstract_endpoint("unix"), SHORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn signals_neither_end_an_accept_nor_make_it_wait_longer() {
    for name in ["tcp://127.0.0.1:0", &abstract_endpoint("unix"), &abstract_endpoint("unixpacket")] {
        let listener = Listener::bind(name).unwrap();
        under_a_storm_of_signals(SHORT..SHORT * 20, || {
            assert_eq!(listener.accept_timeout(SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
        });
    }
}

#[test]
fn a_full_backlog_is_not_a_dead_peer() {
    let name = abstract_endpoint("unix");
    let listener = Listener::bind(format!("{name}?backlog=0")).unwrap();
    let _first = SocketPair::connect(&name).unwrap();
    let error = SocketPair::connect_within(&name, Wait::Never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let error = SocketPair::connect_timeout(&name, SHORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| SocketPair::connect(&name));
        listener.accept().unwrap();
        listener.accept().unwrap();
        second.join().unwrap().unwrap();
    });
}

#[test]
fn a_server_restarts_at_once_on_its_port() {
    let listener = Listener::bind("tcp://127.0.0.1:0").unwrap();
    let endpoint = listener.endpoint().to_string();
    let mut client = SocketPair::connect(&endpoint).unwrap();
    let server = listener.accept().unwrap();
    // The server closes first, so that its end of the connection lingers in TIME_WAIT.
    drop(server);
    drop(listener);
    assert_eq!(client.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    drop(client);
    let _again = Listener::bind(&endpoint).unwrap();
    assert_eq!(Listener::bind(&endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_port_that_a_server_without_so_reuseaddr_has_left_is_said_to_be_free_in_a_minute() {
    // What std makes would have set it.
    let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    server.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    server.listen(1).unwrap();
    let address = server.local_addr().unwrap().as_socket().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let (accepted, _) = server.accept().unwrap();
    // It closes first, so that its end of the connection lingers in TIME_WAIT.
    drop(accepted);
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    let error = Listener::bind(format!("tcp://{address}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(text.contains("for a minute") && text.contains("SO_REUSEADDR"), "{text}");
}

#[test]
fn an_inherited_listening_socket_becomes_a_listener() {
    let std = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = std.local_addr().unwrap().port();
    let listener = Listener::bind(format!("tcp://fd/{}", std.as_raw_fd())).unwrap();
    meet(&listener, format!("tcp://127.0.0.1:{port}"));
    let listener = Listener::from_fd(OwnedFd::from(std), "tcp://*:0").unwrap();
    meet(&listener, format!("tcp://127.0.0.1:{port}"));
}

#[test]
fn what_is_not_a_listening_socket_of_the_family_is_refused() {
    let kind = |text: String| Listener::bind(text).unwrap_err().kind();
    let std = TcpListener::bind("127.0.0.1:0").unwrap();
    let fd = std.as_raw_fd();
    assert_eq!(kind(format!("unix://fd/{fd}")), ErrorKind::WrongType);
    assert_eq!(SocketPair::connect(format!("tcp://fd/{fd}")).unwrap_err().kind(), ErrorKind::WrongType);
    let connected = TcpStream::connect(std.local_addr().unwrap()).unwrap();
    assert_eq!(kind(format!("tcp://fd/{}", connected.as_raw_fd())), ErrorKind::WrongType);
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(kind(format!("tcp://fd/{}", file.as_raw_fd())), ErrorKind::WrongType);
    assert_eq!(kind("tcp://fd/1000000".into()), ErrorKind::NotFound);
}

#[test]
fn an_inherited_connected_socket_becomes_a_pair() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut one = SocketPair::connect(format!("unix://fd/{}", one.as_raw_fd())).unwrap();
    let mut other = SocketPair::from_fd(other.into(), "unix://@x").unwrap();
    one.send(b"x").unwrap();
    assert_eq!(other.recv().unwrap(), b"x");
    let lonely = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    assert_eq!(SocketPair::from_fd(lonely.into(), "unix://@x").unwrap_err().kind(), ErrorKind::NoPeer);
}

#[test]
fn an_inherited_socket_is_taken_so_that_the_peer_sees_the_end_and_no_child_gets_it() {
    let (one, other) = UnixStream::pair().unwrap();
    let number = one.into_raw_fd();
    inherit(number);
    // One that is not of the kind stays where it is.
    let error = Datagram::bind(format!("unixgram://fd/{number}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);

    let mut one = SocketPair::connect(format!("unix://fd/{number}")).unwrap();
    let mut other = SocketPair::from_fd(other.into(), "unix://@x").unwrap();
    one.send(b"x").unwrap();
    assert_eq!(other.recv().unwrap(), b"x");
    let left = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    assert_eq!(left, std::path::Path::new("/dev/null"));
    let again = SocketPair::connect(format!("unix://fd/{number}")).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::WrongType);
    drop(one);
    assert_eq!(other.recv_timeout(Duration::from_secs(10)).unwrap_err().kind(), ErrorKind::Disconnected);

    let std = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", std.local_addr().unwrap());
    let number = std.into_raw_fd();
    inherit(number);
    drop(Listener::bind(format!("tcp://fd/{number}")).unwrap());
    until("nobody listens", || SocketPair::connect(&endpoint).is_err());
}

/// Makes it what this process might have been started with.
#[allow(unsafe_code)]
fn inherit(number: i32) {
    // SAFETY: the caller has just got the number, and it stays open.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
}

#[test]
fn shutdown_wakes_whoever_accepts() {
    for text in
        ["tcp://127.0.0.1:0".to_owned(), abstract_endpoint("unix"), abstract_endpoint("unixpacket")]
    {
        let listener = Listener::bind(text).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| listener.accept().unwrap_err().kind());
            listener.shutdown();
            assert_eq!(waiting.join().unwrap(), ErrorKind::Terminated);
        });
        assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::Terminated);
    }
}

#[test]
fn shutdown_disconnects_whoever_waits_to_be_accepted_and_lets_nobody_in() {
    for text in
        ["tcp://127.0.0.1:0".to_owned(), abstract_endpoint("unix"), abstract_endpoint("unixpacket")]
    {
        let listener = Listener::bind(text).unwrap();
        let connect = || SocketPair::connect(listener.endpoint());
        let mut waiting = [connect().unwrap(), connect().unwrap()];
        listener.shutdown();
        for client in &mut waiting {
            let error = client.recv_timeout(Duration::from_secs(10)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Disconnected);
        }
        assert_eq!(connect().unwrap_err().kind(), ErrorKind::NoPeer);
    }
}

#[test]
fn accept_waits_no_longer_than_asked_and_serves_several_threads() {
    let listener = Listener::bind(abstract_endpoint("unix")).unwrap();
    assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(listener.accept_timeout(SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
    std::thread::scope(|scope| {
        let acceptors: Vec<_> = (0..4).map(|_| scope.spawn(|| listener.accept())).collect();
        let clients: Vec<_> =
            (0..4).map(|_| SocketPair::connect(listener.endpoint()).unwrap()).collect();
        until("all are accepted", || acceptors.iter().all(|acceptor| acceptor.is_finished()));
        drop(clients);
    });
}

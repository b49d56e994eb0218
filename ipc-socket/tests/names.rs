//! Names of Unix sockets: modes, lengths, dead owners, racers, and whatever else may be in the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{abstract_endpoint, is_root, role, start, stay, until};
use ipc_socket::{Datagram, Endpoint, ErrorKind, Listener, Receiver, Sender, SocketPair};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Barrier;

const SCHEMES: [&str; 3] = ["unix", "unixpacket", "unixgram"];

fn endpoint(path: &Path) -> String {
    format!("unix://{}", path.display())
}

/// A name that a process left behind.
fn leave_dead(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    until("nobody holds it", || is_dead(path));
}

/// What this process has closed may live on for a moment, in a child that another test has forked and that
/// has not executed its program yet.
fn is_dead(path: &Path) -> bool {
    let refused = UnixDatagram::unbound().unwrap().connect(path).unwrap_err();
    refused.kind() == std::io::ErrorKind::ConnectionRefused
}

/// Whatever binds to a path with `scheme`.
fn bind_any(scheme: &str, path: &Path, options: &str) -> Box<dyn AsFd> {
    let endpoint = format!("{scheme}://{}{options}", path.display());
    match scheme {
        "unixgram" => Box::new(Datagram::bind(endpoint).unwrap()),
        _ => Box::new(Listener::bind(endpoint).unwrap()),
    }
}

fn kind_of(result: ipc_socket::Result<Listener>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_name_left_by_a_killed_owner_is_taken_over() {
    if let Some(endpoint) = role() {
        let _listener = Listener::bind(endpoint).unwrap();
        eprintln!("bound");
        return stay();
    }
    let dir = tempfile::tempdir().unwrap();
    for scheme in ["unix", "unixpacket"] {
        let path = dir.path().join(scheme);
        let endpoint = format!("{scheme}://{}", path.display());
        let mut other = start("a_name_left_by_a_killed_owner_is_taken_over", &endpoint);
        other.hears("bound");
        assert_eq!(kind_of(Listener::bind(&endpoint)), ErrorKind::AddrInUse);
        other.kill();
        assert!(path.exists());
        let listener = Listener::bind(&endpoint).unwrap();
        let mut client = SocketPair::connect(&endpoint).unwrap();
        client.send(b"x").unwrap();
        assert_eq!(listener.accept().unwrap().recv().unwrap(), b"x");
        drop(listener);
        assert!(!path.exists());
    }
}

#[test]
fn of_eight_racers_for_a_dead_name_exactly_one_wins() {
    const RACERS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    for _ in 0..100 {
        leave_dead(&path);
        let barrier = Barrier::new(RACERS);
        let results: Vec<_> = std::thread::scope(|scope| {
            let race = || {
                barrier.wait();
                Listener::bind(endpoint(&path))
            };
            let racers: Vec<_> = (0..RACERS).map(|_| scope.spawn(race)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.into_iter().all(|lost| kind_of(lost) == ErrorKind::AddrInUse));
        // And the winner is not deaf.
        let listener = won.into_iter().next().unwrap().unwrap();
        SocketPair::connect(endpoint(&path)).unwrap();
        listener.accept().unwrap();
    }
}

#[test]
fn a_living_owner_is_never_displaced_nor_bothered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let owner = Listener::bind(endpoint(&path)).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    for _ in 0..10 {
        let error = Listener::bind(endpoint(&path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("a living process holds it"), "{error}");
    }
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(owner.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn an_owner_that_has_bound_and_does_not_listen_yet_is_alive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let owner = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    owner.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    assert_eq!(kind_of(Listener::bind(endpoint(&path))), ErrorKind::AddrInUse);
    drop(owner);
    until("nobody holds it", || is_dead(&path));
    Listener::bind(endpoint(&path)).unwrap();
    let _other_type = UnixDatagram::bind(&path).unwrap();
    assert_eq!(kind_of(Listener::bind(endpoint(&path))), ErrorKind::AddrInUse);
}

#[test]
fn an_owner_that_hears_somebody_else_only_is_alive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let owner = UnixDatagram::bind(&path).unwrap();
    let _peer = UnixDatagram::bind(dir.path().join("peer")).unwrap();
    owner.connect(dir.path().join("peer")).unwrap();
    assert_eq!(kind_of(Listener::bind(endpoint(&path))), ErrorKind::AddrInUse);
}

#[test]
fn who_has_no_descriptor_left_to_look_at_a_dead_name_is_told_so() {
    let test = "who_has_no_descriptor_left_to_look_at_a_dead_name_is_told_so";
    if role().is_none() {
        return start(test, "alone").succeeds();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    leave_dead(&path);
    // The number that the next descriptor would have. One is for the socket to bind.
    let next = fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    for left in 0..3 {
        setrlimit(Resource::RLIMIT_NOFILE, next + left, hard).unwrap();
        assert_eq!(kind_of(Listener::bind(endpoint(&path))), ErrorKind::LimitExceeded, "{left} left");
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    Listener::bind(endpoint(&path)).unwrap();
}

#[test]
fn what_is_not_a_socket_survives() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    for path in [&file, &link, &dir.path().to_owned()] {
        let error = Listener::bind(endpoint(path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    assert_eq!(SocketPair::connect(endpoint(&file)).unwrap_err().kind(), ErrorKind::WrongType);
}

#[test]
fn the_mode_is_exactly_what_was_asked_for_whatever_the_umask() {
    if let Some(dir) = role() {
        // In a process of its own, since the umask is the process's.
        for umask in [0o000, 0o022, 0o077, 0o777] {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask));
            for (option, expected) in
                [("", 0o600), ("?mode=0666", 0o666), ("?mode=0", 0), ("?mode=0770", 0o770)]
            {
                let path = Path::new(&dir).join("s");
                for scheme in SCHEMES {
                    let _bound = bind_any(scheme, &path, option);
                    let found = fs::metadata(&path).unwrap();
                    assert!(found.file_type().is_socket());
                    let mode = found.permissions().mode() & 0o777;
                    assert_eq!(mode, expected, "{mode:o} of {scheme}, umask {umask:o}");
                }
            }
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    start("the_mode_is_exactly_what_was_asked_for_whatever_the_umask", dir.path().to_str().unwrap())
        .succeeds();
}

#[test]
fn the_owner_removes_its_name_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    for first in SCHEMES {
        for second in SCHEMES {
            let first = bind_any(first, &path, "");
            fs::remove_file(&path).unwrap();
            let second = bind_any(second, &path, "");
            let inode = fs::metadata(&path).unwrap().ino();
            drop(first);
            assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
            drop(second);
            assert!(!path.exists());
        }
    }
}

#[test]
fn who_comes_after_a_name_was_replaced_meets_the_new_owner_and_who_came_before_stays_with_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    for scheme in ["unix", "unixpacket"] {
        let name = format!("{scheme}://{}", path.display());
        let old = Listener::bind(&name).unwrap();
        let mut early = SocketPair::connect(&name).unwrap();
        fs::remove_file(&path).unwrap();
        let new = Listener::bind(&name).unwrap();
        let mut late = SocketPair::connect(&name).unwrap();
        early.send(b"early").unwrap();
        late.send(b"late").unwrap();
        assert_eq!(old.accept().unwrap().recv().unwrap(), b"early");
        assert_eq!(old.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(old);
        assert_eq!(new.accept().unwrap().recv().unwrap(), b"late");
        SocketPair::connect(&name).unwrap();
    }

    let name = format!("unixgram://{}", path.display());
    let mut old = Datagram::bind(&name).unwrap();
    let mut early = Datagram::connect(&name).unwrap();
    fs::remove_file(&path).unwrap();
    let mut new = Datagram::bind(&name).unwrap();
    let mut late = Datagram::connect(&name).unwrap();
    early.send(b"early").unwrap();
    late.send(b"late").unwrap();
    assert_eq!(old.recv().unwrap(), b"early");
    assert_eq!(old.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(old);
    assert_eq!(new.recv().unwrap(), b"late");
    Datagram::connect(&name).unwrap();
}

#[test]
fn a_change_of_directory_does_not_confuse_the_owner() {
    if let Some(dir) = role() {
        std::env::set_current_dir(&dir).unwrap();
        let listener = Listener::bind("unix://relative").unwrap();
        std::env::set_current_dir("/").unwrap();
        assert!(Path::new(&dir).join("relative").exists());
        drop(listener);
        assert!(!Path::new(&dir).join("relative").exists());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    start("a_change_of_directory_does_not_confuse_the_owner", dir.path().to_str().unwrap()).succeeds();
}

#[test]
fn a_path_has_at_most_107_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let left = 107 - dir.path().as_os_str().len() - 1;
    let listener = Listener::bind(endpoint(&dir.path().join("x".repeat(left)))).unwrap();
    SocketPair::connect(listener.endpoint()).unwrap();
    for more in [1, 2] {
        let error = Listener::bind(endpoint(&dir.path().join("x".repeat(left + more)))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NameTooLong);
        assert!(error.to_string().contains("sun_path is 107"), "{error}");
    }
}

#[test]
fn a_dead_socket_of_another_user_is_left_alone() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    leave_dead(&path);
    chown(&path, Some(1000), Some(1000)).unwrap();
    assert_eq!(kind_of(Listener::bind(endpoint(&path))), ErrorKind::WrongOwner);
    assert!(path.exists());
}

#[test]
fn a_missing_directory_is_not_found() {
    assert_eq!(kind_of(Listener::bind("unix:///nonexistent/s")), ErrorKind::NotFound);
}

#[test]
fn an_abstract_name_in_use_is_in_use() {
    let name = abstract_endpoint("unix");
    let first = Listener::bind(&name).unwrap();
    assert_eq!(kind_of(Listener::bind(&name)), ErrorKind::AddrInUse);
    drop(first);
    until("it is free", || Listener::bind(&name).is_ok());
}

#[test]
fn odd_names_work() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["#1", "with a space", "ü", "a%3Fb", "@at", "fd/3"] {
        if name.contains('/') {
            continue;
        }
        let text = format!("ipc://{}/{name}", dir.path().display());
        let endpoint = Endpoint::parse(&text).unwrap();
        let listener = Listener::bind(&endpoint).unwrap();
        SocketPair::connect(&endpoint).unwrap();
        listener.accept().unwrap();
    }
}

#[test]
fn an_abstract_name_has_no_mode() {
    for scheme in ["unix", "unixpacket"] {
        let name = abstract_endpoint(scheme) + "?mode=0600";
        assert_eq!(kind_of(Listener::bind(&name)), ErrorKind::InvalidOption);
    }
}

#[test]
fn racing_processes_leave_one_owner_though_the_last_was_killed() {
    let test = "racing_processes_leave_one_owner_though_the_last_was_killed";
    if let Some(endpoint) = role() {
        // All wait for the same moment: the end of their standard input.
        eprintln!("ready");
        stay();
        match Listener::bind(endpoint) {
            Ok(listener) => {
                eprintln!("result won");
                // Serves until it is killed.
                while let Ok(mut client) = listener.accept() {
                    client.send(b"alive").unwrap();
                }
            }
            Err(error) => eprintln!("result {:?}", error.kind()),
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    leave_dead(&path);
    for _ in 0..5 {
        let mut racers: Vec<_> = (0..8).map(|_| start(test, &endpoint(&path))).collect();
        for racer in &mut racers {
            racer.hears("ready");
        }
        for racer in &mut racers {
            drop(racer.child.stdin.take());
        }
        let results: Vec<_> = racers.iter_mut().map(|racer| racer.hears("result")).collect();
        assert_eq!(results.iter().filter(|result| *result == "won").count(), 1, "{results:?}");
        assert_eq!(results.iter().filter(|result| *result == "AddrInUse").count(), 7, "{results:?}");
        assert_eq!(SocketPair::connect(endpoint(&path)).unwrap().recv().unwrap(), b"alive");
        for racer in racers {
            racer.kill();
        }
        assert!(path.exists());
    }
}

//! Names: made with the right mode, owned, removed, taken over, and never taken from anybody.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Place, Role, done, pause, tell};
use ipc_fifo::{Error, ErrorKind, FifoReceiver, FifoSender, Receiver, Sender, Wait};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, geteuid, mkfifo, setuid};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Not a test: what the children of the tests do.
#[test]
fn role() {
    let Some((role, endpoint)) = common::role() else { return };
    match role.as_str() {
        "receiver that owns" => {
            let _receiver = FifoReceiver::bind(&endpoint).unwrap();
            tell("bound");
            pause();
        }
        "sender that owns" => {
            let _sender = FifoSender::bind(&endpoint).unwrap();
            tell("bound");
            pause();
        }
        "racer" => {
            tell("ready");
            pause();
            let bound = FifoReceiver::bind(&endpoint);
            match &bound {
                Ok(_) => tell("won"),
                Err(error) => tell(&format!("{:?}", error.kind())),
            }
            pause();
        }
        "tight umask" => {
            let path = endpoint.split_once("://").unwrap().1.split_once('?').unwrap().0;
            for mask in [0o077, 0o777, 0o022] {
                umask(Mode::from_bits_truncate(mask));
                let _receiver = FifoReceiver::bind(&endpoint).unwrap();
                assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o666);
            }
        }
        "another user" => {
            setuid(Uid::from_raw(65534)).unwrap();
            for error in bind_and_connect(&endpoint) {
                tell(&format!("{:?}", error.kind()));
            }
        }
        _ => panic!("there is no role {role}"),
    }
    done();
}

/// What four ways to open it fail with.
fn bind_and_connect(endpoint: &str) -> [Error; 4] {
    [
        FifoReceiver::bind(endpoint).unwrap_err(),
        FifoSender::bind(endpoint).unwrap_err(),
        FifoReceiver::connect(endpoint).unwrap_err(),
        FifoSender::connect_within(endpoint, Wait::Forever).unwrap_err(),
    ]
}

#[test]
fn the_mode_is_0600_unless_asked_otherwise_whatever_the_umask() {
    let place = Place::new();
    let receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o7777, 0o600);
    drop(receiver);
    Role::start("tight umask", &place.endpoint("?mode=0666")).join();
}

#[test]
fn the_owner_removes_its_name_and_leaves_nothing() {
    let place = Place::new();
    let endpoint = place.endpoint("");
    drop(FifoReceiver::bind(&endpoint).unwrap());
    assert_eq!(place.names(), [""; 0]);
    let owner = FifoSender::bind(&endpoint).unwrap();
    assert!(owner.is_owner());
    let guest = FifoReceiver::connect(&endpoint).unwrap();
    assert!(!guest.is_owner());
    drop(guest);
    assert_eq!(place.names(), ["fifo"]);
    drop(owner);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn the_owner_does_not_remove_what_has_come_in_place_of_its_fifo() {
    let place = Place::new();
    let first = FifoReceiver::bind(place.endpoint("")).unwrap();
    fs::remove_file(place.path()).unwrap();
    let second = FifoReceiver::bind(place.endpoint("")).unwrap();
    let inode = fs::metadata(place.path()).unwrap().ino();
    drop(first);
    assert_eq!(fs::metadata(place.path()).unwrap().ino(), inode);
    drop(second);
    fs::write(place.path(), "precious").unwrap();
}

#[test]
fn who_waits_for_a_first_peer_is_told_that_the_name_is_gone() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    let mut sender = {
        let other = Place::new();
        let sender = FifoSender::bind(other.endpoint("")).unwrap();
        fs::rename(other.path(), other.directory.path().join("elsewhere")).unwrap();
        sender
    };
    assert_eq!(sender.try_send(b"").unwrap_err().kind(), ErrorKind::Removed);
    let waiting = thread::spawn(move || receiver.recv_timeout(Duration::from_secs(10)).unwrap_err());
    fs::remove_file(place.path()).unwrap();
    let _recreated = FifoReceiver::bind(place.endpoint("")).unwrap();
    assert_eq!(waiting.join().unwrap().kind(), ErrorKind::Removed);
}

#[test]
fn an_owner_whose_directory_is_reached_by_another_way_still_removes_its_name() {
    let place = Place::new();
    let (before, after) = (place.directory.path().join("a"), place.directory.path().join("b"));
    fs::create_dir(&before).unwrap();
    let receiver = FifoReceiver::bind(format!("fifo://{}/x", before.display())).unwrap();
    fs::rename(&before, &after).unwrap();
    drop(receiver);
    fs::remove_dir(&after).expect("it is empty");
}

#[test]
fn a_name_in_use_is_not_taken() {
    let place = Place::new();
    let endpoint = place.endpoint("");
    for owner in ["receiver that owns", "sender that owns"] {
        let mut owner = Role::start(owner, &endpoint);
        assert_eq!(owner.hear(), "bound");
        let inode = fs::metadata(place.path()).unwrap().ino();
        assert_eq!(FifoReceiver::bind(&endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(FifoSender::bind(&endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(fs::metadata(place.path()).unwrap().ino(), inode);
        assert_eq!(place.names(), ["fifo"]);
        owner.join();
        assert_eq!(place.names(), [""; 0]);
    }
}

#[test]
fn the_name_of_a_stopped_owner_is_in_use() {
    let place = Place::new();
    let endpoint = place.endpoint("");
    for owner in ["receiver that owns", "sender that owns"] {
        let mut owner = Role::start(owner, &endpoint);
        assert_eq!(owner.hear(), "bound");
        owner.stop();
        let inode = fs::metadata(place.path()).unwrap().ino();
        assert_eq!(FifoReceiver::bind(&endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(FifoSender::bind(&endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(fs::metadata(place.path()).unwrap().ino(), inode);
        owner.go_on();
        owner.join();
        assert_eq!(place.names(), [""; 0]);
    }
}

#[test]
fn a_failed_bind_does_not_disturb_the_owner() {
    let place = Place::new();
    let endpoint = place.endpoint("");
    let mut owner = FifoReceiver::bind(&endpoint).unwrap();
    assert_eq!(FifoReceiver::bind(&endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(FifoSender::bind(&endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(owner.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut sender = FifoSender::connect(&endpoint).unwrap();
    sender.send(b"still here").unwrap();
    assert_eq!(owner.recv().unwrap(), b"still here");
}

#[test]
fn the_name_of_a_killed_owner_is_taken_over() {
    let place = Place::new();
    for killed in ["receiver that owns", "sender that owns"] {
        let mut owner = Role::start(killed, &place.endpoint(""));
        assert_eq!(owner.hear(), "bound");
        owner.kill();
        assert_eq!(place.names(), ["fifo"]);
        let mut receiver = FifoReceiver::bind(place.endpoint("?mode=0640")).unwrap();
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o7777, 0o640);
        FifoSender::connect(place.endpoint("")).unwrap().send(b"hello").unwrap();
        assert_eq!(receiver.recv().unwrap(), b"hello");
        drop(receiver);
        assert_eq!(place.names(), [""; 0]);
    }
}

#[test]
fn of_eight_processes_that_race_for_a_stale_name_one_wins() {
    let place = Place::new();
    for _ in 0..4 {
        let mut owner = Role::start("receiver that owns", &place.endpoint(""));
        owner.hear();
        owner.kill();
        let mut racers: Vec<_> = (0..8).map(|_| Role::start("racer", &place.endpoint(""))).collect();
        racers.iter_mut().for_each(|racer| assert_eq!(racer.hear(), "ready"));
        racers.iter_mut().for_each(Role::nudge);
        let mut results: Vec<_> = racers.iter_mut().map(Role::hear).collect();
        results.sort();
        assert_eq!(results[..7], ["AddrInUse"; 7]);
        assert_eq!(results[7], "won");
        racers.into_iter().for_each(Role::join);
        assert_eq!(place.names(), [""; 0]);
    }
}

#[test]
fn of_eight_threads_that_race_for_a_stale_or_a_new_name_one_wins() {
    let place = Place::new();
    let endpoint = place.endpoint("");
    for round in 0..200 {
        if round % 2 == 0 {
            mkfifo(&place.path(), Mode::from_bits_truncate(0o600)).unwrap();
        }
        let (start, end) = (Barrier::new(8), Barrier::new(8));
        let won = thread::scope(|scope| {
            let racer = |number: usize| {
                let (endpoint, start, end) = (&endpoint, &start, &end);
                scope.spawn(move || {
                    start.wait();
                    let result = match number % 2 {
                        0 => FifoReceiver::bind(endpoint).map(|end| Box::new(end) as Box<dyn Send>),
                        _ => FifoSender::bind(endpoint).map(|end| Box::new(end) as Box<dyn Send>),
                    };
                    end.wait();
                    result.map(drop).map_err(|error| error.kind())
                })
            };
            let racers: Vec<_> = (0..8).map(racer).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(won.iter().filter(|result| result.is_ok()).count(), 1, "{won:?}");
        assert_eq!(won.iter().filter(|result| **result == Err(ErrorKind::AddrInUse)).count(), 7);
        assert_eq!(place.names(), [""; 0]);
    }
}

#[test]
fn a_name_that_comes_and_goes_never_has_two_owners() {
    let place = Place::new();
    let owners = AtomicU32::new(0);
    let turn = |number: usize| {
        let owned = match number % 2 {
            0 => FifoReceiver::bind(place.endpoint("")).map(|end| Box::new(end) as Box<dyn Send>),
            _ => FifoSender::bind(place.endpoint("")).map(|end| Box::new(end) as Box<dyn Send>),
        };
        match owned {
            Ok(owned) => {
                assert_eq!(owners.fetch_add(1, Ordering::SeqCst), 0, "somebody else owns it too");
                assert!(place.path().exists());
                owners.fetch_sub(1, Ordering::SeqCst);
                drop(owned);
                1
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
                0
            }
        }
    };
    let turns = |number| (0..2000).map(|_| turn(number)).sum::<u32>();
    let owned: Vec<u32> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|number| scope.spawn(move || turns(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(owned.iter().sum::<u32>() > 0);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn what_is_not_a_fifo_is_refused_and_left_as_it_was() {
    let place = Place::new();
    let path = place.path();
    let endpoint = place.endpoint("");
    let refused = || {
        for error in bind_and_connect(&endpoint) {
            assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
        }
    };
    fs::write(&path, "precious").unwrap();
    refused();
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    refused();
    fs::remove_dir(&path).unwrap();

    symlink("nowhere", &path).unwrap();
    refused();
    assert_eq!(place.names(), ["fifo"]);
    fs::remove_file(&path).unwrap();

    let target = place.directory.path().join("target");
    mkfifo(&target, Mode::S_IRWXU).unwrap();
    symlink(&target, &path).unwrap();
    refused();
}

#[test]
fn a_fifo_of_another_user_is_refused() {
    if !geteuid().is_root() {
        println!("passed over: only root can become another user");
        return;
    }
    let place = Place::new();
    mkfifo(&place.path(), Mode::S_IRWXU).unwrap();
    std::os::unix::fs::chown(place.path(), Some(65533), None).unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(place.directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for error in bind_and_connect(&place.endpoint("")) {
        assert_eq!(error.kind(), ErrorKind::WrongOwner, "{error}");
    }
    let mut other = Role::start("another user", &place.endpoint(""));
    for _ in 0..4 {
        assert_eq!(other.hear(), "WrongOwner");
    }
    other.join();
}

#[test]
fn a_name_has_at_most_255_bytes_and_odd_ones_are_fine() {
    let place = Place::new();
    let at = |name: &str| format!("fifo://{}/{name}", place.directory.path().display());
    for name in ["#1", "a%20b", "%C3%A4", &"n".repeat(255)] {
        let mut receiver = FifoReceiver::bind(at(name)).unwrap();
        FifoSender::connect(at(name)).unwrap().send(name.as_bytes()).unwrap();
        assert_eq!(receiver.recv().unwrap(), name.as_bytes());
    }
    for error in bind_and_connect(&at(&"n".repeat(256))) {
        assert_eq!(error.kind(), ErrorKind::NameTooLong);
    }
    for name in ["", ".", "..", "x/"] {
        assert!(FifoReceiver::bind(at(name)).is_err(), "{name}");
    }
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_missing_directory_is_not_waited_for() {
    for error in bind_and_connect("fifo:///nowhere/at/all") {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

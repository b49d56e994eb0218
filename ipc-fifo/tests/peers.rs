//! Peers: not there yet, gone, of another kind, killed; and what a wait for them costs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Only to fork, and to set a signal's default action.
#![allow(unsafe_code)]

mod common;

use common::{Place, Role, done, tell};
use ipc_core::conformance::under_a_storm_of_signals;
use ipc_fifo::{ErrorKind, FifoReceiver, FifoSender, Receiver, Sender, Wait};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, mkfifo};
use std::fs::{self, File};
use std::io::Read;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(200);
const PATIENCE: Wait = Wait::Forever;

/// Not a test: what the children of the tests do.
#[test]
fn role() {
    let Some((role, endpoint)) = common::role() else { return };
    match role.as_str() {
        "sender that SIGPIPE would kill" => {
            // SAFETY: the default action runs no code of ours.
            unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
            let mut sender = FifoSender::connect_within(&endpoint, PATIENCE).unwrap();
            sender.send(b"connected").unwrap();
            let error = loop {
                if let Err(error) = sender.send(&[0; 100]) {
                    break error;
                }
            };
            tell(&format!("{:?}", error.kind()));
        }
        "parent whose child sends" => {
            let mut sender = FifoSender::connect(&endpoint).unwrap();
            // SAFETY: the child makes system calls only, and ends without returning.
            match unsafe { fork() }.unwrap() {
                ForkResult::Child => {
                    let error = sender.send(b"from the child").map_err(|error| error.kind());
                    std::process::exit(if error == Err(ErrorKind::Unsupported) { 0 } else { 1 });
                }
                ForkResult::Parent { child } => {
                    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
                    sender.send(b"from the parent").unwrap();
                }
            }
        }
        "parent whose child drops" => {
            let receiver = FifoReceiver::bind(&endpoint).unwrap();
            // SAFETY: the child makes system calls and frees memory only, and ends without returning.
            match unsafe { fork() }.unwrap() {
                ForkResult::Child => {
                    drop(receiver);
                    std::process::exit(0);
                }
                ForkResult::Parent { child } => {
                    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
                    assert!(fs::exists(endpoint.strip_prefix("fifo://").unwrap()).unwrap());
                    let error = FifoReceiver::bind(&endpoint).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::AddrInUse);
                }
            }
        }
        _ => panic!("there is no role {role}"),
    }
    done();
}

/// How often this thread was taken from its processor, or gave it up, while `wait` ran: a wait that sleeps
/// does it a few times, one that looks again and again many times, or it runs on and on.
fn cost(wait: impl FnOnce()) -> (u64, Duration) {
    let read = || {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        let switches =
            lines.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum();
        let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        (switches, stat.split(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let (switches, time): (u64, u64) = read();
    wait();
    let after = read();
    (after.0 - switches, Duration::from_nanos(after.1 - time))
}

fn assert_cheap(wait: impl FnOnce()) {
    let (switches, time) = cost(wait);
    assert!(switches < 50 && time < SOON / 4, "{switches} switches, {time:?}");
}

#[test]
fn a_sender_finds_no_name_then_no_peer_then_a_receiver() {
    let place = Place::new();
    let endpoint = place.endpoint("");
    let connect = |wait| FifoSender::connect_within(&endpoint, wait).map_err(|error| error.kind());
    assert_eq!(connect(Wait::Never).unwrap_err(), ErrorKind::NotFound);
    assert_cheap(|| assert_eq!(connect(Wait::timeout(SOON)).unwrap_err(), ErrorKind::TimedOut));
    mkfifo(&place.path(), Mode::S_IRWXU).unwrap();
    assert_eq!(connect(Wait::Never).unwrap_err(), ErrorKind::NoPeer);
    assert_cheap(|| assert_eq!(connect(Wait::timeout(SOON)).unwrap_err(), ErrorKind::TimedOut));
    let _receiver = FifoReceiver::connect(&endpoint).unwrap();
    assert!(connect(Wait::Never).is_ok());
}

#[test]
fn signals_neither_end_a_wait_for_a_name_or_a_peer_nor_make_it_longer() {
    let place = Place::new();
    let endpoint = place.endpoint("");
    let sender = || FifoSender::connect_within(&endpoint, Wait::timeout(SOON)).map(drop);
    let receiver = || FifoReceiver::connect_within(&endpoint, Wait::timeout(SOON)).map(drop);
    let times_out = |result: ipc_fifo::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
    };
    // There is no such name.
    under_a_storm_of_signals(SOON..SOON * 10, || times_out(sender()));
    under_a_storm_of_signals(SOON..SOON * 10, || times_out(receiver()));
    // There is one, and nobody reads; then nobody writes.
    mkfifo(&place.path(), Mode::S_IRWXU).unwrap();
    under_a_storm_of_signals(SOON..SOON * 10, || times_out(sender()));
    let mut receiver = FifoReceiver::connect(&endpoint).unwrap();
    under_a_storm_of_signals(SOON..SOON * 10, || times_out(receiver.recv_timeout(SOON).map(drop)));
}

#[test]
fn a_sender_that_connects_waits_for_the_name_and_for_the_receiver() {
    let place = Place::new();
    let endpoint = place.endpoint("");
    let sending = {
        let endpoint = endpoint.clone();
        thread::spawn(move || FifoSender::connect_within(endpoint, PATIENCE)?.send(b"at last"))
    };
    // The name without a receiver, then a reader whose open(2) blocks until there is a writer.
    mkfifo(&place.path(), Mode::S_IRWXU).unwrap();
    let mut text = Vec::new();
    File::open(place.path()).unwrap().read_to_end(&mut text).unwrap();
    sending.join().unwrap().unwrap();
    assert!(text.ends_with(b"at last"));
}

#[test]
fn a_sender_that_has_bound_waits_for_its_first_receiver() {
    let place = Place::new();
    let mut sender = FifoSender::bind(place.endpoint("?framing=lines")).unwrap();
    assert_eq!(sender.try_send(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_cheap(|| {
        let error = sender.send_timeout(b"x", SOON).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().contains("nobody has opened the other end"), "{error}");
    });
    // One that leaves before anything is sent is not the one.
    drop(File::open(place.path()).unwrap());
    assert_eq!(sender.try_send(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    let reading = {
        let path = place.path();
        thread::spawn(move || {
            let mut text = String::new();
            File::open(path).unwrap().read_to_string(&mut text).map(|_| text)
        })
    };
    sender.send(b"hello").unwrap();
    drop(sender);
    assert_eq!(reading.join().unwrap().unwrap(), "hello\n");
}

#[test]
fn a_sender_is_not_stuck_when_its_first_receiver_leaves_inside_the_first_message() {
    for framing in ["length", "lines"] {
        let place = Place::new();
        let endpoint = place.endpoint(&format!("?framing={framing}"));
        let mut sender = FifoSender::bind(&endpoint).unwrap();
        let sending = thread::spawn(move || sender.send(&[b'x'; 200_000]).map_err(|error| error.kind()));
        let mut hasty = File::open(place.path()).unwrap();
        hasty.read_exact(&mut [0; 100_000]).unwrap();
        drop(hasty);
        // Plain bytes cannot be begun again, unless the next comes before the sender has noticed.
        let mut next = FifoReceiver::connect(&endpoint).unwrap();
        while !sending.is_finished() {
            let _ = next.recv_timeout(Duration::from_millis(10));
        }
        let sent = sending.join().unwrap();
        assert!(matches!(sent, Ok(()) | Err(ErrorKind::Disconnected)), "{sent:?}");
    }
}

#[test]
fn once_the_receiver_is_gone_the_sender_is_disconnected_for_good() {
    let place = Place::new();
    let mut sender = FifoSender::bind(place.endpoint("")).unwrap();
    let mut receiver = FifoReceiver::connect(place.endpoint("")).unwrap();
    sender.send(b"one").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"one");
    drop(receiver);
    assert_eq!(sender.send(b"two").unwrap_err().kind(), ErrorKind::Disconnected);
    let _another = FifoReceiver::connect(place.endpoint("")).unwrap();
    assert_eq!(sender.send(b"three").unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn no_peer_yet_is_not_the_end_and_costs_nothing() {
    let place = Place::new();
    for options in ["", "?framing=lines", "?persist=true"] {
        let mut receiver = FifoReceiver::bind(place.endpoint(options)).unwrap();
        assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_cheap(|| {
            assert_eq!(receiver.recv_timeout(SOON).unwrap_err().kind(), ErrorKind::TimedOut);
        });
    }
}

#[test]
fn a_writer_that_comes_and_goes_in_silence_is_a_conversation_too() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    let writer = FifoSender::connect(place.endpoint("")).unwrap();
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_cheap(|| {
        assert_eq!(receiver.recv_timeout(SOON).unwrap_err().kind(), ErrorKind::TimedOut);
    });
    drop(writer);
    for _ in 0..3 {
        assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    }
}

#[test]
fn a_receiver_that_persists_outlives_its_senders_and_does_not_spin() {
    let place = Place::new();
    for framing in ["length", "lines"] {
        let endpoint = place.endpoint(&format!("?framing={framing}&persist=true"));
        let mut receiver = FifoReceiver::bind(&endpoint).unwrap();
        for text in ["first", "second"] {
            let mut sender =
                FifoSender::connect(place.endpoint(&format!("?framing={framing}"))).unwrap();
            sender.send(text.as_bytes()).unwrap();
            drop(sender);
            assert_eq!(receiver.recv().unwrap(), text.as_bytes());
            assert_cheap(|| {
                assert_eq!(receiver.recv_timeout(SOON).unwrap_err().kind(), ErrorKind::TimedOut);
            });
        }
    }
}

#[test]
fn sigpipe_does_not_kill_a_sender() {
    for framing in ["length", "lines"] {
        let place = Place::new();
        let endpoint = place.endpoint(&format!("?framing={framing}"));
        let mut receiver = FifoReceiver::bind(&endpoint).unwrap();
        let mut sender = Role::start("sender that SIGPIPE would kill", &endpoint);
        assert_eq!(receiver.recv().unwrap(), b"connected");
        drop(receiver);
        assert_eq!(sender.hear(), "Disconnected");
        sender.join();
    }
}

#[test]
fn a_forked_child_cannot_send_in_its_parents_name() {
    let place = Place::new();
    for options in ["", "?framing=lines"] {
        let mut receiver = FifoReceiver::bind(place.endpoint(options)).unwrap();
        let parent = Role::start("parent whose child sends", &place.endpoint(options));
        assert_eq!(receiver.recv().unwrap(), b"from the parent");
        assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
        parent.join();
    }
}

#[test]
fn a_forked_child_neither_removes_nor_unlocks_its_parents_name() {
    let place = Place::new();
    Role::start("parent whose child drops", &place.endpoint("")).join();
    assert_eq!(place.names(), [""; 0]);
}

//! Names of POSIX queues: owning, taking over, removing, waiting for them, other users, limits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{MqName, Second, role, say, wait_for_the_end};
use ipc_core::conformance::under_a_storm_of_signals;
use ipc_msgq::{ErrorKind, MqPair, MqReceiver, MqSender, Receiver, Sender, Wait};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::fstat;
use nix::unistd::{Uid, setuid};
use std::os::fd::AsFd;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

#[test]
fn a_name_that_a_living_owner_holds_is_in_use() {
    let name = MqName::new();
    let receiver = MqReceiver::bind(name.small()).unwrap();
    assert_eq!(MqReceiver::bind(name.small()).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(
        MqSender::bind(name.with("capacity=2&max_message=8")).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    drop(receiver);
    MqSender::bind(name.small()).unwrap();
}

#[test]
fn dropping_the_owner_removes_the_name_and_who_has_it_open_reads_on() {
    let name = MqName::new();
    let mut sender = MqSender::bind(name.small()).unwrap();
    let mut receiver = MqReceiver::connect(&name.0).unwrap();
    sender.send(b"last words").unwrap();
    assert!(receiver.has_owner().unwrap() && !receiver.is_removed().unwrap());
    drop(sender);
    assert_eq!(MqSender::connect(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!receiver.has_owner().unwrap() && receiver.is_removed().unwrap());
    assert_eq!(receiver.recv().unwrap(), b"last words");
    let error = receiver.recv_timeout(Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Removed);
}

#[test]
fn a_name_that_is_unlinked_and_made_again_is_seen_by_who_held_the_old_one() {
    let name = MqName::new();
    let old = MqReceiver::bind(name.small()).unwrap();
    ipc_msgq::remove(&name.0).unwrap();
    let _new = MqReceiver::bind(name.small()).unwrap();
    assert!(old.is_removed().unwrap());
    drop(old);
    MqSender::connect(&name.0).expect("the old owner must leave the new name alone");
}

#[test]
fn what_a_killed_owner_left_is_taken_over_with_its_messages_and_its_users() {
    const TEST: &str = "what_a_killed_owner_left_is_taken_over_with_its_messages_and_its_users";
    if let Some(endpoint) = role("owner") {
        let _receiver = MqReceiver::bind(endpoint).unwrap();
        say("bound");
        return wait_for_the_end();
    }
    let name = MqName::new();
    let mut owner = Second::start(TEST, "owner", &name.small());
    owner.hear("bound");
    let mut sender = MqSender::connect(&name.0).unwrap();
    sender.send(b"before").unwrap();
    assert_eq!(MqReceiver::bind(name.small()).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert!(sender.has_owner().unwrap());
    owner.kill();
    assert!(!sender.has_owner().unwrap());
    let error = MqReceiver::bind(name.with("capacity=3&max_message=64")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GeometryMismatch);
    let mut receiver = MqReceiver::bind(name.small()).unwrap();
    sender.send(b"after").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"before");
    assert_eq!(receiver.recv().unwrap(), b"after");
}

#[test]
fn of_eight_who_race_for_a_stale_name_one_wins_and_the_others_are_told() {
    const TEST: &str = "of_eight_who_race_for_a_stale_name_one_wins_and_the_others_are_told";
    if let Some(endpoint) = role("owner") {
        let _pair = MqPair::bind(endpoint).unwrap();
        say("bound");
        return wait_for_the_end();
    }
    for _ in 0..10 {
        let name = MqName::new();
        let mut owner = Second::start(TEST, "owner", &name.small());
        owner.hear("bound");
        owner.kill();
        race(|| MqPair::bind(name.small()));
    }
}

#[test]
fn of_eight_who_race_for_a_new_name_one_wins_and_the_others_are_told() {
    for _ in 0..50 {
        let name = MqName::new();
        race(|| MqSender::bind(name.small()));
    }
}

fn race<T: Send>(bind: impl Fn() -> ipc_msgq::Result<T> + Sync) {
    let barrier = Barrier::new(8);
    let results: Vec<_> = thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    bind()
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let told = |result: &ipc_msgq::Result<T>| match result {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::AddrInUse,
    };
    assert!(results.iter().all(told));
}

#[test]
fn owners_who_come_and_go_leave_nobody_with_a_lost_name() {
    let name = MqName::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut bound = 0;
                while bound < 200 {
                    match MqSender::bind(name.small()) {
                        Ok(mut owner) => {
                            let me = format!("{:?}", thread::current().id());
                            owner.send(me.as_bytes()).unwrap();
                            let mut seen = MqReceiver::connect(&name.0).unwrap();
                            assert_eq!(seen.recv().unwrap(), me.as_bytes());
                            bound += 1;
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
                    }
                }
            });
        }
    });
}

#[test]
fn a_queue_that_another_program_made_is_used_but_never_taken() {
    let name = MqName::new();
    let bare = name.0.strip_prefix("mq://").unwrap();
    let theirs =
        posixmq::OpenOptions::readwrite().create_new().capacity(2).max_msg_len(8).open(bare).unwrap();
    let error = MqReceiver::bind(&name.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("another program"), "{error}");
    let mut sender = MqSender::connect(&name.0).unwrap();
    assert!(!sender.has_owner().unwrap());
    sender.send_with_priority(b"hello", 3, Wait::Never).unwrap();
    drop(sender);
    let mut buffer = [0; 8];
    assert_eq!(theirs.recv(&mut buffer).unwrap(), (3, 5));
    MqReceiver::connect(&name.0).expect("it is still there");
}

#[test]
fn open_or_create_makes_a_queue_that_stays() {
    let name = MqName::new();
    MqSender::open_or_create(name.small()).unwrap().send(b"stays").unwrap();
    let mut receiver = MqReceiver::open_or_create(name.small()).unwrap();
    assert_eq!(receiver.recv().unwrap(), b"stays");
    let error = MqSender::open_or_create(name.with("capacity=1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GeometryMismatch);
    ipc_msgq::remove(&name.0).unwrap();
    assert_eq!(ipc_msgq::remove(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn connect_waits_for_the_name_until_its_deadline() {
    let name = MqName::new();
    assert_eq!(MqSender::connect(&name.0).unwrap_err().kind(), ErrorKind::NotFound);
    let soon = Wait::timeout(Duration::from_millis(10));
    let error = MqSender::connect_within(&name.0, soon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("nobody has made it"), "{error}");
    thread::scope(|scope| {
        let connecting =
            scope.spawn(|| MqPair::connect_within(&name.0, Wait::timeout(Duration::from_secs(10))));
        let _pair = MqPair::bind(name.small()).unwrap();
        connecting.join().unwrap().unwrap();
    });
}

#[test]
fn the_mode_is_as_asked_whatever_the_umask() {
    const TEST: &str = "the_mode_is_as_asked_whatever_the_umask";
    if let Some(endpoint) = role("masked") {
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        let bound = MqSender::bind(endpoint).unwrap();
        say(format!("{:o}", fstat(bound.as_fd()).unwrap().st_mode & 0o777));
        return;
    }
    for (options, mode) in
        [("", "600"), ("&mode=0666", "666"), ("&mode=0640", "640"), ("&mode=0200", "200")]
    {
        let name = MqName::new();
        Second::start(TEST, "masked", &format!("{}{options}", name.small())).hear(mode);
    }
}

#[test]
fn a_forked_copy_does_not_remove_the_name() {
    // What a fork leaves in the child is a copy of the owner with the parent's process number in it; the
    // same is seen from the other side by an owner that outlives a process holding its descriptor.
    const TEST: &str = "a_forked_copy_does_not_remove_the_name";
    if let Some(endpoint) = role("forker") {
        let owner = MqSender::bind(endpoint).unwrap();
        // SAFETY: the child drops the owner and ends at once.
        #[allow(unsafe_code)]
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                drop(owner);
                // SAFETY: ends the process without running anything of the parent's.
                #[allow(unsafe_code)]
                unsafe {
                    nix::libc::_exit(0)
                }
            }
            nix::unistd::ForkResult::Parent { child } => {
                nix::sys::wait::waitpid(child, None).unwrap();
                say("forked");
                return wait_for_the_end();
            }
        }
    }
    let name = MqName::new();
    let mut forker = Second::start(TEST, "forker", &name.small());
    forker.hear("forked");
    assert!(MqReceiver::connect(&name.0).unwrap().has_owner().unwrap());
}

#[test]
fn another_users_queue_is_refused_unless_the_endpoint_trusts_that_user() {
    const TEST: &str = "another_users_queue_is_refused_unless_the_endpoint_trusts_that_user";
    if let Some(endpoint) = role("other") {
        let _sender = MqSender::bind(endpoint).unwrap();
        say("bound");
        return wait_for_the_end();
    }
    let name = MqName::new();
    let endpoint = name.with("capacity=2&max_message=8&mode=0666");
    let Some(mut other) = Second::start_as(60_001, TEST, "other", &endpoint) else { return };
    other.hear("bound");
    let error = MqReceiver::connect(&name.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongOwner);
    assert!(error.to_string().contains("uid=60001"), "{error}");
    assert_eq!(MqReceiver::bind(&name.0).unwrap_err().kind(), ErrorKind::WrongOwner);
    MqReceiver::connect(name.with("uid=60001")).unwrap();
    assert_eq!(MqReceiver::connect(name.with("uid=0")).unwrap_err().kind(), ErrorKind::WrongOwner);
}

#[test]
fn a_mode_that_keeps_another_user_out_is_permission_denied() {
    const TEST: &str = "a_mode_that_keeps_another_user_out_is_permission_denied";
    if let Some(endpoint) = role("other") {
        for result in [
            MqSender::bind(&endpoint),
            MqSender::connect(&endpoint),
            MqSender::open_or_create(&endpoint),
        ] {
            say(format!("{:?}", result.unwrap_err().kind()));
        }
        return;
    }
    let name = MqName::new();
    let _owner = MqReceiver::bind(name.small()).unwrap();
    let Some(mut other) = Second::start_as(60_002, TEST, "other", &name.0) else { return };
    (0..3).for_each(|_| other.hear("PermissionDenied"));
}

/// What a user without privileges is told by `bind`: the limit's name and value.
fn limit_of(endpoint: &str) -> String {
    let error = MqSender::bind(endpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    let limit = error.limit().unwrap();
    assert!(error.to_string().contains(&*limit.remedy));
    format!("{} {}", limit.name, limit.value)
}

fn system(name: &str) -> usize {
    std::fs::read_to_string(format!("/proc/sys/fs/mqueue/{name}")).unwrap().trim().parse().unwrap()
}

#[test]
fn limits_are_told_by_name_value_and_remedy() {
    const TEST: &str = "limits_are_told_by_name_value_and_remedy";
    if let Some(base) = role("limited") {
        say(limit_of(&format!("{base}?capacity={}", system("msg_max") + 1)));
        say(limit_of(&format!("{base}?max_message={}", system("msgsize_max") + 1)));
        let kept: Vec<_> = (0..).map_while(|n| MqSender::bind(format!("{base}-{n}")).ok()).collect();
        say(limit_of(&base));
        drop(kept);
        let files: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        let told = limit_of(&base);
        drop(files);
        say(told.split(' ').next().unwrap());
        return;
    }
    let name = MqName::new();
    let Some(mut limited) = Second::start_as(60_003, TEST, "limited", &name.0) else { return };
    limited.hear(&format!("msg_max {}", system("msg_max")));
    limited.hear(&format!("msgsize_max {}", system("msgsize_max")));
    let bytes = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MSGQUEUE).unwrap().0;
    limited.hear(&format!("RLIMIT_MSGQUEUE {bytes}"));
    limited.hear("RLIMIT_NOFILE");
}

#[test]
fn a_limit_of_all_queues_is_told_by_name() {
    const TEST: &str = "a_limit_of_all_queues_is_told_by_name";
    if let Some(base) = role("limited") {
        // A namespace of its own, so that its limit is nobody else's.
        unshare(CloneFlags::CLONE_NEWIPC).unwrap();
        std::fs::write("/proc/sys/fs/mqueue/queues_max", "2").unwrap();
        setuid(Uid::from_raw(60_004)).unwrap();
        let _kept =
            [0, 1].map(|n| MqSender::bind(format!("{base}-{n}?capacity=1&max_message=1")).unwrap());
        say(limit_of(&base));
        return;
    }
    if !Uid::effective().is_root() {
        println!("skipped: it takes root to have an IPC namespace of one's own");
        return;
    }
    let name = MqName::new();
    Second::start(TEST, "limited", &name.0).hear("queues_max 2");
}

#[test]
fn odd_names_are_names_and_wrong_ones_are_refused() {
    let pid = std::process::id();
    for odd in ["#1", "with space", "ünï", "%3F", "a.b"] {
        let endpoint = format!("mq://{odd} {pid}?capacity=1&max_message=1");
        let _receiver = MqReceiver::bind(&endpoint).unwrap();
        MqSender::connect(&endpoint).unwrap();
    }
    for wrong in ["mq://", "mq://.", "mq://..", "mq://a/b", "mq://%00"] {
        assert_eq!(MqReceiver::bind(wrong).unwrap_err().kind(), ErrorKind::InvalidEndpoint, "{wrong}");
    }
    assert_eq!(MqReceiver::bind("tcp://127.0.0.1:1").unwrap_err().kind(), ErrorKind::UnknownScheme);
    let long = format!("mq://{}", "x".repeat(256));
    assert_eq!(MqReceiver::bind(long).unwrap_err().kind(), ErrorKind::NameTooLong);
}

#[test]
fn signals_neither_end_a_wait_for_a_name_nor_make_it_longer() {
    const SHORT: Duration = Duration::from_millis(50);
    let name = MqName::new();
    let receiver = |wait| MqReceiver::connect_within(&name.0, wait).map(drop);
    let sender = |wait| MqSender::connect_within(&name.0, wait).map(drop);
    let pair = |wait| MqPair::connect_within(&name.0, wait).map(drop);
    let connects: [&dyn Fn(Wait) -> ipc_msgq::Result<()>; 3] = [&receiver, &sender, &pair];
    for connect in connects {
        under_a_storm_of_signals(SHORT..SHORT * 20, || {
            assert_eq!(connect(Wait::timeout(SHORT)).unwrap_err().kind(), ErrorKind::TimedOut);
        });
    }
}

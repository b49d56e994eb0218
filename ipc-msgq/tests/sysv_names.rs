//! Keys of System V queues: owning, taking over, removing, waiting for them, other users, limits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Second, SysvName, role, say, wait_for_the_end};
use ipc_msgq::{ErrorKind, Receiver, Sender, SysvPair, SysvReceiver, SysvSender, Wait};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, setuid};
use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

#[test]
fn a_key_that_a_living_owner_holds_is_in_use() {
    let name = SysvName::new();
    let receiver = SysvReceiver::bind(&name.endpoint).unwrap();
    assert_eq!(SysvReceiver::bind(&name.endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
    let sender = SysvSender::connect(&name.endpoint).unwrap();
    assert!(sender.has_owner().unwrap());
    drop(receiver);
    assert_eq!(sender.has_owner().unwrap_err().kind(), ErrorKind::Removed);
    SysvSender::bind(&name.endpoint).unwrap();
}

#[test]
fn a_path_and_its_id_are_the_key_of_ftok_and_the_key_by_number_is_the_same_queue() {
    let name = SysvName::new();
    let mut receiver = SysvReceiver::bind(&name.endpoint).unwrap();
    let file = name.file.as_file().metadata().unwrap();
    let key = u64::from(b'a') << 24 | (file.dev() & 0xff) << 16 | file.ino() & 0xffff;
    SysvSender::connect(format!("sysvmsg://{key:#x}")).unwrap().send(b"by number").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"by number");
    let other_id = name.endpoint.replace("id=a", "id=b");
    assert_eq!(SysvSender::connect(other_id).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_file_whose_key_collides_with_anothers_does_not_take_its_queue() {
    let name = SysvName::new();
    let file = name.file.as_file().metadata().unwrap();
    let key = u64::from(b'a') << 24 | (file.dev() & 0xff) << 16 | file.ino() & 0xffff;
    let _other = SysvReceiver::bind(format!("sysvmsg://{key:#x}")).unwrap();
    assert_eq!(SysvReceiver::bind(&name.endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_path_without_a_file_is_not_found_and_says_why() {
    let error = SysvSender::open_or_create("sysvmsg:///nonexistent/file?id=a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("ftok"), "{error}");
    for wrong in ["sysvmsg://x", "sysvmsg://0x0", "sysvmsg://0x", "sysvmsg://x?id=ab", "sysvmsg://x?id="]
    {
        assert!(SysvSender::connect(wrong).is_err(), "{wrong}");
    }
    assert_eq!(SysvSender::connect("mq://x").unwrap_err().kind(), ErrorKind::UnknownScheme);
}

#[test]
fn what_a_killed_owner_left_is_taken_over_with_its_messages_and_its_users() {
    const TEST: &str = "what_a_killed_owner_left_is_taken_over_with_its_messages_and_its_users";
    if let Some(endpoint) = role("owner") {
        let _receiver = SysvReceiver::bind(endpoint).unwrap();
        say("bound");
        return wait_for_the_end();
    }
    let name = SysvName::new();
    let mut owner = Second::start(TEST, "owner", &name.endpoint);
    owner.hear("bound");
    let mut sender = SysvSender::connect(&name.endpoint).unwrap();
    sender.send(b"before").unwrap();
    assert_eq!(SysvReceiver::bind(&name.endpoint).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert!(sender.has_owner().unwrap());
    owner.kill();
    assert!(!sender.has_owner().unwrap());
    let mut receiver = SysvReceiver::bind(name.with("mode=0640&capacity=2000")).unwrap();
    let status = receiver.status().unwrap();
    assert_eq!((status.mode, status.capacity), (0o640, 2000));
    sender.send(b"after").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"before");
    assert_eq!(receiver.recv().unwrap(), b"after");
}

#[test]
fn of_eight_who_race_for_a_stale_key_one_wins_and_the_others_are_told() {
    const TEST: &str = "of_eight_who_race_for_a_stale_key_one_wins_and_the_others_are_told";
    if let Some(endpoint) = role("owner") {
        let _pair = SysvPair::bind(endpoint).unwrap();
        say("bound");
        return wait_for_the_end();
    }
    for _ in 0..10 {
        let name = SysvName::new();
        let mut owner = Second::start(TEST, "owner", &name.endpoint);
        owner.hear("bound");
        owner.kill();
        race(&name.endpoint);
    }
}

#[test]
fn of_eight_who_race_for_a_new_key_one_wins_and_the_others_are_told() {
    for _ in 0..50 {
        race(&SysvName::new().endpoint);
    }
}

fn race(endpoint: &str) {
    let barrier = Barrier::new(8);
    let results: Vec<_> = thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    SysvReceiver::bind(endpoint)
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    }
}

#[test]
fn owners_who_come_and_go_leave_nobody_with_a_lost_queue() {
    let name = SysvName::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut bound = 0;
                while bound < 200 {
                    match SysvSender::bind(&name.endpoint) {
                        Ok(mut owner) => {
                            let me = format!("{:?}", thread::current().id());
                            owner.send(me.as_bytes()).unwrap();
                            let mut seen = SysvReceiver::connect(&name.endpoint).unwrap();
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
    let name = SysvName::new();
    let mut theirs = SysvReceiver::open_or_create(&name.endpoint).unwrap();
    for _ in 0..2 {
        let error = SysvReceiver::bind(&name.endpoint).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another program"), "{error}");
    }
    let mut sender = SysvSender::connect(&name.endpoint).unwrap();
    assert!(!sender.has_owner().unwrap());
    sender.send(b"hello").unwrap();
    drop(sender);
    assert_eq!(theirs.recv().unwrap(), b"hello");
}

#[test]
fn open_or_create_makes_a_queue_that_stays() {
    let name = SysvName::new();
    SysvSender::open_or_create(name.with("mode=0666")).unwrap().send(b"stays").unwrap();
    let mut receiver = SysvReceiver::open_or_create(&name.endpoint).unwrap();
    assert_eq!(receiver.status().unwrap().mode, 0o666);
    assert_eq!(receiver.recv().unwrap(), b"stays");
    let error = SysvSender::open_or_create(name.with("capacity=5")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GeometryMismatch);
    assert!(error.to_string().contains("asked for were 5"), "{error}");
    ipc_msgq::remove(&name.endpoint).unwrap();
    assert_eq!(ipc_msgq::remove(&name.endpoint).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_owners_queue_is_removed_by_the_owner_alone() {
    let name = SysvName::new();
    let owner = SysvReceiver::bind(&name.endpoint).unwrap();
    drop(SysvSender::connect(&name.endpoint).unwrap());
    SysvSender::connect(&name.endpoint).expect("a user who leaves removes nothing");
    let (sender, receiver) = {
        drop(owner);
        SysvPair::bind(&name.endpoint).unwrap().split()
    };
    drop(receiver);
    SysvSender::connect(&name.endpoint).expect("a half that leaves removes nothing");
    drop(sender);
    assert_eq!(SysvSender::connect(&name.endpoint).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_forked_copy_does_not_remove_the_queue() {
    const TEST: &str = "a_forked_copy_does_not_remove_the_queue";
    if let Some(endpoint) = role("forker") {
        let owner = SysvReceiver::bind(endpoint).unwrap();
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
    let name = SysvName::new();
    let mut forker = Second::start(TEST, "forker", &name.endpoint);
    forker.hear("forked");
    assert!(SysvSender::connect(&name.endpoint).unwrap().has_owner().unwrap());
}

#[test]
fn connect_waits_for_the_queue_until_its_deadline() {
    let name = SysvName::new();
    assert_eq!(SysvSender::connect(&name.endpoint).unwrap_err().kind(), ErrorKind::NotFound);
    let soon = Wait::timeout(Duration::from_millis(10));
    let error = SysvSender::connect_within(&name.endpoint, soon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("nobody has made it"), "{error}");
    let long = Wait::timeout(Duration::from_secs(10));
    thread::scope(|scope| {
        let connecting = scope.spawn(|| SysvSender::connect_within(&name.endpoint, long));
        let _receiver = SysvReceiver::bind(&name.endpoint).unwrap();
        connecting.join().unwrap().unwrap();
    });
}

#[test]
fn another_users_queue_is_refused_unless_the_endpoint_trusts_that_user() {
    const TEST: &str = "another_users_queue_is_refused_unless_the_endpoint_trusts_that_user";
    if let Some(endpoint) = role("other") {
        let _receiver = SysvReceiver::bind(endpoint).unwrap();
        say("bound");
        return wait_for_the_end();
    }
    let name = SysvName::new();
    let Some(mut other) = Second::start_as(60_011, TEST, "other", &name.with("mode=0666")) else {
        return;
    };
    other.hear("bound");
    let error = SysvSender::connect(&name.endpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongOwner);
    assert!(error.to_string().contains("uid=60011"), "{error}");
    assert_eq!(SysvSender::bind(&name.endpoint).unwrap_err().kind(), ErrorKind::WrongOwner);
    let sender = SysvSender::connect(name.with("uid=60011")).unwrap();
    assert!(sender.has_owner().unwrap());
    drop(other);
    assert!(!sender.has_owner().unwrap());
}

#[test]
fn a_mode_that_keeps_another_user_out_is_permission_denied() {
    const TEST: &str = "a_mode_that_keeps_another_user_out_is_permission_denied";
    if let Some(endpoint) = role("other") {
        say(format!("{:?}", SysvSender::connect(&endpoint).unwrap_err().kind()));
        say(format!("{:?}", ipc_msgq::remove(&endpoint).unwrap_err().kind()));
        return;
    }
    let name = SysvName::new();
    let _owner = SysvReceiver::bind(&name.endpoint).unwrap();
    let Some(mut other) = Second::start_as(60_012, TEST, "other", &name.endpoint) else { return };
    (0..2).for_each(|_| other.hear("PermissionDenied"));
}

#[test]
fn limits_are_told_by_name_value_and_remedy() {
    const TEST: &str = "limits_are_told_by_name_value_and_remedy";
    if let Some(endpoint) = role("limited") {
        // A namespace of its own, so that its limits are nobody else's.
        unshare(CloneFlags::CLONE_NEWIPC).unwrap();
        std::fs::write("/proc/sys/kernel/msgmni", "1").unwrap();
        setuid(Uid::from_raw(60_013)).unwrap();
        let limit_of = |options: &str| {
            let error = SysvSender::bind(format!("{endpoint}{options}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
            let limit = error.limit().unwrap();
            assert!(error.to_string().contains(&*limit.remedy));
            format!("{} {}", limit.name, limit.value)
        };
        say(limit_of("&capacity=1M"));
        say(limit_of("&max_message=1M"));
        let _one = SysvReceiver::private().unwrap();
        say(limit_of(""));
        return;
    }
    if !Uid::effective().is_root() {
        println!("skipped: it takes root to have an IPC namespace of one's own");
        return;
    }
    let name = SysvName::new();
    let mut limited = Second::start(TEST, "limited", &name.endpoint);
    // The defaults of a new namespace.
    limited.hear("MSGMNB 16384");
    limited.hear("MSGMAX 8192");
    limited.hear("MSGMNI 1");
}

#[test]
fn open_or_create_that_fails_leaves_no_queue() {
    let name = SysvName::new();
    let error = SysvSender::open_or_create(name.with("max_message=1G")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(SysvSender::connect(&name.endpoint).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn nothing_is_left_in_dev_shm_by_owners_who_end_well() {
    let name = SysvName::new();
    let file = name.file.as_file().metadata().unwrap();
    let key = u64::from(b'a') << 24 | (file.dev() & 0xff) << 16 | file.ino() & 0xffff;
    let lock_files = || {
        let names = std::fs::read_dir("/dev/shm").unwrap();
        names
            .filter(|name| {
                name.as_ref().unwrap().file_name().to_string_lossy().ends_with(&format!(".{key:08x}"))
            })
            .count()
    };
    let owner = SysvReceiver::bind(&name.endpoint).unwrap();
    assert_eq!(lock_files(), 1);
    drop(owner);
    assert_eq!(lock_files(), 0);
    SysvReceiver::bind(name.with("max_message=1G")).unwrap_err();
    assert_eq!(lock_files(), 0);
    drop(SysvReceiver::open_or_create(&name.endpoint).unwrap());
    SysvReceiver::bind(&name.endpoint).unwrap_err();
    assert_eq!(lock_files(), 0);
}

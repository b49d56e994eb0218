//! What the next is told when the holder of a shared mutex dies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // in what it shares with other tests

#[path = "mutex_common/mod.rs"]
mod common;

use common::{Child, LIMIT, Shared, kill_a_holder, repair, until};
use ipc_shm::{ErrorKind, LockError, Wait};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    let shared = Shared::open(&name);
    match task.as_str() {
        "hold" => shared.hold(),
        "hold unrepaired" => {
            let Err(LockError::OwnerDied(_twins)) = shared.mutex.lock() else { panic!("not told") };
            shared.word().store(2, SeqCst);
            common::wait_for_ever();
        }
        "lock" => {
            shared.word().fetch_add(1, SeqCst);
            assert_eq!(shared.mutex.lock().unwrap_err().kind(), ErrorKind::Poisoned);
        }
        "count for ever" => loop {
            let mut twins = shared.mutex.lock().or_else(|error| error.repair(repair)).unwrap();
            twins.one += 1;
            std::thread::yield_now(); // a good place to be killed
            twins.two += 1;
        },
        other => panic!("no such task: {other}"),
    }
}

#[test]
fn the_next_is_told_of_a_killed_holder_and_repairs() {
    let name = common::name();
    let shared = Shared::create(&name);
    kill_a_holder(&shared, &name);
    let Err(LockError::OwnerDied(mut twins)) = shared.mutex.lock() else { panic!("not told") };
    assert_eq!((twins.one, twins.two), (1, 0));
    twins.two = 1;
    drop(twins.repaired());
    let twins = shared.mutex.lock().unwrap();
    assert_eq!((twins.one, twins.two), (1, 1));
}

#[test]
fn who_does_not_repair_poisons_for_good_also_for_those_who_wait_already() {
    let name = common::name();
    let shared = Shared::create(&name);
    kill_a_holder(&shared, &name);
    let recovery = shared.mutex.lock_within(Wait::timeout(LIMIT)).unwrap_err();
    shared.word().store(0, SeqCst);
    let mut waiting: Vec<_> = (0..3).map(|_| Child::start("lock", &name)).collect();
    until("all are about to lock", || shared.word().load(SeqCst) == 3);
    for child in &waiting {
        until("it sleeps", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/wchan", child.id()));
            stat.is_ok_and(|text| text.contains("futex"))
        });
    }
    drop(recovery);
    for child in &mut waiting {
        assert!(child.succeeds());
    }
    for _ in 0..2 {
        assert_eq!(shared.mutex.lock().unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(shared.mutex.try_lock().unwrap_err().kind(), ErrorKind::Poisoned);
    }
    let opened_later = Shared::open(&name);
    assert_eq!(opened_later.mutex.lock().unwrap_err().kind(), ErrorKind::Poisoned);
}

#[test]
fn who_is_killed_before_it_has_repaired_leaves_that_to_the_next() {
    let name = common::name();
    let shared = Shared::create(&name);
    kill_a_holder(&shared, &name);
    let mut child = Child::start("hold unrepaired", &name);
    until("it has the lock", || shared.word().load(SeqCst) == 2);
    child.kill();
    drop(shared.mutex.lock().or_else(|error| error.repair(repair)).unwrap());
    assert_eq!(shared.mutex.lock().unwrap().two, 1);
}

#[test]
fn a_hundred_kills_of_eight_processes_leave_the_data_whole() {
    let name = common::name();
    let shared = Shared::create(&name);
    let mut children: Vec<_> = (0..8).map(|_| Child::start("count for ever", &name)).collect();
    let mut last = 0;
    for kill in 0..100 {
        // Somebody gets on, and this process gets the lock in time.
        let started = Instant::now();
        until("they count", || {
            let wait = Wait::timeout(LIMIT);
            let twins = shared.mutex.lock_within(wait).or_else(|error| error.repair(repair)).unwrap();
            assert_eq!(twins.one, twins.two);
            twins.one > last + kill % 7 && {
                last = twins.one;
                true
            }
        });
        assert!(started.elapsed() < LIMIT);
        children[kill as usize % 8].kill();
        children[kill as usize % 8] = Child::start("count for ever", &name);
    }
}

#[test]
fn a_holder_that_was_killed_in_another_pid_namespace_is_told() {
    const TEST: &str = "a_holder_that_was_killed_in_another_pid_namespace_is_told";
    if let Ok(name) = std::env::var("MUTEX_NAMESPACE") {
        let shared = Shared::open(&name);
        let _guard = shared.mutex.lock().unwrap();
        shared.word().store(1, SeqCst);
        common::wait_for_ever();
    }
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root may make pid namespaces");
    }
    let name = common::name();
    let shared = Shared::create(&name);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(std::env::current_exe().unwrap());
    command.args([TEST, "--exact"]).env("MUTEX_NAMESPACE", &name).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    until("it is locked", || shared.word().load(SeqCst) == 1);
    child.kill().unwrap(); // and the namespace with it
    child.wait().unwrap();
    let told = shared.mutex.lock_within(Wait::timeout(LIMIT));
    assert!(matches!(told, Err(LockError::OwnerDied(_))));
}

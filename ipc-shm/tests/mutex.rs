//! The shared mutex: what it is opened as, how long it waits, and what threads and forked children may do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // to open mutexes, to fork

#[path = "mutex_common/mod.rs"]
mod common;

use common::{Child, LIMIT, STORM, Shared, assert_in_time, storm};
use ipc_shm::{ErrorKind, Segment, SegmentOptions, SharedCondvar, SharedMutex, ShmSafe, Wait};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    let shared = Shared::open(&name);
    match task.as_str() {
        "count" => shared.count(20_000),
        other => panic!("no such task: {other}"),
    }
}

#[test]
fn two_processes_count_together_and_lose_nothing() {
    let name = common::name();
    let shared = Shared::create(&name);
    let mut child = Child::start("count", &name);
    shared.count(20_000);
    assert!(child.succeeds());
    let twins = shared.mutex.lock().unwrap();
    assert_eq!((twins.one, twins.two), (40_000, 40_000));
}

#[test]
fn a_panic_inside_the_lock_is_a_death() {
    let mutex = SharedMutex::inherited(7_u32).unwrap();
    std::thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            let _guard = mutex.lock().unwrap();
            panic!("on purpose");
        });
        assert!(panicking.join().is_err());
    });
    let value = mutex.lock().or_else(|error| error.repair(|value| *value = 8)).unwrap();
    assert_eq!(*value, 8);
    drop(value);
    assert_eq!(*mutex.lock().unwrap(), 8);
}

#[test]
fn a_lock_that_is_not_to_be_had_times_out_in_time() {
    let mutex = SharedMutex::inherited(0_u32).unwrap();
    let guard = mutex.lock().unwrap();
    let wait_for_it = || {
        let started = Instant::now();
        let error = mutex.lock_within(Wait::timeout(Duration::from_millis(50))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() >= Duration::from_millis(50) && started.elapsed() < LIMIT);
        let error = mutex.lock_within(Wait::Never).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let past = mutex.lock_within(Wait::Until(Instant::now())).unwrap_err();
        assert_eq!(past.kind(), ErrorKind::TimedOut);
    };
    std::thread::scope(|scope| scope.spawn(wait_for_it).join().unwrap());
    drop(guard);
    drop(mutex.lock_within(Wait::timeout(LIMIT)).unwrap());
    let ages = Instant::now().checked_add(Duration::from_secs(i64::MAX as u64 / 2)).unwrap();
    drop(mutex.lock_within(Wait::Until(ages)).unwrap());
}

#[test]
fn signals_make_no_wait_for_a_lock_shorter_and_none_much_longer() {
    let mutex = SharedMutex::inherited(3_u32).unwrap();
    // Another thread holds it: for longer than the first waits, and as long as the second.
    let (locked, go) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    let (given_up, got) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let guard = mutex.lock().unwrap();
            locked.wait();
            go.wait();
            std::thread::sleep(STORM);
            drop(guard);
        });
        locked.wait();
        let given_up = storm(|| mutex.lock_within(Wait::timeout(STORM)).map(drop));
        let got = storm(|| {
            go.wait();
            mutex.lock_within(Wait::Forever).map(drop)
        });
        (given_up, got)
    });
    assert_eq!(given_up.0.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_in_time(given_up.1);
    got.0.unwrap();
    assert_in_time(got.1);
}

#[test]
fn what_is_opened_is_checked() {
    /// Opens a mutex for this type, and says what went wrong.
    fn open<T: ShmSafe>(segment: &Segment, offset: usize) -> Option<ErrorKind> {
        // SAFETY: a segment that is used as told in this test only.
        let opened = unsafe { SharedMutex::<T>::open(segment, offset) };
        opened.err().map(|error| error.kind())
    }
    let segment = Segment::anonymous(4096).unwrap();
    assert_eq!(open::<u64>(&segment, 0), Some(ErrorKind::NotFound));
    assert_eq!(open::<u64>(&segment, 4), Some(ErrorKind::MessageTooLarge));
    assert_eq!(open::<u64>(&segment, 4096), Some(ErrorKind::MessageTooLarge));
    assert_eq!(open::<u64>(&segment, usize::MAX), Some(ErrorKind::MessageTooLarge));
    // SAFETY: a segment that is used as told in this test only.
    drop(unsafe { SharedMutex::init(&segment, 64, 5_u64) }.unwrap());
    assert_eq!(open::<u64>(&segment, 64), None);
    assert_eq!(open::<u32>(&segment, 64), Some(ErrorKind::GeometryMismatch));
    assert_eq!(open::<f64>(&segment, 64), Some(ErrorKind::GeometryMismatch));
    assert_eq!(open::<[u32; 2]>(&segment, 64), Some(ErrorKind::GeometryMismatch));
    // A head that says the right thing, too near to the end for the rest.
    let end = 4096 - SharedMutex::<u64>::SIZE + 8;
    let mut head = [0; 40];
    segment.read_at(64, &mut head).unwrap();
    segment.write_at(end, &head).unwrap();
    assert_eq!(open::<u64>(&segment, end), Some(ErrorKind::MessageTooLarge));
    // SAFETY: as above.
    let made = unsafe { SharedMutex::init(&segment, end, 5_u64) };
    assert_eq!(made.unwrap_err().kind(), ErrorKind::MessageTooLarge);
    assert_eq!(SharedCondvar::open(&segment, 4092).unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn every_kind_of_segment_has_room_for_one() {
    let options = SegmentOptions::new(4096);
    for segment in [options.anonymous(), options.inherited(), options.private()] {
        let segment = segment.unwrap();
        // SAFETY: a segment of our own.
        drop(unsafe { SharedMutex::init(&segment, 0, 5_u64) }.unwrap());
        // SAFETY: made just now.
        let mutex = unsafe { SharedMutex::<u64>::open(&segment, 0) }.unwrap();
        drop(segment); // the mutex keeps the memory
        *mutex.lock().unwrap() += 1;
        assert_eq!(*mutex.lock().unwrap(), 6);
    }
}

/// Runs the named test of this binary in a process of its own, under `wrapper`, with a task.
fn alone(wrapper: &[&str], test: &str) -> std::process::Output {
    let binary = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(std::ffi::OsString::from).collect::<Vec<_>>();
    words.push(binary.into());
    let mut command = Command::new(words.remove(0));
    command.args(words).args([test, "--exact", "--nocapture"]).env("MUTEX_ALONE", "1");
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_thread_that_ends_with_a_leaked_guard_ends_the_process() {
    const TEST: &str = "a_thread_that_ends_with_a_leaked_guard_ends_the_process";
    if std::env::var_os("MUTEX_ALONE").is_none() {
        let output = alone(&[], TEST);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("its guard was leaked"));
        return;
    }
    std::thread::spawn(|| {
        // Made before, lest it gets the memory of the one that goes.
        let other = SharedMutex::inherited(0_u32).unwrap();
        let mutex = SharedMutex::inherited(0_u32).unwrap();
        std::mem::forget(mutex.lock().unwrap());
        // The memory stays, though the mutex goes, so the next lock has a sound list to enter.
        drop(mutex);
        *other.lock().unwrap() = 1;
    })
    .join()
    .unwrap();
}

#[test]
fn processes_of_two_pid_namespaces_with_equal_ids_count_together() {
    const TEST: &str = "processes_of_two_pid_namespaces_with_equal_ids_count_together";
    if let Ok(name) = std::env::var("MUTEX_NAMESPACE") {
        return Shared::open(&name).count(20_000);
    }
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root may make pid namespaces");
    }
    let name = common::name();
    let shared = Shared::create(&name);
    let binary = std::env::current_exe().unwrap();
    let start = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]).arg(&binary).args([TEST, "--exact"]);
        command.env("MUTEX_NAMESPACE", &name).stdout(Stdio::null()).spawn().unwrap()
    };
    let mut children = [start(), start()];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let twins = shared.mutex.lock().unwrap();
    assert_eq!((twins.one, twins.two), (40_000, 40_000));
}

#[test]
fn a_forked_child_does_not_unlock_its_parents_lock() {
    let mutex = SharedMutex::inherited(0_u32).unwrap();
    let guard = mutex.lock().unwrap();
    // SAFETY: the child makes no call that needs a lock of this process's other threads.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            drop(guard);
            let locked = mutex.try_lock().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            // SAFETY: ends this process, of which nothing else runs.
            unsafe { libc::_exit(if locked { 0 } else { 1 }) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
        }
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(|| mutex.try_lock().map(|_| ()).map_err(|error| error.kind()));
        assert_eq!(other.join().unwrap(), Err(ErrorKind::WouldBlock));
    });
    drop(guard);
    assert_eq!(*mutex.lock().unwrap(), 0);
}

//! The shared mutex: what it is opened as, how long it waits, and what the next is told when its holder dies.
//! The processes are the test binary, run again; they find each other by a named segment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // to open mutexes, to fork

#[path = "ring_common/mod.rs"]
mod common;

use common::{Child, until};
use ipc_shm::{
    ErrorKind, LockError, Segment, SegmentOptions, SharedCondvar, SharedMutex, ShmSafe, Wait,
};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);

/// How long a waiter sleeps before it looks after the lock, and whether it was notified.
const RECHECK: Duration = Duration::from_millis(100);

/// Kept equal by everybody who changes them.
#[repr(C)]
#[derive(Debug)]
struct Twins {
    one: u64,
    two: u64,
}

// SAFETY: `repr(C)`, numbers only.
unsafe impl ShmSafe for Twins {
    const TAG: u64 = u64::from_be_bytes(*b"twins  1");
}

/// A mutex, a condition variable and a word beside them, in a segment found by name.
struct Shared {
    segment: Segment,
    mutex: SharedMutex<Twins>,
    changed: SharedCondvar,
}

const CONDVAR: usize = 512;
const WORD: usize = 516;
const SIZE: usize = 4096;

impl Shared {
    fn create(name: &str) -> Shared {
        let segment = SegmentOptions::new(SIZE)
            .create_with(name, |segment| {
                // SAFETY: nobody has seen it yet.
                unsafe { SharedMutex::init(segment, 0, Twins { one: 0, two: 0 }) }.map(drop)
            })
            .unwrap();
        Shared::of(segment)
    }

    fn open(name: &str) -> Shared {
        Shared::of(Segment::open(name).unwrap())
    }

    fn of(segment: Segment) -> Shared {
        // SAFETY: made by `create`.
        let mutex = unsafe { SharedMutex::open(&segment, 0) }.unwrap();
        let changed = SharedCondvar::open(&segment, CONDVAR).unwrap();
        Shared { segment, mutex, changed }
    }

    fn word(&self) -> &AtomicU32 {
        self.segment.atomic_u32(WORD).unwrap()
    }

    fn count(&self, times: u64) {
        for _ in 0..times {
            let mut twins = self.mutex.lock().unwrap();
            twins.one += 1;
            twins.two += 1;
        }
    }
}

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    let shared = Shared::open(&name);
    match task.as_str() {
        "count" => shared.count(20_000),
        "hold" => {
            let mut twins = shared.mutex.lock().unwrap();
            twins.one += 1; // and never the other
            shared.word().store(1, SeqCst);
            common::wait_for_ever();
        }
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
        "answer" => {
            let mut twins = shared.mutex.lock().unwrap();
            for turn in 0..500 {
                while twins.one != 2 * turn + 1 {
                    twins = shared.changed.wait(twins).unwrap();
                }
                twins.one += 1;
                shared.changed.notify_one();
            }
        }
        "wait" => {
            // Others are killed wherever they are, also with the lock.
            let twins = shared.mutex.lock().or_else(|error| error.repair(repair)).unwrap();
            shared.word().fetch_add(1, SeqCst);
            drop(shared.changed.wait(twins).or_else(|error| error.repair(repair)));
            common::wait_for_ever();
        }
        other => panic!("no such task: {other}"),
    }
}

fn repair(twins: &mut Twins) {
    twins.two = twins.one;
}

/// A holder that was killed, its work half done.
fn kill_a_holder(shared: &Shared, name: &str) {
    let mut child = Child::start("hold", name);
    until("it is locked", || shared.word().load(SeqCst) == 1);
    assert_eq!(shared.mutex.try_lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    child.kill();
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
fn processes_take_turns_with_a_condition_variable() {
    let name = common::name();
    let shared = Shared::create(&name);
    let mut child = Child::start("answer", &name);
    let mut twins = shared.mutex.lock().unwrap();
    let mut started = Instant::now();
    for turn in 0..500 {
        while twins.one != 2 * turn {
            twins = shared.changed.wait(twins).unwrap();
        }
        if turn == 1 {
            started = Instant::now(); // the child has come
        }
        twins.one += 1;
        shared.changed.notify_one();
    }
    // A waiter that only looked again by itself would sleep for 100 milliseconds in each turn.
    assert!(started.elapsed() < 500 * RECHECK / 10, "{:?}", started.elapsed());
    drop(twins);
    assert!(child.succeeds());
    assert_eq!(shared.mutex.lock().unwrap().one, 1000);
}

#[test]
fn a_wait_that_nobody_ends_times_out_and_has_the_lock() {
    let mutex = SharedMutex::inherited(3_u32).unwrap();
    let changed = SharedCondvar::inherited().unwrap();
    let started = Instant::now();
    let wait = Wait::timeout(Duration::from_millis(150));
    let (guard, woken) = changed.wait_within(mutex.lock().unwrap(), wait).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(150) && started.elapsed() < LIMIT);
    assert_eq!((woken, *guard), (ipc_shm::Woken::TimedOut, 3));
    assert_eq!(mutex.try_lock().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_notification_whose_wake_up_was_lost_costs_a_short_delay() {
    let segment = Segment::anonymous(SIZE).unwrap();
    // SAFETY: nobody else has it.
    let mutex = unsafe { SharedMutex::init(&segment, 0, 0_u32) }.unwrap();
    let changed = SharedCondvar::open(&segment, CONDVAR).unwrap();
    let waits = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let guard = mutex.lock().unwrap();
            waits.0.send(nix::unistd::gettid()).unwrap();
            let (guard, woken) = changed.wait_within(guard, Wait::timeout(LIMIT)).unwrap();
            (*guard, woken, Instant::now())
        });
        common::until_asleep(waits.1.recv().unwrap());
        *mutex.lock().unwrap() = 7;
        // As if who notifies had been killed between counting and waking.
        segment.atomic_u32(CONDVAR).unwrap().fetch_add(1, SeqCst);
        let notified = Instant::now();
        let (value, woken, at) = waiting.join().unwrap();
        assert_eq!((value, woken), (7, ipc_shm::Woken::Notified));
        assert!(at.saturating_duration_since(notified) < 2 * RECHECK);
    });
}

/// How often the calling thread was interrupted by [`storm`].
static INTERRUPTED: AtomicU32 = AtomicU32::new(0);

extern "C" fn interrupted(_: libc::c_int) {
    INTERRUPTED.fetch_add(1, SeqCst);
}

/// Does `work`, which must not panic, while signals come to this thread, one a millisecond or so, and interrupt
/// what it calls. What came of it, and how long it took.
fn storm<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    use nix::sys::pthread::{pthread_kill, pthread_self};
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    let action = SigAction::new(SigHandler::Handler(interrupted), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler changes an atomic only, and nobody else uses this signal here.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let (before, me) = (INTERRUPTED.load(SeqCst), pthread_self());
    let done = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                pthread_kill(me, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        done.store(true, SeqCst);
        (result, took)
    });
    assert!(INTERRUPTED.load(SeqCst) - before > 10, "too few signals");
    result
}

const STORM: Duration = Duration::from_millis(250);

fn assert_in_time(took: Duration) {
    assert!(took >= STORM && took < 2 * STORM, "{took:?}");
}

#[test]
fn signals_make_no_wait_for_a_notification_shorter_and_none_much_longer() {
    let mutex = SharedMutex::inherited(3_u32).unwrap();
    let changed = SharedCondvar::inherited().unwrap();
    let guard = mutex.lock().unwrap();
    let (waited, took) = storm(|| changed.wait_within(guard, Wait::timeout(STORM)));
    let (guard, woken) = waited.unwrap();
    assert_eq!((woken, *guard), (ipc_shm::Woken::TimedOut, 3));
    assert_in_time(took);
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
fn who_waits_for_a_notification_is_told_that_the_holder_died() {
    let name = common::name();
    let shared = Shared::create(&name);
    let twins = shared.mutex.lock().unwrap();
    let mut child = Child::start("hold", &name); // it gets the lock when this process waits
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until("the child holds the lock", || shared.word().load(SeqCst) == 1);
            child.kill();
        });
        let Err(LockError::OwnerDied(twins)) = shared.changed.wait(twins) else { panic!("not told") };
        assert_eq!((twins.one, twins.two), (1, 0));
    });
    // It was not repaired.
    assert_eq!(shared.mutex.lock().unwrap_err().kind(), ErrorKind::Poisoned);
}

#[test]
fn killed_waiters_do_not_hold_up_who_notifies() {
    let name = common::name();
    let shared = Shared::create(&name);
    for _ in 0..10 {
        shared.word().store(0, SeqCst);
        let mut children: Vec<_> = (0..4).map(|_| Child::start("wait", &name)).collect();
        until("they wait", || shared.word().load(SeqCst) == 4);
        drop(shared.mutex.lock().or_else(|error| error.repair(|_| {})).unwrap());
        for child in &mut children {
            child.kill();
            shared.changed.notify_one();
        }
        shared.changed.notify_all();
    }
    assert_ne!(shared.mutex.try_lock().map_err(|error| error.kind()).err(), Some(ErrorKind::WouldBlock));
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
    assert_eq!(SharedCondvar::open(&segment, 4094).unwrap_err().kind(), ErrorKind::MessageTooLarge);
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
        let mutex = SharedMutex::inherited(0_u32).unwrap();
        std::mem::forget(mutex.lock().unwrap());
        // The memory stays, though the mutex goes, so the next lock has a sound list to enter.
        drop(mutex);
        let other = SharedMutex::inherited(0_u32).unwrap();
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

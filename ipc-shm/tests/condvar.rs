//! The shared condition variable: taking turns, waits that end in time, and deaths of all who take part.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // to make a mutex

#[path = "mutex_common/mod.rs"]
mod common;

use common::{CONDVAR, Child, LIMIT, SIZE, STORM, Shared, assert_in_time, repair, storm, until};
use ipc_shm::{ErrorKind, LockError, Segment, SharedCondvar, SharedMutex, Wait};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// How long a waiter sleeps before it looks after the lock, and whether it was notified.
const RECHECK: Duration = Duration::from_millis(100);

/// What the other process does; see [`Child`].
#[test]
fn child() {
    let Some((task, name)) = common::task() else { return };
    let shared = Shared::open(&name);
    match task.as_str() {
        "hold" => shared.hold(),
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
        segment.atomic_u64(CONDVAR).unwrap().fetch_add(1, SeqCst);
        let notified = Instant::now();
        let (value, woken, at) = waiting.join().unwrap();
        assert_eq!((value, woken), (7, ipc_shm::Woken::Notified));
        assert!(at.saturating_duration_since(notified) < 2 * RECHECK);
    });
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

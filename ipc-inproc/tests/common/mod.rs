//! What the tests share: threads that are seen asleep before the test goes on.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A thread of this process, as its file in /proc; see proc_pid_task(5).
pub struct Task(PathBuf);

impl Task {
    /// Whether it sleeps, until something wakes it. One that has ended does not.
    pub fn sleeps(&self) -> bool {
        let Ok(stat) = std::fs::read_to_string(self.0.join("stat")) else { return false };
        // The state follows the name, which is in parentheses and may hold any.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
    }
}

/// A thread that does `work`, which it is about to begin.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Task, JoinHandle<T>) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        tell.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
        work()
    });
    (Task(PathBuf::from("/proc").join(told.recv().unwrap())), thread)
}

/// Waits until `condition` holds, ten seconds at most.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        thread::yield_now();
    }
}

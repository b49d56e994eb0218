//! Who is doing what, and since when: how the suite knows that a call hangs, and that a thread sleeps.

use super::lock;
use nix::unistd::{getpid, gettid};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What one end of a channel is doing.
#[derive(Debug)]
pub(super) struct Activity {
    /// The end: "the sender".
    who: String,
    now: Mutex<Option<Doing>>,
}

#[derive(Clone, Copy, Debug)]
struct Doing {
    what: &'static str,
    since: Instant,
    thread: Option<Thread>,
}

/// A thread, here or in another process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thread {
    pub(super) process: i32,
    pub(super) thread: i32,
}

impl Activity {
    pub(super) fn new(who: String) -> Self {
        Activity { who, now: Mutex::new(None) }
    }

    /// Does something, on the record. `here` says whether this thread is the one that does it.
    pub(super) fn during<T>(&self, what: &'static str, here: bool, work: impl FnOnce() -> T) -> T {
        struct Over<'a>(&'a Activity);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                *self.0.lock() = None;
            }
        }
        let thread = here.then(Thread::current);
        *self.lock() = Some(Doing { what, since: Instant::now(), thread });
        let _over = Over(self);
        work()
    }

    /// Says which thread it is that does it.
    pub(super) fn done_by(&self, thread: Thread) {
        if let Some(doing) = &mut *self.lock() {
            doing.thread = Some(thread);
        }
    }

    /// Says what has been waited for too long, if something has.
    pub(super) fn overdue(&self, patience: Duration) -> Option<String> {
        let doing = (*self.lock())?;
        let overdue = doing.since.elapsed() > patience;
        overdue.then(|| format!("{patience:?} for {} to end its {}", self.who, doing.what))
    }

    /// The thread that is doing something now.
    pub(super) fn thread(&self) -> Option<Thread> {
        (*self.lock())?.thread
    }

    pub(super) fn who(&self) -> &str {
        &self.who
    }

    fn lock(&self) -> MutexGuard<'_, Option<Doing>> {
        lock(&self.now)
    }
}

impl Thread {
    pub(super) fn current() -> Self {
        Thread { process: getpid().as_raw(), thread: gettid().as_raw() }
    }

    /// Whether it sleeps in the kernel. See proc_pid_stat(5).
    pub(super) fn sleeps(self) -> bool {
        // The state stands behind the program's name, which is in parentheses and may hold any byte.
        let stat = fs::read(self.file("stat")).unwrap_or_default();
        let behind_name = stat.iter().rposition(|byte| *byte == b')').unwrap_or_default();
        stat.get(behind_name + 2) == Some(&b'S')
    }

    /// The time it has spent on a processor. See proc_pid_schedstat(5).
    pub(super) fn processor_time(self) -> Duration {
        let text = fs::read_to_string(self.file("schedstat")).expect("the kernel keeps schedstat");
        let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
        Duration::from_nanos(nanoseconds.expect("schedstat begins with a number"))
    }

    fn file(self, name: &str) -> PathBuf {
        format!("/proc/{}/task/{}/{name}", self.process, self.thread).into()
    }
}

//! What the tests of the ring share: names, other processes, waiting for something to happen.

// Each test binary uses a part of it.
#![allow(dead_code)]

#[path = "../names/mod.rs"]
pub(crate) mod names;

use ipc_shm::{Receiver, Sender};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// An endpoint that nobody else uses.
pub(crate) fn name() -> String {
    format!("shm://{}", names::unique())
}

/// What went wrong.
pub(crate) fn kind<T>(result: ipc_shm::Result<T>) -> ipc_shm::ErrorKind {
    result.map(|_| ()).unwrap_err().kind()
}

/// Looks until it is so; fails after ten seconds.
pub(crate) fn until(what: &str, mut look: impl FnMut() -> bool) {
    let started = Instant::now();
    while !look() {
        assert!(started.elapsed() < Duration::from_secs(10), "not in time: {what}");
        std::thread::yield_now();
    }
}

/// Runs `work`, which is to sleep in futex(2), in a thread; returns when it does.
///
/// That a word of the ring says so is not enough: it says so a little earlier.
pub(crate) fn asleep<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        tell.send(nix::unistd::gettid()).unwrap();
        work()
    });
    until_asleep(told.recv().unwrap());
    thread
}

/// Sends a message to a receiver that sleeps, and clears the word that says so before, as if somebody had been killed
/// between clearing it and waking: the message must be received all the same, within 100 milliseconds.
pub(crate) fn receives_without_being_woken(
    waits: &AtomicU64,
    sender: &mut impl Sender,
    mut receiver: impl Receiver + 'static,
) {
    let receiving = asleep(move || (receiver.recv_vec(), Instant::now()));
    waits.store(0, Relaxed);
    sender.send(b"message").unwrap();
    let sent = Instant::now();
    let (received, at) = receiving.join().unwrap();
    assert_eq!(received.unwrap(), b"message");
    assert!(at.saturating_duration_since(sent) < Duration::from_millis(100));
}

/// Waits until a thread of this process sleeps in futex(2).
pub(crate) fn until_asleep(thread: Pid) {
    until("it sleeps", || {
        let name = format!("/proc/self/task/{thread}/wchan");
        std::fs::read_to_string(name).is_ok_and(|text| text.contains("futex"))
    });
}

const TASK: &str = "RING_TEST_TASK";
const NAME: &str = "RING_TEST_NAME";

/// In a child: what it is to do, and with which endpoint.
pub(crate) fn task() -> Option<(String, String)> {
    Some((std::env::var(TASK).ok()?, std::env::var(NAME).ok()?))
}

pub(crate) fn wait_for_ever() {
    loop {
        std::thread::park();
    }
}

/// Returns when the parent has dropped the [`Child`].
pub(crate) fn wait_for_end_of_input() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Another process: this test binary, running its test `child` with a task. Killed when dropped.
pub(crate) struct Child(std::process::Child);

impl Child {
    pub(crate) fn start(task: &str, name: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child", "--exact", "--test-threads=1"]).env(TASK, task).env(NAME, name);
        Child(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Kills it, and leaves it a zombie until dropped.
    pub(crate) fn kill_and_leave(&mut self) {
        self.0.kill().unwrap();
    }

    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Whether all of it has stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        threads.flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T'))
        })
    }

    /// Whether it is still running.
    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for its end; whether it was a success.
    pub(crate) fn succeeds(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

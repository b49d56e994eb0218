//! What the tests share: endpoints of their own, and children, which are this test program run again.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A directory of the test's own, and a FIFO's name in it.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("fifo")
    }

    /// The endpoint, with options such as `?persist=true`.
    pub(crate) fn endpoint(&self, options: &str) -> String {
        format!("fifo://{}{options}", self.path().display())
    }

    /// The names in the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// What a child exits with when it has done its part: not 0, which it would also be if no test ran.
pub(crate) const DONE: i32 = 77;

/// This test program in another process, in which the test `role` plays the role of that name.
pub(crate) struct Role {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Role {
    pub(crate) fn start(role: &str, argument: &str) -> Role {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "role"])
            .env("ROLE", role)
            .env("ARGUMENT", argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Role { child, stdout }
    }

    /// The next line that the child tells, see [`tell`].
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the child has ended");
            // The test harness writes "test role ... " before it.
            if let Some((_, told)) = line.split_once('>') {
                return told.trim_end().to_owned();
            }
        }
    }

    /// Lets the child go on from [`pause`].
    pub(crate) fn nudge(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Closes the child's standard input, which ends [`pause`] too.
    pub(crate) fn close(&mut self) {
        self.child.stdin.take();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the child wherever it is, and returns when it has stopped. [`go_on`](Role::go_on) lets it go on.
    pub(crate) fn stop(&mut self) {
        let pid = self.pid();
        kill(pid, Signal::SIGSTOP).unwrap();
        let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED));
        assert_eq!(stopped, Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)));
    }

    pub(crate) fn go_on(&mut self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Waits for the child's end, which must be the one that was meant.
    pub(crate) fn join(mut self) {
        self.close();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(DONE), "{status}");
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: the role to play and its argument.
pub(crate) fn role() -> Option<(String, String)> {
    Some((std::env::var("ROLE").ok()?, std::env::var("ARGUMENT").ok()?))
}

/// In a child: tells the parent a line.
pub(crate) fn tell(text: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, ">{text}").unwrap();
    stdout.flush().unwrap();
}

/// In a child: waits for the parent.
pub(crate) fn pause() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// In a child: the end of the role, at once.
///
/// exit(3) would do more than is safe beside another thread: Rust gives back the main thread's signal stack, on
/// which that may still be leaving the handler by which the C library makes setuid(2) every thread's.
#[allow(unsafe_code)]
pub(crate) fn done() -> ! {
    // SAFETY: _exit takes any number and does not return.
    unsafe { nix::libc::_exit(DONE) }
}

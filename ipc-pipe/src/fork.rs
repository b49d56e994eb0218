//! A child that is a copy of this process, for those who want fork(2) and not another program.
//!
//! What makes fork dangerous in Rust is other threads: the child has none of them, but it has the locks
//! that they held, in the allocator for one, and nobody to release them. A process of one thread has
//! no such trouble. So [`fork`] counts the threads, and refuses if there are more; it is safe to call.

use crate::sys::{self, Side};
use ipc_core::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;

/// Makes a copy of this process, which runs `child` and ends.
///
/// What the parent goes on with is given as `parent`, and comes back; in the child it is dropped at
/// once. What the closure takes with it (write `move`) is the child's, and in the parent it is dropped.
/// So each end of a pipe is held on one side only, and the end of the stream is seen:
///
/// ```
/// # // A test runs beside other threads, where fork refuses; so here it is only compiled.
/// # fn example() -> ipc_pipe::Result<()> {
/// use ipc_pipe::{Receiver, Sender, fork, pipe};
///
/// let (mut sender, receiver) = pipe()?;
/// let (mut receiver, mut child) = fork(receiver, move || {
///     sender.send(b"done")?;
///     Ok(())
/// })?;
/// assert_eq!(receiver.recv()?, b"done");
/// assert!(child.wait()?.success());
/// # Ok(())
/// # }
/// ```
///
/// Everything else that this process has, the child has too, and drops nothing of it: it ends by
/// _exit(2) after the closure, with 0; with 1 if the closure fails, whose error it prints; with 101 if
/// it panics. Buffered standard output is written before the fork, and again when the child ends. No
/// message must be half-way out of a sender (after a [`TimedOut`](ErrorKind::TimedOut), say): call
/// [`flush`](ipc_core::Sender::flush) before.
///
/// # Errors
///
/// * [`Unsupported`](ErrorKind::Unsupported) if this process has other threads (or `/proc` is not
///   there to tell). [`Command`](std::process::Command) has no such condition.
/// * The system's: [`WouldBlock`](ErrorKind::WouldBlock) at the limit of processes (`RLIMIT_NPROC`).
pub fn fork<P>(
    parent: P,
    child: impl FnOnce() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(P, Forked)> {
    one_thread()?;
    // Or both processes would write it.
    let _ = io::stdout().flush();
    match sys::fork().map_err(|error| Error::from_io(error, "fork"))? {
        Side::Parent(pid) => Ok((parent, Forked { pid, status: None })),
        Side::Child => {
            // No panic may pass this place: the parent's code is above it, and is not for the child.
            let code = catch_unwind(AssertUnwindSafe(|| {
                drop(parent);
                let code = match child() {
                    Ok(()) => 0,
                    Err(error) => {
                        // There is nobody to tell if this fails.
                        let _ = writeln!(io::stderr(), "{error}");
                        1
                    }
                };
                let _ = io::stdout().flush();
                code
            }));
            sys::exit_at_once(code.unwrap_or(101))
        }
    }
}

/// A child made by [`fork`].
///
/// As with [`std::process::Child`], dropping it neither ends the child nor waits for it.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
    status: Option<ExitStatus>,
}

impl Forked {
    /// The process's number.
    pub fn id(&self) -> u32 {
        // A child's number is positive.
        self.pid.as_raw().unsigned_abs()
    }

    /// Waits until the child has ended, and says how; see waitpid(2).
    pub fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // As wait(2) encodes it.
        let raw = loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(_, code)) => break (code & 0xff) << 8,
                Ok(WaitStatus::Signaled(_, signal, core)) => {
                    break signal as i32 | if core { 0x80 } else { 0 };
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::from_io(errno.into(), "wait")),
            }
        };
        let status = ExitStatus::from_raw(raw);
        self.status = Some(status);
        Ok(status)
    }

    /// Kills the child, if it has not been waited for; see kill(2).
    pub fn kill(&mut self) -> Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        // Until it has been waited for, the number is its.
        kill(self.pid, Signal::SIGKILL).map_err(|errno| Error::from_io(errno.into(), "kill"))
    }
}

fn one_thread() -> Result<()> {
    let refuse = |detail: String| {
        let what = "fork is safe with one thread only; start a program with Command instead";
        Err(Error::new(ErrorKind::Unsupported, "fork").with_detail(format!("{detail}; {what}")))
    };
    // A thread that has been joined takes a moment to vanish from the list.
    let mut threads = 0;
    for _ in 0..1000 {
        match std::fs::read_dir("/proc/self/task") {
            Ok(tasks) => threads = tasks.count(),
            Err(error) => return refuse(format!("cannot count the threads: {error}")),
        }
        if threads == 1 {
            return Ok(());
        }
        std::thread::yield_now();
    }
    refuse(format!("this process has {threads} threads"))
}

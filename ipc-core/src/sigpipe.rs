//! Writing into a pipe that nobody reads, without dying of `SIGPIPE`.
//!
//! A write into a pipe or FIFO without a reader fails with `EPIPE`, and raises `SIGPIPE` besides, which
//! ends a process that has not made up its mind about it. A Rust program ignores the signal before
//! `main`; but a library may find itself inside a C program, or inside one that has set the default
//! again so as to end quietly in `… | head`. Sockets have `MSG_NOSIGNAL` for this, pipes have not. So,
//! where the signal would kill: block it in this thread, write, take the one away that the write has
//! raised, and put the mask back. The kernel raises it in the writing thread, so no other thread is
//! concerned.
//!
//! (Linux 6.18 has `RWF_NOSIGNAL` for pwritev2(2), which would save the calls around the write. Older
//! kernels would need all of this besides, so it is not used.)

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::{fs, io};

/// Keeps `SIGPIPE` from killing the process in a write; see the pipe(7) and signal(7) manual pages.
///
/// Made once for each sender. Where the process ignores or catches `SIGPIPE`, as Rust programs do, it
/// holds nothing and a write costs nothing more; otherwise it holds one descriptor, and a write costs
/// two more system calls. A program that puts `SIGPIPE` back to its default does so before it makes its
/// senders.
///
/// ```
/// use ipc_core::SigpipeGuard;
/// use std::io::{ErrorKind, Write, pipe};
///
/// let guard = SigpipeGuard::new()?;
/// let (reader, mut writer) = pipe()?;
/// drop(reader);
/// let error = guard.write(|| writer.write(b"hello?")).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::BrokenPipe);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SigpipeGuard {
    /// Where a raised signal is taken from; `None` where the signal does no harm.
    raised: Option<SignalFd>,
}

impl SigpipeGuard {
    /// Looks what `SIGPIPE` does in this process now.
    ///
    /// # Errors
    ///
    /// The system's, where a descriptor is needed and there is none left.
    pub fn new() -> io::Result<Self> {
        if !kills() {
            return Ok(SigpipeGuard { raised: None });
        }
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(SigpipeGuard { raised: Some(SignalFd::with_flags(&sigpipe(), flags)?) })
    }

    /// Calls `write`, which writes once, and gives back its result; `EPIPE` comes without the signal.
    pub fn write(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        let Some(raised) = &self.raised else { return write() };
        let before = sigpipe().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let result = write();
        let broken = matches!(&result, Err(error) if error.raw_os_error() == Some(Errno::EPIPE as i32));
        if broken {
            // Never waits: the descriptor does not block. If nothing is there, somebody has made the
            // signal harmless meanwhile, and that is as good.
            while let Err(Errno::EINTR) = raised.read_signal() {}
        }
        before.thread_set_mask()?;
        result
    }
}

fn sigpipe() -> SigSet {
    SigSet::from_iter([Signal::SIGPIPE])
}

/// Whether `SIGPIPE` has its default action, which is to end the process; also true where that cannot
/// be found out.
fn kills() -> bool {
    let Ok(status) = fs::read_to_string("/proc/thread-self/status") else { return true };
    let set = |name| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    let bit = 1 << (Signal::SIGPIPE as i32 - 1);
    match (set("SigIgn:"), set("SigCgt:")) {
        (Some(ignored), Some(caught)) => (ignored | caught) & bit == 0,
        _ => true,
    }
}

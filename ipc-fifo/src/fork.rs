//! Telling a forked copy of a process from the process itself, without a system call.
//!
//! getpid(2) would tell, and cost a tenth of what it takes to send a short message and have it answered. So
//! the C library is asked to count: each fork(3) adds one in the child, before the child goes on. What was
//! made in a process bears a lower number than any copy of it. A child that bare clone(2) makes, behind the C
//! library's back, is not counted.
//!
//! The only unsafe code of this crate.

use nix::errno::Errno;
use nix::libc;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks this process is away from the one in which the first was counted.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// A process, as something that was made in it remembers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(u32);

impl Origin {
    /// This process. Fails with `ENOMEM` if forks cannot be counted.
    pub(crate) fn here() -> io::Result<Origin> {
        /// Zero, or the number of the error.
        static COUNTING: OnceLock<i32> = OnceLock::new();
        // SAFETY: the handler runs in the child of a fork, where little is allowed; it adds to an atomic
        // number, which is. It is a function of this library, which is there for as long as it is
        // registered: the C library forgets the handlers of a library that is unloaded.
        match COUNTING.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count)) }) {
            0 => Ok(Origin(FORKS.load(Ordering::Relaxed))),
            errno => Err(Errno::from_raw(*errno).into()),
        }
    }

    /// Whether this process is that one, and not a copy of it.
    pub(crate) fn is_here(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }
}

extern "C" fn count() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

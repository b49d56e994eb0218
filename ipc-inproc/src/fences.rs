//! A fence that whoever goes to sleep pays for, so that messages need not.
//!
//! Two threads that each write one word and then look at the other's must both make a fence in between, or
//! neither may see what the other wrote. A fence after each message would make it wait until the one before has
//! reached the other processor, which takes longer than all else. So one side makes the fence for both:
//! membarrier(2) has every running thread of the process make one, and a thread that does not run has made one
//! when it stopped. What is left for the other side is to keep the compiler from changing the order.
//!
//! The only unsafe code of this crate.

use std::sync::OnceLock;
use std::sync::atomic::{Ordering, compiler_fence, fence};

/// How this process makes its fences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fences {
    /// A heavy one is for all threads.
    for_all: bool,
}

impl Fences {
    pub(crate) fn new() -> Fences {
        static FOR_ALL: OnceLock<bool> = OnceLock::new();
        let join = || membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
        Fences { for_all: *FOR_ALL.get_or_init(join) }
    }

    /// For those in a hurry.
    #[inline]
    pub(crate) fn light(self) {
        if self.for_all {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// For those who have time. False if the system has come to refuse it, as a filter of system calls may that
    /// was set up meanwhile: then nothing is certain.
    pub(crate) fn heavy(self) -> bool {
        fence(Ordering::SeqCst);
        !self.for_all || membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
    }
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes numbers only, and changes no memory.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    result == 0
}

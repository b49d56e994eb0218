//! The system calls of the ring that no safe wrapper has: membarrier(2), pidfd_open(2). Unsafe inside, safe to call.

use nix::errno::Errno;
use std::os::fd::{FromRawFd, OwnedFd};

/// Makes this process one whose threads take part in [`fence_all`]. False if the system has no such thing.
pub(super) fn join_fences() -> bool {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED).is_ok()
}

/// A full fence in every running thread of every process that has joined.
pub(super) fn fence_all() {
    // It cannot fail in a process that has joined.
    let _ = membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

fn membarrier(command: libc::c_int) -> Result<(), Errno> {
    // SAFETY: membarrier takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    Errno::result(result).map(drop)
}

/// A descriptor of a process, close-on-exec; readable when that process has ended.
pub(super) fn pidfd_open(pid: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: a descriptor that the kernel has just made for us, and nobody else knows of.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

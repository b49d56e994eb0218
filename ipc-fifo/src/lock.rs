//! Locks on a FIFO that tell who is alive: the kernel releases them when their holder dies, however it dies.
//!
//! They are open-file-description locks (`F_OFD_SETLK` in fcntl(2)), each on one byte of the FIFO, whatever
//! bytes it may hold: byte 0 is its owner's, and each writer of fragments has one of its own, from 1. A
//! holder that closes the FIFO or dies lets go; one that forks does not, before the child is gone too. Anybody
//! who has the FIFO open can see whether a byte is locked.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::os::fd::BorrowedFd;

/// The owner's byte.
pub(crate) const OWNER: u64 = 0;

/// Offsets are below this.
pub(crate) const END: u64 = 1 << 62;

/// Locks a byte through an end that is open for writing: nobody else can have any lock on it.
pub(crate) fn exclusively(fd: BorrowedFd<'_>, byte: u64) -> Result<(), Errno> {
    fcntl(fd, FcntlArg::F_OFD_SETLK(&lock(libc::F_WRLCK, byte))).map(drop)
}

/// Locks a byte through an end that is open for reading: others may have the same kind of lock on it.
pub(crate) fn shared(fd: BorrowedFd<'_>, byte: u64) -> Result<(), Errno> {
    fcntl(fd, FcntlArg::F_OFD_SETLK(&lock(libc::F_RDLCK, byte))).map(drop)
}

/// Whether nobody else has a lock on this byte.
pub(crate) fn is_free(fd: BorrowedFd<'_>, byte: u64) -> Result<bool, Errno> {
    let mut lock = lock(libc::F_WRLCK, byte);
    fcntl(fd, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) == libc::F_UNLCK)
}

fn lock(kind: libc::c_int, byte: u64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        // Below END.
        l_start: byte as libc::off_t,
        l_len: 1,
        l_pid: 0,
    }
}

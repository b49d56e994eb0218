//! Locks that say who lives: an owner holds one on its queue's descriptor, and the kernel lets go of it
//! when the owner dies, however it dies.
//!
//! They are open file description locks (fcntl(2), `F_OFD_SETLK`): they belong to the open file, so that
//! closing another descriptor of the same file does not lose them, and they can be asked about without
//! being taken, so that asking disturbs nobody. A lock is one byte of the file, which need not exist.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::io;
use std::os::fd::AsFd;

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// Held by the one who has bound the name.
    Owner = 0,
    /// Held by the one who has connected to a pair.
    Peer = 1,
}

/// Takes the lock, which is held until the last descriptor of this open file is closed. False if somebody
/// else has it. The file must be open for writing.
pub(crate) fn take(fd: impl AsFd, seat: Seat) -> io::Result<bool> {
    match fcntl(fd, FcntlArg::F_OFD_SETLK(&exclusive(seat))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether somebody holds the lock through another open of the file than this.
pub(crate) fn is_taken(fd: impl AsFd, seat: Seat) -> io::Result<bool> {
    let mut lock = exclusive(seat);
    fcntl(fd, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// Lets go of a lock, also for copies of the descriptor that a forked child may have for a moment.
#[cfg(test)]
pub(crate) fn release(fd: impl AsFd, seat: Seat) {
    let unlocked = libc::flock { l_type: libc::F_UNLCK as libc::c_short, ..exclusive(seat) };
    fcntl(fd, FcntlArg::F_OFD_SETLK(&unlocked)).unwrap();
}

fn exclusive(seat: Seat) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: seat as libc::off_t,
        l_len: 1,
        l_pid: 0, // as open file description locks want it
    }
}

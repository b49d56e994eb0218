//! Who is alive: locks on the object's descriptor, which the kernel releases when their holder dies.
//!
//! They are open file description locks of fcntl(2): they belong to the open file, not to the process, so
//! that closing another descriptor of the same file does not lose them (as it does with plain `fcntl`
//! locks), and they cover single bytes, so that one file has many (as it has not with `flock`). The bytes
//! lie far beyond the end of any segment and hold no data. See "Open file description locks" in fcntl(2).
//!
//! A child that was forked and has not yet called exec holds the locks with its parent: the object counts
//! as held until the child is gone too. That is the truth: the child has the memory as well.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::os::fd::BorrowedFd;

/// A lock of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u8);

impl Slot {
    /// Held exclusively by who has made the name, and removes it.
    pub(crate) const OWNER: Slot = Slot(0);
    /// Held shared by everybody who has it open, exclusively by who is about to remove it.
    pub(crate) const HOLDER: Slot = Slot(1);

    const BASE: libc::off_t = 1 << 62;

    fn flock(self, kind: i32) -> libc::flock {
        libc::flock {
            // The constants are 0, 1 and 2.
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: Slot::BASE + libc::off_t::from(self.0),
            l_len: 1,
            l_pid: 0,
        }
    }
}

/// Takes a lock for oneself; false if anybody has it.
pub(crate) fn try_exclusive(fd: BorrowedFd<'_>, slot: Slot) -> Result<bool, Errno> {
    set(fd, slot, libc::F_WRLCK)
}

/// Takes a lock together with others; false if somebody has it for themselves.
pub(crate) fn try_shared(fd: BorrowedFd<'_>, slot: Slot) -> Result<bool, Errno> {
    set(fd, slot, libc::F_RDLCK)
}

/// Whether anybody has the lock who did not get it through this very descriptor.
pub(crate) fn is_locked(fd: BorrowedFd<'_>, slot: Slot) -> Result<bool, Errno> {
    let mut flock = slot.flock(libc::F_WRLCK);
    fcntl(fd, FcntlArg::F_OFD_GETLK(&mut flock))?;
    Ok(i32::from(flock.l_type) != libc::F_UNLCK)
}

fn set(fd: BorrowedFd<'_>, slot: Slot, kind: i32) -> Result<bool, Errno> {
    match fcntl(fd, FcntlArg::F_OFD_SETLK(&slot.flock(kind))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_lock_belongs_to_one_opening_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::options().read(true).write(true).open(file.path()).unwrap();
        let (one, two) = (open(), open());
        assert!(try_exclusive(one.as_fd(), Slot::OWNER).unwrap());
        assert!(!try_exclusive(two.as_fd(), Slot::OWNER).unwrap());
        assert!(is_locked(two.as_fd(), Slot::OWNER).unwrap());
        assert!(!is_locked(one.as_fd(), Slot::OWNER).unwrap());
        assert!(try_shared(two.as_fd(), Slot::HOLDER).unwrap());
        // Closing another descriptor loses nothing; closing the last one frees the lock.
        drop(open());
        drop(one.try_clone().unwrap());
        assert!(is_locked(two.as_fd(), Slot::OWNER).unwrap());
        drop(one);
        assert!(try_exclusive(two.as_fd(), Slot::OWNER).unwrap());
    }
}

//! Memory without a name, handed over by descriptor; and the room of all memory that has a descriptor.

use super::{Backing, Segment, SegmentOptions};
use crate::map::Map;
use ipc_core::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::fstat;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::ftruncate;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What a descriptor must have so that no peer can take pages from under us.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW);

pub(super) fn create(options: &SegmentOptions) -> Result<Segment> {
    let failed = |errno: Errno| Error::from_io(errno.into(), "anonymous");
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = memfd_create("ipc-shm", flags).map_err(failed)?;
    make_room(fd.as_fd(), options).map_err(failed)?;
    // Sealed also against further seals: nobody can forbid the others to write.
    fcntl(&fd, FcntlArg::F_ADD_SEALS(SEALS | SealFlag::F_SEAL_SEAL)).map_err(failed)?;
    let map = Map::file(fd.as_fd(), options.size, options.populate).map_err(failed)?;
    Ok(Segment { map: Arc::new(map), backing: Backing::Memfd(fd), endpoint: None })
}

pub(super) fn receive(fd: OwnedFd, options: &SegmentOptions) -> Result<Segment> {
    const OPERATION: &str = "from_fd";
    let failed = |errno: Errno| Error::from_io(errno.into(), OPERATION);
    let refused = |detail: &'static str| Error::new(ErrorKind::WrongType, OPERATION).with_detail(detail);
    // Pages of hugetlbfs may be missing when they are touched, sealed or not.
    if fstatfs(&fd).map_err(failed)?.filesystem_type() != TMPFS_MAGIC {
        return Err(refused("it is not memory made by memfd_create with pages of the usual size"));
    }
    let seals = match fcntl(&fd, FcntlArg::F_GET_SEALS) {
        Ok(seals) => SealFlag::from_bits_retain(seals),
        Err(Errno::EINVAL) => {
            return Err(refused("it cannot be sealed: it was not made by memfd_create"));
        }
        Err(errno) => return Err(failed(errno)),
    };
    if !seals.contains(SEALS) {
        return Err(refused("it is not sealed against shrinking and growing (F_ADD_SEALS)"));
    }
    // Only now, as it cannot change any more.
    let size = u64::try_from(fstat(&fd).map_err(failed)?.st_size).unwrap_or(0);
    let size = options.accept_size(size, OPERATION)?;
    let map = Map::file(fd.as_fd(), size, options.populate).map_err(failed)?;
    Ok(Segment { map: Arc::new(map), backing: Backing::Memfd(fd), endpoint: None })
}

/// Gives a fresh object its size, and reserves its pages if that is asked for.
pub(super) fn make_room(fd: BorrowedFd<'_>, options: &SegmentOptions) -> Result<(), Errno> {
    /// A signal makes fallocate(2) undo all it has done and return; small steps are over before the next.
    const STEP: libc::off_t = 1 << 20;
    let size = libc::off_t::try_from(options.size).map_err(|_| Errno::ENOSPC)?;
    ftruncate(fd, size)?;
    let mut done = 0;
    while options.reserves() && done < size {
        let step = STEP.min(size - done);
        match fallocate(fd, FallocateFlags::empty(), done, step) {
            Ok(()) => done += step,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

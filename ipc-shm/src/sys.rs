//! System calls that no safe wrapper has: System V segments, extended attributes.
//!
//! Each function is one unsafe call, made safe by its types; which page describes it is said at each.

use nix::errno::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What is known of a System V segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShmInfo {
    pub(crate) size: usize,
    /// The user it belongs to.
    pub(crate) uid: u32,
    /// The user who made it, who may have given it to another, and may use and remove it all the same.
    pub(crate) maker: u32,
    pub(crate) mode: u32,
    /// How many mappings there are, in all processes.
    pub(crate) attached: u64,
    /// The process that made it; 0 if that is of another pid namespace.
    pub(crate) creator: i32,
}

/// ftok(3): a key from a file that exists and a number that is not zero.
pub(crate) fn ftok(path: &CStr, id: u8) -> Result<i32, Errno> {
    // SAFETY: `path` is a C string that outlives the call.
    let key = unsafe { libc::ftok(path.as_ptr(), i32::from(id)) };
    Errno::result(key)
}

/// shmget(2).
pub(crate) fn shmget(key: i32, size: usize, flags: i32) -> Result<i32, Errno> {
    // SAFETY: takes numbers only.
    let id = unsafe { libc::shmget(key, size, flags) };
    Errno::result(id)
}

/// shmctl(2) with `IPC_STAT`.
pub(crate) fn shm_info(id: i32) -> Result<ShmInfo, Errno> {
    let ds = shm_stat(id)?;
    Ok(ShmInfo {
        size: ds.shm_segsz,
        uid: ds.shm_perm.uid,
        maker: ds.shm_perm.cuid,
        mode: u32::from(ds.shm_perm.mode) & 0o777,
        attached: ds.shm_nattch,
        creator: ds.shm_cpid,
    })
}

/// shmctl(2) with `IPC_RMID`: no new mappings by key; it is gone with the last mapping.
pub(crate) fn shm_remove(id: i32) -> Result<(), Errno> {
    // SAFETY: IPC_RMID does not use the pointer.
    let result = unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}

fn shm_stat(id: i32) -> Result<libc::shmid_ds, Errno> {
    let mut ds = MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: `ds` has the size and alignment that IPC_STAT writes.
    let result = unsafe { libc::shmctl(id, libc::IPC_STAT, ds.as_mut_ptr()) };
    Errno::result(result)?;
    // SAFETY: numbers only, for which zeros are valid, and IPC_STAT has filled them in.
    Ok(unsafe { ds.assume_init() })
}

/// fsetxattr(2), with an empty value.
pub(crate) fn set_attribute(fd: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: `name` is a C string that outlives the call; a value of no bytes is not read.
    let result = unsafe { libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), name.as_ptr().cast(), 0, 0) };
    Errno::result(result).map(drop)
}

/// fgetxattr(2): whether the attribute is there.
pub(crate) fn has_attribute(fd: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    // SAFETY: `name` is a C string that outlives the call; a buffer of no bytes is not written.
    let size = unsafe { libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), std::ptr::null_mut(), 0) };
    match Errno::result(size) {
        Ok(_) => Ok(true),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// fremovexattr(2).
pub(crate) fn remove_attribute(fd: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: `name` is a C string that outlives the call.
    let result = unsafe { libc::fremovexattr(fd.as_raw_fd(), name.as_ptr()) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno),
    }
}

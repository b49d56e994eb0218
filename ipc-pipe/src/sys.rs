//! The calls that have no safe wrapper: each function here is safe to call, and says why. The only unsafe code
//! of this crate.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How many bytes wait to be read in `fd`; `FIONREAD` of pipe(7).
pub(crate) fn bytes_waiting(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: for every kind of descriptor FIONREAD writes one int to its argument, or fails; `count` is
    // one, and lives through the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    Errno::result(result)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Reads what is there, whatever the description's flags are; fails with `EAGAIN` if that is nothing, and
/// with `EOPNOTSUPP` where the kernel cannot say so. See preadv2(2).
pub(crate) fn read_now(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let buffers = [IoSliceMut::new(buffer)];
    // SAFETY: std promises that an IoSliceMut is laid out as an iovec. There is one, of a buffer that is
    // ours alone and lives through the call. The place -1 stands for the current one.
    let count =
        unsafe { libc::preadv2(fd.as_raw_fd(), buffers.as_ptr().cast(), 1, -1, libc::RWF_NOWAIT) };
    Ok(Errno::result(count)?.unsigned_abs())
}

/// Writes what there is room for, whatever the description's flags are; fails with `EAGAIN` if there is
/// none, and with `EOPNOTSUPP` where the kernel cannot say so. See pwritev2(2).
pub(crate) fn write_now(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let count = i32::try_from(slices.len()).unwrap_or(i32::MAX);
    // SAFETY: std promises that an IoSlice is laid out as an iovec. There are at least `count` of them, and
    // they and their bytes live through the call. The place -1 stands for the current one.
    let count =
        unsafe { libc::pwritev2(fd.as_raw_fd(), slices.as_ptr().cast(), count, -1, libc::RWF_NOWAIT) };
    Ok(Errno::result(count)?.unsigned_abs())
}

/// Whether the descriptor `number` is closed when this process executes another program; `EBADF` if it
/// is not open.
pub(crate) fn is_close_on_exec(number: RawFd) -> io::Result<bool> {
    // SAFETY: F_GETFD takes any number, reads one flag, and changes nothing.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    Ok(Errno::result(flags)? & libc::FD_CLOEXEC != 0)
}

/// Another descriptor of the same open file description as `number`, close-on-exec, the first that is
/// free from `least` on; `EBADF` if `number` is not open.
pub(crate) fn duplicate(number: RawFd, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes any numbers, and leaves those descriptors as they are.
    let new = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, least) };
    let new = Errno::result(new)?;
    // SAFETY: the kernel has just made it for us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// Lets `number`, which must be open, refer to `file` from now on, close-on-exec.
///
/// The number stays open throughout, so that whoever owns it, if somebody does, closes what is here now
/// and not a stranger's descriptor.
pub(crate) fn replace(number: RawFd, file: &File) -> io::Result<()> {
    // SAFETY: dup3 touches no memory of ours. The caller has found that `number` is not close-on-exec,
    // which the descriptors that std and this project make all are: it is one that came with the
    // process, which nobody but the caller has claimed. Were it another's after all, that one would go
    // on owning an open descriptor, and find an empty file behind it.
    let result = unsafe { libc::dup3(file.as_raw_fd(), number, libc::O_CLOEXEC) };
    Errno::result(result)?;
    Ok(())
}

/// Lets the child that `command` makes inherit `end`: under the number that it has here, or in the
/// place of what now is under another number.
pub(crate) fn inherit(command: &mut Command, end: OwnedFd, place: Option<RawFd>) {
    let there = place.map(|place| (place, identity(place)));
    let keep_open = move || match there {
        None => fcntl(&end, FcntlArg::F_SETFD(FdFlag::empty())).map(drop).map_err(io::Error::from),
        Some((place, before)) => {
            let now = identity(place);
            if now.is_some() && now != before {
                return Err(io::Error::from_raw_os_error(libc::EBUSY));
            }
            // SAFETY: dup2 touches no memory of ours, and what it closes is the copy, in a child that is
            // about to execute another program, of what the caller has given up there.
            Errno::result(unsafe { libc::dup2(end.as_raw_fd(), place) })
                .map(drop)
                .map_err(io::Error::from)
        }
    };
    // SAFETY: between fork and exec only async-signal-safe things may be done. The closure calls fcntl,
    // or fstat and dup2, on descriptors, and neither allocates nor locks.
    unsafe { command.pre_exec(keep_open) };
}

/// Which file is open under a number: its device and inode.
fn identity(number: RawFd) -> Option<(libc::dev_t, libc::ino_t)> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat takes any number, and writes one stat structure, for which there is room.
    if unsafe { libc::fstat(number, status.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: fstat has succeeded, so it has filled the structure in.
    let status = unsafe { status.assume_init() };
    Some((status.st_dev, status.st_ino))
}

/// Which of the two processes after a fork this is.
pub(crate) enum Side {
    Parent(nix::unistd::Pid),
    Child,
}

/// Makes a copy of this process; see fork(2).
///
/// The caller has made sure that this process has one thread.
pub(crate) fn fork() -> io::Result<Side> {
    // SAFETY: what makes fork dangerous is other threads, which the child lacks together with whatever
    // they would have unlocked. The caller has counted the threads, and the one that it counted is this
    // one, which has started no other since.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Side::Parent(child)),
        nix::unistd::ForkResult::Child => Ok(Side::Child),
    }
}

/// Ends this process at once: nothing is dropped, no exit handler runs.
pub(crate) fn exit_at_once(code: i32) -> ! {
    // SAFETY: _exit takes any number and does not return.
    unsafe { libc::_exit(code) }
}

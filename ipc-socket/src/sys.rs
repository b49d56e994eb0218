//! The calls that have no safe wrapper: each function here is safe to call, and says why. The only unsafe code
//! of this crate.

use crate::control::{Control, SCM_RIGHTS};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, SockaddrLike, recvmsg};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What one call of recvmsg(2) has brought, beside the bytes and the control messages.
pub(crate) struct Arrived<A> {
    /// The size of the message, also where that is more than the buffer takes.
    pub(crate) size: usize,
    /// Descriptors came along and not all of them could be installed.
    pub(crate) descriptors_lost: bool,
    /// Who sent it, as far as this kind of socket says so.
    pub(crate) sender: Option<A>,
}

/// Receives into `buffer`, without waiting if `flags` say so. Descriptors that come along are added to `descriptors`, if
/// `control` has room for any; the kernel drops them otherwise.
pub(crate) fn receive<A: SockaddrLike>(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut Control,
    descriptors: &mut Vec<OwnedFd>,
    flags: MsgFlags,
) -> io::Result<Arrived<A>> {
    control.clear();
    let arrived = {
        let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<A>(fd.as_raw_fd(), &mut slices, Some(control.bytes_mut()), flags)?;
        Arrived {
            size: message.bytes,
            descriptors_lost: control_was_cut(message.flags),
            sender: message.address,
        }
    };
    let (numbers, _) = control.find(SCM_RIGHTS).unwrap_or_default().as_chunks();
    for number in numbers {
        let number = RawFd::from_ne_bytes(*number);
        // SAFETY: `control` was all zeros before the call that succeeded just now, so the kernel has
        // written this number, for a descriptor that it has just made in this process for nobody else;
        // each number is looked at once.
        descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    Ok(arrived)
}

fn control_was_cut(flags: MsgFlags) -> bool {
    flags.contains(MsgFlags::MSG_CTRUNC)
}

/// Another descriptor of the same socket as `number`, close-on-exec, and whether `number` is so, too; `EBADF`
/// if it is not open.
pub(crate) fn duplicate(number: u32) -> io::Result<(OwnedFd, bool)> {
    let number = RawFd::try_from(number).map_err(|_| io::Error::from(Errno::EBADF))?;
    // SAFETY: F_GETFD takes any number, reads one flag, and changes nothing.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    let close_on_exec = Errno::result(flags)? & libc::FD_CLOEXEC != 0;
    // SAFETY: F_DUPFD_CLOEXEC takes any number, and leaves that descriptor as it is.
    let new = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    let new = Errno::result(new)?;
    // SAFETY: the kernel has just made it for us, so nobody else owns it.
    Ok((unsafe { OwnedFd::from_raw_fd(new) }, close_on_exec))
}

/// Lets `number`, which must be open, refer to `file` from now on, close-on-exec.
///
/// The number stays open throughout, so that whoever owns it, if somebody does, closes what is here now
/// and not a stranger's descriptor.
pub(crate) fn replace(number: u32, file: &File) -> io::Result<()> {
    let number = RawFd::try_from(number).map_err(|_| io::Error::from(Errno::EBADF))?;
    // SAFETY: dup3 touches no memory of ours. The caller has found that `number` is not close-on-exec,
    // which the descriptors that std and this project make all are: it is one that came with the
    // process, which nobody but the caller has claimed. Were it another's after all, that one would go
    // on owning an open descriptor, and find an empty file behind it.
    let result = unsafe { libc::dup3(file.as_raw_fd(), number, libc::O_CLOEXEC) };
    Errno::result(result)?;
    Ok(())
}

/// Lets the peer send descriptors or not; see `SO_PASSRIGHTS` of unix(7), Linux 6.16 and later. On an
/// older kernel it is `ENOPROTOOPT`.
pub(crate) fn set_pass_rights(fd: BorrowedFd<'_>, allowed: bool) -> io::Result<()> {
    /// From asm-generic/socket.h, which all our processors share.
    const SO_PASSRIGHTS: libc::c_int = 83;
    let value = libc::c_int::from(allowed);
    // SAFETY: the kernel reads `size_of::<c_int>()` bytes at the address of `value`, which is a c_int and
    // lives through the call, and keeps no reference to it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result)?;
    Ok(())
}

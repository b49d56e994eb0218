//! How much a pipe holds, and how much is in it.

use crate::sys;
use ipc_core::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;

/// A write of at most so many bytes goes into a pipe in one piece or not at all, however many write
/// into it; see pipe(7).
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// What either end of a pipe can be asked, be it plain or framed.
///
/// ```
/// use ipc_pipe::PipeExt;
///
/// let (reader, writer) = std::io::pipe()?;
/// let granted = writer.set_capacity(10_000)?;
/// assert!(granted >= 10_000); // the kernel rounds up
/// assert_eq!(reader.capacity()?, granted);
/// assert_eq!(reader.bytes_waiting()?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait PipeExt: AsFd {
    /// How many bytes the pipe holds when full: most often 65,536, but as little as 4,096 where the
    /// user has many pipes. Many small writes fill it earlier. `F_GETPIPE_SZ` of fcntl(2).
    ///
    /// # Errors
    ///
    /// [`WrongType`](ErrorKind::WrongType) if this is not a pipe, which `pipe://stdin` need not be.
    fn capacity(&self) -> Result<usize> {
        const OPERATION: &str = "capacity";
        let size = fcntl(self, FcntlArg::F_GETPIPE_SZ).map_err(|errno| not_a_pipe(errno, OPERATION))?;
        Ok(usize::try_from(size).unwrap_or(0))
    }

    /// Makes the pipe hold at least `bytes`, and returns how many it holds now: the kernel rounds up to
    /// a power of two of pages. `F_SETPIPE_SZ` of fcntl(2).
    ///
    /// # Errors
    ///
    /// * [`LimitExceeded`](ErrorKind::LimitExceeded) beyond what an unprivileged user may have, in one
    ///   pipe (`pipe-max-size`) or in all (`pipe-user-pages-soft`);
    /// * [`Busy`](ErrorKind::Busy) if more than `bytes` wait in the pipe;
    /// * [`WrongType`](ErrorKind::WrongType) if this is not a pipe.
    fn set_capacity(&self, bytes: usize) -> Result<usize> {
        const OPERATION: &str = "set_capacity";
        let wanted = i32::try_from(bytes).map_err(|_| over_the_limit(Errno::EPERM, bytes))?;
        match fcntl(self, FcntlArg::F_SETPIPE_SZ(wanted)) {
            Ok(size) => Ok(usize::try_from(size).unwrap_or(0)),
            Err(errno @ (Errno::EPERM | Errno::EINVAL)) => Err(over_the_limit(errno, bytes)),
            Err(errno @ Errno::EBUSY) => Err(Error::new(ErrorKind::Busy, OPERATION)
                .with_detail(format!("more than {bytes} bytes are waiting to be read"))
                .with_source(errno.into())),
            Err(errno) => Err(not_a_pipe(errno, OPERATION)),
        }
    }

    /// How many bytes have been written into the pipe and not yet been read out of it. A framed
    /// receiver reads ahead: what it has read is not counted. `FIONREAD` of pipe(7).
    fn bytes_waiting(&self) -> Result<usize> {
        sys::bytes_waiting(self.as_fd()).map_err(|error| Error::from_io(error, "bytes_waiting"))
    }
}

impl PipeExt for PipeReader {}
impl PipeExt for PipeWriter {}

fn not_a_pipe(errno: Errno, operation: &'static str) -> Error {
    let error = Error::from_io(errno.into(), operation);
    match errno {
        // What fcntl(2) answers for a descriptor that is open but no pipe.
        Errno::EBADF => error
            .with_kind(ErrorKind::WrongType)
            .with_detail("this is a file, a terminal or a socket; only a pipe has a capacity"),
        _ => error,
    }
}

fn over_the_limit(errno: Errno, bytes: usize) -> Error {
    let error = Error::from_io(errno.into(), "set_capacity").with_kind(ErrorKind::LimitExceeded);
    let one = read_limit("pipe-max-size");
    if one.is_none_or(|one| bytes as u64 > one) {
        error.with_limit(
            "pipe-max-size",
            one.unwrap_or(0),
            format!("{bytes} bytes were asked for; root can raise it in /proc/sys/fs/pipe-max-size"),
        )
    } else {
        error.with_limit(
            "pipe-user-pages-soft",
            read_limit("pipe-user-pages-soft").unwrap_or(0),
            "all pipes of this user have more pages together; close some, make them smaller, or let \
             root raise it in /proc/sys/fs/pipe-user-pages-soft",
        )
    }
}

fn read_limit(name: &str) -> Option<u64> {
    std::fs::read_to_string(format!("/proc/sys/fs/{name}")).ok()?.trim().parse().ok()
}

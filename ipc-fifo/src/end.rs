//! The two ends of an open FIFO as bytes go through them: nonblocking, without `SIGPIPE`, and with "nobody
//! has come yet" told from "everybody has gone".

use ipc_core::{Endpoint, Error, ErrorKind, Result, SigpipeGuard};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, tee};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{self, File};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// The end that is written to.
#[derive(Debug)]
pub(crate) struct WriteEnd {
    file: File,
    sigpipe: SigpipeGuard,
}

impl WriteEnd {
    /// `file` is a FIFO, open for writing, that does not block.
    pub(crate) fn new(file: File) -> Result<Self> {
        let sigpipe = SigpipeGuard::new().map_err(|error| Error::from_io(error, "open"))?;
        Ok(WriteEnd { file, sigpipe })
    }

    /// Whether somebody has the FIFO open for reading.
    pub(crate) fn has_reader(&self) -> io::Result<bool> {
        Ok(!look(self.as_fd(), PollFlags::POLLOUT)?.contains(PollFlags::POLLERR))
    }

    /// Whether there is room for a fragment, or no reader.
    ///
    /// While spinning, this is asked instead of writing: it takes no lock that the reader needs.
    pub(crate) fn is_ready(&self) -> io::Result<bool> {
        Ok(!look(self.as_fd(), PollFlags::POLLOUT)?.is_empty())
    }
}

impl Write for WriteEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sigpipe.write(|| (&self.file).write(bytes))
    }

    /// One writev(2), which the kernel keeps in one piece if it has at most `PIPE_BUF` bytes in all.
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.sigpipe.write(|| (&self.file).write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for WriteEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The end that is read from.
#[derive(Debug)]
pub(crate) struct ReadEnd {
    file: File,
    /// Reads block at the moment; see [`read_when_there`](ReadEnd::read_when_there).
    blocks: bool,
    /// A writer of our own, so that the FIFO never ends: the option `persist`.
    _writer: Option<File>,
}

impl ReadEnd {
    /// `file` is a FIFO, open for reading, that does not block.
    pub(crate) fn new(file: File, writer: Option<File>) -> Self {
        ReadEnd { file, blocks: false, _writer: writer }
    }

    /// Waits until there is something, and reads it, or until all writers have gone, in one call.
    ///
    /// It goes on blocking until the next [`read`](Read::read), so that a receiver that only ever waits
    /// makes no more calls than that. `WouldBlock` if nobody had come yet.
    pub(crate) fn read_when_there(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.let_block(true)?;
        self.read_once(buffer)
    }

    fn let_block(&mut self, blocks: bool) -> io::Result<()> {
        if self.blocks != blocks {
            // The description is ours alone: we have opened it.
            let mut flags = OFlag::from_bits_retain(fcntl(&self.file, FcntlArg::F_GETFL)?);
            flags.set(OFlag::O_NONBLOCK, !blocks);
            fcntl(&self.file, FcntlArg::F_SETFL(flags))?;
            self.blocks = blocks;
        }
        Ok(())
    }

    /// Zero bytes mean that writers have come and all are gone.
    ///
    /// read(2) gives zero bytes whenever there is no writer, also before the first. The kernel tells the
    /// two apart in poll(2) only: it reports `POLLHUP` once a writer that came after we did has left.
    fn read_once(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count > 0 || look(self.as_fd(), PollFlags::POLLIN)? == PollFlags::POLLHUP {
            return Ok(count);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Whether there is something to read, or a writer has come and all have gone.
    ///
    /// While spinning, this is asked instead of reading: it takes no lock that a writer needs.
    pub(crate) fn is_ready(&self) -> io::Result<bool> {
        Ok(!look(self.as_fd(), PollFlags::POLLIN)?.is_empty())
    }
}

/// Whether a writer has the FIFO open, which `end` is open for reading, or has left something in it.
///
/// Only read(2) and tee(2) know, and tee takes nothing: it is a rare question, so a pipe is made for it.
pub(crate) fn has_writer(end: BorrowedFd<'_>) -> io::Result<bool> {
    let (_reader, writer) = io::pipe()?;
    loop {
        match tee(end, writer.as_fd(), 1, SpliceFFlags::SPLICE_F_NONBLOCK) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::EAGAIN) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

impl Read for ReadEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.let_block(false)?;
        self.read_once(buffer)
    }
}

impl AsFd for ReadEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn look(fd: BorrowedFd<'_>, events: PollFlags) -> io::Result<PollFlags> {
    let mut fds = [PollFd::new(fd, events)];
    // Although it does not wait, a signal may interrupt it.
    while let Err(errno) = poll(&mut fds, PollTimeout::ZERO) {
        if errno != Errno::EINTR {
            return Err(errno.into());
        }
    }
    Ok(fds.iter().find_map(PollFd::revents).unwrap_or(PollFlags::empty()))
}

/// How many bytes the FIFO holds; see `F_GETPIPE_SZ` in fcntl(2).
pub(crate) fn capacity(fd: BorrowedFd<'_>) -> Result<usize> {
    let size =
        fcntl(fd, FcntlArg::F_GETPIPE_SZ).map_err(|errno| Error::from_io(errno.into(), "capacity"))?;
    Ok(size.unsigned_abs() as usize)
}

/// Gives the FIFO the capacity that the endpoint asks for, if it does; see `F_SETPIPE_SZ` in fcntl(2).
pub(crate) fn set_capacity(fd: BorrowedFd<'_>, endpoint: &Endpoint) -> Result<()> {
    let Some(wanted) = endpoint.options().capacity else { return Ok(()) };
    let size = i32::try_from(wanted).unwrap_or(i32::MAX);
    let errno = match fcntl(fd, FcntlArg::F_SETPIPE_SZ(size)) {
        Ok(_) => return Ok(()),
        Err(errno) => errno,
    };
    let error = Error::from_io(errno.into(), "open");
    Err(match errno {
        Errno::EPERM | Errno::EINVAL => {
            let limit = fs::read_to_string("/proc/sys/fs/pipe-max-size").unwrap_or_default();
            error.with_kind(ErrorKind::LimitExceeded).with_limit(
                "pipe-max-size",
                limit.trim().parse().unwrap_or_default(),
                format!("a capacity of {wanted} was asked for; /proc/sys/fs/pipe-max-size raises it"),
            )
        }
        Errno::EBUSY => error
            .with_kind(ErrorKind::Busy)
            .with_detail("it holds more bytes than the capacity asked for"),
        _ => error,
    })
}

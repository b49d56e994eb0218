//! The ends as the framing wants them: reads and writes that do not block.
//!
//! Whether a read or a write blocks is a flag of the *open file description*, which an inherited
//! descriptor shares with other processes: the shell behind `prog < pipe`, the siblings in a pipeline.
//! Setting it would change their reads and writes under their feet. So an end comes in three modes:
//!
//! * `Own`: the description is ours alone, and does not block, but while reads are to sleep at once, for as
//!   long as it takes. The two ends of a pipe that we make have one each. An inherited pipe or FIFO is
//!   opened again through `/proc/self/fd`, which gives a new description of the same pipe.
//! * `Shared`: a terminal, a socket, or a pipe that could not be opened again, because another user has
//!   made it (`sudo`, `su`) or there is no `/proc`. Pipes and sockets are read and written with
//!   `RWF_NOWAIT`, which does not wait whatever the flag says (Linux 6.4 for pipes). Where the kernel
//!   refuses that, for terminals and FIFOs, poll(2) is asked first, and at most `PIPE_BUF` written,
//!   for which there is room when poll says so. Only if another process that reads or writes there too
//!   takes in between what poll has promised, the call waits for it.
//! * `File`: a regular file never makes anybody wait, and opening it again would lose the place in it.

use crate::{PIPE_BUF, sys};
use ipc_core::SigpipeGuard;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode as Bits, SFlag, fstat};
use std::io::{self, IoSlice, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Where bytes come out.
#[derive(Debug)]
pub(crate) struct Source {
    reader: PipeReader,
    mode: Mode,
    /// Reads block at the moment; see [`read_when_there`](Source::read_when_there).
    blocks: bool,
}

/// Where bytes go in.
#[derive(Debug)]
pub(crate) struct Sink {
    writer: PipeWriter,
    mode: Mode,
    sigpipe: SigpipeGuard,
}

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Own,
    Shared,
    File,
}

impl Source {
    /// An end whose description is ours alone and does not block.
    pub(crate) fn own(fd: OwnedFd) -> Source {
        Source { reader: fd.into(), mode: Mode::Own, blocks: false }
    }

    /// An end that others may share.
    pub(crate) fn shared(fd: OwnedFd) -> io::Result<Source> {
        let (fd, mode) = without_blocking(fd, OFlag::O_RDONLY)?;
        Ok(Source { reader: fd.into(), mode, blocks: false })
    }

    /// The plain end, which blocks again if it is ours.
    pub(crate) fn into_reader(mut self) -> io::Result<PipeReader> {
        self.let_block(true)?;
        Ok(self.reader)
    }

    /// Waits until there is something, and reads it, in one call; `WouldBlock` if the description is not
    /// ours to say how it blocks.
    ///
    /// It goes on blocking until the next [`read`](Read::read), so that a receiver that only ever waits
    /// makes no more calls than that.
    pub(crate) fn read_when_there(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.mode != Mode::Own {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.let_block(true)?;
        self.reader.read(buffer)
    }

    fn let_block(&mut self, blocks: bool) -> io::Result<()> {
        if self.mode == Mode::Own && self.blocks != blocks {
            set_blocking(self.reader.as_fd(), blocks)?;
            self.blocks = blocks;
        }
        Ok(())
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.mode == Mode::Shared {
            match sys::read_now(self.reader.as_fd(), buffer) {
                Err(error) if is_unsupported(&error) => look(self.reader.as_fd(), PollFlags::POLLIN)?,
                result => return result,
            }
        }
        self.let_block(false)?;
        self.reader.read(buffer)
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Sink {
    /// An end whose description is ours alone and does not block.
    pub(crate) fn own(fd: OwnedFd) -> io::Result<Sink> {
        Ok(Sink { writer: fd.into(), mode: Mode::Own, sigpipe: SigpipeGuard::new()? })
    }

    /// An end that others may share.
    pub(crate) fn shared(fd: OwnedFd) -> io::Result<Sink> {
        let (fd, mode) = without_blocking(fd, OFlag::O_WRONLY)?;
        Ok(Sink { writer: fd.into(), mode, sigpipe: SigpipeGuard::new()? })
    }

    /// The plain end once more, which blocks again if it is ours.
    pub(crate) fn to_writer(&self) -> io::Result<PipeWriter> {
        let writer = self.writer.try_clone()?;
        if self.mode == Mode::Own {
            set_blocking(writer.as_fd(), true)?;
        }
        Ok(writer)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.mode == Mode::Shared {
            return self.write_vectored(&[IoSlice::new(bytes)]);
        }
        let writer = &mut self.writer;
        self.sigpipe.write(|| writer.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let writer = &mut self.writer;
        if self.mode != Mode::Shared {
            return self.sigpipe.write(|| writer.write_vectored(slices));
        }
        match self.sigpipe.write(|| sys::write_now(writer.as_fd(), slices)) {
            Err(error) if is_unsupported(&error) => look(writer.as_fd(), PollFlags::POLLOUT)?,
            result => return result,
        }
        // In one write, so that a short message stays in one piece among those of other writers.
        let mut piece = [0; PIPE_BUF];
        let mut room = piece.as_mut_slice();
        for slice in slices {
            // Writing to a slice cannot fail, and takes what there is room for.
            let _ = room.write(slice)?;
        }
        let filled = PIPE_BUF - room.len();
        self.sigpipe.write(|| writer.write(piece.get(..filled).unwrap_or_default()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }
}

/// Makes the best of a descriptor that others may share.
fn without_blocking(fd: OwnedFd, access: OFlag) -> io::Result<(OwnedFd, Mode)> {
    let kind = SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFREG || kind == SFlag::S_IFBLK || kind == SFlag::S_IFDIR {
        return Ok((fd, Mode::File));
    }
    // To open a device again may do more than that: /dev/ptmx makes a new terminal each time.
    if kind != SFlag::S_IFIFO {
        return Ok((fd, Mode::Shared));
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    match nix::fcntl::open(path.as_str(), flags, Bits::empty()) {
        Ok(own) => Ok((own, Mode::Own)),
        // The writing end of a pipe that nobody reads gives ENXIO; a write will tell.
        Err(_) => Ok((fd, Mode::Shared)),
    }
}

/// Only for a description that is ours alone.
fn set_blocking(fd: BorrowedFd<'_>, blocks: bool) -> io::Result<()> {
    let mut flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, !blocks);
    fcntl(fd, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

fn is_unsupported(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(number, Some(Errno::EOPNOTSUPP | Errno::ENOSYS))
}

/// Fails with `WouldBlock` where a read or a write of at most `PIPE_BUF` would have to wait.
fn look(fd: BorrowedFd<'_>, events: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(fd, events)], PollTimeout::ZERO)? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

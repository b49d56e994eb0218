//! Names of Unix sockets in the file system: taken with the right mode, taken over from the dead, given
//! back.
//!
//! bind(2) makes the name and fails if there is one already, so of several binders one wins. A name
//! outlives its socket, though: that of a killed owner is in the way for ever. To take it over means to
//! find out that nobody holds it and to remove it, and between the two another may have done the same and
//! bound anew; whose name is then removed is deaf without being told. So whoever removes holds a lock
//! (flock(2)) on the directory meanwhile, looks again under it, and then binds like everybody else:
//!
//! * the name that was seen dead under the lock cannot have become a living one before it is removed,
//!   since for that it would have had to be removed first;
//! * the kernel lets go of the lock of a killed holder, and nothing is left lying about.
//!
//! Whether anybody holds a name is found out by connecting a datagram socket to it. For a name without a
//! socket that is refused (`ECONNREFUSED`); one with a socket of another type gives `EPROTOTYPE`, listening
//! or not, and a datagram socket that is connected to somebody else `EPERM`. So a listener is not bothered by
//! a connection that nobody wants, and one that has bound but does not listen yet is not taken for dead.

use ipc_core::wait::nap;
use ipc_core::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A name that this process has made, and removes when it is dropped, unless it is another's by then.
#[derive(Debug)]
pub(crate) struct Name {
    /// Absolute, so that it is still the same when the current directory is not.
    path: PathBuf,
    /// Device and inode. The socket that is bound to it keeps the inode from being used again.
    identity: (u64, u64),
    /// The process that made it: a forked child has a copy of this value, but not the duty.
    owner: u32,
}

impl Name {
    /// Binds `socket` to `path` with exactly the permissions `mode`, which are never wider, not even for
    /// a moment. The name of a dead owner is taken over.
    pub(crate) fn bind(socket: &Socket, path: &Path, mode: u32) -> Result<Name> {
        let failed = |error: io::Error| Error::from_io(error, "bind");
        let address = SockAddr::unix(path).map_err(failed)?;
        let permissions = Mode::from_bits_truncate(mode);
        // What bind(2) makes gets the permissions of the socket itself, without those of the umask.
        fchmod(socket, permissions).map_err(|errno| failed(errno.into()))?;
        if let Err(error) = socket.bind(&address) {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(failed(error));
            }
            remove_dead(path)?;
            socket.bind(&address).map_err(|error| {
                failed(error).with_detail("another took the name over at the same moment")
            })?;
        }
        let made = fs::symlink_metadata(path).map_err(failed)?;
        let name = Name {
            path: std::path::absolute(path).map_err(failed)?,
            identity: (made.dev(), made.ino()),
            owner: std::process::id(),
        };
        if made.permissions().mode() & 0o777 != mode {
            let follow = FchmodatFlags::NoFollowSymlink;
            fchmodat(nix::fcntl::AT_FDCWD, path, permissions, follow)
                .map_err(|errno| failed(errno.into()))?;
        }
        Ok(name)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            return;
        }
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            // Without the right to remove it, it stays, and the next binder takes it over.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What stands under a name.
enum Found {
    Nothing,
    Dead(Metadata),
}

/// Removes the name of a socket that nobody holds any more. Fails if there is anything else.
fn remove_dead(path: &Path) -> Result<()> {
    let Found::Dead(_) = look(path)? else { return Ok(()) };
    let _lock = lock_directory_of(path)?;
    let Found::Dead(found) = look(path)? else { return Ok(()) };
    let us = nix::unistd::geteuid().as_raw();
    if found.uid() != us {
        return Err(Error::new(ErrorKind::WrongOwner, "bind").with_detail(format!(
            "there is a socket that nobody holds, but it belongs to user {}, and this is user {us}",
            found.uid()
        )));
    }
    fs::remove_file(path).map_err(|error| Error::from_io(error, "bind"))
}

fn look(path: &Path) -> Result<Found> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(Error::from_io(error, "bind")),
    };
    if !found.file_type().is_socket() {
        return Err(Error::new(ErrorKind::WrongType, "bind").with_detail(format!(
            "there is {} of that name, which is left as it is; choose another name, or remove it",
            describe(&found)
        )));
    }
    match probe(path).map_err(|error| (error.raw_os_error(), error)) {
        Err((Some(libc::ECONNREFUSED), _)) => Ok(Found::Dead(found)),
        Err((Some(libc::ENOENT), _)) => Ok(Found::Nothing),
        Err((Some(libc::EACCES), error)) => {
            Err(Error::from_io(error, "bind").with_kind(ErrorKind::WrongOwner).with_detail(format!(
                "there is a socket of user {}, which this user may not connect to",
                found.uid()
            )))
        }
        // Another type of socket; a datagram socket; one that hears somebody else only.
        Err((Some(libc::EPROTOTYPE | libc::EPERM), _)) | Ok(()) => {
            Err(Error::new(ErrorKind::AddrInUse, "bind").with_detail("a living process holds it"))
        }
        // Most likely there is no descriptor left to find out with.
        Err((_, error)) => Err(Error::from_io(error, "bind")),
    }
}

/// Whether a socket is bound to `path`: see the head of this module.
fn probe(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking().cloexec(), None)?;
    socket.connect(&SockAddr::unix(path)?)
}

fn lock_directory_of(path: &Path) -> Result<Flock<File>> {
    /// The lock is held for a few system calls; somebody who holds it longer is not one of us.
    const PATIENCE: Duration = Duration::from_secs(5);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let problem = |error: io::Error| {
        Error::from_io(error, "bind").with_kind(ErrorKind::AddrInUse).with_detail(
            "nobody holds the name, but to take it over its directory must be locked, which failed",
        )
    };
    let mut file = File::open(directory).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => problem(error),
        _ => Error::from_io(error, "bind"),
    })?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EAGAIN | Errno::EINTR)) if Instant::now() < deadline => file,
            Err((_, errno)) => return Err(problem(errno.into())),
        };
        nap(Duration::from_millis(1));
    }
}

/// What a file is, in words: "a regular file".
pub(crate) fn describe(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_file() {
        "a regular file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

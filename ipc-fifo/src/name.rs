//! Names: to find a FIFO, to make one, to own it, and to take one over that a killed owner has left.
//!
//! The owner of a FIFO holds a [`lock`] on it, through the end that it has open. So a FIFO of ours whose
//! owner's byte is not locked is nobody's, and may be taken over. Who wants to do so looks and locks while it
//! holds the gate, which is a flock(2) on the FIFO; and looks whether the name still means the same FIFO. So
//! of any number who try, one becomes the owner.
//!
//! To look, the read end must be opened, even by a sender: a write end that comes and goes would look to a
//! waiting receiver like a conversation that is over. A reader that comes and goes can be seen only by a
//! sender that waits for its first receiver at that very moment.
//!
//! A new FIFO is made under another name first, with its mode, open and locked, and then linked to its own
//! name, which fails if the name is taken. So nobody ever sees one that is half-made or unowned.
//!
//! What lies under a name is looked at through a descriptor that was opened with `O_PATH`: this opens
//! nothing, waits for nobody, and follows no link. Only when that descriptor is known to be a FIFO of the
//! right user, it is opened in earnest, through `/proc/self/fd`. There is no moment at which another file
//! could be put in its place.

use crate::lock;
use ipc_core::{Address, Endpoint, Error, ErrorKind, Result, Scheme};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FlockArg, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, mkfifoat, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

/// A name in a directory. The directory is held open, so that the name means the same when the process
/// changes its working directory.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    directory: Arc<OwnedFd>,
    file: OsString,
}

/// A FIFO that has been found and checked, but is not open.
#[derive(Debug)]
pub(crate) struct Node {
    handle: OwnedFd,
    pub(crate) id: Id,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    device: u64,
    inode: u64,
}

/// Which end to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

/// The right to a name, and the duty to remove it.
#[derive(Debug)]
pub(crate) struct Owned {
    /// The end that is locked, once more: it stays locked until the name has been removed, whatever is dropped
    /// first. Nobody can have taken the name over by then.
    _end: File,
    name: Name,
    id: Id,
    /// A forked child has a copy of this, and is not the owner.
    process: u32,
}

/// Makes the FIFO, or takes over one that is nobody's; gives the end that is open.
pub(crate) fn bind(name: &Name, endpoint: &Endpoint, side: Side) -> Result<(Owned, File)> {
    let mode = Mode::from_bits_truncate(endpoint.options().mode.unwrap_or(0o600));
    loop {
        let taken = match name.find("bind", false)? {
            Some(node) => take_over(name, &node, side, mode)?,
            None => make(name, side, mode)?,
        };
        // Otherwise the name has come or gone just now, and is looked at again.
        if let Some((id, end)) = taken {
            let again = end.try_clone().map_err(|error| Error::from_io(error, "bind"))?;
            let owned = Owned { _end: again, name: name.clone(), id, process: process::id() };
            return Ok((owned, end));
        }
    }
}

fn take_over(name: &Name, node: &Node, side: Side, mode: Mode) -> Result<Option<(Id, File)>> {
    let end = node.open_owned(side)?;
    if !name.means(node.id) {
        return Ok(None);
    }
    fchmod(&end, mode).map_err(|errno| system(errno, "bind"))?;
    Ok(Some((node.id, end)))
}

fn make(name: &Name, side: Side, mode: Mode) -> Result<Option<(Id, File)>> {
    let draft = Name { directory: Arc::clone(&name.directory), file: draft_name() };
    mkfifoat(&draft.directory, draft.file.as_os_str(), Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|errno| system(errno, "bind"))?;
    let linked = finish(&draft, name, side, mode);
    draft.remove();
    linked
}

fn finish(draft: &Name, name: &Name, side: Side, mode: Mode) -> Result<Option<(Id, File)>> {
    let Some(node) = draft.find("bind", false)? else {
        return Err(Error::new(ErrorKind::Removed, "bind"));
    };
    // The umask may have taken away what the owner needs to open it.
    fs::set_permissions(node.path(), Permissions::from_mode(0o600))
        .map_err(|error| Error::from_io(error, "bind"))?;
    let end = node.open_owned(side)?;
    fchmod(&end, mode).map_err(|errno| system(errno, "bind"))?;
    let (from, to) = (draft.file.as_os_str(), name.file.as_os_str());
    match linkat(&draft.directory, from, &name.directory, to, AtFlags::empty()) {
        Ok(()) => Ok(Some((node.id, end))),
        Err(Errno::EEXIST) => Ok(None),
        Err(errno) => Err(system(errno, "bind")),
    }
}

/// A name that nobody else uses: the process's number, and a random one.
fn draft_name() -> OsString {
    format!(".ipc-fifo-{}-{:016x}", process::id(), crate::random::random()).into()
}

impl Name {
    /// The name in the endpoint, whose directory must exist.
    pub(crate) fn of(endpoint: &Endpoint, operation: &'static str) -> Result<Name> {
        endpoint.require(&[Scheme::Fifo], operation)?;
        let wrong = |detail| Err(Error::new(ErrorKind::InvalidEndpoint, operation).with_detail(detail));
        let Address::Path(path) = endpoint.address() else {
            return wrong("a FIFO has a path");
        };
        let Some(file) = path.file_name().filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"))
        else {
            return wrong("the path ends in a directory; it must end in the FIFO's name");
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
            .open(parent.unwrap_or(Path::new(".")))
            .map_err(|error| {
                Error::from_io(error, operation).with_detail("the directory cannot be opened")
            })?;
        Ok(Name { directory: Arc::new(directory.into()), file: file.to_owned() })
    }

    /// What the name means now, if anything: a FIFO of this user, or of root if `or_roots`.
    pub(crate) fn find(&self, operation: &'static str, or_roots: bool) -> Result<Option<Node>> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let handle = match openat(&self.directory, self.file.as_os_str(), flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(system(errno, operation)),
        };
        let status = fstat(&handle).map_err(|errno| system(errno, operation))?;
        let found = kind_of_file(&status);
        if found != "a FIFO" {
            let detail = format!("it is {found}, not a FIFO; it has been left as it was");
            return Err(Error::new(ErrorKind::WrongType, operation).with_detail(detail));
        }
        let user = geteuid().as_raw();
        if status.st_uid != user && !(or_roots && status.st_uid == 0) {
            let detail = format!("its owner is user {}, this process is user {user}", status.st_uid);
            return Err(Error::new(ErrorKind::WrongOwner, operation).with_detail(detail));
        }
        Ok(Some(Node { handle, id: Id::of(&status) }))
    }

    /// Whether the name means this very FIFO.
    pub(crate) fn means(&self, id: Id) -> bool {
        fstatat(&self.directory, self.file.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|status| Id::of(&status) == id)
    }

    /// A path to the directory, however it was reached.
    pub(crate) fn directory_path(&self) -> PathBuf {
        magic_path(self.directory.as_fd())
    }

    fn remove(&self) {
        // If it cannot be removed, there is nobody to tell.
        let _ = unlinkat(&self.directory, self.file.as_os_str(), UnlinkatFlags::NoRemoveDir);
    }
}

impl Node {
    /// Opens one end, without waiting: for writing, `ENXIO` if there is no reader.
    pub(crate) fn open(&self, side: Side) -> io::Result<File> {
        reopen(self.handle.as_fd(), side)
    }

    /// A path to this very FIFO, whatever its name means by now.
    pub(crate) fn path(&self) -> PathBuf {
        magic_path(self.handle.as_fd())
    }

    /// Opens one end and locks it, as the owner does.
    ///
    /// A write end cannot be opened without a reader, but can stay open without one: so there is a reader
    /// until the write end is open and locked.
    fn open_owned(&self, side: Side) -> Result<File> {
        let reader = self.open(Side::Read).map_err(|error| Error::from_io(error, "bind"))?;
        let failed = |errno| system(errno, "bind");
        if !gate(&reader, FlockArg::LockExclusiveNonblock).map_err(failed)? {
            return Err(in_use("somebody is about to own it"));
        }
        if !lock::is_free(reader.as_fd(), lock::OWNER).map_err(failed)? {
            return Err(in_use("its owner is alive; connect to it instead"));
        }
        match side {
            Side::Read => {
                lock::shared(reader.as_fd(), lock::OWNER).map_err(failed)?;
                gate(&reader, FlockArg::Unlock).map_err(failed)?;
                Ok(reader)
            }
            Side::Write => {
                let writer = self.open(Side::Write).map_err(|error| Error::from_io(error, "bind"))?;
                lock::exclusively(writer.as_fd(), lock::OWNER).map_err(failed)?;
                Ok(writer)
            }
        }
    }
}

fn in_use(detail: &'static str) -> Error {
    Error::new(ErrorKind::AddrInUse, "bind").with_detail(detail)
}

/// Shuts or opens the gate; says whether it could.
fn gate(file: &File, how: FlockArg) -> Result<bool, Errno> {
    // nix would rather have its `Flock` used, which gives the file back only when the gate is open again.
    #[allow(deprecated)]
    match nix::fcntl::flock(file.as_raw_fd(), how) {
        Ok(()) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

impl Owned {
    /// The name, and which FIFO it means while it is owned.
    pub(crate) fn name(&self) -> (&Name, Id) {
        (&self.name, self.id)
    }
}

/// Removes the name, if it still means what is owned.
impl Drop for Owned {
    fn drop(&mut self) {
        if self.process == process::id() && self.name.means(self.id) {
            self.name.remove();
        }
    }
}

impl Id {
    fn of(status: &FileStat) -> Id {
        Id { device: status.st_dev, inode: status.st_ino }
    }
}

fn kind_of_file(status: &FileStat) -> &'static str {
    match SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFIFO => "a FIFO",
        SFlag::S_IFREG => "a regular file",
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFLNK => "a symbolic link",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device",
    }
}

/// Opens one end of the very FIFO that `fd` is, without waiting.
pub(crate) fn reopen(fd: BorrowedFd<'_>, side: Side) -> io::Result<File> {
    OpenOptions::new()
        .read(side == Side::Read)
        .write(side == Side::Write)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(magic_path(fd))
}

/// A path to what `fd` is, whatever its name.
pub(crate) fn magic_path(fd: BorrowedFd<'_>) -> PathBuf {
    let mut path = PathBuf::from("/proc/self/fd");
    path.push(OsStr::new(&fd.as_raw_fd().to_string()));
    path
}

fn system(errno: Errno, operation: &'static str) -> Error {
    Error::from_io(errno.into(), operation)
}

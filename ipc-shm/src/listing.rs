//! What of ours lies in `/dev/shm`: whose it is, how big, whether anybody has it; and the removal of what
//! nobody has.
//!
//! Whether somebody has an object is asked of the kernel, by the [locks](crate::locks) that everybody holds
//! who has made or opened it. Looking takes no lock, so it disturbs nobody. Cleaning up first takes the lock
//! of the holders for itself, which works only if there are none, and then the owner's, and removes the
//! name only while it has both: from then on nobody can open or take over this very object.

use crate::locks::{self, Slot};
use crate::segment::{DIRECTORY, is_ours, leads_to};
use ipc_core::{Address, Endpoint, Error, ErrorKind, Options, Result, Scheme};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{geteuid, unlink};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// A named object of this crate: a segment, or what lives in one (a ring, say).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NamedObject {
    /// What opens it, and what [`Segment::remove`](crate::Segment::remove) takes.
    pub endpoint: Endpoint,
    /// The user it belongs to.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// How many bytes it has. That is not how much memory it takes: untouched pages take none.
    pub size: u64,
    /// The process that made the name lives (or a child that it forked), and will remove it.
    pub owned: bool,
    /// Some process has it open: the owner, or any other.
    pub held: bool,
}

impl fmt::Display for NamedObject {
    /// A line for a person: `shm://NAME 4096 bytes, mode 0600, user 1000, in use`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.owned, self.held) {
            (true, _) => "in use",
            (false, true) => "in use, its owner is dead",
            (false, false) => "nobody has it",
        };
        let NamedObject { endpoint, size, mode, uid, .. } = self;
        write!(f, "{endpoint} {size} bytes, mode {mode:04o}, user {uid}, {state}")
    }
}

/// Lists the named objects that this crate has made and that are still there, by name.
///
/// Left out are: objects of other programs; names that were left on purpose
/// ([`keep_name`](crate::Segment::keep_name)), which are nobody's; objects of other users that this one
/// may not read; System V segments, which bear no mark of ours (`ipcs -m` lists them all).
///
/// Like every answer about other processes, it may be out of date when it arrives.
///
/// ```
/// let name = format!("shm://ipc-doc-list-{}", std::process::id());
/// let _segment = ipc_shm::Segment::create(&name, 4096)?;
/// let objects = ipc_shm::list()?;
/// let object = objects.iter().find(|object| object.endpoint.to_string() == name).expect("listed");
/// assert!(object.size == 4096 && object.owned && object.held);
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// # Errors
///
/// Those of reading `/dev/shm`. An object that vanishes meanwhile is no error.
pub fn list() -> Result<Vec<NamedObject>> {
    let mut objects = Vec::new();
    for path in files("list")? {
        // What cannot be looked at is not listed.
        if let Ok(Some((object, _))) = look(&path, OFlag::O_RDONLY) {
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Removes the names of this user's objects that nobody has: what killed processes have left. Returns
/// what it has removed, as it was.
///
/// What anybody has open stays, also when its owner is dead, and so does everything that [`list`] leaves
/// out. Of an object that is being opened or taken over at the same time, one of the two gets all of it.
///
/// # Errors
///
/// Those of reading `/dev/shm`; and whatever kept a name from being removed, once all others are.
pub fn clean_up() -> Result<Vec<NamedObject>> {
    let user = geteuid().as_raw();
    let (mut removed, mut failure) = (Vec::new(), None);
    for path in files("clean_up")? {
        let Ok(Some((object, fd))) = look(&path, OFlag::O_RDWR) else { continue };
        if object.uid != user || object.held {
            continue;
        }
        match remove_unheld(&path, &fd) {
            Ok(true) => removed.push(object),
            Ok(false) | Err(Errno::ENOENT) => {}
            Err(errno) => {
                let error = Error::from_io(errno.into(), "clean_up").at(object.endpoint.text());
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(removed), Err)
}

/// Removes the name if nobody has the object; whether it has.
fn remove_unheld(path: &Path, fd: &OwnedFd) -> std::result::Result<bool, Errno> {
    let fd = fd.as_fd();
    let ours = locks::try_exclusive(fd, Slot::HOLDER)?
        && locks::try_exclusive(fd, Slot::OWNER)?
        // Its owner may have let it go meanwhile, or another may have its name.
        && is_ours(fd)?
        && leads_to(path, fd)?;
    if ours {
        unlink(path)?;
    }
    Ok(ours)
}

/// The regular files in `/dev/shm`, by name.
fn files(operation: &'static str) -> Result<Vec<PathBuf>> {
    let failed = |error: io::Error| {
        Error::from_io(error, operation).with_detail(format!("{DIRECTORY} cannot be read"))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(DIRECTORY).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // The type alone: a FIFO, say, would notice being opened.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Opens what has the name, and says what it is; `None` if it is not of this crate.
fn look(path: &Path, access: OFlag) -> Result<Option<(NamedObject, OwnedFd)>> {
    let failed = |errno: Errno| Error::from_io(errno.into(), "list");
    let flags = OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let fd = open(path, access | flags, Mode::empty()).map_err(failed)?;
    let stat = fstat(&fd).map_err(failed)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits()
        || !is_ours(fd.as_fd()).map_err(failed)?
    {
        return Ok(None);
    }
    let name = path.file_name().ok_or_else(|| Error::new(ErrorKind::InvalidEndpoint, "list"))?;
    let object = NamedObject {
        endpoint: Endpoint::new(Scheme::Shm, Address::Object(name.to_owned()), Options::default())?,
        uid: stat.st_uid,
        mode: stat.st_mode & 0o777,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        owned: locks::is_locked(fd.as_fd(), Slot::OWNER).map_err(failed)?,
        held: locks::is_locked(fd.as_fd(), Slot::HOLDER).map_err(failed)?,
    };
    Ok(Some((object, fd)))
}

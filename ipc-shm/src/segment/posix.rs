//! POSIX shared memory: files in `/dev/shm`, made whole or not at all.
//!
//! # Making
//!
//! An object is made without a name (`O_TMPFILE`), given its size, mode and contents, marked as ours, and
//! locked by its owner; then linkat(2) gives it its name, if nobody has it. So whoever finds the name
//! finds everything, and an owner killed earlier leaves nothing.
//!
//! # Taking over
//!
//! The owner holds the lock `OWNER` of the object for life. Who finds the name taken opens the object and
//! tries to take that lock: if it is free, the owner is dead. Then, *holding it*, and having seen that the
//! name still leads to that object, it removes the name, and tries again to give it to its own. All who
//! remove names do so under the object's `OWNER` lock, so of many who find the same stale object one removes
//! it, and of many who then link, one succeeds; the others find an object whose owner lives.
//!
//! C programs know nothing of the lock. What they have made is not marked, and never taken over.
//!
//! # Opening
//!
//! Who has an object open holds the lock `HOLDER`, shared. The clean-up (`listing`) takes it exclusively
//! before it takes `OWNER` and removes a name, so nobody opens an object that is being cleaned up.

use super::memfd::make_room;
use super::{Backing, Segment, SegmentOptions, failed};
use crate::locks::{self, Slot};
use crate::map::Map;
use crate::sys;
use ipc_core::wait::{nap, sleep_until_readable};
use ipc_core::{Address, Attempt, Endpoint, Error, ErrorKind, Result, Step, Wait, Waiter, Waiting};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open as open_file};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, lstat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{linkat, unlink};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where shm_open(3) keeps its objects.
pub(crate) const DIRECTORY: &str = "/dev/shm";

/// Marks an object as made by this crate and owned by who holds its lock. Before Linux 6.6 there are no
/// such attributes in tmpfs; there the sticky bit is the mark, which means nothing on a file.
const MARK: &CStr = c"user.ipc-shm";
const STICKY: u32 = libc::S_ISVTX;

/// An open object.
#[derive(Debug)]
pub(super) struct Object {
    fd: OwnedFd,
    path: PathBuf,
    /// The process that made it, while it owns the name.
    owner: Option<u32>,
}

impl Object {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn owner_is_alive(&self) -> Option<bool> {
        if self.owner.is_some() {
            return Some(true);
        }
        if !is_ours(self.fd.as_fd()).ok()? {
            return None;
        }
        locks::is_locked(self.fd.as_fd(), Slot::OWNER).ok()
    }

    pub(super) fn is_current(&self) -> bool {
        leads_to(&self.path, self.fd.as_fd()).unwrap_or(false)
    }

    pub(super) fn keep_name(&mut self) -> Result<(), Errno> {
        if self.owner.is_some() {
            unmark(self.fd.as_fd())?;
            self.owner = None;
        }
        Ok(())
    }

    pub(super) fn remove_name(&mut self) -> Result<(), Errno> {
        // A forked child shares the lock, and is not the owner.
        if self.owner.take_if(|pid| *pid == std::process::id()).is_some() && self.is_current() {
            return unlink(&self.path);
        }
        Ok(())
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // The lock is held until `fd` is dropped, after this. If the name cannot be removed, it is stale.
        let _ = self.remove_name();
    }
}

pub(super) fn create(
    endpoint: Endpoint,
    options: &SegmentOptions,
    fill: impl FnOnce(&Segment) -> Result<()>,
) -> Result<Segment> {
    let path = path_of(&endpoint)?;
    let map_error = |errno| creating(errno, &endpoint, options);
    let fd = open_unnamed().map_err(map_error)?;
    check_free(fd.as_fd(), &endpoint, options)?;
    make_room(fd.as_fd(), options).map_err(map_error)?;
    fchmod(&fd, Mode::from_bits_truncate(options.mode_or_default())).map_err(map_error)?;
    mark(fd.as_fd(), options.mode_or_default()).map_err(map_error)?;
    // Nobody else has this file yet, so both are free.
    locks::try_exclusive(fd.as_fd(), Slot::OWNER).map_err(map_error)?;
    locks::try_shared(fd.as_fd(), Slot::HOLDER).map_err(map_error)?;
    let map = Map::file(fd.as_fd(), options.size, options.populate).map_err(map_error)?;
    let object = Object { fd, path, owner: None };
    let mut segment = Segment {
        map: Arc::new(map),
        backing: Backing::Posix(object),
        endpoint: Some(endpoint.clone()),
    };
    fill(&segment)?;
    if let Backing::Posix(object) = &mut segment.backing {
        give_name(object, &endpoint, options)?;
        object.owner = Some(std::process::id());
    }
    Ok(segment)
}

pub(super) fn open(endpoint: Endpoint, options: &SegmentOptions, wait: Wait) -> Result<Segment> {
    let path = path_of(&endpoint)?;
    let mut attempt = Attempt::new(wait);
    let mut waiter = Waiter::new(Waiting::Block);
    let mut watch = None;
    let fd = loop {
        match open_named(&path) {
            Ok((fd, stat)) => {
                check_type(&stat, "open").map_err(|error| error.at(endpoint.text()))?;
                // A C program makes the name first and gives it a size later.
                let unfinished = stat.st_size == 0 && wait != Wait::Never;
                let map_error = |errno| failed(errno, "open", &endpoint);
                // If it cannot be held, it is being cleaned up: as good as gone.
                if !unfinished && locks::try_shared(fd.as_fd(), Slot::HOLDER).map_err(map_error)? {
                    if leads_to(&path, fd.as_fd()).map_err(map_error)? {
                        break fd;
                    }
                    continue; // the name leads elsewhere by now
                }
            }
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(opening(errno, "open", &path, &endpoint)),
        }
        match attempt.next(&mut waiter) {
            Ok(Step::Look) => {}
            // The first time, look again once the watch stands, lest the name came in between.
            Ok(Step::Sleep(limit)) => match &watch {
                None => watch = Some(Watch::new()),
                Some(watch) => watch.sleep(limit),
            },
            Err(ErrorKind::WouldBlock) => {
                return Err(Error::new(ErrorKind::NotFound, "open").at(endpoint.text()));
            }
            Err(kind) => {
                let error = Error::new(kind, "open").at(endpoint.text());
                return Err(error.with_detail("nobody has made it"));
            }
        }
    };
    let stat = fstat(&fd).map_err(|errno| failed(errno, "open", &endpoint))?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let size = options
        .accept(size, stat.st_uid, stat.st_mode, "open")
        .map_err(|error| error.at(endpoint.text()))?;
    let map = Map::file(fd.as_fd(), size, options.populate)
        .map_err(|errno| failed(errno, "open", &endpoint))?;
    let backing = Backing::Posix(Object { fd, path, owner: None });
    Ok(Segment { map: Arc::new(map), backing, endpoint: Some(endpoint) })
}

pub(super) fn remove(endpoint: &Endpoint) -> Result<()> {
    let path = path_of(endpoint)?;
    unlink(&path).map_err(|errno| failed(errno, "remove", endpoint))
}

/// Whether this crate made the object, for an owner that removes it.
pub(crate) fn is_ours(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(sys::has_attribute(fd, MARK)? || fstat(fd)?.st_mode & STICKY != 0)
}

fn mark(fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    match sys::set_attribute(fd, MARK) {
        Err(Errno::EOPNOTSUPP) => fchmod(fd, Mode::from_bits_truncate(mode | STICKY)),
        result => result,
    }
}

fn unmark(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    sys::remove_attribute(fd, MARK)?;
    fchmod(fd, Mode::from_bits_truncate(fstat(fd)?.st_mode & 0o777))
}

/// Links an object to its name, and removes a stale one that has it.
fn give_name(object: &Object, endpoint: &Endpoint, options: &SegmentOptions) -> Result<()> {
    /// Cleaning up is over after a few system calls, unless who does it is stopped.
    const PATIENCE: u32 = 10_000;
    let mut waited = 0;
    loop {
        match link(object.fd.as_fd(), &object.path) {
            Ok(()) => return Ok(()),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(creating(errno, endpoint, options)),
        }
        let (stale, stat) = match open_named(&object.path) {
            Ok(opened) => opened,
            Err(Errno::ENOENT) => continue,
            Err(errno) => return Err(opening(errno, "create", &object.path, endpoint)),
        };
        check_type(&stat, "create").map_err(|error| error.at(endpoint.text()))?;
        let uid = nix::unistd::geteuid().as_raw();
        if stat.st_uid != uid {
            let detail = format!("user {} has an object of that name", stat.st_uid);
            return Err(Error::new(ErrorKind::WrongOwner, "create")
                .at(endpoint.text())
                .with_detail(detail));
        }
        let map_error = |errno| failed(errno, "create", endpoint);
        let in_use = |detail: &'static str| {
            Err(Error::new(ErrorKind::AddrInUse, "create").at(endpoint.text()).with_detail(detail))
        };
        if !is_ours(stale.as_fd()).map_err(map_error)? {
            return in_use("it was made by another program, or left there to be kept");
        }
        let ours = locks::try_exclusive(stale.as_fd(), Slot::OWNER).map_err(map_error)?;
        if !leads_to(&object.path, stale.as_fd()).map_err(map_error)? {
            continue;
        }
        if ours {
            // Its owner may have let it go meanwhile; what is nobody's stays, says the next look.
            if is_ours(stale.as_fd()).map_err(map_error)? {
                unlink(&object.path).map_err(map_error)?;
            }
        } else if locks::try_shared(stale.as_fd(), Slot::HOLDER).map_err(map_error)? || waited > PATIENCE
        {
            return in_use("its owner is alive");
        } else {
            // Somebody is cleaning it up.
            waited += 1;
            std::thread::yield_now();
        }
    }
}

/// linkat(2) of an object without a name, which goes by way of its descriptor in /proc.
fn link(fd: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    let number = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    match linkat(AT_FDCWD, &number, AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW) {
        // Without /proc, Linux 6.10 and later do it for the file's own maker.
        Err(Errno::ENOENT) => linkat(fd, c"", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH),
        result => result,
    }
}

fn open_unnamed() -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    open_file(DIRECTORY, flags, Mode::S_IRUSR | Mode::S_IWUSR)
}

/// Opens what has the name, without following a link and without waiting, should it be a FIFO.
fn open_named(path: &Path) -> Result<(OwnedFd, FileStat), Errno> {
    let flags =
        OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let fd = open_file(path, flags, Mode::empty())?;
    let stat = fstat(&fd)?;
    Ok((fd, stat))
}

fn check_type(stat: &FileStat, operation: &'static str) -> Result<()> {
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        let detail = "there is a file of another kind under that name in /dev/shm";
        return Err(Error::new(ErrorKind::WrongType, operation).with_detail(detail));
    }
    Ok(())
}

/// Whether the name leads to this very object.
pub(crate) fn leads_to(path: &Path, fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let named = match lstat(path) {
        Ok(named) => named,
        Err(Errno::ENOENT) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let opened = fstat(fd)?;
    Ok((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino))
}

fn path_of(endpoint: &Endpoint) -> Result<PathBuf> {
    match endpoint.address() {
        Address::Object(name) => Ok(Path::new(DIRECTORY).join(name)),
        _ => Err(Error::new(ErrorKind::InvalidEndpoint, "open").at(endpoint.text())),
    }
}

/// A segment whose pages are not reserved must fit at least now.
fn check_free(fd: BorrowedFd<'_>, endpoint: &Endpoint, options: &SegmentOptions) -> Result<()> {
    let fits =
        free_space(fd).is_none_or(|free| u64::try_from(options.size).is_ok_and(|size| size <= free));
    if fits { Ok(()) } else { Err(no_room(fd, endpoint, options)) }
}

/// How many bytes the file system has left; `None` if it has no limit, or does not tell.
fn free_space(fd: BorrowedFd<'_>) -> Option<u64> {
    let stat = fstatvfs(fd).ok().filter(|stat| stat.blocks() > 0)?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

fn no_room(fd: BorrowedFd<'_>, endpoint: &Endpoint, options: &SegmentOptions) -> Error {
    Error::new(ErrorKind::LimitExceeded, "create")
        .at(endpoint.text())
        .with_detail(format!("no room for {} bytes", options.size))
        .with_limit(
            "the free space of /dev/shm",
            free_space(fd).unwrap_or(0),
            "remove what is not needed, or give it more: mount -o remount,size=2G /dev/shm",
        )
        .with_source(Errno::ENOSPC.into())
}

fn creating(errno: Errno, endpoint: &Endpoint, options: &SegmentOptions) -> Error {
    match errno {
        Errno::ENOSPC => match open_unnamed() {
            Ok(fd) => no_room(fd.as_fd(), endpoint, options),
            Err(_) => failed(errno, "create", endpoint),
        },
        Errno::ENOENT | Errno::EOPNOTSUPP => failed(errno, "create", endpoint)
            .with_detail("POSIX shared memory needs a tmpfs at /dev/shm"),
        errno => failed(errno, "create", endpoint),
    }
}

/// What open(2) of a name that exists means by its errors.
fn opening(errno: Errno, operation: &'static str, path: &Path, endpoint: &Endpoint) -> Error {
    let error = failed(errno, operation, endpoint);
    match errno {
        Errno::ELOOP | Errno::EISDIR | Errno::ENXIO | Errno::ENODEV => {
            let detail = "there is a file of another kind under that name in /dev/shm";
            error.with_kind(ErrorKind::WrongType).with_detail(detail)
        }
        // The name's owner, for want of a descriptor: it only words the refusal.
        Errno::EACCES => match lstat(path) {
            Ok(stat) if stat.st_uid != nix::unistd::geteuid().as_raw() => {
                let detail = format!("user {} has an object of that name", stat.st_uid);
                error.with_kind(ErrorKind::WrongOwner).with_detail(detail)
            }
            _ => error,
        },
        _ => error,
    }
}

/// Sleeps until something changes in `/dev/shm`.
struct Watch(Option<Inotify>);

impl Watch {
    /// How long to sleep where a user has no inotify instances left.
    const UNWATCHED: Duration = Duration::from_millis(5);
    /// How long to sleep otherwise: that a clean-up was given up is no event.
    const WATCHED: Duration = Duration::from_secs(1);

    fn new() -> Watch {
        let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MODIFY;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        Watch(inotify.filter(|inotify| inotify.add_watch(DIRECTORY, events).is_ok()))
    }

    fn sleep(&self, limit: Option<Duration>) {
        let Some(inotify) = &self.0 else {
            nap(limit.map_or(Watch::UNWATCHED, |limit| limit.min(Watch::UNWATCHED)));
            return;
        };
        // Whatever goes wrong here, the caller looks again.
        let limit = limit.map_or(Watch::WATCHED, |limit| limit.min(Watch::WATCHED));
        let _ = sleep_until_readable(inotify.as_fd(), Some(limit));
        while inotify.read_events().is_ok() {}
    }
}

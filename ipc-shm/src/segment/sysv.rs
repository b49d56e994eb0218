//! System V segments, found by key or by number.
//!
//! A key appears as soon as shmget(2) has made it, with zeros behind it, and stays when its maker dies: that
//! is System V's nature. The number of mappings is kept by the kernel, and is right whoever is killed. So a
//! segment that nobody has attached and whose maker is dead has nobody; who removes it does so by number,
//! and numbers are not used again soon, so it cannot hit a successor.

use super::{Backing, Segment, SegmentOptions, at, failed};
use crate::map::Map;
use crate::sys::{self, ShmInfo};
use ipc_core::wait::nap;
use ipc_core::{Address, Attempt, Endpoint, Error, ErrorKind, Result, Step, Wait, Waiter, Waiting};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

/// An attached segment.
#[derive(Debug)]
pub(super) struct Object {
    id: i32,
    key: i32,
    /// The process that made it, while it owns the key.
    owner: Option<u32>,
}

impl Object {
    pub(super) fn id(&self) -> i32 {
        self.id
    }

    pub(super) fn is_current(&self) -> bool {
        self.key != libc::IPC_PRIVATE && sys::shmget(self.key, 0, 0) == Ok(self.id)
    }

    pub(super) fn keep_name(&mut self) {
        self.owner = None;
    }

    pub(super) fn remove_name(&mut self) -> Result<(), Errno> {
        if self.owner.take_if(|pid| *pid == std::process::id()).is_none() {
            return Ok(());
        }
        match sys::shm_remove(self.id) {
            Err(Errno::EINVAL | Errno::EIDRM) => Ok(()), // somebody else has removed it
            result => result,
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.remove_name();
    }
}

pub(super) fn create(
    endpoint: Endpoint,
    options: &SegmentOptions,
    fill: impl FnOnce(&Segment) -> Result<()>,
) -> Result<Segment> {
    let key = key_of(&endpoint, "create")?;
    let id = make(key, options, &endpoint)?;
    // From here on, dropping it removes it.
    let object = Object { id, key, owner: Some(std::process::id()) };
    let map = Map::attach(id, options.size).map_err(|errno| failed(errno, "create", &endpoint))?;
    let segment =
        Segment { map: Arc::new(map), backing: Backing::SysV(object), endpoint: Some(endpoint) };
    fill(&segment)?;
    Ok(segment)
}

pub(super) fn private(options: &SegmentOptions) -> Result<Segment> {
    const OPERATION: &str = "private";
    let flags = libc::IPC_CREAT | mode_bits(options);
    let id = sys::shmget(libc::IPC_PRIVATE, options.size, flags)
        .map_err(|errno| making(errno, OPERATION, options))?;
    let mut object = Object { id, key: libc::IPC_PRIVATE, owner: Some(std::process::id()) };
    let system = |errno: Errno| Error::from_io(errno.into(), OPERATION);
    let map = Map::attach(id, options.size).map_err(system)?;
    object.remove_name().map_err(system)?;
    Ok(Segment { map: Arc::new(map), backing: Backing::SysV(object), endpoint: None })
}

pub(super) fn open(endpoint: Endpoint, options: &SegmentOptions, wait: Wait) -> Result<Segment> {
    /// System V tells nobody when a key appears, so who waits looks now and then.
    const PAUSE: Duration = Duration::from_millis(5);
    let mut attempt = Attempt::new(wait);
    let mut waiter = Waiter::new(Waiting::Block);
    loop {
        let missing = match find(&endpoint, options) {
            // Between two of its calls.
            Err(error) if error.kind() == ErrorKind::Removed => error.with_kind(ErrorKind::NotFound),
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            result => return result,
        };
        match attempt.next(&mut waiter) {
            Ok(Step::Look) => {}
            Ok(Step::Sleep(limit)) => {
                nap(limit.map_or(PAUSE, |limit| limit.min(PAUSE)));
            }
            Err(ErrorKind::WouldBlock) => return Err(missing),
            Err(kind) => {
                let error = Error::new(kind, "open").at(endpoint.text());
                return Err(error.with_detail("nobody has made it"));
            }
        }
    }
}

/// Opens what the key leads to now, if the file that it comes from is there.
fn find(endpoint: &Endpoint, options: &SegmentOptions) -> Result<Segment> {
    let key = key_of(endpoint, "open")?;
    // The size is checked on the segment itself; no permission is asked for yet.
    let id = sys::shmget(key, 0, 0).map_err(|errno| failed(errno, "open", endpoint))?;
    attach(id, key, options, Some(endpoint))
}

pub(super) fn open_id(id: i32, options: &SegmentOptions) -> Result<Segment> {
    attach(id, libc::IPC_PRIVATE, options, None)
}

pub(super) fn remove(endpoint: &Endpoint) -> Result<()> {
    let key = key_of(endpoint, "remove")?;
    let map_error = |errno| failed(errno, "remove", endpoint);
    let id = sys::shmget(key, 0, 0).map_err(map_error)?;
    sys::shm_remove(id).map_err(map_error)
}

/// Checks a segment and attaches it.
fn attach(id: i32, key: i32, options: &SegmentOptions, endpoint: Option<&Endpoint>) -> Result<Segment> {
    const OPERATION: &str = "open";
    let map_error = |errno: Errno| {
        let error = at(Error::from_io(errno.into(), OPERATION), endpoint);
        match errno {
            Errno::EINVAL | Errno::EIDRM => error.with_kind(ErrorKind::Removed),
            _ => error,
        }
    };
    let look = || {
        let info = sys::shm_info(id).map_err(map_error)?;
        options
            .accept(info.size as u64, info.uid, info.mode, OPERATION)
            .and_then(|size| check_maker(&info, OPERATION).map(|()| size))
            .map_err(|error| at(error, endpoint))
    };
    let map = Map::attach(id, look()?).map_err(map_error)?;
    // From here on the number means this segment, and meant another before if that was removed and the
    // number given away: so look again.
    if look()? != map.len() {
        return Err(map_error(Errno::EIDRM));
    }
    let object = Object { id, key, owner: None };
    Ok(Segment { map: Arc::new(map), backing: Backing::SysV(object), endpoint: endpoint.cloned() })
}

/// Makes a segment, in place of a stale one if that is asked for.
fn make(key: i32, options: &SegmentOptions, endpoint: &Endpoint) -> Result<i32> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode_bits(options);
    loop {
        match sys::shmget(key, options.size, flags) {
            Ok(id) => return Ok(id),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(making(errno, "create", options).at(endpoint.text())),
        }
        let in_use = || Error::new(ErrorKind::AddrInUse, "create").at(endpoint.text());
        let (id, info) = match sys::shmget(key, 0, 0).and_then(|id| Ok((id, sys::shm_info(id)?))) {
            Ok(found) => found,
            Err(Errno::ENOENT | Errno::EINVAL | Errno::EIDRM) => continue,
            Err(_) => return Err(in_use()), // not ours to look at
        };
        if info.uid != geteuid().as_raw() {
            let detail = format!("user {} has a segment of that key", info.uid);
            let error = Error::new(ErrorKind::WrongOwner, "create").at(endpoint.text());
            return Err(error.with_detail(detail));
        }
        check_maker(&info, "create").map_err(|error| error.at(endpoint.text()))?;
        if !options.take_over || !is_stale(&info) {
            return Err(in_use());
        }
        match sys::shm_remove(id) {
            Ok(()) | Err(Errno::EINVAL | Errno::EIDRM) => {}
            Err(errno) => return Err(failed(errno, "create", endpoint)),
        }
    }
}

/// Fails unless whoever made the segment is trusted, too: its owner, this user, or root. Others can have
/// given it to its owner with shmctl(2), `IPC_SET`, and go on reading, writing and removing it.
fn check_maker(info: &ShmInfo, operation: &'static str) -> Result<()> {
    let (owner, maker) = (info.uid, info.maker);
    if maker == owner || maker == 0 || maker == geteuid().as_raw() {
        return Ok(());
    }
    let detail = format!("user {maker} has made it, given it to user {owner}, and can still use it");
    Err(Error::new(ErrorKind::WrongOwner, operation).with_detail(detail))
}

/// Whether nobody has it attached, and its maker is dead.
///
/// The maker counts from shmget(2) on, so one that has not attached yet is not robbed. A process id can be
/// used again: then a dead maker looks alive, and the segment stays; it never is the other way round.
fn is_stale(info: &ShmInfo) -> bool {
    let dead = info.creator != 0 && kill(Pid::from_raw(info.creator), None) == Err(Errno::ESRCH);
    dead && info.attached == 0
}

fn key_of(endpoint: &Endpoint, operation: &'static str) -> Result<i32> {
    match (endpoint.address(), endpoint.options().id) {
        (Address::Key(key), _) => Ok(key.cast_signed()),
        (Address::Path(path), Some(id)) => {
            let wrong = |_| Error::new(ErrorKind::InvalidEndpoint, operation).at(endpoint.text());
            let path = CString::new(path.as_os_str().as_bytes()).map_err(wrong)?;
            sys::ftok(&path, id.get()).map_err(|errno| {
                let detail = "the key comes from a file, which must exist: see ftok(3)";
                failed(errno, operation, endpoint).with_detail(detail)
            })
        }
        _ => Err(Error::new(ErrorKind::InvalidEndpoint, operation).at(endpoint.text())),
    }
}

fn mode_bits(options: &SegmentOptions) -> i32 {
    // At most 0777.
    options.mode_or_default().cast_signed()
}

/// What shmget(2) means by its errors.
fn making(errno: Errno, operation: &'static str, options: &SegmentOptions) -> Error {
    let error = Error::from_io(errno.into(), operation).with_kind(ErrorKind::LimitExceeded);
    let limit = |name: &'static str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    match errno {
        Errno::EINVAL => error.with_detail(format!("{} bytes are too many", options.size)).with_limit(
            "shmmax",
            limit("shmmax"),
            "sysctl kernel.shmmax raises it",
        ),
        Errno::ENOSPC => error
            .with_detail("too many segments, or too many bytes in all of them (shmall)")
            .with_limit("shmmni", limit("shmmni"), "sysctl kernel.shmmni and kernel.shmall raise them"),
        Errno::ENOMEM => error.with_detail(format!("no memory for {} bytes", options.size)),
        _ => Error::from_io(errno.into(), operation),
    }
}

//! How segments are made and opened: the options, and which kind does what.

use super::{Backing, Segment, memfd, posix, sysv};
use crate::map::Map;
use ipc_core::{Endpoint, Error, ErrorKind, Result, Scheme, ToEndpoint, Wait};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// How to make or open a segment, where a size alone does not say it all.
///
/// ```
/// use ipc_shm::SegmentOptions;
///
/// let name = format!("shm://ipc-doc-options-{}", std::process::id());
/// // Nobody can open the segment before it says "ready".
/// let segment = SegmentOptions::new(1 << 20)
///     .mode(0o660)
///     .populate(true)
///     .create_with(&name, |segment| segment.write_at(0, b"ready"))?;
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// # Room is reserved
///
/// Memory that is mapped but cannot be had kills who touches it (`SIGBUS`). So the room of a new segment is
/// reserved with fallocate(2): a full `/dev/shm` is the error
/// [`LimitExceeded`](ErrorKind::LimitExceeded). That takes the memory at once, though it does not touch it
/// (about 0.07 s a GiB, where touching takes several times as long). So segments above
/// [`RESERVE_UP_TO`](SegmentOptions::RESERVE_UP_TO) are only checked against the free space of that moment and
/// take their pages when these are first touched, unless [`reserve`](SegmentOptions::reserve) asks for them.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct SegmentOptions {
    pub(super) size: usize,
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<u32>,
    pub(super) reserve: Option<bool>,
    pub(super) populate: bool,
    pub(super) take_over: bool,
}

impl SegmentOptions {
    /// Segments of up to this many bytes have their room reserved unless asked otherwise: 64 MiB.
    pub const RESERVE_UP_TO: usize = 64 << 20;

    /// A segment of `size` bytes: exactly that many where it is made, at least that many where it is
    /// opened. Zero, the default, is for opening only and means whatever there is.
    pub fn new(size: usize) -> Self {
        SegmentOptions { size, ..SegmentOptions::default() }
    }

    /// The permission bits of what is made, exactly, whatever the umask; 0600 by default. Where a segment
    /// is opened, others than its owner may *write* to it only if these bits say so. An endpoint's option
    /// `mode` goes before this.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o777);
        self
    }

    /// Whose segment may be opened: this process's user by default. A System V segment must also have been
    /// made by that user, by this process's or by root: its maker can give it away, and still write to it.
    /// An endpoint's option `uid` goes before this; what is made is always this user's, and with another `uid`
    /// it is not made.
    pub fn owner(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }

    /// Whether to reserve the room of a new segment, whatever its size; see [above](#room-is-reserved).
    pub fn reserve(mut self, reserve: bool) -> Self {
        self.reserve = Some(reserve);
        self
    }

    /// Whether to touch every page now, so that no later access waits for one: `MAP_POPULATE` of mmap(2).
    /// It does nothing for System V segments.
    pub fn populate(mut self, populate: bool) -> Self {
        self.populate = populate;
        self
    }

    /// Whether [`create`](SegmentOptions::create) may replace a *System V* segment of this user that nobody
    /// has attached and whose maker is dead. Off by default, since that is also how a segment looks that was
    /// left there on purpose. (A stale *POSIX* segment can be told from those, and is always replaced.)
    pub fn take_over(mut self, take_over: bool) -> Self {
        self.take_over = take_over;
        self
    }

    /// Makes a segment that nobody else has made, and owns its name until dropped.
    ///
    /// `shm://`: the name appears when the segment is complete, or not at all, wherever this process is
    /// killed. A name whose owner has died is taken over: of many who try at once, one wins. A name that
    /// has an owner, or was made by a C program, is in use.
    ///
    /// `sysvshm://`: the key appears at once; see [`create_with`](SegmentOptions::create_with).
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | [`AddrInUse`](ErrorKind::AddrInUse) | somebody else has made it |
    /// | [`LimitExceeded`](ErrorKind::LimitExceeded) | no room for it: the error names the limit |
    /// | [`WrongOwner`](ErrorKind::WrongOwner) | the name exists, and is another user's; or a key, and another user made it; or the endpoint's `uid` is another user |
    /// | [`WrongType`](ErrorKind::WrongType) | the name exists, and is not a shared memory object |
    /// | [`NotFound`](ErrorKind::NotFound) | `sysvshm://PATH`: there is no such file, or no `/dev/shm` |
    /// | [`InvalidOption`](ErrorKind::InvalidOption) | the size is zero |
    pub fn create(&self, endpoint: impl ToEndpoint) -> Result<Segment> {
        self.create_with(endpoint, |_| Ok(()))
    }

    /// Makes a segment and has `fill` write to it before anybody else can see it. If `fill` fails, there
    /// is no segment.
    ///
    /// System V has no way to make a segment unseen: whoever opens it early reads zeros. So `fill` should
    /// write a word last, with `Release`, that is not zero and says that the rest is there.
    pub fn create_with(
        &self,
        endpoint: impl ToEndpoint,
        fill: impl FnOnce(&Segment) -> Result<()>,
    ) -> Result<Segment> {
        let endpoint = endpoint.to_endpoint()?;
        endpoint.require(&[Scheme::Shm, Scheme::SysvShm], "create")?;
        let options = self.at(&endpoint);
        options.check_size("create").map_err(|error| error.at(endpoint.text()))?;
        let user = nix::unistd::geteuid().as_raw();
        if let Some(wanted) = endpoint.options().uid.filter(|wanted| *wanted != user) {
            let detail = format!("it would be of user {user}, and must be of user {wanted}");
            let error = Error::new(ErrorKind::WrongOwner, "create").at(endpoint.text());
            return Err(error.with_detail(detail));
        }
        match endpoint.scheme() {
            Scheme::SysvShm => sysv::create(endpoint, &options, fill),
            _ => posix::create(endpoint, &options, fill),
        }
    }

    /// Opens a segment, waiting at most as long as `wait` says for it to be made.
    ///
    /// Whose it is, what it is and who may write to it are looked up on the opened object, not on the
    /// name, so nobody can exchange it in between.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | [`NotFound`](ErrorKind::NotFound) | it is not there, and `wait` is [`Wait::Never`] |
    /// | [`TimedOut`](ErrorKind::TimedOut) | it has not come in time |
    /// | [`GeometryMismatch`](ErrorKind::GeometryMismatch) | it is smaller than asked |
    /// | [`WrongOwner`](ErrorKind::WrongOwner) | it is another user's, or (System V) another user made it |
    /// | [`PermissionDenied`](ErrorKind::PermissionDenied) | we may not read and write it, or more people may write to it than [`mode`](SegmentOptions::mode) says |
    /// | [`WrongType`](ErrorKind::WrongType) | it is not a shared memory object |
    pub fn open(&self, endpoint: impl ToEndpoint, wait: Wait) -> Result<Segment> {
        let endpoint = endpoint.to_endpoint()?;
        endpoint.require(&[Scheme::Shm, Scheme::SysvShm], "open")?;
        let options = self.at(&endpoint);
        match endpoint.scheme() {
            Scheme::SysvShm => sysv::open(endpoint, &options, wait),
            _ => posix::open(endpoint, &options, wait),
        }
    }

    /// Opens a segment, or makes it where there is none: `O_CREAT` of shm_open(3), `IPC_CREAT` of
    /// shmget(2). Errors as of both.
    pub fn open_or_create(&self, endpoint: impl ToEndpoint) -> Result<Segment> {
        let endpoint = endpoint.to_endpoint()?;
        // Others may make and remove it as often as they like; not more often than we care to look.
        for _ in 0..100 {
            match self.open(&endpoint, Wait::Never) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => return result,
            }
            match self.create(&endpoint) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                result => return result,
            }
        }
        let detail = "others make and remove it all the time";
        Err(Error::new(ErrorKind::Busy, "open_or_create").at(endpoint.text()).with_detail(detail))
    }

    /// Makes a segment without a name: memfd_create(2), sealed against shrinking and growing, so that
    /// nobody who has it can harm the others by changing its size.
    ///
    /// It is handed over by [descriptor](Segment::fd): to a child (as its standard input, say), or over a
    /// Unix socket. It goes when the last who has it goes.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) (no memory, no descriptors),
    /// [`InvalidOption`](ErrorKind::InvalidOption) (size zero).
    pub fn anonymous(&self) -> Result<Segment> {
        self.check_size("anonymous")?;
        memfd::create(self)
    }

    /// Maps a segment that was handed over, after a look at its seals: it can neither shrink nor grow, so
    /// a peer that is not trusted cannot kill this process by it. See "File sealing" in fcntl(2).
    ///
    /// Its owner is not looked at: it came from somebody, and who that is, is known to what it came by.
    ///
    /// # Errors
    ///
    /// [`WrongType`](ErrorKind::WrongType) if it is not such memory, or not sealed,
    /// [`GeometryMismatch`](ErrorKind::GeometryMismatch) if it is smaller than asked,
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) if it was sealed against writing.
    pub fn from_fd(&self, fd: impl Into<OwnedFd>) -> Result<Segment> {
        memfd::receive(fd.into(), self)
    }

    /// Maps memory for this process and the children it forks; see [`Segment::inherited`].
    pub fn inherited(&self) -> Result<Segment> {
        self.check_size("inherited")?;
        let map = Map::anonymous(self.size, self.populate)
            .map_err(|errno| Error::from_io(errno.into(), "inherited"))?;
        Ok(Segment { map: Arc::new(map), backing: Backing::Inherited, endpoint: None })
    }

    /// Makes a System V segment without a key (`IPC_PRIVATE`), to be found by its [`id`](Segment::id), as
    /// long as somebody is attached. It is marked for removal at once, so nothing is left behind whoever
    /// is killed; that Linux lets others attach all the same is an extension of Linux.
    pub fn private(&self) -> Result<Segment> {
        self.check_size("private")?;
        sysv::private(self)
    }

    /// Attaches the System V segment of this number, with the checks of [`open`](SegmentOptions::open).
    pub fn open_id(&self, id: i32) -> Result<Segment> {
        sysv::open_id(id, self)
    }

    /// The same with what the endpoint says.
    fn at(&self, endpoint: &Endpoint) -> SegmentOptions {
        let said = endpoint.options();
        SegmentOptions { mode: said.mode.or(self.mode), owner: said.uid.or(self.owner), ..self.clone() }
    }

    fn check_size(&self, operation: &'static str) -> Result<()> {
        if self.size == 0 {
            let detail = "a segment has at least one byte; zero is for opening";
            return Err(Error::new(ErrorKind::InvalidOption, operation).with_detail(detail));
        }
        Ok(())
    }

    pub(super) fn mode_or_default(&self) -> u32 {
        self.mode.unwrap_or(0o600)
    }

    /// Whether the room is to be reserved.
    pub(super) fn reserves(&self) -> bool {
        self.reserve.unwrap_or(self.size <= SegmentOptions::RESERVE_UP_TO)
    }

    /// What `open` asks of an object that it has opened: long enough, the right user's, and not open to
    /// more writers than expected.
    pub(super) fn accept(
        &self,
        size: u64,
        uid: u32,
        mode: u32,
        operation: &'static str,
    ) -> Result<usize> {
        let wanted = self.owner.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
        if uid != wanted {
            let detail = format!("it is of user {uid}, and must be of user {wanted}");
            return Err(Error::new(ErrorKind::WrongOwner, operation).with_detail(detail));
        }
        let expected = self.mode_or_default();
        if mode & 0o022 & !expected != 0 {
            let detail = format!(
                "others may write to it: its mode is {:04o}; if that is meant, ask for mode={:04o}",
                mode & 0o777,
                expected | mode & 0o022
            );
            return Err(Error::new(ErrorKind::PermissionDenied, operation).with_detail(detail));
        }
        self.accept_size(size, operation)
    }

    /// How many bytes to map of an object that has `size`.
    pub(super) fn accept_size(&self, size: u64, operation: &'static str) -> Result<usize> {
        match usize::try_from(size) {
            Ok(size) if size >= self.size.max(1) => Ok(size),
            _ => {
                let wanted = self.size.max(1);
                let detail = format!("it has {size} bytes; at least {wanted} are needed");
                Err(Error::new(ErrorKind::GeometryMismatch, operation).with_detail(detail))
            }
        }
    }
}

pub(super) fn remove(endpoint: &Endpoint) -> Result<()> {
    endpoint.require(&[Scheme::Shm, Scheme::SysvShm], "remove")?;
    match endpoint.scheme() {
        Scheme::SysvShm => sysv::remove(endpoint),
        _ => posix::remove(endpoint),
    }
}

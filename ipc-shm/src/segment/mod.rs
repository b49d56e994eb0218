//! Segments: memory that several processes have mapped, found by name, by key, or handed over.
//!
//! | kind | file | found by | when its maker dies |
//! |---|---|---|---|
//! | POSIX | `posix` | `shm://NAME` | the name stays, is known to be stale, and is taken over or cleaned up |
//! | memfd | `memfd` | a descriptor, handed over | it is gone with its last user |
//! | inherited | [`Segment::inherited`] | being forked | it is gone with its last user |
//! | System V | `sysv` | `sysvshm://PATH?id=a`, `sysvshm://0xKEY`, an id | the key stays |
//!
//! `options` makes all of them; this file is what can be done with one.

#[allow(unsafe_code)]
mod in_place;
mod memfd;
mod options;
mod posix;
mod sysv;

pub use options::SegmentOptions;
pub(crate) use posix::{DIRECTORY, is_ours, leads_to};

use crate::locks::{self, Slot};
use crate::map::Map;
use ipc_core::{Endpoint, Error, ErrorKind, Result, ToEndpoint, Wait};
use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Memory shared between processes.
///
/// All of it is the user's: there is no header, so C programs can use the same bytes. Fresh memory is
/// zero. The mapping lasts as long as the segment; who made a name removes it when dropped.
///
/// ```
/// use ipc_shm::Segment;
///
/// let name = format!("shm://ipc-doc-segment-{}", std::process::id());
/// let ours = Segment::create(&name, 4096)?;
/// ours.write_at(100, b"hello")?;
///
/// let theirs = Segment::open(&name)?; // most often in another process
/// let mut hello = [0; 5];
/// theirs.read_at(100, &mut hello)?;
/// assert_eq!(&hello, b"hello");
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// # Reading and writing
///
/// The other processes may write at any time, so no safe method lends a slice.
/// [`read_at`](Segment::read_at) and [`write_at`](Segment::write_at) copy; bytes that somebody changes
/// meanwhile arrive as any mixture of old and new. [`atomic_u64`](Segment::atomic_u64) is for words that
/// are changed and watched. All that is copied before a store with `Release` is seen by who reads
/// the stored value with `Acquire`.
///
/// # The object shrinks
///
/// Whoever may write to a *named* POSIX segment can also shrink it with ftruncate(2); who then touches the
/// missing pages is killed by `SIGBUS`. Linux cannot prevent it for objects with a name, so name segments
/// for peers that are trusted that far (mode 0600, the default, means: the same user). Memory from
/// [`Segment::anonymous`] is sealed against it, and System V segments cannot change their size.
///
/// # After a fork
///
/// The child has the memory too, and may use it. Only the process that made a name removes it.
#[derive(Debug)]
pub struct Segment {
    /// Dropped before the memory: as long as that is attached, a System V number means this segment.
    backing: Backing,
    map: Arc<Map>,
    endpoint: Option<Endpoint>,
}

/// What the memory comes from, and what dropping it does.
#[derive(Debug)]
enum Backing {
    Posix(posix::Object),
    Memfd(OwnedFd),
    SysV(sysv::Object),
    Inherited,
}

impl Segment {
    /// Makes a segment of `size` bytes, which nobody else may have made: `shm://` or `sysvshm://`.
    ///
    /// With other wishes than a size: [`SegmentOptions::create`], where the errors are listed too.
    pub fn create(endpoint: impl ToEndpoint, size: usize) -> Result<Segment> {
        SegmentOptions::new(size).create(endpoint)
    }

    /// Opens the whole of a segment that exists; see [`SegmentOptions::open`].
    pub fn open(endpoint: impl ToEndpoint) -> Result<Segment> {
        SegmentOptions::default().open(endpoint, Wait::Never)
    }

    /// Opens a segment, waiting for it to be made; see [`SegmentOptions::open`].
    pub fn open_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Segment> {
        SegmentOptions::default().open(endpoint, wait)
    }

    /// Makes a segment of `size` bytes without a name, to be handed over by descriptor; see
    /// [`SegmentOptions::anonymous`].
    pub fn anonymous(size: usize) -> Result<Segment> {
        SegmentOptions::new(size).anonymous()
    }

    /// Maps a segment that was handed over; see [`SegmentOptions::from_fd`].
    pub fn from_fd(fd: impl Into<OwnedFd>) -> Result<Segment> {
        SegmentOptions::default().from_fd(fd)
    }

    /// Maps `size` bytes that are shared with the children that this process forks from now on, and with
    /// nobody else: `MAP_SHARED | MAP_ANONYMOUS` of mmap(2). Such a segment has no name and no descriptor.
    pub fn inherited(size: usize) -> Result<Segment> {
        SegmentOptions::new(size).inherited()
    }

    /// Removes a name, whoever made it and whoever uses it, as shm_unlink(3) and `IPC_RMID` of shmctl(2)
    /// do. Those who have the segment open keep it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`PermissionDenied`](ErrorKind::PermissionDenied), and those of
    /// the endpoint.
    pub fn remove(endpoint: impl ToEndpoint) -> Result<()> {
        options::remove(&endpoint.to_endpoint()?)
    }

    /// How many bytes it has.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// The endpoint, if the segment has a name or a key.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Copies `buffer.len()` bytes out, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if they are not all inside; then nothing is copied.
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let len = buffer.len();
        if self.map.read_at(offset, buffer) { Ok(()) } else { Err(self.outside("read_at", offset, len)) }
    }

    /// Copies `bytes` in, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if they do not all fit; then nothing is written.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let len = bytes.len();
        if self.map.write_at(offset, bytes) {
            Ok(())
        } else {
            Err(self.outside("write_at", offset, len))
        }
    }

    /// The eight bytes at `offset`, as a word to be changed and watched. `None` if they are outside, or `offset` is
    /// not a multiple of eight.
    ///
    /// ```
    /// use ipc_shm::Segment;
    /// use std::sync::atomic::Ordering::Relaxed;
    ///
    /// let segment = Segment::anonymous(64)?;
    /// let count = segment.atomic_u64(56).expect("inside and aligned");
    /// assert_eq!(count.fetch_add(1, Relaxed), 0);
    /// assert!(segment.atomic_u64(57).is_none() && segment.atomic_u64(64).is_none());
    /// # Ok::<(), ipc_shm::Error>(())
    /// ```
    ///
    /// Shorter ones are [`atomic_u32`](Segment::atomic_u32) and [`atomic_u8`](Segment::atomic_u8), which are `unsafe`:
    /// they could overlap with longer ones.
    pub fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        self.map.atomic_u64(offset)
    }

    /// The first byte: page-aligned, and valid for reads and writes of [`len`](Segment::len) bytes as long
    /// as this segment lives.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.map.as_ptr()
    }

    /// Whether the process that made the name still lives (or a child that it forked, and that has the
    /// segment too). It is asked of the kernel, which frees the owner's lock however the owner dies.
    ///
    /// `None` where nobody owns it: it was handed over or inherited; it was made by a C program or kept
    /// by [`keep_name`](Segment::keep_name), which leave no lock; it is a System V segment, which has none.
    pub fn owner_is_alive(&self) -> Option<bool> {
        match &self.backing {
            Backing::Posix(object) => object.owner_is_alive(),
            _ => None,
        }
    }

    /// Whether anybody else has it open who holds the lock of those who have, as this crate does: `None`
    /// where there are no such locks, or they cannot be asked.
    pub(crate) fn is_held_by_others(&self) -> Option<bool> {
        match &self.backing {
            Backing::Posix(object) => locks::is_locked(object.fd(), Slot::HOLDER).ok(),
            _ => None,
        }
    }

    /// Whether the name still leads to this segment: nobody has removed it, or put another in its place.
    /// False if there is no name.
    pub fn is_current(&self) -> bool {
        match &self.backing {
            Backing::Posix(object) => object.is_current(),
            Backing::SysV(object) => object.is_current(),
            Backing::Memfd(_) | Backing::Inherited => false,
        }
    }

    /// Lets the name stay when this segment is dropped, as it does with C programs. From now on it is
    /// nobody's: it is not taken over when stale, nor cleaned up; [`Segment::remove`] removes it.
    pub fn keep_name(&mut self) -> Result<()> {
        let kept = match &mut self.backing {
            Backing::Posix(object) => object.keep_name(),
            Backing::SysV(object) => {
                object.keep_name();
                Ok(())
            }
            Backing::Memfd(_) | Backing::Inherited => Ok(()),
        };
        kept.map_err(|errno| self.failed(errno, "keep_name"))
    }

    /// Removes the name now, so that nobody else comes; those who have the segment open keep it. Does
    /// nothing if this is not the owner, or the name leads elsewhere.
    pub fn remove_name(&mut self) -> Result<()> {
        let removed = match &mut self.backing {
            Backing::Posix(object) => object.remove_name(),
            Backing::SysV(object) => object.remove_name(),
            Backing::Memfd(_) | Backing::Inherited => Ok(()),
        };
        removed.map_err(|errno| self.failed(errno, "remove_name"))
    }

    /// The number of a System V segment, for shmat(2) and [`SegmentOptions::open_id`].
    pub fn id(&self) -> Option<i32> {
        match &self.backing {
            Backing::SysV(object) => Some(object.id()),
            _ => None,
        }
    }

    /// The descriptor, to be handed to another process. `None` for System V and inherited segments.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.backing {
            Backing::Posix(object) => Some(object.fd()),
            Backing::Memfd(fd) => Some(fd.as_fd()),
            Backing::SysV(_) | Backing::Inherited => None,
        }
    }

    /// The mapping, for who lives longer than this handle.
    #[allow(dead_code)] // the ring and the mutex use it
    pub(crate) fn map(&self) -> &Arc<Map> {
        &self.map
    }

    fn failed(&self, errno: Errno, operation: &'static str) -> Error {
        at(Error::from_io(errno.into(), operation), self.endpoint.as_ref())
    }

    fn outside(&self, operation: &'static str, offset: usize, len: usize) -> Error {
        let remedy = format!("{len} bytes from {offset} on are not all inside");
        let error = Error::new(ErrorKind::LimitExceeded, operation);
        let error = error.with_limit("the segment's size", self.len() as u64, remedy);
        at(error, self.endpoint.as_ref())
    }
}

/// Names the endpoint, if there is one.
fn at(error: Error, endpoint: Option<&Endpoint>) -> Error {
    match endpoint {
        Some(endpoint) => error.at(endpoint.text()),
        None => error,
    }
}

/// An error of the system at an endpoint.
fn failed(errno: Errno, operation: &'static str, endpoint: &Endpoint) -> Error {
    Error::from_io(errno.into(), operation).at(endpoint.text())
}

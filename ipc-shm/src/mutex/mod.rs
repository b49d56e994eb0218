//! A mutex and a condition variable between processes, for data of the user's own.
//!
//! | file | what |
//! |---|---|
//! | this | [`SharedMutex`]: making, opening, locking |
//! | `guard` | what locking gives: the data, and what is to be done if its last holder died |
//! | `condvar` | [`SharedCondvar`] |
//! | `safe` | [`ShmSafe`]: which types may be shared |
//! | `sys` | the layout, and the C library's mutex |
//!
//! What is unsafe in this file is to make or open a mutex in a segment; `sys` does it, by the same contract.

mod condvar;
mod guard;
mod safe;
#[allow(unsafe_code)]
mod sys;

pub use condvar::{SharedCondvar, Woken};
pub use guard::{LockError, Recovery, SharedMutexGuard};
pub use safe::ShmSafe;

use crate::segment::Segment;
use ipc_core::{Error, ErrorKind, Result, Wait};
use nix::errno::Errno;
use std::fmt;
use sys::{Layout, NoRoom, Place};

/// A lock that several processes share, and the data that it guards.
///
/// It is the C library's mutex, process-shared and robust: when its holder dies, the next one to lock is
/// told, gets the data all the same, and decides. See pthread_mutexattr_setrobust(3).
///
/// ```
/// use ipc_shm::SharedMutex;
///
/// let counter = SharedMutex::inherited(0_u64)?; // children that are forked from now on share it
/// *counter.lock()? += 1;
/// assert_eq!(*counter.lock()?, 1);
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// # For peers that trust each other
///
/// Whoever can write to the memory can write over the lock: over the data while somebody has borrowed it, and
/// over the list of held locks that runs through the C library's mutexes, so that another's unlocking writes
/// where the attacker wishes. No check of ours could prevent that. So, [`inherited`](SharedMutex::inherited)
/// aside, which only our own children have, making and opening one is `unsafe`. Between processes that do
/// not trust each other, use messages.
///
/// # The holder dies
///
/// Killed, or out by exit(3): the next to lock gets [`LockError::OwnerDied`], those that wait already too,
/// one of them. It has the data, of any values (that is what [`ShmSafe`] is for), and says
/// [`repaired`](Recovery::repaired), or drops it: then the mutex is poisoned for good, and every later
/// lock is [`Poisoned`](ErrorKind::Poisoned), in all processes. A panic while it is locked counts as death.
///
/// # What a thread must not do
///
/// * Lock twice: it waits for itself, for ever.
/// * End while it holds the lock, its guard leaked or put into thread-local data: that ends the process, as
///   the data may be still in use.
/// * Take a guard along through a fork. The lock stays the parent's; dropping the child's copy of the guard
///   does nothing, but the data must not be touched through it.
///
/// The memory stays mapped as long as a `SharedMutex` lives, and if a guard was leaked, for ever: there is
/// no way to unmap a mutex that is locked.
///
/// ```compile_fail,E0505
/// # use ipc_shm::SharedMutex;
/// let mutex = SharedMutex::inherited(0_u32)?;
/// let guard = mutex.lock()?;
/// drop(mutex); // while it is locked: error[E0505]
/// drop(guard);
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// ```compile_fail,E0277
/// # use ipc_shm::SharedMutex;
/// let text = SharedMutex::inherited(String::new()); // its bytes are elsewhere: error[E0277]
/// ```
pub struct SharedMutex<T> {
    place: Place<T>,
}

impl<T: ShmSafe> SharedMutex<T> {
    /// How many bytes of a segment it takes, with its data.
    pub const SIZE: usize = size_of::<sys::Room<T>>();

    /// What its offset in a segment must be a multiple of.
    pub const ALIGN: usize = align_of::<sys::Room<T>>();

    /// Makes a mutex in memory of its own, for this process and the children it forks from now on.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::inherited`].
    pub fn inherited(value: T) -> Result<SharedMutex<T>> {
        let segment = Segment::inherited(SharedMutex::<T>::SIZE)?;
        // SAFETY: fresh memory, which nobody but the mutex has.
        #[allow(unsafe_code)]
        unsafe {
            SharedMutex::init(&segment, 0, value)
        }
    }

    /// Makes a mutex in a segment, from `offset` on. Do it before others can see the segment:
    ///
    /// ```
    /// use ipc_shm::{Segment, SegmentOptions, SharedMutex};
    ///
    /// type Counter = SharedMutex<u64>;
    ///
    /// let name = format!("shm://ipc-doc-mutex-{}", std::process::id());
    /// let ours = SegmentOptions::new(Counter::SIZE).create_with(&name, |segment| {
    ///     // SAFETY: the name is new, and all our programs use it as a `Counter`.
    ///     unsafe { Counter::init(segment, 0, 0) }.map(drop)
    /// })?;
    ///
    /// let segment = Segment::open(&name)?; // most often in another process
    /// // SAFETY: as above.
    /// let counter = unsafe { Counter::open(&segment, 0) }?;
    /// *counter.lock()? += 1;
    /// # Ok::<(), ipc_shm::Error>(())
    /// ```
    ///
    /// Memory from [`Segment::anonymous`], [`Segment::inherited`] and System V will do as well. A System V
    /// segment can be seen before it is filled; who opens the mutex too early is told that there is none.
    ///
    /// # Errors
    ///
    /// [`MessageTooLarge`](ErrorKind::MessageTooLarge) if the [`SIZE`](SharedMutex::SIZE) bytes are not all
    /// inside, or the offset is not a multiple of [`ALIGN`](SharedMutex::ALIGN).
    ///
    /// # Safety
    ///
    /// Nobody uses these bytes yet. As long as any process has them, they are used as a `SharedMutex<T>`
    /// only, by peers that are trusted, and a named segment is not shrunk.
    #[allow(unsafe_code)]
    pub unsafe fn init(segment: &Segment, offset: usize, value: T) -> Result<SharedMutex<T>> {
        // SAFETY: the same contract.
        match unsafe { Place::init(segment.map(), offset, value) } {
            Ok(Some(place)) => Ok(SharedMutex { place }),
            Ok(None) => Err(outside::<T>(segment, offset, "init")),
            Err(errno) => Err(at(segment, Error::from_io(errno.into(), "init"))),
        }
    }

    /// Opens a mutex that somebody has made in the segment at `offset`.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | [`NotFound`](ErrorKind::NotFound) | there is none, or none yet |
    /// | [`GeometryMismatch`](ErrorKind::GeometryMismatch) | it guards another type: one of another size, alignment or [`TAG`](ShmSafe::TAG); or a program of another version, or another C library, made it |
    /// | [`MessageTooLarge`](ErrorKind::MessageTooLarge) | it would not be inside the segment, or not aligned |
    ///
    /// # Safety
    ///
    /// The bytes there are used as a `SharedMutex` only, by peers that are trusted, and a named segment is
    /// not shrunk. What is checked guards against mistakes, not against malice.
    #[allow(unsafe_code)]
    pub unsafe fn open(segment: &Segment, offset: usize) -> Result<SharedMutex<T>> {
        // SAFETY: the same contract.
        match unsafe { Place::open(segment.map(), offset) } {
            Ok(place) => Ok(SharedMutex { place }),
            Err(NoRoom::Outside) => Err(outside::<T>(segment, offset, "open")),
            Err(NoRoom::Empty) => {
                let detail = format!("no mutex was made at offset {offset}, or it is not ready yet");
                Err(at(segment, Error::new(ErrorKind::NotFound, "open").with_detail(detail)))
            }
            Err(NoRoom::Other(found)) => {
                let detail = format!("there is {found:?}, and should be {:?}", Layout::of::<T>());
                Err(at(segment, Error::new(ErrorKind::GeometryMismatch, "open").with_detail(detail)))
            }
        }
    }

    /// Locks, waiting as long as it takes; see pthread_mutex_lock(3).
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], with the data, or [`LockError::Failed`] with the kind
    /// [`Poisoned`](ErrorKind::Poisoned). `?` in a function that returns our [`Error`] makes both
    /// `Poisoned`, and leaves the mutex so.
    pub fn lock(&self) -> Result<SharedMutexGuard<'_, T>, LockError<'_, T>> {
        lock(&self.place, Wait::Forever, "lock")
    }

    /// Locks if nobody holds it; else fails with [`WouldBlock`](ErrorKind::WouldBlock). Other errors as of
    /// [`lock`](SharedMutex::lock).
    pub fn try_lock(&self) -> Result<SharedMutexGuard<'_, T>, LockError<'_, T>> {
        lock(&self.place, Wait::Never, "try_lock")
    }

    /// Locks, waiting as `wait` says, on the monotonic clock; fails with
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) if it was not to wait.
    /// Other errors as of [`lock`](SharedMutex::lock).
    pub fn lock_within(&self, wait: Wait) -> Result<SharedMutexGuard<'_, T>, LockError<'_, T>> {
        lock(&self.place, wait, "lock_within")
    }
}

fn lock<'a, T: ShmSafe>(
    place: &'a Place<T>,
    wait: Wait,
    operation: &'static str,
) -> Result<SharedMutexGuard<'a, T>, LockError<'a, T>> {
    match place.lock(wait) {
        Ok((held, state)) => SharedMutexGuard::new(held, state, operation),
        Err(errno) => {
            let kind = match errno {
                Errno::EBUSY => ErrorKind::WouldBlock,
                Errno::ETIMEDOUT => ErrorKind::TimedOut,
                Errno::ENOTRECOVERABLE => ErrorKind::Poisoned,
                _ => return Err(LockError::Failed(Error::from_io(errno.into(), operation))),
            };
            Err(LockError::Failed(Error::new(kind, operation)))
        }
    }
}

impl<T> fmt::Debug for SharedMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMutex").finish_non_exhaustive()
    }
}

fn outside<T: ShmSafe>(segment: &Segment, offset: usize, operation: &'static str) -> Error {
    let (size, align) = (SharedMutex::<T>::SIZE, SharedMutex::<T>::ALIGN);
    let length = segment.len();
    let detail = format!(
        "{size} bytes at offset {offset}, which must be a multiple of {align}, in a segment of {length}"
    );
    at(segment, Error::new(ErrorKind::MessageTooLarge, operation).with_detail(detail))
}

/// Names the segment's endpoint, if it has one.
fn at(segment: &Segment, error: Error) -> Error {
    match segment.endpoint() {
        Some(endpoint) => error.at(endpoint.text()),
        None => error,
    }
}

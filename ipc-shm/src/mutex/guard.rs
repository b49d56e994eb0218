//! What locking gives: the data; or the data of a holder that died, to be repaired.

use super::ShmSafe;
use super::sys::{Held, Place, State};
use ipc_core::{Error, ErrorKind};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::thread;

/// The data of a [`SharedMutex`](super::SharedMutex), locked until this is dropped.
///
/// It stays in its thread: whose the lock is, is for the system a matter of threads.
///
/// ```compile_fail,E0277
/// # use ipc_shm::SharedMutex;
/// let mutex = SharedMutex::inherited(0_u32)?;
/// let guard = mutex.lock()?;
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(guard)); // in another thread: error[E0277]
/// });
/// # Ok::<(), ipc_shm::Error>(())
/// ```
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct SharedMutexGuard<'a, T: ShmSafe> {
    held: Held<'a, T>,
    /// The thread was panicking when it locked: that panic is not one inside the lock.
    panicking: bool,
    /// The holder before died, and the data is not repaired yet.
    repair: bool,
}

impl<'a, T: ShmSafe> SharedMutexGuard<'a, T> {
    pub(super) fn new(
        held: Held<'a, T>,
        state: State,
        operation: &'static str,
    ) -> Result<Self, LockError<'a, T>> {
        let guard = |repair| SharedMutexGuard { held, panicking: thread::panicking(), repair };
        match state {
            State::Clean => Ok(guard(false)),
            State::Dirty => Err(LockError::OwnerDied(Recovery { guard: guard(true) })),
            State::Poisoned => Err(LockError::Failed(Error::new(ErrorKind::Poisoned, operation))),
        }
    }

    pub(super) fn place(&self) -> &'a Place<T> {
        self.held.place()
    }
}

impl<T: ShmSafe> Deref for SharedMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T: ShmSafe> DerefMut for SharedMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

impl<T: ShmSafe> Drop for SharedMutexGuard<'_, T> {
    fn drop(&mut self) {
        // It is unlocked after this, when its field is dropped.
        if self.repair {
            self.held.set_state(State::Poisoned);
        } else if !self.panicking && thread::panicking() {
            self.held.set_state(State::Dirty);
        }
    }
}

impl<T: ShmSafe + fmt::Debug> fmt::Debug for SharedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// The data of a mutex whose holder died, locked: half-changed, perhaps.
///
/// Put it right and say [`repaired`](Recovery::repaired). Dropped without, it poisons the mutex for good.
#[must_use = "dropped without `repaired`, it poisons the mutex for good"]
pub struct Recovery<'a, T: ShmSafe> {
    /// With `repair` still set.
    guard: SharedMutexGuard<'a, T>,
}

impl<'a, T: ShmSafe> Recovery<'a, T> {
    /// Says that the data is right now; the lock goes on as any other.
    pub fn repaired(self) -> SharedMutexGuard<'a, T> {
        let mut guard = self.guard;
        guard.held.set_state(State::Clean);
        guard.repair = false;
        guard
    }
}

impl<T: ShmSafe> Deref for Recovery<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: ShmSafe> DerefMut for Recovery<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: ShmSafe + fmt::Debug> fmt::Debug for Recovery<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recovery").field(&self.guard).finish()
    }
}

/// Why there is no normal lock.
///
/// ```
/// use ipc_shm::{LockError, SharedMutex};
///
/// let mutex = SharedMutex::inherited([0_u32; 2])?;
/// let pair = match mutex.lock() {
///     Ok(pair) => pair,
///     Err(LockError::OwnerDied(mut pair)) => {
///         pair[1] = pair[0]; // killed in between
///         pair.repaired()
///     }
///     Err(LockError::Failed(error)) => return Err(error),
/// };
/// assert_eq!(pair[0], pair[1]);
/// # Ok::<(), ipc_shm::Error>(())
/// ```
pub enum LockError<'a, T: ShmSafe> {
    /// The last holder died, or panicked, while it held the lock. This process has it now.
    OwnerDied(Recovery<'a, T>),
    /// Not locked: [`Poisoned`](ErrorKind::Poisoned), [`TimedOut`](ErrorKind::TimedOut),
    /// [`WouldBlock`](ErrorKind::WouldBlock), or an error of the system.
    Failed(Error),
}

impl<'a, T: ShmSafe> LockError<'a, T> {
    /// The kind of the error; that the holder died is [`Poisoned`](ErrorKind::Poisoned).
    pub fn kind(&self) -> ErrorKind {
        match self {
            LockError::OwnerDied(_) => ErrorKind::Poisoned,
            LockError::Failed(error) => error.kind(),
        }
    }

    /// If the holder died, puts the data right with `repair`, and goes on:
    ///
    /// ```
    /// # let mutex = ipc_shm::SharedMutex::inherited(0_u32)?;
    /// let data = mutex.lock().or_else(|error| error.repair(|data| *data = 0))?;
    /// # drop(data);
    /// # Ok::<(), ipc_shm::Error>(())
    /// ```
    pub fn repair(self, repair: impl FnOnce(&mut T)) -> Result<SharedMutexGuard<'a, T>, Error> {
        match self {
            LockError::OwnerDied(mut recovery) => {
                repair(&mut recovery);
                Ok(recovery.repaired())
            }
            LockError::Failed(error) => Err(error),
        }
    }
}

/// Drops the data of a holder that died: the mutex is poisoned for good.
impl<T: ShmSafe> From<LockError<'_, T>> for Error {
    fn from(error: LockError<'_, T>) -> Error {
        match error {
            LockError::OwnerDied(_) => Error::new(ErrorKind::Poisoned, "lock"),
            LockError::Failed(error) => error,
        }
    }
}

impl<T: ShmSafe> fmt::Display for LockError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("the lock's holder died: repair the data"),
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<T: ShmSafe> fmt::Debug for LockError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("OwnerDied"),
            LockError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<T: ShmSafe> std::error::Error for LockError<'_, T> {}

//! A condition variable between processes: a word that counts notifications, and futex(2), which compares its
//! lower half.
//!
//! It is not the C library's. That one is not made for death: its waiters leave marks in it, and one that
//! was killed in there can hold up everybody who notifies later, for ever. A count has no marks to leave:
//!
//! * who waits reads the count while it has the mutex, unlocks, and sleeps as long as the count is the same;
//! * who notifies adds one and wakes.
//!
//! A notification between reading and sleeping changes the count, so it is not lost. One whose sender was
//! killed between adding and waking is found by the waiter itself, which looks again each [`RECHECK`].

use super::guard::{LockError, SharedMutexGuard};
use super::{ShmSafe, lock};
use crate::futex;
use crate::map::Map;
use crate::segment::Segment;
use ipc_core::{Error, ErrorKind, Result, Wait};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long a waiter sleeps before it looks after the lock.
const RECHECK: Duration = Duration::from_millis(100);

/// Waiting for data under a [`SharedMutex`](super::SharedMutex) to become as wished, between processes.
///
/// ```
/// use ipc_shm::{SharedCondvar, SharedMutex};
///
/// let ready = SharedMutex::inherited(0_u32)?; // before a fork; in a segment: `init` and `open`
/// let changed = SharedCondvar::inherited()?;
/// # std::thread::scope(|scope| {
/// # scope.spawn(|| -> ipc_shm::Result<()> {
///
/// // One process:
/// *ready.lock()? = 1;
/// changed.notify_one();
/// # Ok(())
/// # });
///
/// // Another:
/// let mut guard = ready.lock()?;
/// while *guard == 0 {
///     guard = changed.wait(guard)?;
/// }
/// # Ok::<(), ipc_shm::Error>(()) })?;
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// As always with condition variables, a waiter may wake without reason: ask again, in a loop. Change the
/// data with the mutex locked; notify with or without.
///
/// # Somebody dies
///
/// * The holder of the mutex, whether or not it would have notified: within some 100 milliseconds one of
///   the waiters gets [`LockError::OwnerDied`]. If it does not repair, the others get
///   [`Poisoned`](ErrorKind::Poisoned) within the same time.
/// * Who notifies, in the middle of it: the waiter wakes within some 100 milliseconds.
/// * A waiter: nobody minds. But a [`notify_one`](SharedCondvar::notify_one) that woke just this one is
///   lost; where waiters may be killed, use [`notify_all`](SharedCondvar::notify_all).
#[derive(Debug)]
pub struct SharedCondvar {
    map: Arc<Map>,
    offset: usize,
}

/// Why a wait with a time limit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody notified, or it woke without reason.
    Notified,
    /// The time ran out.
    TimedOut,
}

impl SharedCondvar {
    /// How many bytes of a segment it takes.
    pub const SIZE: usize = 8;

    /// Makes one in memory of its own, for this process and the children it forks from now on.
    pub fn inherited() -> Result<SharedCondvar> {
        SharedCondvar::open(&Segment::inherited(SharedCondvar::SIZE)?, 0)
    }

    /// Uses the eight bytes at `offset`, which everybody uses so: there is nothing to initialise, any
    /// value will do to begin with.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if they are not inside, or the offset is not a
    /// multiple of eight.
    pub fn open(segment: &Segment, offset: usize) -> Result<SharedCondvar> {
        if segment.atomic_u64(offset).is_none() {
            let remedy =
                format!("8 bytes at {offset}, which must be a multiple of 8, are not all inside");
            let error = Error::new(ErrorKind::LimitExceeded, "open");
            let error = error.with_limit("the segment's size", segment.len() as u64, remedy);
            return Err(super::at(segment, error));
        }
        Ok(SharedCondvar { map: Arc::clone(segment.map()), offset })
    }

    /// Unlocks, waits to be notified, and locks again.
    ///
    /// # Errors
    ///
    /// Those of [`SharedMutex::lock`](super::SharedMutex::lock); [above](#somebody-dies) is said when.
    pub fn wait<'a, T: ShmSafe>(
        &self,
        guard: SharedMutexGuard<'a, T>,
    ) -> Result<SharedMutexGuard<'a, T>, LockError<'a, T>> {
        self.wait_within(guard, Wait::Forever).map(|(guard, _)| guard)
    }

    /// The same, waiting as `wait` says, on the monotonic clock. Locking again takes as long as it takes,
    /// also when the time is over; that is what pthread_cond_timedwait(3) does.
    ///
    /// # Errors
    ///
    /// As of [`wait`](SharedCondvar::wait). That the time ran out is none.
    pub fn wait_within<'a, T: ShmSafe>(
        &self,
        guard: SharedMutexGuard<'a, T>,
        wait: Wait,
    ) -> Result<(SharedMutexGuard<'a, T>, Woken), LockError<'a, T>> {
        const OPERATION: &str = "wait";
        let place = guard.place();
        let Some(count) = self.count() else { return Ok((guard, Woken::Notified)) };
        let seen = count.load(Relaxed);
        drop(guard);
        loop {
            let left = wait.remaining();
            if left == Some(Duration::ZERO) {
                let guard = lock(place, Wait::Forever, OPERATION)?;
                let notified = count.load(Relaxed) != seen;
                return Ok((guard, if notified { Woken::Notified } else { Woken::TimedOut }));
            }
            futex::wait(count, seen as u32, left.map_or(RECHECK, |left| left.min(RECHECK)));
            if count.load(Relaxed) != seen {
                return Ok((lock(place, Wait::Forever, OPERATION)?, Woken::Notified));
            }
            // Nobody has notified. Perhaps nobody ever will, since who would have is dead.
            match lock(place, Wait::Never, OPERATION) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Wakes one of those who wait, in whichever process, if anybody does.
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.notify(i32::MAX);
    }

    fn notify(&self, most: i32) {
        let Some(count) = self.count() else { return };
        count.fetch_add(1, Relaxed);
        futex::wake(count, most);
    }

    /// The word, which is there: `open` has looked.
    fn count(&self) -> Option<&AtomicU64> {
        self.map.atomic_u64(self.offset)
    }
}

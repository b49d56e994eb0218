//! Where a mutex and what it guards lie, and the calls of the C library on them. All that is unsafe about
//! locking is here.
//!
//! ```text
//!   Room<T>: | magic | version, sizes, tag | state | pthread_mutex_t | the value |
//! ```
//!
//! The lock is a POSIX mutex: process-shared, robust, of the normal kind. (The recursive and error-checking
//! kinds look at thread ids, and two pid namespaces have the same ones.) When a thread dies with it, the
//! kernel says so in the lock's word, and the next one to lock gets `EOWNERDEAD`. That is written down in
//! `state` before the mutex is called consistent again, so that it is known even if this process dies next:
//!
//! ```text
//!   CLEAN --holder died, or panicked--> DIRTY --repaired--> CLEAN
//!                                       DIRTY --not repaired--> POISONED, for good
//! ```
//!
//! # Why it is sound
//!
//! The value is reached through a [`Held`] only, of which there is one at a time in all processes: the lock
//! sees to that, and who made or opened the room has promised that nobody touches the bytes in another way.
//! A `Held` can be leaked (`mem::forget`), and then never unlocks. Two things could go wrong then, and are
//! seen to:
//!
//! * The room must stay mapped, since the thread's list of robust locks leads through it: dropping a
//!   [`Place`] whose lock is held leaks the mapping too.
//! * When the thread ends, the lock goes to the next, though somebody in this process may still have the
//!   leaked reference: a thread that ends with a lock ends the process.

use super::ShmSafe;
use crate::map::Map;
use ipc_core::Wait;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::Duration;

/// A mutex and its value, in the segment.
#[repr(C)]
pub(super) struct Room<T> {
    /// Written last: the rest is there.
    magic: AtomicU64,
    layout: Layout,
    state: AtomicU32,
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    value: UnsafeCell<T>,
}

const MAGIC: u64 = u64::from_ne_bytes(*b"ipcmutex");

/// What both sides must agree on.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    version: u32,
    /// Of the C library's mutex.
    mutex_size: u32,
    pub(super) size: u64,
    pub(super) align: u64,
    pub(super) tag: u64,
}

impl Layout {
    pub(super) const fn of<T: ShmSafe>() -> Layout {
        Layout {
            version: 1,
            mutex_size: size_of::<libc::pthread_mutex_t>() as u32,
            size: size_of::<T>() as u64,
            align: align_of::<T>() as u64,
            tag: T::TAG,
        }
    }
}

/// What the value is like, as far as the lock knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Clean,
    Dirty,
    Poisoned,
}

// The values of `State`.
const CLEAN: u32 = State::Clean as u32;
const DIRTY: u32 = State::Dirty as u32;

/// The longest wait that has a deadline; longer ones could be more than a sum of times can hold.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A room that this process has mapped.
#[derive(Debug)]
pub(super) struct Place<T> {
    map: Arc<Map>,
    /// Inside `map`, and aligned; its mutex is initialised.
    room: NonNull<Room<T>>,
    /// Whether a thread of this process holds the lock through this place.
    held: AtomicBool,
}

/// Why a room cannot be opened.
pub(super) enum NoRoom {
    /// It is not inside the segment, or not aligned.
    Outside,
    /// There is no mutex, or none yet.
    Empty,
    /// There is one, but not of this layout.
    Other(Layout),
}

// SAFETY: it is a pointer to shared memory that `map` keeps mapped; the value is lent to one thread at a
// time, which asks for `T: Send`.
unsafe impl<T: Send> Send for Place<T> {}
// SAFETY: as above; everything else in a room is atomic, or the C library's, which is meant for threads.
unsafe impl<T: Send> Sync for Place<T> {}

impl<T: ShmSafe> Place<T> {
    /// Makes a mutex. `Ok(None)` if it does not fit there.
    ///
    /// # Safety
    ///
    /// Nobody uses the bytes now, and from now on all that use them do so by a place of the same type, or
    /// as that does.
    pub(super) unsafe fn init(
        map: &Arc<Map>,
        offset: usize,
        value: T,
    ) -> Result<Option<Place<T>>, Errno> {
        const { assert!(!mem::needs_drop::<T>(), "a ShmSafe type has nothing to drop") };
        let Some(room) = map.place::<Room<T>>(offset) else { return Ok(None) };
        let magic = room.as_ptr().cast::<AtomicU64>();
        // SAFETY: the magic is the first field, so inside; any bits are a valid atomic.
        unsafe { &*magic }.store(0, Relaxed);
        // The rest, but not the magic again: who opens it too early may be looking at that.
        // SAFETY: inside the mapping; a place only, nothing is read.
        let layout = unsafe { &raw mut (*room.as_ptr()).layout };
        // SAFETY: aligned, as the room is; nobody else uses it, says the caller.
        unsafe { layout.write(Layout::of::<T>()) };
        // SAFETY: as for the layout.
        let guarded = unsafe { &raw mut (*room.as_ptr()).value };
        // SAFETY: as for the layout.
        unsafe { guarded.write(UnsafeCell::new(value)) };
        // SAFETY: mapped as long as `map` lives; all of it has been written now, or may have any bits.
        let fresh = unsafe { room.as_ref() };
        fresh.state.store(CLEAN, Relaxed);
        init_mutex(fresh.mutex.get())?;
        fresh.magic.store(MAGIC, Release);
        Ok(Some(Place { map: Arc::clone(map), room, held: AtomicBool::new(false) }))
    }

    /// Finds a mutex that was made.
    ///
    /// # Safety
    ///
    /// If there is the head of a mutex, [`init`](Place::init) has made it, and its contract is kept.
    pub(super) unsafe fn open(map: &Arc<Map>, offset: usize) -> Result<Place<T>, NoRoom> {
        let magic = map.atomic_u64(offset).ok_or(NoRoom::Outside)?;
        if magic.load(Acquire) != MAGIC {
            return Err(NoRoom::Empty);
        }
        let at = offset.checked_add(mem::offset_of!(Room<()>, layout)).ok_or(NoRoom::Outside)?;
        let layout = map.place::<Layout>(at).ok_or(NoRoom::Outside)?;
        // SAFETY: inside and aligned; numbers only; written before the magic, and never again.
        let layout = unsafe { layout.read() };
        if layout != Layout::of::<T>() {
            return Err(NoRoom::Other(layout));
        }
        let room = map.place::<Room<T>>(offset).ok_or(NoRoom::Outside)?;
        Ok(Place { map: Arc::clone(map), room, held: AtomicBool::new(false) })
    }

    /// Locks; see pthread_mutex_lock(3). `EBUSY` or `ETIMEDOUT` if it has not come to that.
    pub(super) fn lock(&self, wait: Wait) -> Result<(Held<'_, T>, State), Errno> {
        let mutex = self.room().mutex.get();
        let result = match wait {
            // SAFETY: an initialised mutex, mapped as long as `self` lives.
            Wait::Never => unsafe { libc::pthread_mutex_trylock(mutex) },
            // SAFETY: as above.
            Wait::Forever => unsafe { libc::pthread_mutex_lock(mutex) },
            Wait::Until(_) => {
                let left = wait.remaining().unwrap_or_default().min(CENTURY);
                let deadline = clock_gettime(ClockId::CLOCK_MONOTONIC)? + TimeSpec::from(left);
                // SAFETY: as above; the timespec outlives the call.
                unsafe { pthread_mutex_clocklock(mutex, libc::CLOCK_MONOTONIC, deadline.as_ref()) }
            }
        };
        let state = &self.room().state;
        match result {
            0 => {}
            libc::EOWNERDEAD => {
                // First this, so that it is not forgotten if this thread is killed here.
                let _ = state.compare_exchange(CLEAN, DIRTY, Relaxed, Relaxed);
                // SAFETY: locked by this thread, and inconsistent.
                unsafe { libc::pthread_mutex_consistent(mutex) };
            }
            errno => return Err(Errno::from_raw(errno)),
        }
        self.held.store(true, Relaxed);
        // Without the count, as in a destructor of thread-local data, nothing ends the process: then the
        // guard must not come to be.
        if LOCKS.try_with(|locks| locks.0.set(locks.0.get() + 1)).is_err() {
            self.unlock();
            return Err(Errno::ENOTSUP);
        }
        let state = match state.load(Relaxed) {
            CLEAN => State::Clean,
            DIRTY => State::Dirty,
            _ => State::Poisoned,
        };
        Ok((Held { place: self, this_thread: PhantomData }, state))
    }

    fn room(&self) -> &Room<T> {
        // SAFETY: mapped as long as `self` lives, aligned, made by `init`; what changes is atomic or in an
        // `UnsafeCell`.
        unsafe { self.room.as_ref() }
    }

    fn unlock(&self) {
        self.held.store(false, Relaxed);
        // In a child that was forked meanwhile, the lock is the parent's: EPERM, and nothing happens.
        // SAFETY: an initialised mutex, mapped as long as `self` lives.
        unsafe { libc::pthread_mutex_unlock(self.room().mutex.get()) };
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        if *self.held.get_mut() {
            // Locked by a guard that was leaked: the memory must stay.
            mem::forget(Arc::clone(&self.map));
        }
    }
}

/// The lock of a place, until dropped. It stays in the thread that has locked.
#[derive(Debug)]
pub(super) struct Held<'a, T: ShmSafe> {
    place: &'a Place<T>,
    this_thread: PhantomData<*const T>,
}

// SAFETY: by reference it gives out `&T` only, and is not unlocked.
unsafe impl<T: ShmSafe + Sync> Sync for Held<'_, T> {}

impl<'a, T: ShmSafe> Held<'a, T> {
    pub(super) fn place(&self) -> &'a Place<T> {
        self.place
    }

    pub(super) fn set_state(&self, state: State) {
        self.place.room().state.store(state as u32, Relaxed);
    }
}

impl<T: ShmSafe> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: locked, so nobody else changes it; any bits are valid.
        unsafe { &*self.place.room().value.get() }
    }
}

impl<T: ShmSafe> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: locked, so nobody else has a reference; any bits are valid.
        unsafe { &mut *self.place.room().value.get() }
    }
}

impl<T: ShmSafe> Drop for Held<'_, T> {
    fn drop(&mut self) {
        let _ = LOCKS.try_with(|locks| locks.0.set(locks.0.get().saturating_sub(1)));
        self.place.unlock();
    }
}

/// How many locks this thread holds.
struct Locks(Cell<usize>);

thread_local! {
    static LOCKS: Locks = const { Locks(Cell::new(0)) };
}

impl Drop for Locks {
    fn drop(&mut self) {
        // When the first thread of a process ends, so does the process, and all that it has borrowed.
        if self.0.get() != 0 && nix::unistd::gettid() != nix::unistd::getpid() {
            eprintln!("a thread has ended while it held a SharedMutex: its guard was leaked");
            std::process::abort();
        }
    }
}

// In glibc since 2.30; the libc crate does not have it.
unsafe extern "C" {
    fn pthread_mutex_clocklock(
        mutex: *mut libc::pthread_mutex_t,
        clock: libc::clockid_t,
        deadline: *const libc::timespec,
    ) -> libc::c_int;
}

/// pthread_mutex_init(3): process-shared and robust.
fn init_mutex(mutex: *mut libc::pthread_mutex_t) -> Result<(), Errno> {
    let check = |result| if result == 0 { Ok(()) } else { Err(Errno::from_raw(result)) };
    let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: room for the attributes.
    check(unsafe { libc::pthread_mutexattr_init(attributes) })?;
    // SAFETY: initialised attributes.
    check(unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) })?;
    // SAFETY: as above.
    check(unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) })?;
    // SAFETY: as above.
    check(unsafe { libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_NORMAL) })?;
    // SAFETY: the mutex is in the room that `init` has to itself.
    check(unsafe { libc::pthread_mutex_init(mutex, attributes) })?;
    // SAFETY: initialised, and not used after this. (It frees nothing: the early returns leak nothing.)
    check(unsafe { libc::pthread_mutexattr_destroy(attributes) })
}

//! The system calls that have no safe wrapper, and processor time. All unsafe code of the harness itself
//! is here; that of the subjects is in the modules that say so.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{ForkResult, Pid};
use std::io;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Goes on in a child process, which runs `body` and ends.
pub(crate) fn fork(body: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: the coordinator has one thread, so the child may do whatever it likes.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            body();
            // SAFETY: _exit may be called at any time. It skips the exit handlers, which are the parent's.
            unsafe { libc::_exit(0) }
        }
    }
}

/// Keeps the calling thread on one processor.
pub(crate) fn pin(processor: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Processor time used so far, to be subtracted.
pub(crate) struct Cpu {
    who: UsageWho,
    before: f64,
}

impl Cpu {
    /// The time of this process with all its threads; or where both sides are threads, of this thread.
    pub(crate) fn now(threads: bool) -> Cpu {
        let who = if threads { UsageWho::RUSAGE_THREAD } else { UsageWho::RUSAGE_SELF };
        Cpu { who, before: used(who) }
    }

    /// Seconds used since.
    pub(crate) fn since(&self) -> f64 {
        used(self.who) - self.before
    }
}

fn used(who: UsageWho) -> f64 {
    let seconds =
        |usage: Usage| (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6;
    getrusage(who).map(seconds).unwrap_or(f64::NAN)
}

/// Sleeps until a moment, if it has not passed.
pub(crate) fn sleep_until(moment: Instant) {
    let left = moment.saturating_duration_since(Instant::now());
    if left > Duration::ZERO {
        std::thread::sleep(left);
    }
}

/// Two words, each in a cache line of its own and a line apart, shared with all children to come.
/// They are never given back.
pub(crate) fn shared_words() -> io::Result<[&'static AtomicU64; 2]> {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
    let size = std::num::NonZeroUsize::MIN.saturating_add(4095);
    let flags = MapFlags::MAP_SHARED;
    // SAFETY: a new mapping overlaps nothing.
    let page =
        unsafe { mmap_anonymous(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) }?;
    let first = page.cast::<AtomicU64>().as_ptr();
    // SAFETY: 512 bytes on is still inside the page.
    let second = unsafe { first.add(64) };
    // SAFETY: aligned, zeroed, never unmapped, and only ever used as an atomic.
    let first = unsafe { &*first };
    // SAFETY: the same.
    let second = unsafe { &*second };
    Ok([first, second])
}

/// A System V message as msgsnd(2) takes it: a type, and the bytes.
#[repr(C)]
pub(crate) struct SysvMessage {
    kind: libc::c_long,
    bytes: [u8; SysvMessage::MAX],
}

impl SysvMessage {
    /// The kernel's default limit.
    pub(crate) const MAX: usize = 8192;

    pub(crate) fn new() -> Box<SysvMessage> {
        Box::new(SysvMessage { kind: 1, bytes: [0; SysvMessage::MAX] })
    }

    /// The first bytes of the message.
    pub(crate) fn first(&self, len: usize) -> &[u8] {
        &self.bytes[..len]
    }
}

/// A new System V queue without a key; see msgget(2).
pub(crate) fn sysv_queue() -> io::Result<i32> {
    // SAFETY: msgget takes no pointers.
    check(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) } as isize).map(|id| id as i32)
}

/// Removes a queue.
pub(crate) fn sysv_remove(id: i32) {
    // SAFETY: IPC_RMID reads nothing from the pointer.
    unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

/// One direction: a queue, and the type of messages that goes this way; zero receives any.
#[derive(Clone, Copy)]
pub(crate) struct SysvWay {
    pub(crate) id: i32,
    pub(crate) kind: libc::c_long,
}

/// Sends `message` as a C program would: copied into its struct, then msgsnd(2).
pub(crate) fn sysv_send(way: SysvWay, space: &mut SysvMessage, message: &[u8]) -> io::Result<()> {
    space.kind = way.kind.max(1);
    space.bytes[..message.len()].copy_from_slice(message);
    // SAFETY: the struct has the layout of msgbuf, and `message.len()` is at most MAX, or the copy had
    // panicked.
    check(unsafe { libc::msgsnd(way.id, (&raw const *space).cast(), message.len(), 0) } as isize)?;
    Ok(())
}

/// Receives a message into the struct, and tells its length; see msgrcv(2).
pub(crate) fn sysv_recv(way: SysvWay, space: &mut SysvMessage, wait: bool) -> io::Result<usize> {
    let flags = if wait { 0 } else { libc::IPC_NOWAIT };
    // SAFETY: the struct has the layout of msgbuf with room for MAX bytes.
    let len = check(unsafe {
        libc::msgrcv(way.id, (&raw mut *space).cast(), SysvMessage::MAX, way.kind, flags)
    })?;
    Ok(len as usize)
}

fn check(result: isize) -> io::Result<isize> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

//! Sleeping on a word that processes share, and waking: futex(2), which no safe wrapper has for shared memory. Unsafe
//! inside, safe to call.
//!
//! The words are of eight bytes, as all atomics in segments are that safe code may use; the kernel compares their
//! lower half.

use ipc_core::wait::nap;
use nix::errno::Errno;
use nix::libc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Sleeps until [`wake`] is called on the word by any process, at most `limit`, unless the word's lower
/// half is not `expected` any more. May also return early, as on a signal.
pub(crate) fn wait(word: &AtomicU64, expected: u32, limit: Duration) {
    let limit = libc::timespec {
        // Limits are fractions of a second.
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(limit.subsec_nanos().cast_signed()),
    };
    // SAFETY: the kernel reads four aligned bytes inside the word, which outlives the call, and the
    // timespec; FUTEX_WAIT uses no other argument. Without FUTEX_PRIVATE_FLAG it works across processes.
    unsafe {
        libc::syscall(libc::SYS_futex, lower_half(word), libc::FUTEX_WAIT, expected, &raw const limit);
    }
}

/// The same with several words, at most [`MOST_WORDS`]: see "futex_waitv" in the kernel's documentation. Where
/// that is not to be had, as before Linux 5.16, or behind a filter of system calls, and where there are no words,
/// it sleeps a millisecond.
pub(crate) fn wait_any<'a>(
    words: impl Iterator<Item = &'a AtomicU64>,
    expected: u32,
    limit: Duration,
) -> Result<(), Errno> {
    /// `struct futex_waitv` of linux/futex.h.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Waiter {
        value: u64,
        address: u64,
        flags: u32,
        reserved: u32,
    }
    /// A futex of 32 bits that is not private.
    const FUTEX2_SIZE_U32: u32 = 2;
    const NONE: Waiter = Waiter { value: 0, address: 0, flags: FUTEX2_SIZE_U32, reserved: 0 };
    let mut waiters = [NONE; MOST_WORDS];
    let mut count = 0;
    for (waiter, word) in waiters.iter_mut().zip(words) {
        waiter.value = expected.into();
        waiter.address = lower_half(word).expose_provenance() as u64;
        count += 1;
    }
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    let deadline = now + nix::sys::time::TimeSpec::from(limit);
    let deadline: &libc::timespec = deadline.as_ref();
    // SAFETY: the kernel reads four aligned bytes inside each word, which all outlive the call, the list
    // of as many elements as it is told, and the timespec.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            count,
            0,
            std::ptr::from_ref(deadline),
            libc::CLOCK_MONOTONIC,
        )
    };
    match Errno::result(result) {
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ETIMEDOUT) => {}
        Err(_) => nap(limit.min(Duration::from_millis(1))),
    }
    Ok(())
}

/// How many words one call can wait for.
pub(crate) const MOST_WORDS: usize = 128;

/// Wakes at most `most` of those who sleep on the word, in any process.
pub(crate) fn wake(word: &AtomicU64, most: i32) {
    // SAFETY: for FUTEX_WAKE the address is only a name; nothing is written.
    unsafe {
        libc::syscall(libc::SYS_futex, lower_half(word), libc::FUTEX_WAKE, most);
    }
}

fn lower_half(word: &AtomicU64) -> *const u32 {
    let first = word.as_ptr().cast_const().cast::<u32>();
    if cfg!(target_endian = "big") { first.wrapping_add(1) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn who_has_no_word_to_sleep_on_does_not_spin() {
        let limit = Duration::from_millis(20);
        let started = Instant::now();
        for _ in 0..10 {
            wait_any(std::iter::empty(), 2, limit).unwrap();
        }
        assert!(started.elapsed() >= limit / 2, "{:?}", started.elapsed());
    }
}

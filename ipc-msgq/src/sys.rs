//! The calls that no safe wrapper exists for: System V message queues (msgget(2), msgop(2), msgctl(2)),
//! and the descriptor of a POSIX queue. The only unsafe code of this crate.

use libc::{c_int, c_long, key_t, msqid_ds};
use nix::errno::Errno;
use posixmq::PosixMq;
use std::fmt;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// A message as msgop(2) wants it: its type, and behind it its bytes, in one buffer that is used again
/// for every message.
pub(crate) struct Message {
    /// The type, then the text. Never empty; words, because the type must be aligned.
    words: Vec<c_long>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl Message {
    /// Room for a text of `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Message { words: vec![0; 1 + capacity.div_ceil(size_of::<c_long>())] }
    }

    /// How long a text may be.
    pub(crate) fn capacity(&self) -> usize {
        (self.words.len() - 1) * size_of::<c_long>()
    }

    /// The type.
    #[allow(clippy::useless_conversion, reason = "a long has 32 bits elsewhere")]
    pub(crate) fn kind(&self) -> i64 {
        self.words.first().copied().unwrap_or_default().into()
    }

    /// The first `length` bytes of the text, or all of it if it is shorter.
    pub(crate) fn text(&self, length: usize) -> &[u8] {
        let text = self.words.get(1..).unwrap_or_default();
        // SAFETY: the pointer and the length are those of a slice of initialised integers, whose bytes
        // are bytes without padding; u8 needs no alignment; the result borrows `self` as the slice does.
        let bytes = unsafe { std::slice::from_raw_parts(text.as_ptr().cast::<u8>(), size_of_val(text)) };
        bytes.get(..length).unwrap_or(bytes)
    }

    /// Puts in a type and a text. False, and nothing is changed, if the text is too long.
    pub(crate) fn set(&mut self, kind: c_long, text: &[u8]) -> bool {
        let Some((first, words)) = self.words.split_first_mut() else { return false };
        let (data, size) = (words.as_mut_ptr().cast::<u8>(), size_of_val(words));
        // SAFETY: as in `text`; any bytes written make valid integers; `self` is borrowed exclusively.
        let bytes = unsafe { std::slice::from_raw_parts_mut(data, size) };
        let Some(room) = bytes.get_mut(..text.len()) else { return false };
        room.copy_from_slice(text);
        *first = kind;
        true
    }
}

/// msgget(2): the identifier of the queue of a key, or of a new one.
pub(crate) fn msgget(key: key_t, flags: c_int) -> io::Result<c_int> {
    // SAFETY: takes two integers, touches no memory of ours.
    check(unsafe { libc::msgget(key, flags) })
}

/// msgsnd(2): sends the first `length` bytes of the text (all of it, if it is shorter).
pub(crate) fn msgsnd(id: c_int, message: &Message, length: usize, flags: c_int) -> io::Result<()> {
    let length = length.min(message.capacity());
    // SAFETY: the kernel reads one word and `length` bytes from the buffer, which holds that many: the
    // type, and a capacity not below `length`.
    check(unsafe { libc::msgsnd(id, message.words.as_ptr().cast(), length, flags) })?;
    Ok(())
}

/// msgrcv(2): receives a message, and returns the length of its text.
pub(crate) fn msgrcv(
    id: c_int,
    message: &mut Message,
    select: c_long,
    flags: c_int,
) -> io::Result<usize> {
    let capacity = message.capacity();
    // SAFETY: the kernel writes one word and at most `capacity` bytes into the buffer, which has room for
    // both and is borrowed exclusively; any bytes make valid integers.
    let got = unsafe { libc::msgrcv(id, message.words.as_mut_ptr().cast(), capacity, select, flags) };
    // Negative only for an error.
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// msgctl(2), `IPC_STAT`: what the kernel tells about a queue.
pub(crate) fn msgctl_stat(id: c_int) -> io::Result<msqid_ds> {
    let mut status = MaybeUninit::<msqid_ds>::zeroed();
    // SAFETY: the kernel writes one `msqid_ds` to the pointer, which has room for it.
    check(unsafe { libc::msgctl(id, libc::IPC_STAT, status.as_mut_ptr()) })?;
    // SAFETY: all fields are integers, which were zero before the kernel filled them in.
    Ok(unsafe { status.assume_init() })
}

/// msgctl(2), `IPC_SET`: sets the owner, the mode and the capacity.
pub(crate) fn msgctl_set(id: c_int, status: &mut msqid_ds) -> io::Result<()> {
    // SAFETY: the kernel reads one `msqid_ds` from the pointer, which is valid.
    check(unsafe { libc::msgctl(id, libc::IPC_SET, status) })?;
    Ok(())
}

/// msgctl(2), `IPC_RMID`: removes the queue, with the messages in it; who waits on it is woken.
pub(crate) fn msgctl_remove(id: c_int) -> io::Result<()> {
    // SAFETY: the pointer is not used by IPC_RMID.
    check(unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) })?;
    Ok(())
}

/// The descriptor that a POSIX queue is on Linux, see mq_overview(7).
pub(crate) fn descriptor(queue: &PosixMq) -> BorrowedFd<'_> {
    // SAFETY: the queue owns the descriptor, keeps it open as long as it lives, and is borrowed for as
    // long as the result.
    unsafe { BorrowedFd::borrow_raw(queue.as_raw_fd()) }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// What the system call said, if the error comes from one.
pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_in_and_comes_out_and_one_too_long_is_refused() {
        let mut message = Message::new(5);
        assert_eq!(message.capacity(), size_of::<c_long>().max(5).next_multiple_of(size_of::<c_long>()));
        assert!(message.set(7, b"hello"));
        assert_eq!((message.kind(), message.text(5)), (7, &b"hello"[..]));
        let long = vec![1; message.capacity() + 1];
        assert!(!message.set(8, &long));
        assert_eq!((message.kind(), message.text(5)), (7, &b"hello"[..]));
        assert_eq!(message.text(usize::MAX).len(), message.capacity());
    }

    #[test]
    fn a_text_of_no_bytes_is_one() {
        let mut message = Message::new(0);
        assert!(message.set(1, b""));
        assert_eq!((message.capacity(), message.text(0)), (0, &b""[..]));
    }
}

//! Names of POSIX queues: who owns one, and how it is made, taken over and removed.
//!
//! A name outlives the processes that use it, so whoever binds one must know whether its owner lives:
//!
//! * The owner holds a lock on the queue (see `lock`), which the kernel releases when the owner dies.
//! * A queue that a binder of ours made bears the sticky bit in its mode, which means nothing to the
//!   kernel there. A queue without it was made by another program; nobody can tell whether it is still
//!   wanted, and it is never taken.
//! * A queue that has lost its name has a link count of zero. Whoever holds the lock of a queue with a
//!   name owns the name, since only the owner unlinks it.
//!
//! So to bind is: create the queue, or else open the one that is there; take its lock; look at its link
//! count. If that is zero, the owner removed it meanwhile: once more. Of many who do this at the same time
//! one gets the lock, and the others are told so.
//!
//! What is taken over keeps its messages and its users: the new owner goes on where the old one died.

use super::limits;
use crate::lock::{self, Seat};
use crate::{sys, trust};
use ipc_core::{Address, Endpoint, Error, ErrorKind, Result};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use posixmq::{OpenOptions, PosixMq};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// The sticky bit: made by a binder of ours.
const MARK: u32 = 0o1000;
const DEFAULT_MODE: u32 = 0o600;

/// A name that is owned, from `bind` on: dropping it removes the name.
#[derive(Debug)]
pub(super) struct Owner {
    /// Shares the open file, and with it the lock, with the queue that is used.
    queue: OwnedFd,
    name: Vec<u8>,
    /// A forked child has a copy of all this, but does not own the name.
    process: u32,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let still_named = fstat(&self.queue).is_ok_and(|status| status.st_nlink > 0);
        if still_named && self.process == std::process::id() {
            // There is nobody to tell, and the next binder takes over what is left.
            let _ = posixmq::remove_queue(&self.name);
        }
    }
}

/// What an end holds as long as it lives; the halves of a pair share it.
#[derive(Clone, Debug)]
pub(super) enum Hold {
    /// The name.
    Name(#[allow(dead_code, reason = "held, not read")] Arc<Owner>),
    /// The place of a pair's peer: the open file that has the lock.
    Seat(#[allow(dead_code, reason = "held, not read")] Arc<OwnedFd>),
}

/// Makes the queue, or takes it over from an owner who died. It is open for reading and writing, and
/// never waits.
pub(super) fn bind(endpoint: &Endpoint) -> Result<(PosixMq, Hold)> {
    const OPERATION: &str = "bind";
    let failed = |source: io::Error| Error::from_io(source, OPERATION).at(endpoint.text());
    let name = name_of(endpoint);
    loop {
        let (queue, made) = match create(endpoint, MARK) {
            Ok(queue) => (queue, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match OpenOptions::readwrite().nonblocking().open(name) {
                    Ok(queue) => (queue, false),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(limits::explain_open(error, OPERATION, endpoint)),
                }
            }
            Err(error) => return Err(limits::explain_create(error, OPERATION, endpoint)),
        };
        let fd = sys::descriptor(&queue);
        if !made {
            may_be_taken_over(&queue, OPERATION, endpoint)?;
        }
        if !lock::take(fd, Seat::Owner).map_err(failed)? {
            return Err(in_use(endpoint));
        }
        if status(&queue, OPERATION, endpoint)?.st_nlink == 0 {
            continue;
        }
        set_mode(fd, endpoint, MARK).map_err(failed)?;
        let shared = fd.try_clone_to_owned().map_err(failed)?;
        let owner = Owner { queue: shared, name: name.to_vec(), process: std::process::id() };
        return Ok((queue, Hold::Name(Arc::new(owner))));
    }
}

/// Opens a queue that is there, with `open`, which says for what.
pub(super) fn connect(
    open: &OpenOptions,
    operation: &'static str,
    endpoint: &Endpoint,
) -> Result<PosixMq> {
    let queue = open
        .open(name_of(endpoint))
        .map_err(|error| limits::explain_open(error, operation, endpoint))?;
    check_owner(&status(&queue, operation, endpoint)?, operation, endpoint)?;
    check_sizes(&queue, operation, endpoint)?;
    Ok(queue)
}

/// Takes the place of a pair's peer at a queue that is open for writing.
pub(super) fn take_seat(queue: &PosixMq, operation: &'static str, endpoint: &Endpoint) -> Result<Hold> {
    let failed = |source: io::Error| Error::from_io(source, operation).at(endpoint.text());
    let fd = sys::descriptor(queue);
    if !lock::take(fd, Seat::Peer).map_err(failed)? {
        return Err(Error::new(ErrorKind::Busy, operation).at(endpoint.text()));
    }
    Ok(Hold::Seat(Arc::new(fd.try_clone_to_owned().map_err(failed)?)))
}

/// Opens a queue, or makes it if it is not there. Nobody owns it: it stays until somebody removes it.
pub(super) fn open_or_create(open: &OpenOptions, endpoint: &Endpoint) -> Result<PosixMq> {
    const OPERATION: &str = "open_or_create";
    loop {
        match connect(open, OPERATION, endpoint) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => return result,
        }
        match create(endpoint, 0) {
            Ok(queue) => {
                set_mode(sys::descriptor(&queue), endpoint, 0)
                    .map_err(|source| Error::from_io(source, OPERATION).at(endpoint.text()))?;
                return Ok(queue);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(limits::explain_create(error, OPERATION, endpoint)),
        }
    }
}

/// Removes a name, whoever owns it. Who has the queue open keeps it; see mq_unlink(3).
pub(crate) fn remove(endpoint: &Endpoint) -> Result<()> {
    posixmq::remove_queue(name_of(endpoint))
        .map_err(|source| Error::from_io(source, "remove").at(endpoint.text()))
}

/// The name without a slash in front.
pub(super) fn name_of(endpoint: &Endpoint) -> &[u8] {
    match endpoint.address() {
        Address::Object(name) => name.as_bytes(),
        // The scheme is checked before; the kernel finds no queue of no name.
        _ => b"",
    }
}

/// Fails unless nobody owns the queue, and it is what the endpoint asks for.
fn may_be_taken_over(queue: &PosixMq, operation: &'static str, endpoint: &Endpoint) -> Result<()> {
    let found = status(queue, operation, endpoint)?;
    check_owner(&found, operation, endpoint)?;
    if found.st_mode & MARK == 0 {
        return Err(Error::new(ErrorKind::AddrInUse, operation).at(endpoint.text()).with_detail(
            "another program made this queue, and may be using it; connect to it, or remove it",
        ));
    }
    let taken = lock::is_taken(sys::descriptor(queue), Seat::Owner)
        .map_err(|source| Error::from_io(source, operation).at(endpoint.text()))?;
    if taken {
        return Err(in_use(endpoint));
    }
    check_sizes(queue, operation, endpoint)
}

fn check_owner(found: &FileStat, operation: &'static str, endpoint: &Endpoint) -> Result<()> {
    trust::check(found.st_uid, endpoint.options().uid, operation, endpoint.text())
}

fn check_sizes(queue: &PosixMq, operation: &'static str, endpoint: &Endpoint) -> Result<()> {
    let has =
        queue.attributes().map_err(|source| Error::from_io(source, operation).at(endpoint.text()))?;
    let options = endpoint.options();
    let capacity = options.capacity.unwrap_or(has.capacity);
    let max_message = options.max_message.unwrap_or(has.max_msg_len);
    if (capacity, max_message) == (has.capacity, has.max_msg_len) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::GeometryMismatch, operation).at(endpoint.text()).with_detail(format!(
        "it holds {} messages of up to {} bytes, and asked for were {capacity} of up to {max_message}; \
         a queue's sizes never change: ask for these, or remove it",
        has.capacity, has.max_msg_len
    )))
}

fn create(endpoint: &Endpoint, mark: u32) -> io::Result<PosixMq> {
    let mut open = OpenOptions::readwrite();
    open.create_new().nonblocking().mode(endpoint.options().mode.unwrap_or(DEFAULT_MODE) | mark);
    if let Some((capacity, max_message)) = limits::sizes(endpoint) {
        open.capacity(capacity).max_msg_len(max_message);
    }
    open.open(name_of(endpoint))
}

/// The mode as asked for: the umask took its part when the queue was made.
fn set_mode(queue: impl AsFd, endpoint: &Endpoint, mark: u32) -> io::Result<()> {
    let mode = endpoint.options().mode.unwrap_or(DEFAULT_MODE) | mark;
    Ok(fchmod(queue, Mode::from_bits_truncate(mode))?)
}

pub(super) fn status(queue: &PosixMq, operation: &'static str, endpoint: &Endpoint) -> Result<FileStat> {
    fstat(sys::descriptor(queue))
        .map_err(|errno| Error::from_io(errno.into(), operation).at(endpoint.text()))
}

fn in_use(endpoint: &Endpoint) -> Error {
    Error::new(ErrorKind::AddrInUse, "bind").at(endpoint.text()).with_detail("its owner is alive")
}

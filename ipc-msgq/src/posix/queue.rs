//! One open POSIX queue, and how calls on it wait.
//!
//! Whether a call may wait is a property of the open file, so a queue is opened twice: one open never
//! waits, and is where every look goes, so that a message costs one system call. When there is nothing
//! more to do than wait for as long as it takes, the call goes to the other, which waits inside the kernel:
//! the kernel then hands the message over directly, at half the cost of poll(2) and another look. With a
//! deadline the wait is a poll(2) on the monotonic clock; mq_timedreceive(3) would follow the clock that
//! people set.

use super::MqAttributes;
use super::name::{self, Hold};
use crate::lock::{self, Seat};
use crate::naps::Naps;
use crate::sys;
use ipc_core::wait::{sleep_until_readable, sleep_until_writable};
use ipc_core::{
    Attempt, Endpoint, Error, ErrorKind, Options, Result, Scheme, Step, ToEndpoint, Wait, Waiter,
};
use nix::sys::stat::fstat;
use posixmq::{OpenOptions, PosixMq};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// What a queue is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Send,
    Receive,
}

impl Direction {
    fn options(self) -> OpenOptions {
        match self {
            Direction::Send => OpenOptions::writeonly(),
            Direction::Receive => OpenOptions::readonly(),
        }
    }

    pub(super) fn operation(self) -> &'static str {
        match self {
            Direction::Send => "send",
            Direction::Receive => "recv",
        }
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    /// Never waits.
    queue: PosixMq,
    /// Waits in the kernel. `None` where the queue's mode lets even its maker open it only once.
    waiting: Option<PosixMq>,
    direction: Direction,
    endpoint: Endpoint,
    max_message: usize,
    waiter: Waiter,
    /// This end has bound the name.
    owned: bool,
}

/// The endpoint, if it is one of a POSIX queue.
pub(super) fn endpoint(endpoint: impl ToEndpoint, operation: &'static str) -> Result<Endpoint> {
    let endpoint = endpoint.to_endpoint()?;
    endpoint.require(&[Scheme::Mq], operation)?;
    Ok(endpoint)
}

impl Queue {
    pub(super) fn bind(endpoint: &Endpoint, direction: Direction) -> Result<(Queue, Hold)> {
        let (queue, hold) = name::bind(endpoint)?;
        Ok((Queue::new(queue, direction, endpoint, true, "bind")?, hold))
    }

    /// Opens the queue, waiting for its name.
    pub(super) fn connect(endpoint: &Endpoint, direction: Direction, wait: Wait) -> Result<Queue> {
        const OPERATION: &str = "connect";
        let mut open = direction.options();
        open.nonblocking();
        let mut naps = Naps::new();
        loop {
            match name::connect(&open, OPERATION, endpoint) {
                Ok(queue) => return Queue::new(queue, direction, endpoint, false, OPERATION),
                Err(error) if error.kind() == ErrorKind::NotFound && wait != Wait::Never => {
                    match wait.remaining() {
                        Some(rest) if rest.is_zero() => {
                            let error = error.with_kind(ErrorKind::TimedOut);
                            return Err(error.with_detail("nobody has made it"));
                        }
                        rest => naps.sleep(rest),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the place of a pair's peer.
    pub(super) fn take_seat(&self) -> Result<Hold> {
        name::take_seat(&self.queue, "connect", &self.endpoint)
    }

    /// Whether a pair's peer is connected, seen from the one who has bound it.
    pub(super) fn has_peer(&self) -> Result<bool> {
        lock::is_taken(self, Seat::Peer).map_err(|source| self.error("has_peer", source))
    }

    pub(super) fn open_or_create(endpoint: &Endpoint, direction: Direction) -> Result<Queue> {
        let mut open = direction.options();
        open.nonblocking();
        let queue = name::open_or_create(&open, endpoint)?;
        Queue::new(queue, direction, endpoint, false, "open_or_create")
    }

    fn new(
        queue: PosixMq,
        direction: Direction,
        endpoint: &Endpoint,
        owned: bool,
        operation: &'static str,
    ) -> Result<Queue> {
        let attributes = queue
            .attributes()
            .map_err(|source| Error::from_io(source, operation).at(endpoint.text()))?;
        Ok(Queue {
            waiting: open_again(&queue, direction, endpoint),
            queue,
            direction,
            endpoint: endpoint.clone(),
            max_message: attributes.max_msg_len,
            waiter: Waiter::new(endpoint.options().waiting.unwrap_or_default()),
            owned,
        })
    }

    /// Makes `call`, again and again until it can be done or the time is over.
    pub(super) fn wait_for<T>(
        &mut self,
        wait: Wait,
        mut call: impl FnMut(&PosixMq) -> io::Result<T>,
    ) -> Result<T> {
        if let (Wait::Forever, true, Some(waiting)) = (wait, self.waiter.never_spins(), &self.waiting) {
            return call(waiting).map_err(|error| self.failed(error));
        }
        let mut attempt = Attempt::new(wait);
        loop {
            match call(&self.queue) {
                Ok(done) => {
                    attempt.succeeded(&mut self.waiter);
                    return Ok(done);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(self.failed(error)),
            }
            let limit = match attempt.next(&mut self.waiter) {
                Ok(Step::Look) => continue,
                Ok(Step::Sleep(limit)) => limit,
                Err(kind) => return Err(self.over(kind)),
            };
            match (limit, &self.waiting) {
                (None, Some(waiting)) => {
                    let done = call(waiting).map_err(|error| self.failed(error))?;
                    attempt.succeeded(&mut self.waiter);
                    return Ok(done);
                }
                _ => {
                    let fd = sys::descriptor(&self.queue);
                    match self.direction {
                        Direction::Send => sleep_until_writable(fd, limit),
                        Direction::Receive => sleep_until_readable(fd, limit),
                    }
                    .map_err(|error| self.failed(error))?;
                }
            }
        }
    }

    pub(super) fn max_message(&self) -> usize {
        self.max_message
    }

    pub(super) fn endpoint_text(&self) -> &Arc<str> {
        self.endpoint.text()
    }

    pub(super) fn options(&self) -> &Options {
        self.endpoint.options()
    }

    /// Whether this end has bound the name.
    pub(super) fn is_owned(&self) -> bool {
        self.owned
    }

    pub(super) fn attributes(&self) -> Result<MqAttributes> {
        let has = self.queue.attributes().map_err(|source| self.error("attributes", source))?;
        Ok(MqAttributes {
            capacity: has.capacity,
            max_message: has.max_msg_len,
            waiting: has.current_messages,
        })
    }

    pub(super) fn is_removed(&self) -> Result<bool> {
        let status = fstat(self).map_err(|errno| self.error("is_removed", errno.into()))?;
        Ok(status.st_nlink == 0)
    }

    pub(super) fn has_owner(&self) -> Result<bool> {
        if self.owned {
            return Ok(true);
        }
        lock::is_taken(self, Seat::Owner).map_err(|source| self.error("has_owner", source))
    }

    fn error(&self, operation: &'static str, source: io::Error) -> Error {
        Error::from_io(source, operation).at(self.endpoint_text())
    }

    fn failed(&self, source: io::Error) -> Error {
        self.error(self.direction.operation(), source)
    }

    /// The time is over. If it is so because the name is gone and nobody new will ever come, say that.
    fn over(&self, kind: ErrorKind) -> Error {
        let removed = kind == ErrorKind::TimedOut && self.is_removed().unwrap_or(false);
        let kind = if removed { ErrorKind::Removed } else { kind };
        Error::new(kind, self.direction.operation()).at(self.endpoint_text())
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        sys::descriptor(&self.queue)
    }
}

/// The same queue, opened so that calls wait; `None` if that is not to be had.
fn open_again(queue: &PosixMq, direction: Direction, endpoint: &Endpoint) -> Option<PosixMq> {
    let again = direction.options().open(name::name_of(endpoint)).ok()?;
    // The name may be another queue's by now.
    let (first, second) = (fstat(sys::descriptor(queue)).ok()?, fstat(sys::descriptor(&again)).ok()?);
    ((first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)).then_some(again)
}

//! The end of a POSIX queue that messages come out of.

use super::name::Hold;
use super::queue::{self, Direction, Queue};
use super::{MQ_CAPABILITIES, MqAttributes};
use ipc_core::{Capabilities, Receiver, Result, ToEndpoint, Wait};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Receives messages from a POSIX queue: those of the highest priority first, and of these the oldest.
///
/// ```
/// use ipc_msgq::{MqReceiver, MqSender, Receiver, Sender};
///
/// let name = format!("mq://ipc-doc-receiver-{}?capacity=4&max_message=64", std::process::id());
/// let mut receiver = MqReceiver::bind(&name)?;
/// MqSender::connect(format!("{name}&priority=5"))?.send(b"hello")?;
/// assert_eq!(receiver.attributes()?.waiting, 1);
/// assert_eq!(receiver.recv_with_priority(ipc_msgq::Wait::Forever)?, (5, &b"hello"[..]));
/// # Ok::<(), ipc_msgq::Error>(())
/// ```
///
/// Several receivers may share a queue; each message goes to one of them. Dropping one that has bound its
/// name removes the name. A copy of a receiver in a forked child works, and does not own the name.
#[derive(Debug)]
pub struct MqReceiver {
    queue: Queue,
    /// As long as the longest message: the kernel wants it so, however short the message is.
    buffer: Vec<u8>,
    /// Held, not read.
    _holds: Vec<Hold>,
}

impl MqReceiver {
    /// Makes the queue and owns its name; as [`MqSender::bind`](crate::MqSender::bind), with the same
    /// errors.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "bind")?;
        let (queue, hold) = Queue::bind(&endpoint, Direction::Receive)?;
        Ok(MqReceiver::new(queue, vec![hold]))
    }

    /// Opens a queue that is there; as [`MqSender::connect`](crate::MqSender::connect), with the same
    /// errors.
    pub fn connect(endpoint: impl ToEndpoint) -> Result<Self> {
        MqReceiver::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<Self> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// As [`connect`](MqReceiver::connect), but waits until there is a queue of that name; as
    /// [`MqSender::connect_within`](crate::MqSender::connect_within).
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "connect")?;
        Ok(MqReceiver::new(Queue::connect(&endpoint, Direction::Receive, wait)?, Vec::new()))
    }

    /// Opens the queue, or makes it if it is not there; as
    /// [`MqSender::open_or_create`](crate::MqSender::open_or_create), with the same errors.
    pub fn open_or_create(endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "open_or_create")?;
        Ok(MqReceiver::new(Queue::open_or_create(&endpoint, Direction::Receive)?, Vec::new()))
    }

    pub(super) fn new(queue: Queue, holds: Vec<Hold>) -> Self {
        MqReceiver { buffer: vec![0; queue.max_message()], queue, _holds: holds }
    }

    /// Receives one message and its priority, from 0 to 32,767.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver`]. [`Removed`](ipc_core::ErrorKind::Removed) in place of `TimedOut` if the queue
    /// has lost its name, so that nobody new will send to it.
    pub fn recv_with_priority(&mut self, wait: Wait) -> Result<(u32, &[u8])> {
        let buffer = &mut self.buffer;
        let (priority, length) = self.queue.wait_for(wait, |queue| queue.recv(buffer))?;
        Ok((priority, self.buffer.get(..length).unwrap_or(&self.buffer)))
    }

    /// The queue's sizes, and how much is in it.
    pub fn attributes(&self) -> Result<MqAttributes> {
        self.queue.attributes()
    }

    /// Whether the one who bound the name lives and holds it; as
    /// [`MqSender::has_owner`](crate::MqSender::has_owner).
    pub fn has_owner(&self) -> Result<bool> {
        self.queue.has_owner()
    }

    /// Whether the queue has lost its name, so that nobody new can find it.
    pub fn is_removed(&self) -> Result<bool> {
        self.queue.is_removed()
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.queue.endpoint_text()
    }

    /// What this channel gives, with the longest message of this queue.
    pub fn capabilities(&self) -> Capabilities {
        MQ_CAPABILITIES.max_message(self.queue.max_message())
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Receiver for MqReceiver {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        Ok(self.recv_with_priority(wait)?.1)
    }
}

/// The queue's descriptor: it is readable while there is a message.
impl AsFd for MqReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

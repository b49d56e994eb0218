//! The end of a System V queue that messages come out of, and the choice of which ones.

use super::queue::{self, Queue};
use super::{SYSV_CAPABILITIES, SysvStatus, limits};
use crate::sys::{self, Message};
use ipc_core::{Capabilities, Error, ErrorKind, Receiver, Result, ToEndpoint, Wait};
use libc::c_long;
use std::time::Duration;

/// Which messages to receive; see msgrcv(2).
///
/// As the option `type` of an endpoint: `0`, `7` and `-7` mean `Any`, `Equal(7)` and `UpTo(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// The oldest message of any type.
    #[default]
    Any,
    /// The oldest message of this type, from 1.
    Equal(i64),
    /// The message of the lowest type that is not above this one, from 1; the oldest of these.
    UpTo(i64),
}

/// Receives messages from a System V queue.
///
/// ```
/// use ipc_msgq::{Receiver, Sender, SysvReceiver, SysvSender};
///
/// let file = tempfile::NamedTempFile::new().unwrap();
/// let queue = format!("sysvmsg://{}?id=a", file.path().display());
/// let mut receiver = SysvReceiver::bind(&queue)?;
/// SysvSender::connect(&queue)?.send(b"hello")?;
/// assert_eq!(receiver.status()?.messages, 1);
/// assert_eq!(receiver.recv()?, b"hello");
/// # Ok::<(), ipc_msgq::Error>(())
/// ```
///
/// Several receivers may share a queue; each message goes to one of them. Dropping one that has bound or
/// made its queue removes the queue with the messages in it. A copy of a receiver in a forked child works,
/// and does not own the queue.
#[derive(Debug)]
pub struct SysvReceiver {
    queue: Queue,
    select: Select,
    /// As long as the longest message that the system allows.
    message: Message,
}

impl SysvReceiver {
    /// Makes the queue and owns it; as [`SysvSender::bind`](crate::SysvSender::bind), with the same
    /// errors.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        Ok(SysvReceiver::new(Queue::bind(&queue::endpoint(endpoint, "bind")?)?))
    }

    /// Finds a queue that is there; as [`SysvSender::connect`](crate::SysvSender::connect), with the same
    /// errors.
    pub fn connect(endpoint: impl ToEndpoint) -> Result<Self> {
        SysvReceiver::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<Self> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// As [`connect`](SysvReceiver::connect), but waits until there is such a queue; as
    /// [`SysvSender::connect_within`](crate::SysvSender::connect_within).
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Self> {
        Ok(SysvReceiver::new(Queue::connect(&queue::endpoint(endpoint, "connect")?, wait)?))
    }

    /// Finds the queue, or makes it if it is not there; as
    /// [`SysvSender::open_or_create`](crate::SysvSender::open_or_create), with the same errors.
    pub fn open_or_create(endpoint: impl ToEndpoint) -> Result<Self> {
        Ok(SysvReceiver::new(Queue::open_or_create(&queue::endpoint(endpoint, "open_or_create")?)?))
    }

    /// Makes a queue without a key; as [`SysvSender::private`](crate::SysvSender::private).
    pub fn private() -> Result<Self> {
        Ok(SysvReceiver::new(Queue::private()?))
    }

    /// Uses a queue by its identifier; as [`SysvSender::attach`](crate::SysvSender::attach).
    pub fn attach(id: i32) -> Result<Self> {
        Ok(SysvReceiver::new(Queue::attach(id)?))
    }

    fn new(queue: Queue) -> Self {
        let select = match queue.options().message_type {
            None | Some(0) => Select::Any,
            Some(kind) if kind > 0 => Select::Equal(kind),
            Some(kind) => Select::UpTo(kind.saturating_neg()),
        };
        SysvReceiver::selecting(queue, select)
    }

    /// A receiver of some messages.
    pub(super) fn selecting(queue: Queue, select: Select) -> Self {
        SysvReceiver { queue, select, message: Message::new(limits::msgmax()) }
    }

    /// Receives the next message that the endpoint's option `type` chooses (any, by default), and its
    /// type.
    ///
    /// # Errors
    ///
    /// As [`recv_selected`](SysvReceiver::recv_selected).
    pub fn recv_with_type(&mut self, wait: Wait) -> Result<(i64, &[u8])> {
        self.recv_selected(self.select, wait)
    }

    /// Receives the next message of the chosen ones, and its type. Others stay in the queue.
    ///
    /// # Errors
    ///
    /// [`Removed`](ErrorKind::Removed), [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`InvalidOption`](ErrorKind::InvalidOption) for a type below 1; and those of [`Receiver`].
    pub fn recv_selected(&mut self, select: Select, wait: Wait) -> Result<(i64, &[u8])> {
        const OPERATION: &str = "recv";
        let number = self.number(select)?;
        let length = loop {
            let message = &mut self.message;
            let call = |id, flags| sys::msgrcv(id, message, number, flags);
            match self.queue.wait_for(OPERATION, wait, call) {
                Ok(length) => break length,
                // Longer than MSGMAX was when the buffer was made; the message stays in the queue.
                Err(error) if is_too_big(&error) => self.grow(),
                Err(error) => return Err(error),
            }
        };
        Ok((self.message.kind(), self.message.text(length)))
    }

    /// The queue's identifier.
    pub fn id(&self) -> i32 {
        self.queue.id()
    }

    /// What the kernel tells about the queue.
    ///
    /// # Errors
    ///
    /// [`Removed`](ErrorKind::Removed).
    pub fn status(&self) -> Result<SysvStatus> {
        self.queue.status()
    }

    /// Whether the one who bound the queue lives and holds it; as
    /// [`SysvSender::has_owner`](crate::SysvSender::has_owner).
    pub fn has_owner(&self) -> Result<bool> {
        self.queue.has_owner()
    }

    /// Removes the queue; as [`SysvSender::remove`](crate::SysvSender::remove).
    pub fn remove(&self) -> Result<()> {
        self.queue.remove()
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.queue.endpoint()
    }

    /// What this channel gives, with the longest message of this queue.
    pub fn capabilities(&self) -> Capabilities {
        SYSV_CAPABILITIES.max_message(self.queue.max_message())
    }

    #[cold]
    fn grow(&mut self) {
        let length = limits::msgmax().max(self.message.capacity().saturating_mul(2));
        self.message = Message::new(length);
    }

    /// The choice as msgrcv(2) takes it.
    fn number(&self, select: Select) -> Result<c_long> {
        let (kind, sign) = match select {
            Select::Any => return Ok(0),
            Select::Equal(kind) => (kind, 1),
            Select::UpTo(kind) => (kind, -1),
        };
        #[allow(clippy::useless_conversion, reason = "a long has 32 bits elsewhere")]
        let long = c_long::try_from(kind).ok().filter(|kind| *kind >= 1);
        long.map(|kind| kind.saturating_mul(sign)).ok_or_else(|| {
            Error::new(ErrorKind::InvalidOption, "recv")
                .at(self.queue.endpoint())
                .with_detail(format!("no message has type {kind}; types go from 1 to {}", c_long::MAX))
        })
    }
}

impl Receiver for SysvReceiver {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        Ok(self.recv_with_type(wait)?.1)
    }
}

fn is_too_big(error: &Error) -> bool {
    error.io_error().and_then(std::io::Error::raw_os_error) == Some(libc::E2BIG)
}

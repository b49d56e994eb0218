//! The end of a System V queue that messages go into.

use super::queue::{self, Queue};
use super::{SYSV_CAPABILITIES, SysvStatus};
use crate::sys::{self, Message};
use ipc_core::{Capabilities, Endpoint, Error, ErrorKind, Result, Sender, ToEndpoint, Wait};
use libc::c_long;
use std::io;
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_TYPE: i64 = 1;

/// Sends messages to a System V queue.
///
/// ```
/// use ipc_msgq::{Receiver, Select, Sender, SysvReceiver, SysvSender, Wait};
///
/// let mut receiver = SysvReceiver::private()?;
/// let mut sender = SysvSender::attach(receiver.id())?;
/// sender.send(b"of type 1")?;
/// sender.send_with_type(b"of type 7", 7, Wait::Forever)?;
/// assert_eq!(receiver.recv_selected(Select::Equal(7), Wait::Forever)?, (7, &b"of type 7"[..]));
/// assert_eq!(receiver.recv()?, b"of type 1");
/// # Ok::<(), ipc_msgq::Error>(())
/// ```
///
/// Dropping one that has bound or made its queue removes the queue with the messages in it. A copy of a
/// sender in a forked child works, and does not own the queue.
#[derive(Debug)]
pub struct SysvSender {
    queue: Queue,
    /// The type of what is sent without saying a type.
    kind: i64,
    message: Message,
}

impl SysvSender {
    /// Makes the queue and owns it, or takes over what a killed owner has left, with the messages in it.
    /// See msgget(2).
    ///
    /// # Errors
    ///
    /// | kind | meaning |
    /// |---|---|
    /// | [`NotFound`](ErrorKind::NotFound) | there is no file at the endpoint's path |
    /// | [`AddrInUse`](ErrorKind::AddrInUse) | its owner lives, or another program made the queue |
    /// | [`WrongOwner`](ErrorKind::WrongOwner) | the queue that is there belongs to another user |
    /// | [`LimitExceeded`](ErrorKind::LimitExceeded) | `MSGMNI`, `MSGMNB`, `MSGMAX` |
    /// | [`PermissionDenied`](ErrorKind::PermissionDenied) | the mode of the queue that is there keeps this user out |
    /// | [`InvalidOption`](ErrorKind::InvalidOption) | the option `type` is not from 1 |
    ///
    /// and the errors of [`Endpoint::parse`](ipc_core::Endpoint::parse), as in all constructors.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        let (endpoint, kind) = checked(endpoint, "bind")?;
        Ok(SysvSender::with_kind(Queue::bind(&endpoint)?, kind))
    }

    /// Finds a queue that is there. Whether anybody owns it is not asked: see
    /// [`has_owner`](SysvSender::has_owner).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) (no queue, or no file at the path),
    /// [`GeometryMismatch`](ErrorKind::GeometryMismatch) (if the endpoint asks for a capacity),
    /// [`WrongOwner`](ErrorKind::WrongOwner) (it belongs neither to this user nor to root, nor to the one
    /// that the option `uid` names), [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`InvalidOption`](ErrorKind::InvalidOption) (the option `type` is not from 1).
    pub fn connect(endpoint: impl ToEndpoint) -> Result<Self> {
        SysvSender::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<Self> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// As [`connect`](SysvSender::connect), but waits until there is such a queue.
    ///
    /// Nothing in the kernel tells when one appears, so this looks again up to a thousand times a second.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](ErrorKind::TimedOut), and those of `connect`.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Self> {
        let (endpoint, kind) = checked(endpoint, "connect")?;
        Ok(SysvSender::with_kind(Queue::connect(&endpoint, wait)?, kind))
    }

    /// Finds the queue, or makes it if it is not there, as msgget(2) with `IPC_CREAT` does. Nobody owns
    /// it, so it stays until it is [removed](crate::remove).
    ///
    /// # Errors
    ///
    /// As `bind` and `connect`, but never `AddrInUse`, and `NotFound` only for the file at the path.
    pub fn open_or_create(endpoint: impl ToEndpoint) -> Result<Self> {
        let (endpoint, kind) = checked(endpoint, "open_or_create")?;
        Ok(SysvSender::with_kind(Queue::open_or_create(&endpoint)?, kind))
    }

    /// Makes a queue without a key, `IPC_PRIVATE`, and owns it. Others can attach to its
    /// [`id`](SysvSender::id).
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](ErrorKind::LimitExceeded).
    pub fn private() -> Result<Self> {
        Ok(SysvSender::with_kind(Queue::private()?, DEFAULT_TYPE))
    }

    /// Uses a queue by its identifier, as `ipcs -q` shows it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`WrongOwner`](ErrorKind::WrongOwner),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    pub fn attach(id: i32) -> Result<Self> {
        Ok(SysvSender::with_kind(Queue::attach(id)?, DEFAULT_TYPE))
    }

    /// A sender of messages of a type that is valid.
    pub(super) fn with_kind(queue: Queue, kind: i64) -> Self {
        SysvSender { message: Message::new(queue.max_message()), queue, kind }
    }

    /// Sends one message of another type than the endpoint's option `type` (1 by default). Types go from
    /// 1 to the largest `long` of C.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`](ErrorKind::InvalidOption) for a type below 1, [`Removed`](ErrorKind::Removed),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied); and those of [`Sender`].
    pub fn send_with_type(&mut self, message: &[u8], kind: i64, wait: Wait) -> Result<()> {
        const OPERATION: &str = "send";
        let kind = check_type(kind, OPERATION, self.queue.endpoint())?;
        if message.len() > self.queue.max_message() || !self.message.set(kind, message) {
            return Err(self.too_large(message.len()));
        }
        let (text, length) = (&self.message, message.len());
        let sent =
            self.queue.wait_for(OPERATION, wait, |id, flags| sys::msgsnd(id, text, length, flags));
        sent.map_err(|error| match error.io_error().and_then(io::Error::raw_os_error) {
            // The queue is there, or it would be `Removed`, and the type is valid: MSGMAX was lowered.
            Some(libc::EINVAL) if error.kind() == ErrorKind::System => self.too_large(length),
            _ => error,
        })
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

    /// Whether the one who bound the queue lives and holds it. It is false where nobody bound it: after
    /// [`open_or_create`](SysvSender::open_or_create), or if another program made the queue.
    ///
    /// # Errors
    ///
    /// [`Removed`](ErrorKind::Removed).
    pub fn has_owner(&self) -> Result<bool> {
        self.queue.has_owner()
    }

    /// Removes the queue with the messages in it. Everybody who waits on it is told
    /// [`Removed`](ErrorKind::Removed), and everybody who comes later too.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) unless the queue belongs to this user,
    /// [`Removed`](ErrorKind::Removed).
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

    pub(super) fn max_message(&self) -> usize {
        self.queue.max_message()
    }

    #[cold]
    fn too_large(&self, length: usize) -> Error {
        let remedy = format!(
            "the message has {length} bytes; the least of MSGMAX (sysctl kernel.msgmax), the queue's \
             capacity and the option max_message counts"
        );
        let error = Error::new(ErrorKind::MessageTooLarge, "send").at(self.queue.endpoint());
        error.with_limit("the longest message", self.queue.max_message() as u64, remedy)
    }
}

impl Sender for SysvSender {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.send_with_type(message, self.kind, wait)
    }
}

/// The endpoint, and the type of the messages that are sent to it.
fn checked(endpoint: impl ToEndpoint, operation: &'static str) -> Result<(Endpoint, i64)> {
    let endpoint = queue::endpoint(endpoint, operation)?;
    let kind = endpoint.options().message_type.unwrap_or(DEFAULT_TYPE);
    check_type(kind, operation, endpoint.text())?;
    Ok((endpoint, kind))
}

/// Types are C's long integers from 1.
fn check_type(kind: i64, operation: &'static str, endpoint: &Arc<str>) -> Result<c_long> {
    #[allow(clippy::useless_conversion, reason = "a long has 32 bits elsewhere")]
    let long = c_long::try_from(kind).ok().filter(|kind| *kind >= 1);
    long.ok_or_else(|| {
        Error::new(ErrorKind::InvalidOption, operation)
            .at(endpoint)
            .with_detail(format!("type {kind} cannot be sent; types go from 1 to {}", c_long::MAX))
    })
}

//! The end of a POSIX queue that messages go into.

use super::name::Hold;
use super::queue::{self, Direction, Queue};
use super::{MQ_CAPABILITIES, MqAttributes};
use ipc_core::{Capabilities, Error, ErrorKind, Result, Sender, ToEndpoint, Wait};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Sends messages to a POSIX queue.
///
/// ```
/// use ipc_msgq::{MqReceiver, MqSender, Receiver, Sender, Wait};
///
/// let name = format!("mq://ipc-doc-sender-{}?capacity=4&max_message=64", std::process::id());
/// let mut receiver = MqReceiver::bind(&name)?;
/// let mut sender = MqSender::connect(&name)?;
/// sender.send(b"later")?;
/// sender.send_with_priority(b"sooner", 7, Wait::Forever)?;
/// assert_eq!(receiver.recv()?, b"sooner");
/// assert_eq!(receiver.recv()?, b"later");
/// # Ok::<(), ipc_msgq::Error>(())
/// ```
///
/// Dropping one that has bound its name removes the name; messages in the queue stay readable to whoever
/// has it open. A copy of a sender in a forked child works, and does not own the name.
#[derive(Debug)]
pub struct MqSender {
    queue: Queue,
    priority: u32,
    /// Held, not read.
    _holds: Vec<Hold>,
}

impl MqSender {
    /// The highest priority: `MQ_PRIO_MAX` of mq_overview(7), less one.
    pub const MAX_PRIORITY: u32 = 32_767;

    /// Makes the queue and owns its name, or takes over what a killed owner has left, with the messages
    /// in it. See mq_open(3).
    ///
    /// # Errors
    ///
    /// | kind | meaning |
    /// |---|---|
    /// | [`AddrInUse`](ErrorKind::AddrInUse) | its owner lives, or another program made the queue |
    /// | [`GeometryMismatch`](ErrorKind::GeometryMismatch) | a killed owner's queue has other sizes |
    /// | [`WrongOwner`](ErrorKind::WrongOwner) | the queue that is there belongs to another user |
    /// | [`LimitExceeded`](ErrorKind::LimitExceeded) | `msg_max`, `msgsize_max`, `queues_max`, `RLIMIT_MSGQUEUE`, `RLIMIT_NOFILE` |
    /// | [`PermissionDenied`](ErrorKind::PermissionDenied) | the mode of the queue that is there keeps this user out |
    ///
    /// and the errors of [`Endpoint::parse`](ipc_core::Endpoint::parse), as in all constructors.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "bind")?;
        let (queue, hold) = Queue::bind(&endpoint, Direction::Send)?;
        Ok(MqSender::new(queue, vec![hold]))
    }

    /// Opens a queue that is there. Whether anybody owns it is not asked: see
    /// [`has_owner`](MqSender::has_owner).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`GeometryMismatch`](ErrorKind::GeometryMismatch) (if the
    /// endpoint asks for sizes), [`WrongOwner`](ErrorKind::WrongOwner) (it belongs neither to this user
    /// nor to root, nor to the one that the option `uid` names),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied), [`LimitExceeded`](ErrorKind::LimitExceeded)
    /// (no descriptor is left).
    pub fn connect(endpoint: impl ToEndpoint) -> Result<Self> {
        MqSender::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<Self> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// As [`connect`](MqSender::connect), but waits until there is a queue of that name.
    ///
    /// Nothing in the kernel tells when a name appears, so this looks again up to a thousand times a
    /// second.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](ErrorKind::TimedOut), and those of `connect`.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "connect")?;
        Ok(MqSender::new(Queue::connect(&endpoint, Direction::Send, wait)?, Vec::new()))
    }

    /// Opens the queue, or makes it if it is not there, as mq_open(3) with `O_CREAT` does. Nobody owns
    /// it, so it stays until it is [removed](crate::remove).
    ///
    /// # Errors
    ///
    /// As `bind` and `connect`, but never `AddrInUse` or `NotFound`.
    pub fn open_or_create(endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "open_or_create")?;
        Ok(MqSender::new(Queue::open_or_create(&endpoint, Direction::Send)?, Vec::new()))
    }

    pub(super) fn new(queue: Queue, holds: Vec<Hold>) -> Self {
        MqSender { priority: queue.options().priority.unwrap_or(0), queue, _holds: holds }
    }

    /// Sends one message of another priority than the endpoint's option `priority` (0 by default). Those
    /// of a high priority are received first; within one priority, those sent first.
    ///
    /// # Errors
    ///
    /// [`InvalidPriority`](ErrorKind::InvalidPriority) above [`MAX_PRIORITY`](MqSender::MAX_PRIORITY);
    /// and those of [`Sender`].
    pub fn send_with_priority(&mut self, message: &[u8], priority: u32, wait: Wait) -> Result<()> {
        if message.len() > self.queue.max_message() {
            return Err(self.too_large(message.len()));
        }
        if priority > MqSender::MAX_PRIORITY {
            let detail = format!("{priority}; priorities go from 0 to {}", MqSender::MAX_PRIORITY);
            return Err(Error::new(ErrorKind::InvalidPriority, "send")
                .at(self.queue.endpoint_text())
                .with_detail(detail));
        }
        self.queue.wait_for(wait, |queue| queue.send(priority, message))
    }

    /// The queue's sizes, and how much is in it.
    pub fn attributes(&self) -> Result<MqAttributes> {
        self.queue.attributes()
    }

    /// Whether the one who bound the name lives and holds it. It is false where nobody bound it: after
    /// [`open_or_create`](MqSender::open_or_create), or if another program made the queue.
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

    #[cold]
    fn too_large(&self, length: usize) -> Error {
        let remedy =
            format!("the message has {length} bytes; who makes the queue sets it, by max_message");
        let error = Error::new(ErrorKind::MessageTooLarge, "send").at(self.queue.endpoint_text());
        error.with_limit("mq_msgsize", self.queue.max_message() as u64, remedy)
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Sender for MqSender {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.send_with_priority(message, self.priority, wait)
    }
}

/// The queue's descriptor: it is writable while there is room.
impl AsFd for MqSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

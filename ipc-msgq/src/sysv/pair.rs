//! One System V queue as a pair: messages of one type lead to the one who binds, those of the next to the
//! one who connects.

use super::queue::{self, Queue};
use super::{SYSV_PAIR_CAPABILITIES, Select, SysvReceiver, SysvSender, SysvStatus};
use ipc_core::{
    Capabilities, Endpoint, Error, ErrorKind, Pair, Receiver, Result, Sender, ToEndpoint, Wait,
};
use std::time::Duration;

/// A pair on a System V queue: both ends send and receive.
///
/// ```
/// use ipc_msgq::{Receiver, Sender, SysvPair};
///
/// let file = tempfile::NamedTempFile::new().unwrap();
/// let queue = format!("sysvmsg://{}?id=a", file.path().display());
/// let mut server = SysvPair::bind(&queue)?;
/// let mut client = SysvPair::connect(&queue)?;
/// client.send(b"question")?;
/// assert_eq!(server.recv()?, b"question");
/// server.send(b"answer")?;
/// assert_eq!(client.recv()?, b"answer");
/// # Ok::<(), ipc_msgq::Error>(())
/// ```
///
/// Messages to the one who has bound have the type that the endpoint's option `type` says, 1 by default;
/// those to the one who has connected have the next. Both directions share the queue's capacity: where one
/// side sends without receiving, the other cannot send either. A second one who connects is not noticed.
#[derive(Debug)]
pub struct SysvPair {
    sender: SysvSender,
    receiver: SysvReceiver,
}

impl SysvPair {
    /// Makes the queue and owns it; as [`SysvSender::bind`], with the same errors.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "bind")?;
        let (to_binder, to_connector) = types(&endpoint, "bind")?;
        Ok(SysvPair::new(Queue::bind(&endpoint)?, to_connector, to_binder))
    }

    /// Finds a queue that is there; as [`SysvSender::connect`], with the same errors.
    pub fn connect(endpoint: impl ToEndpoint) -> Result<Self> {
        SysvPair::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<Self> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// As [`connect`](SysvPair::connect), but waits until there is such a queue; as
    /// [`SysvSender::connect_within`].
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "connect")?;
        let (to_binder, to_connector) = types(&endpoint, "connect")?;
        Ok(SysvPair::new(Queue::connect(&endpoint, wait)?, to_binder, to_connector))
    }

    fn new(queue: Queue, send: i64, receive: i64) -> Self {
        SysvPair {
            receiver: SysvReceiver::selecting(queue.share(), Select::Equal(receive)),
            sender: SysvSender::with_kind(queue, send),
        }
    }

    /// Takes the pair apart. A queue that was bound is kept until both halves are dropped.
    pub fn split(self) -> (SysvSender, SysvReceiver) {
        (self.sender, self.receiver)
    }

    /// What the kernel tells about the queue; as [`SysvSender::status`].
    pub fn status(&self) -> Result<SysvStatus> {
        self.sender.status()
    }

    /// Whether the one who bound the queue lives; as [`SysvSender::has_owner`].
    pub fn has_owner(&self) -> Result<bool> {
        self.sender.has_owner()
    }

    /// Removes the queue; as [`SysvSender::remove`].
    pub fn remove(&self) -> Result<()> {
        self.sender.remove()
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.sender.endpoint()
    }

    /// What this channel gives, with the longest message of this queue.
    pub fn capabilities(&self) -> Capabilities {
        SYSV_PAIR_CAPABILITIES.max_message(self.sender.max_message())
    }
}

impl Sender for SysvPair {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.sender.send_within(message, wait)
    }
}

impl Receiver for SysvPair {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.receiver.recv_within(wait)
    }
}

impl Pair for SysvPair {
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>) {
        let (sender, receiver) = self.split();
        (Box::new(sender), Box::new(receiver))
    }
}

/// The types of messages to the one who binds, and to the one who connects.
fn types(endpoint: &Endpoint, operation: &'static str) -> Result<(i64, i64)> {
    let kind = endpoint.options().message_type.unwrap_or(1);
    match kind.checked_add(1) {
        Some(next) if kind >= 1 => Ok((kind, next)),
        _ => Err(Error::new(ErrorKind::InvalidOption, operation)
            .at(endpoint.text())
            .with_detail(format!("type {kind}, but a pair uses a type from 1 and the next one"))),
    }
}

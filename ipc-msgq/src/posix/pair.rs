//! Two POSIX queues as a pair: `NAME` leads to the one who binds, `NAME.reply` to the one who connects.

use super::queue::{Direction, Queue};
use super::{MQ_PAIR_CAPABILITIES, MqReceiver, MqSender, name, queue};
use ipc_core::{
    Address, Capabilities, Endpoint, Pair, Receiver, Result, Scheme, Sender, ToEndpoint, Wait,
};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

/// A pair of POSIX queues: both ends send and receive.
///
/// ```
/// use ipc_msgq::{MqPair, Receiver, Sender};
///
/// let name = format!("mq://ipc-doc-pair-{}?capacity=4&max_message=64", std::process::id());
/// let mut server = MqPair::bind(&name)?;
/// let mut client = MqPair::connect(&name)?;
/// client.send(b"question")?;
/// assert_eq!(server.recv()?, b"question");
/// server.send(b"answer")?;
/// assert_eq!(client.recv()?, b"answer");
/// # Ok::<(), ipc_msgq::Error>(())
/// ```
///
/// The messages to the one who has bound are in the queue `NAME`, those to the one who has connected in
/// `NAME.reply`, both with the sizes and the mode that the endpoint asks for. One peer at a time: another
/// is told [`Busy`](ipc_core::ErrorKind::Busy).
#[derive(Debug)]
pub struct MqPair {
    sender: MqSender,
    receiver: MqReceiver,
}

impl MqPair {
    /// Makes both queues and owns their names; as [`MqSender::bind`], with the same errors.
    ///
    /// What a killed owner has left is taken over with the messages in it: requests that were waiting are
    /// answered by the new owner.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "bind")?;
        // The reply first: whoever finds the name finds its reply.
        let (reply, reply_hold) = Queue::bind(&reply_to(&endpoint)?, Direction::Send)?;
        let (queue, hold) = Queue::bind(&endpoint, Direction::Receive)?;
        Ok(MqPair::new(reply, queue, &[hold, reply_hold]))
    }

    /// Opens both queues, which must be there; as [`MqSender::connect`], with the same errors.
    ///
    /// # Errors
    ///
    /// And [`Busy`](ipc_core::ErrorKind::Busy): somebody is connected already.
    pub fn connect(endpoint: impl ToEndpoint) -> Result<Self> {
        MqPair::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<Self> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// As [`connect`](MqPair::connect), but waits until there are queues of these names; as
    /// [`MqSender::connect_within`].
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Self> {
        let endpoint = queue::endpoint(endpoint, "connect")?;
        let queue = Queue::connect(&endpoint, Direction::Send, wait)?;
        let seat = queue.take_seat()?;
        let reply = Queue::connect(&reply_to(&endpoint)?, Direction::Receive, wait)?;
        Ok(MqPair::new(queue, reply, &[seat]))
    }

    fn new(send: Queue, receive: Queue, holds: &[name::Hold]) -> Self {
        MqPair {
            sender: MqSender::new(send, holds.to_vec()),
            receiver: MqReceiver::new(receive, holds.to_vec()),
        }
    }

    /// Takes the pair apart. The names, or the place of the peer, are kept until both halves are dropped.
    pub fn split(self) -> (MqSender, MqReceiver) {
        (self.sender, self.receiver)
    }

    /// Sends one message of another priority; as [`MqSender::send_with_priority`].
    pub fn send_with_priority(&mut self, message: &[u8], priority: u32, wait: Wait) -> Result<()> {
        self.sender.send_with_priority(message, priority, wait)
    }

    /// Receives one message and its priority; as [`MqReceiver::recv_with_priority`].
    pub fn recv_with_priority(&mut self, wait: Wait) -> Result<(u32, &[u8])> {
        self.receiver.recv_with_priority(wait)
    }

    /// Whether the other end of the pair is there: the one who has bound, or the one who has connected.
    ///
    /// This is a look, not an event: nothing wakes a pair whose peer dies.
    pub fn has_peer(&self) -> Result<bool> {
        let (to_peer, from_peer) = (self.sender.queue(), self.receiver.queue());
        if from_peer.is_owned() { from_peer.has_peer() } else { to_peer.has_owner() }
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        if self.receiver.queue().is_owned() { self.receiver.endpoint() } else { self.sender.endpoint() }
    }

    /// What this channel gives, with the longest message of these queues.
    pub fn capabilities(&self) -> Capabilities {
        MQ_PAIR_CAPABILITIES.max_message(self.sender.queue().max_message())
    }
}

impl Sender for MqPair {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.sender.send_within(message, wait)
    }
}

impl Receiver for MqPair {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.receiver.recv_within(wait)
    }
}

impl Pair for MqPair {
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>) {
        let (sender, receiver) = self.split();
        (Box::new(sender), Box::new(receiver))
    }
}

/// The endpoint of the queue that leads to the one who connects.
fn reply_to(endpoint: &Endpoint) -> Result<Endpoint> {
    let name = [name::name_of(endpoint), b".reply"].concat();
    Endpoint::new(Scheme::Mq, Address::Object(OsString::from_vec(name)), endpoint.options().clone())
}

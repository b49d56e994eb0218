//! Both ends in one: two rings in one segment, one for each direction.

use super::open;
use super::stats::Stats;
use super::{PAIR_CAPABILITIES, ShmReceiver, ShmSender};
use ipc_core::{Capabilities, Pair, Receiver, Result, Sender, ToEndpoint, Wait};
use std::time::Duration;

/// One end of a conversation through shared memory: what goes in here comes out at the peer, and the
/// other way round.
///
/// ```
/// use ipc_shm::{Receiver, Sender, ShmPair};
///
/// let name = format!("shm://ipc-doc-pair-{}", std::process::id());
/// let mut server = ShmPair::bind(&name)?;
/// let mut client = ShmPair::connect(&name)?; // most often in another process
/// client.send(b"question")?;
/// assert_eq!(server.recv()?, b"question");
/// server.send(b"answer")?;
/// assert_eq!(client.recv()?, b"answer");
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// There is one peer. A second that connects is told [`Busy`](ipc_core::ErrorKind::Busy). When the peer is
/// gone, bind again for the next.
#[derive(Debug)]
pub struct ShmPair {
    sender: ShmSender,
    receiver: ShmReceiver,
}

impl ShmPair {
    /// Makes two rings with this name; the name goes when both halves are dropped.
    ///
    /// Options and errors are those of [`ShmReceiver::bind`]; `capacity` is that of each ring.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<ShmPair> {
        open::bind_pair(endpoint.to_endpoint()?)
    }

    /// Connects to a pair that was bound.
    ///
    /// # Errors
    ///
    /// Those of [`ShmReceiver::connect`].
    pub fn connect(endpoint: impl ToEndpoint) -> Result<ShmPair> {
        Self::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting for the name to be bound, or bound again, at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<ShmPair> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// The same, waiting as long as `wait` says.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<ShmPair> {
        open::connect_pair(endpoint.to_endpoint()?, wait)
    }

    pub(super) fn new(sender: ShmSender, receiver: ShmReceiver) -> ShmPair {
        ShmPair { sender, receiver }
    }

    /// Takes the pair apart, so that one thread can send while another receives. Dropping the sender alone
    /// tells the peer that no more will come.
    pub fn split(self) -> (ShmSender, ShmReceiver) {
        (self.sender, self.receiver)
    }

    /// What this transport can do.
    pub fn capabilities(&self) -> Capabilities {
        let sender = self.sender.capabilities();
        sender.max_message.map_or(PAIR_CAPABILITIES, |max| PAIR_CAPABILITIES.max_message(max))
    }

    /// What it has sent and what it has received so far.
    pub fn stats(&self) -> (Stats, Stats) {
        (self.sender.stats(), self.receiver.stats())
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.sender.endpoint()
    }
}

impl Sender for ShmPair {
    #[inline]
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.sender.send_within(message, wait)
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        self.sender.flush(wait)
    }
}

impl Receiver for ShmPair {
    #[inline]
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.receiver.recv_within(wait)
    }
}

impl Pair for ShmPair {
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>) {
        let (sender, receiver) = self.split();
        (Box::new(sender), Box::new(receiver))
    }
}

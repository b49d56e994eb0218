//! The end of a ring that messages come out of.

use super::area::Area;
use super::core::{Consumer, Record};
use super::link::{Link, Pause, look};
use super::presence::Presence;
use super::stats::Stats;
use super::{CAPABILITIES, open};
use ipc_core::{Attempt, Capabilities, Endpoint, Error, ErrorKind, Receiver, Result, ToEndpoint, Wait};
use std::sync::Arc;
use std::time::Duration;

/// Receives messages from a [`ShmSender`](super::ShmSender), through shared memory.
///
/// ```
/// use ipc_shm::{Receiver, Sender, ShmReceiver, ShmSender};
///
/// let name = format!("shm://ipc-doc-receiver-{}", std::process::id());
/// let mut receiver = ShmReceiver::bind(&name)?;
/// let mut sender = ShmSender::connect(&name)?; // most often in another process
/// sender.send(b"hello")?;
/// assert_eq!(receiver.recv()?, b"hello");
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// The message lies in a private buffer, which the sender cannot reach: it is copied once.
/// [`borrow`](ShmReceiver::borrow) spares the copy, for peers that trust each other.
///
/// # Errors of `recv`
///
/// Those of [`Receiver`], and [`Corrupted`](ErrorKind::Corrupted) if the peer has written nonsense: for good,
/// as nothing after it can be believed. While nobody has connected yet, `recv` waits.
///
/// # After a fork
///
/// Only the process that opened it may use it. Dropping it in a child has no effect on the peer.
#[derive(Debug)]
pub struct ShmReceiver {
    pub(super) consumer: Consumer<Area>,
    pub(super) link: Link,
    /// The message that was received last, and more.
    buffer: Vec<u8>,
    /// How much of `buffer` is the beginning of a message whose other pieces have not come yet.
    pub(super) partial: usize,
    /// Nothing is held, nothing is wrong, and `buffer` is neither longer than usual nor than a message
    /// may be.
    pub(super) is_plain: bool,
    /// How many messages have been short since the last long one.
    short_messages: u32,
}

impl ShmReceiver {
    /// Above this, `buffer` is given back after [`PATIENCE`](Self::PATIENCE) shorter messages.
    const USUAL: usize = 1 << 20;
    const PATIENCE: u32 = 64;

    /// What `buffer` has at least, once there has been a message.
    const FIRST: usize = 4096;

    /// Makes a ring with this name and receives from it; the name goes when this is dropped.
    ///
    /// Options: `capacity` (bytes in the ring, rounded up to a power of two; 1 MiB by default), `max_message`
    /// (64 MiB), `mode` (0600), `uid` (where it connects: whose the ring must be; this user's by default),
    /// `waiting`.
    ///
    /// # Errors
    ///
    /// Those of [`SegmentOptions::create`](crate::SegmentOptions::create):
    /// [`AddrInUse`](ErrorKind::AddrInUse) while somebody else owns the name. One whose owner was killed is
    /// taken over.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<ShmReceiver> {
        open::bind_receiver(endpoint.to_endpoint()?)
    }

    /// Receives from a ring that a sender has bound.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is no such name, [`NoPeer`](ErrorKind::NoPeer) if its owner
    /// is gone, [`Busy`](ErrorKind::Busy) if it has a receiver, its owner or another,
    /// [`GeometryMismatch`](ErrorKind::GeometryMismatch) if it is a pair, [`Corrupted`](ErrorKind::Corrupted) if
    /// it is no ring, and those of [`SegmentOptions::open`](crate::SegmentOptions::open).
    pub fn connect(endpoint: impl ToEndpoint) -> Result<ShmReceiver> {
        Self::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting for the name to be bound, or bound again, at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<ShmReceiver> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// The same, waiting as long as `wait` says.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<ShmReceiver> {
        open::connect_receiver(endpoint.to_endpoint()?, wait)
    }

    pub(super) fn new(area: Area, presence: Arc<Presence>, endpoint: &Endpoint) -> ShmReceiver {
        ShmReceiver {
            consumer: Consumer::new(area),
            link: Link::new(presence, endpoint, "recv"),
            buffer: Vec::new(),
            partial: 0,
            is_plain: false,
            short_messages: 0,
        }
    }

    /// What this transport can do.
    pub fn capabilities(&self) -> Capabilities {
        CAPABILITIES.max_message(self.link.max_message)
    }

    /// What it has seen so far.
    pub fn stats(&self) -> Stats {
        self.link.stats()
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.link.endpoint()
    }

    /// The message of this length that [`recv_one`](Self::recv_one) has received.
    pub(super) fn message(&self, len: usize) -> &[u8] {
        self.buffer.get(..len).unwrap_or_default()
    }

    /// Waits for a record. It stays the next one until the consumer goes beyond it.
    pub(super) fn next_record(&mut self, wait: Wait) -> Result<Record> {
        self.link.check()?;
        let mut attempt = Attempt::new(wait);
        loop {
            match self.consumer.peek() {
                Ok(Some(record)) => return Ok(record),
                Ok(None) => self.wait_for_record(wait, &mut attempt)?,
                Err(corrupted) => return Err(self.link.corrupted(corrupted)),
            }
        }
    }

    #[cold]
    pub(super) fn recv_one(&mut self, wait: Wait) -> Result<usize> {
        self.is_plain = false;
        self.link.check()?;
        let mut attempt = Attempt::new(wait);
        loop {
            let record = match self.consumer.peek() {
                Ok(Some(record)) => record,
                Ok(None) => {
                    self.wait_for_record(wait, &mut attempt)?;
                    continue;
                }
                Err(corrupted) => return Err(self.link.corrupted(corrupted)),
            };
            let start = self.partial;
            let end = start + record.len;
            if end > self.link.max_message {
                let detail = "the peer sends a longer one than this end's option max_message allows";
                return Err(self.link.end(ErrorKind::MessageTooLarge, detail));
            }
            if end > self.buffer.len() {
                // Zeroed once, and used again for all messages to come.
                let len = end.max(2 * start).max(Self::FIRST).min(self.link.max_message);
                self.buffer.resize(len, 0);
            }
            if let Some(part) = self.buffer.get_mut(start..end) {
                self.consumer.read(record, part);
            }
            self.consumer.advance(record);
            if !record.more {
                self.partial = 0;
                self.link.succeeded(&attempt, end);
                if self.buffer.len() > Self::USUAL {
                    self.give_up_buffer(end);
                }
                self.is_plain = self.buffer.len() <= Self::USUAL;
                return Ok(end);
            }
            if record.len == 0 {
                return Err(self.link.end(ErrorKind::Corrupted, "a piece of a message is empty"));
            }
            self.partial = end;
            self.link.progressed(&mut attempt)?;
        }
    }

    /// Waits until it may be worth to look again, or fails.
    #[cold]
    fn wait_for_record(&mut self, wait: Wait, attempt: &mut Attempt) -> Result<()> {
        self.link.stats.waits += 1;
        let looks = self.link.looks(wait);
        let consumer = &mut self.consumer;
        loop {
            match look(looks, || consumer.peek().map(|record| record.is_some())) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(corrupted) => return Err(self.link.corrupted(corrupted)),
            }
            consumer.memory().rely_on_peer(self.link.presence());
            consumer.give_back();
            if consumer.is_closed() || self.link.peer_is_gone() {
                // What it has sent before is there by now.
                return match consumer.peek() {
                    Ok(Some(_)) => Ok(()),
                    Ok(None) if self.partial > 0 => {
                        self.partial = 0;
                        self.link.end(ErrorKind::Disconnected, "");
                        Err(Error::new(ErrorKind::Truncated, "recv"))
                    }
                    Ok(None) => Err(self.link.end(ErrorKind::Disconnected, "")),
                    Err(corrupted) => Err(self.link.corrupted(corrupted)),
                };
            }
            match self.link.pause(attempt)? {
                Pause::Look => {}
                Pause::Sleep(limit) => {
                    if let Err(corrupted) = consumer.sleep(limit) {
                        return Err(self.link.corrupted(corrupted));
                    }
                }
            }
        }
    }

    #[cold]
    fn give_up_buffer(&mut self, len: usize) {
        self.short_messages = if len > Self::USUAL { 0 } else { self.short_messages + 1 };
        if self.short_messages > Self::PATIENCE {
            self.buffer.truncate(Self::USUAL);
            self.buffer.shrink_to_fit();
        }
    }
}

impl Receiver for ShmReceiver {
    #[inline]
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        // The common case, in as few steps as can be.
        if self.is_plain
            && let Ok(Some(record)) = self.consumer.peek()
            && !record.more
            && let Some(message) = self.buffer.get_mut(..record.len)
        {
            self.consumer.read(record, message);
            self.consumer.advance(record);
            self.link.count(record.len);
            return Ok(self.message(record.len));
        }
        match self.recv_one(wait) {
            Ok(len) => Ok(self.message(len)),
            Err(error) => Err(error.at(self.link.endpoint())),
        }
    }
}

impl Drop for ShmReceiver {
    fn drop(&mut self) {
        if self.link.presence().is_mine() {
            self.consumer.close();
        }
    }
}

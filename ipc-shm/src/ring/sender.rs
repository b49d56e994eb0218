//! The end of a ring that messages go into.

use super::area::Area;
use super::core::{Producer, Record};
use super::link::{Link, Pause, look};
use super::presence::Presence;
use super::stats::Stats;
use super::{CAPABILITIES, open};
use ipc_core::{Attempt, Capabilities, Endpoint, Error, ErrorKind, Result, Sender, ToEndpoint, Wait};
use std::sync::Arc;
use std::time::Duration;

/// Sends messages to a [`ShmReceiver`](super::ShmReceiver), through shared memory.
///
/// ```
/// use ipc_shm::{Receiver, Sender, ShmReceiver, ShmSender};
///
/// let name = format!("shm://ipc-doc-sender-{}", std::process::id());
/// let mut sender = ShmSender::bind(&name)?;
/// sender.send(b"sent before anybody was there")?;
/// let mut receiver = ShmReceiver::connect(&name)?; // most often in another process
/// assert_eq!(receiver.recv()?, b"sent before anybody was there");
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// The message is copied once, into the ring; the receiver copies it out once.
/// [`loan`](ShmSender::loan) spares the copy, for peers that trust each other.
///
/// A message of more than a quarter of the ring goes through it in pieces, while the receiver reads them.
///
/// # Errors of `send`
///
/// Those of [`Sender`], and [`Corrupted`](ErrorKind::Corrupted) if the peer has written nonsense: for good. A
/// receiver that was killed is noticed when the ring is full, or after a few messages, some 20
/// milliseconds after its death: messages sent until then are accepted and lost with it. While nobody has
/// connected yet, messages wait in the ring.
///
/// # After a fork
///
/// Only the process that opened it may use it. Dropping it in a child has no effect on the peer.
#[derive(Debug)]
pub struct ShmSender {
    pub(super) producer: Producer<Area>,
    pub(super) link: Link,
    /// The rest of a message that was accepted when only a part of it had gone out, and how much of that
    /// rest has gone out since.
    rest: Vec<u8>,
    rest_sent: usize,
    /// Messages up to this length go in one piece.
    pub(super) max_single: usize,
    /// How many messages to send before the clock is looked at again; zero while there is a `rest`, or
    /// nothing goes any more.
    until_check: u32,
}

impl ShmSender {
    /// How long a dropped sender tries to get the rest of an accepted message out.
    pub const LINGER: Duration = Duration::from_secs(1);

    /// A look at the clock costs several times as much as a small message.
    const MESSAGES_PER_CHECK: u32 = 32;

    /// Makes a ring with this name and sends into it; the name goes when this is dropped, but what a
    /// receiver that has connected has not read yet stays there for it.
    ///
    /// Options and errors are those of [`ShmReceiver::bind`](super::ShmReceiver::bind).
    pub fn bind(endpoint: impl ToEndpoint) -> Result<ShmSender> {
        open::bind_sender(endpoint.to_endpoint()?)
    }

    /// Sends into a ring that a receiver has bound.
    ///
    /// # Errors
    ///
    /// Those of [`ShmReceiver::connect`](super::ShmReceiver::connect).
    pub fn connect(endpoint: impl ToEndpoint) -> Result<ShmSender> {
        Self::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting for the name to be bound, or bound again, at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<ShmSender> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// The same, waiting as long as `wait` says.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<ShmSender> {
        open::connect_sender(endpoint.to_endpoint()?, wait)
    }

    pub(super) fn new(area: Area, presence: Arc<Presence>, endpoint: &Endpoint) -> ShmSender {
        let producer = Producer::new(area);
        let link = Link::new(presence, endpoint, "send");
        let max_single = (producer.max_record() / 2).min(link.max_message);
        ShmSender { producer, link, max_single, rest: Vec::new(), rest_sent: 0, until_check: 0 }
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

    /// Room for a message of `len` bytes in one piece.
    pub(super) fn reserve(&mut self, len: usize, wait: Wait) -> Result<Record> {
        let max = self.max_loan().min(self.link.max_message);
        if len > max {
            return Err(Error::new(ErrorKind::MessageTooLarge, "loan").with_limit(
                "max_loan",
                max as u64,
                format!("{len} bytes were asked for; the option capacity raises it"),
            ));
        }
        // The common case, as in `send_within`.
        if self.until_check > 0 && !self.producer.is_closed() {
            self.until_check -= 1;
            if let Ok(Some(record)) = self.producer.reserve(len) {
                return Ok(record);
            }
        }
        let mut attempt = Attempt::new(wait);
        self.ready(wait, &mut attempt)?;
        loop {
            match self.producer.reserve(len) {
                Ok(Some(record)) => return Ok(record),
                Ok(None) => self.wait_for_room(len, wait, &mut attempt)?,
                Err(corrupted) => return Err(self.link.corrupted(corrupted)),
            }
        }
    }

    #[cold]
    fn send_one(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        if message.len() > self.link.max_message {
            return Err(too_large(message.len(), self.link.max_message));
        }
        let mut attempt = Attempt::new(wait);
        self.ready(wait, &mut attempt)?;
        if message.len() > self.max_single {
            return self.send_pieces(message, wait, &mut attempt);
        }
        while !self.push(message, false)? {
            self.wait_for_room(message.len(), wait, &mut attempt)?;
        }
        self.link.succeeded(&attempt, message.len());
        Ok(())
    }

    /// Does what comes before a message.
    fn ready(&mut self, wait: Wait, attempt: &mut Attempt) -> Result<()> {
        self.until_check = 0;
        self.link.check()?;
        self.producer.memory().rely_on_peer(self.link.presence());
        if self.producer.is_closed() || self.link.peer_is_gone() {
            return Err(self.link.end(ErrorKind::Disconnected, ""));
        }
        if !self.rest.is_empty() {
            self.send_rest(wait, attempt)?;
        }
        self.until_check = Self::MESSAGES_PER_CHECK;
        Ok(())
    }

    #[inline]
    fn push(&mut self, payload: &[u8], more: bool) -> Result<bool> {
        self.producer.push(payload, more).map_err(|corrupted| self.link.corrupted(corrupted))
    }

    #[cold]
    fn send_pieces(&mut self, message: &[u8], wait: Wait, attempt: &mut Attempt) -> Result<()> {
        let mut pieces = self.pieces(message);
        let mut sent = 0;
        while let Some(piece) = pieces.next() {
            let more = pieces.len() > 0;
            while !self.push(piece, more)? {
                match self.wait_for_room(piece.len(), wait, attempt) {
                    Ok(()) => {}
                    Err(error) if sent > 0 && is_out_of_time(&error) => {
                        self.keep_rest(message, sent);
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            }
            sent += piece.len();
            if more && self.link.progressed(attempt).is_err() {
                self.keep_rest(message, sent);
                return Ok(());
            }
        }
        self.link.succeeded(attempt, message.len());
        Ok(())
    }

    /// After an error, the next call looks whether anything goes at all.
    #[cold]
    pub(super) fn failed(&mut self, error: Error) -> Error {
        self.until_check = 0;
        error.at(self.link.endpoint())
    }

    /// A part of the message has gone out, so it will be sent as a whole.
    fn keep_rest(&mut self, message: &[u8], sent: usize) {
        self.rest = message.get(sent..).unwrap_or_default().to_vec();
        self.rest_sent = 0;
        self.until_check = 0;
        self.link.count(message.len());
    }

    #[cold]
    fn send_rest(&mut self, wait: Wait, attempt: &mut Attempt) -> Result<()> {
        self.link.check()?;
        // Taken out, so that it can be lent while the sender works.
        let rest = std::mem::take(&mut self.rest);
        let result = self.send_rest_of(&rest, wait, attempt);
        if result.is_err() {
            self.rest = rest;
        } else {
            self.rest_sent = 0;
        }
        result
    }

    fn send_rest_of(&mut self, rest: &[u8], wait: Wait, attempt: &mut Attempt) -> Result<()> {
        let mut pieces = self.pieces(rest.get(self.rest_sent..).unwrap_or_default());
        while let Some(piece) = pieces.next() {
            while !self.push(piece, pieces.len() > 0)? {
                self.wait_for_room(piece.len(), wait, attempt)?;
            }
            self.rest_sent += piece.len();
        }
        Ok(())
    }

    /// A message that is too long for one record, in pieces of an eighth of the ring, so that one can be
    /// read while the next is written.
    fn pieces<'a>(&self, message: &'a [u8]) -> std::slice::Chunks<'a, u8> {
        message.chunks(self.producer.max_record() / 4)
    }

    /// Waits until there may be room for a record with `len` bytes of payload, or fails.
    #[cold]
    fn wait_for_room(&mut self, len: usize, wait: Wait, attempt: &mut Attempt) -> Result<()> {
        self.link.stats.waits += 1;
        let looks = self.link.looks(wait);
        let producer = &mut self.producer;
        loop {
            match look(looks, || producer.reserve(len).map(|room| room.is_some())) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(corrupted) => return Err(self.link.corrupted(corrupted)),
            }
            if producer.is_closed() || self.link.peer_is_gone() {
                return Err(self.link.end(ErrorKind::Disconnected, ""));
            }
            match self.link.pause(attempt) {
                Ok(Pause::Look) => {}
                Ok(Pause::Sleep(limit)) => {
                    if let Err(corrupted) = producer.sleep(len, limit) {
                        return Err(self.link.corrupted(corrupted));
                    }
                }
                Err(error) => {
                    producer.want_room();
                    return Err(error);
                }
            }
        }
    }
}

impl Sender for ShmSender {
    #[inline]
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        // The common case, in as few steps as can be.
        if self.until_check > 0 && message.len() <= self.max_single && !self.producer.is_closed() {
            self.until_check -= 1;
            if let Ok(true) = self.producer.push(message, false) {
                self.link.count(message.len());
                return Ok(());
            }
        }
        self.send_one(message, wait).map_err(|error| self.failed(error))
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let sent = self.send_rest(wait, &mut Attempt::new(wait));
        sent.map_err(|error| self.failed(error))
    }
}

/// Tries for [`LINGER`](ShmSender::LINGER) to get out what was accepted, then tells the receiver that no
/// more will come.
impl Drop for ShmSender {
    fn drop(&mut self) {
        if self.link.presence().is_mine() {
            // If it does not go out, the receiver is told by what it gets: `Truncated`.
            let _ = self.flush(Wait::timeout(Self::LINGER));
            self.producer.close();
        }
    }
}

#[cold]
fn too_large(len: usize, max: usize) -> Error {
    Error::new(ErrorKind::MessageTooLarge, "send").with_limit(
        "max_message",
        max as u64,
        format!("the message has {len} bytes; the option max_message raises it"),
    )
}

fn is_out_of_time(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

//! One sender to several receivers that each see every message: a ring for each.
//!
//! The sender binds a number of names, `NAME.0`, `NAME.1` and so on, as a [`ShmFanIn`](super::ShmFanIn) does,
//! and writes each message into the ring of each receiver that is there. It first makes sure of room in all of
//! them: a message goes to all receivers or to none.

use super::fan_in::{first_free, place};
use super::presence::Peer;
use super::{CAPABILITIES, ShmFanIn, ShmReceiver, ShmSender, Stats};
use ipc_core::{Capabilities, Endpoint, Error, ErrorKind, Result, Sender, ToEndpoint, Wait};
use std::time::Duration;

/// What is done about a receiver whose ring is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slow {
    /// It holds the sender back, and so all the others.
    #[default]
    Hold,
    /// It is dropped: it reads what it has got so far, and then `Disconnected`.
    Drop,
}

/// Sends to several [`ShmReceiver`]s, which come and go; each sees every message from when it came.
///
/// ```
/// use ipc_shm::{Receiver, Sender, ShmFanOut, Slow};
///
/// let name = format!("shm://ipc-doc-fan-out-{}", std::process::id());
/// let mut sender = ShmFanOut::bind(&name, 8, Slow::Drop)?;
/// let mut one = ShmFanOut::connect(&name)?; // most often in other processes
/// let mut two = ShmFanOut::connect(&name)?;
/// sender.send(b"to all")?;
/// assert_eq!(one.recv()?, b"to all");
/// assert_eq!(two.recv()?, b"to all");
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// While nobody is there, messages go nowhere. That a receiver is gone is no event here. A message has at most
/// a quarter of a ring's capacity; a longer one is [`MessageTooLarge`](ErrorKind::MessageTooLarge).
#[derive(Debug)]
pub struct ShmFanOut {
    slots: Vec<Slot>,
    slow: Slow,
    max_message: usize,
    endpoint: Endpoint,
}

/// A place for a receiver.
#[derive(Debug)]
struct Slot {
    endpoint: Endpoint,
    /// `None` if it could not be made again when its last receiver had gone.
    sender: Option<ShmSender>,
}

impl Slot {
    /// Makes the place free for another receiver; the last one keeps what it has got.
    fn renew(&mut self) {
        // Its name first, so that it can be given again.
        self.sender = None;
        self.sender = ShmSender::bind(&self.endpoint).ok();
    }

    /// Makes the place anew if that could not be done before.
    fn restore(&mut self) {
        if self.sender.is_none() {
            self.renew();
        }
    }

    /// The ring, if somebody reads from it, or has.
    fn taken(&mut self) -> Option<&mut ShmSender> {
        self.sender.as_mut().filter(|sender| sender.link.presence().peer_pid().is_some())
    }
}

impl ShmFanOut {
    /// Makes places for so many receivers at a time, from 1 to
    /// [`MAX_SENDERS`](ShmFanIn::MAX_SENDERS). The endpoint is a `shm://` one; options and errors are those of
    /// [`ShmSender::bind`], and `capacity` is that of each receiver's ring.
    pub fn bind(endpoint: impl ToEndpoint, receivers: usize, slow: Slow) -> Result<ShmFanOut> {
        let endpoint = endpoint.to_endpoint()?;
        if !(1..=ShmFanIn::MAX_SENDERS).contains(&receivers) {
            let remedy = "choose a number from 1 on";
            let error = Error::new(ErrorKind::LimitExceeded, "bind").at(endpoint.text());
            return Err(error.with_limit("MAX_SENDERS", ShmFanIn::MAX_SENDERS as u64, remedy));
        }
        let mut slots = Vec::with_capacity(receivers);
        let mut max_message = usize::MAX;
        for number in 0..receivers {
            let endpoint = place(&endpoint, number, "bind")?;
            let sender = ShmSender::bind(&endpoint)?;
            max_message = max_message.min(sender.max_single);
            slots.push(Slot { sender: Some(sender), endpoint });
        }
        Ok(ShmFanOut { slots, slow, max_message, endpoint })
    }

    /// A receiver from the sender that has bound this name: the first place that is free. Errors as of
    /// [`ShmFanIn::connect`].
    pub fn connect(endpoint: impl ToEndpoint) -> Result<ShmReceiver> {
        Self::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting for a free place at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<ShmReceiver> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// The same, waiting for a free place as long as `wait` says.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<ShmReceiver> {
        first_free(&endpoint.to_endpoint()?, wait, |place| ShmReceiver::connect(place))
    }

    /// How many receivers are there. The places of those that are gone are free from now on; `send`, too,
    /// notices that they are, but not at once.
    pub fn receivers(&mut self) -> usize {
        for slot in &mut self.slots {
            slot.restore();
            if slot.taken().is_some_and(|sender| sender.link.presence().peer() == Peer::Gone) {
                slot.renew();
            }
        }
        self.slots.iter_mut().filter_map(Slot::taken).count()
    }

    /// What has been sent to each receiver that is there, or was when somebody last looked.
    pub fn stats(&self) -> impl Iterator<Item = Stats> {
        let senders = self.slots.iter().filter_map(|slot| slot.sender.as_ref());
        senders.map(ShmSender::stats).filter(|stats| stats.peer_pid.is_some())
    }

    /// What this transport can do. One that [drops](Slow::Drop) slow receivers is not reliable.
    pub fn capabilities(&self) -> Capabilities {
        let capabilities = CAPABILITIES.max_message(self.max_message).ignores_disconnect();
        if self.slow == Slow::Drop { capabilities.unreliable() } else { capabilities }
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.endpoint.text()
    }

    fn send_all(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        if message.len() > self.max_message {
            return Err(Error::new(ErrorKind::MessageTooLarge, "send").with_limit(
                "a quarter of the ring",
                self.max_message as u64,
                format!("the message has {} bytes; the option capacity raises it", message.len()),
            ));
        }
        let wait_for_one = if self.slow == Slow::Hold { wait } else { Wait::Never };
        // Room in all of them first; nobody else takes it meanwhile.
        for slot in &mut self.slots {
            slot.restore();
            let Some(sender) = slot.taken() else { continue };
            match sender.reserve(message.len(), wait_for_one) {
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut if self.slow == Slow::Hold => {
                        return Err(Error::new(error.kind(), "send"));
                    }
                    // Too slow, gone, or writing nonsense.
                    _ => slot.renew(),
                },
            }
        }
        for slot in &mut self.slots {
            // One that has come just now has an empty ring, where there is room too.
            let sent = slot.taken().map(|sender| sender.try_send(message));
            if sent.is_some_and(|sent| sent.is_err()) {
                slot.renew();
            }
        }
        Ok(())
    }
}

impl Sender for ShmFanOut {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.send_all(message, wait).map_err(|error| error.at(self.endpoint.text()))
    }
}

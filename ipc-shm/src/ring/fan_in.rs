//! Several senders to one receiver: a ring for each, and one sleep for all.
//!
//! The receiver binds a number of names, `NAME.0`, `NAME.1` and so on, with a ring each. A sender takes the
//! first that is free. When a sender has left or died, and all it had sent has been read, its ring is made
//! anew for the next. So no sender can disturb another, whatever it does and whenever it dies.

use super::area::Area;
use super::core::{ASLEEP, Consumer};
use super::link::LOOK_UP;
use super::memory::Memory;
use super::open::PAUSE;
use super::{CAPABILITIES, ShmReceiver, ShmSender, Stats};
use crate::futex;
use ipc_core::wait::nap;
use ipc_core::{Address, Attempt, Capabilities, Endpoint, Error, ErrorKind, Receiver, Result, Scheme};
use ipc_core::{Step, ToEndpoint, Wait, Waiter, Waiting};
use std::time::Duration;

/// Receives from several [`ShmSender`]s, which come and go.
///
/// ```
/// use ipc_shm::{Receiver, Sender, ShmFanIn};
///
/// let name = format!("shm://ipc-doc-fan-in-{}", std::process::id());
/// let mut receiver = ShmFanIn::bind(&name, 8)?;
/// let mut one = ShmFanIn::connect(&name)?; // most often in other processes
/// let mut two = ShmFanIn::connect(&name)?;
/// one.send(b"from one")?;
/// two.send(b"from two")?;
/// assert_eq!(receiver.recv()?, b"from one");
/// assert_eq!(receiver.recv()?, b"from two");
/// # Ok::<(), ipc_shm::Error>(())
/// ```
///
/// Messages of one sender arrive in order; those of several are taken in turn. That a sender is gone is no
/// event here: `recv` waits for the next. One that writes nonsense, or dies inside a message, loses its ring
/// and nothing else.
#[derive(Debug)]
pub struct ShmFanIn {
    slots: Vec<Slot>,
    /// Whose turn it is.
    next: usize,
    waiter: Waiter,
    endpoint: Endpoint,
}

/// A place for a sender.
#[derive(Debug)]
struct Slot {
    endpoint: Endpoint,
    /// `None` if it could not be made again when its last sender had gone.
    receiver: Option<ShmReceiver>,
}

impl ShmFanIn {
    /// The largest number of senders at a time.
    pub const MAX_SENDERS: usize = futex::MOST_WORDS;

    /// Makes places for so many senders at a time, from 1 to [`MAX_SENDERS`](Self::MAX_SENDERS). The
    /// endpoint is a `shm://` one; options and errors are those of [`ShmReceiver::bind`], and `capacity` is
    /// that of each sender's ring.
    pub fn bind(endpoint: impl ToEndpoint, senders: usize) -> Result<ShmFanIn> {
        let endpoint = endpoint.to_endpoint()?;
        if !(1..=Self::MAX_SENDERS).contains(&senders) {
            let remedy = "choose a number from 1 on";
            let error = Error::new(ErrorKind::LimitExceeded, "bind").at(endpoint.text());
            return Err(error.with_limit("MAX_SENDERS", Self::MAX_SENDERS as u64, remedy));
        }
        let mut slots = Vec::with_capacity(senders);
        for number in 0..senders {
            let endpoint = place(&endpoint, number, "bind")?;
            slots.push(Slot { receiver: Some(ShmReceiver::bind(&endpoint)?), endpoint });
        }
        let waiter = Waiter::new(endpoint.options().waiting.unwrap_or_default());
        Ok(ShmFanIn { slots, next: 0, waiter, endpoint })
    }

    /// A sender to the receiver that has bound this name: the first place that is free.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) if all places are taken, [`NotFound`](ErrorKind::NotFound) if there are none,
    /// and those of [`ShmSender::connect`].
    pub fn connect(endpoint: impl ToEndpoint) -> Result<ShmSender> {
        Self::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting for a free place at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<ShmSender> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// The same, waiting for a free place as long as `wait` says.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<ShmSender> {
        first_free(&endpoint.to_endpoint()?, wait, |place| ShmSender::connect(place))
    }

    /// What has come from each sender that is there, or has left messages that are still to be read.
    pub fn stats(&self) -> impl Iterator<Item = Stats> {
        let receivers = self.slots.iter().filter_map(|slot| slot.receiver.as_ref());
        receivers.map(ShmReceiver::stats).filter(|stats| stats.peer_pid.is_some())
    }

    /// What this transport can do.
    pub fn capabilities(&self) -> Capabilities {
        CAPABILITIES.several_senders().ignores_disconnect()
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.endpoint.text()
    }

    fn recv_one(&mut self, wait: Wait) -> Result<(usize, usize)> {
        let mut attempt = Attempt::new(wait);
        loop {
            if let Some(found) = self.look()? {
                attempt.succeeded(&mut self.waiter);
                return Ok(found);
            }
            match attempt.next(&mut self.waiter) {
                Ok(Step::Look) => {}
                Ok(Step::Sleep(limit)) => {
                    self.sleep(limit.map_or(LOOK_UP, |limit| limit.min(LOOK_UP)))?;
                }
                Err(kind) => return Err(Error::new(kind, "recv")),
            }
        }
    }

    /// Looks at every place once: which has a message, and of what length.
    fn look(&mut self) -> Result<Option<(usize, usize)>> {
        let count = self.slots.len();
        for step in 0..count {
            let index = (self.next + step) % count;
            let Some(slot) = self.slots.get_mut(index) else { continue };
            let Some(receiver) = &mut slot.receiver else {
                slot.receiver = ShmReceiver::bind(&slot.endpoint).ok();
                continue;
            };
            match receiver.recv_one(Wait::Never) {
                Ok(len) => {
                    self.next = index + 1;
                    return Ok(Some((index, len)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    // Its name first, so that it can be given again.
                    slot.receiver = None;
                    slot.receiver = ShmReceiver::bind(&slot.endpoint).ok();
                }
            }
        }
        Ok(None)
    }

    fn consumers(&mut self) -> impl Iterator<Item = &mut Consumer<Area>> {
        let receivers = self.slots.iter_mut().filter_map(|slot| slot.receiver.as_mut());
        receivers.map(|receiver| &mut receiver.consumer)
    }

    /// Sleeps until a sender publishes something, or leaves.
    fn sleep(&mut self, limit: Duration) -> Result<()> {
        self.consumers().for_each(Consumer::lie_down);
        if let Some(any) = self.consumers().next() {
            any.memory().heavy_fence();
        }
        // Nonsense is news, too: the next look finds it.
        if !self.consumers().any(|consumer| consumer.has_news().unwrap_or(true)) {
            let receivers = self.slots.iter().filter_map(|slot| slot.receiver.as_ref());
            let words = receivers.map(|receiver| receiver.consumer.memory().consumer_waits());
            futex::wait_any(words, ASLEEP as u32, limit)
                .map_err(|errno| Error::from_io(errno.into(), "recv"))?;
        }
        self.consumers().for_each(|consumer| consumer.get_up());
        Ok(())
    }
}

impl Receiver for ShmFanIn {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        let (index, len) = self.recv_one(wait).map_err(|error| error.at(self.endpoint.text()))?;
        let receiver = self.slots.get(index).and_then(|slot| slot.receiver.as_ref());
        Ok(receiver.map(|receiver| receiver.message(len)).unwrap_or_default())
    }
}

/// The endpoint of a place.
pub(super) fn place(endpoint: &Endpoint, number: usize, operation: &'static str) -> Result<Endpoint> {
    endpoint.require(&[Scheme::Shm], operation)?;
    let Address::Object(name) = endpoint.address() else {
        return Err(Error::new(ErrorKind::InvalidEndpoint, operation).at(endpoint.text()));
    };
    let mut name = name.clone();
    name.push(format!(".{number}"));
    Endpoint::new(endpoint.scheme(), Address::Object(name), endpoint.options().clone())
}

/// Connects to the first place that is free, waiting for one as long as `wait` says.
pub(super) fn first_free<T>(
    endpoint: &Endpoint,
    wait: Wait,
    connect: impl Fn(&Endpoint) -> Result<T>,
) -> Result<T> {
    let mut attempt = Attempt::new(wait);
    let mut waiter = Waiter::new(Waiting::Block);
    loop {
        let mut problem = Error::new(ErrorKind::NotFound, "connect").with_detail("nobody has made it");
        let mut missing = 0;
        for number in 0..ShmFanIn::MAX_SENDERS {
            match connect(&place(endpoint, number, "connect")?).map_err(|error| (error.kind(), error)) {
                Ok(connected) => return Ok(connected),
                // Taken, or about to be made anew.
                Err((ErrorKind::Busy | ErrorKind::NoPeer, error)) => {
                    problem = error.with_kind(ErrorKind::Busy);
                }
                // One may be about to be made anew: its name is gone for a moment. Two are the end.
                Err((ErrorKind::NotFound, _)) if missing == 0 => missing = 1,
                Err((ErrorKind::NotFound, _)) => break,
                Err((_, error)) => return Err(error),
            }
        }
        let problem = problem.at(endpoint.text());
        match attempt.next(&mut waiter) {
            Ok(_) => {
                let left = wait.remaining().unwrap_or(PAUSE);
                nap(left.min(PAUSE));
            }
            Err(ErrorKind::WouldBlock) => return Err(problem),
            Err(kind) => return Err(problem.with_kind(kind)),
        }
    }
}

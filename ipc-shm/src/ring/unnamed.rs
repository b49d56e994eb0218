//! Rings without a name: in memory that is handed over by descriptor, or by a fork.

use super::layout::{Kind, Layout, Side};
use super::open::{pair, read_layout, receiver, sender, take};
use super::{ShmPair, ShmReceiver, ShmSender};
use crate::segment::Segment;
use ipc_core::{Address, Endpoint, Error, ErrorKind, Options, Result, Scheme};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A ring that has no name, before its ends are taken.
///
/// It is memory with a descriptor (memfd_create(2)), sealed so that no peer can shrink it: the right kind
/// for a peer that is not trusted. Make it, hand its descriptor to the other process (or fork), and then let
/// each process take its end:
///
/// ```
/// use ipc_shm::{Receiver, Ring, Sender};
///
/// let ring = Ring::one_way(64 << 10)?;
/// let copy = ring.try_clone_fd()?; // goes to the other process, over a socket or as an open descriptor
///
/// let mut receiver = ring.receiver()?;
/// let mut sender = Ring::from_fd(copy)?.sender()?; // there
/// sender.send(b"hello")?;
/// assert_eq!(receiver.recv()?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Each end can be taken once. It belongs to the process that took it: take it after the fork.
#[derive(Debug)]
pub struct Ring {
    segment: Arc<Segment>,
    endpoint: Endpoint,
}

impl Ring {
    /// A ring for one sender and one receiver, of `capacity` bytes, rounded up to a power of two.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](ipc_core::ErrorKind::LimitExceeded): no memory, no descriptors.
    pub fn one_way(capacity: usize) -> Result<Ring> {
        Ring::new(Kind::OneWay, capacity)
    }

    /// Two rings, for two pairs, of `capacity` bytes each. Errors as of [`one_way`](Ring::one_way).
    pub fn both_ways(capacity: usize) -> Result<Ring> {
        Ring::new(Kind::Pair, capacity)
    }

    fn new(kind: Kind, capacity: usize) -> Result<Ring> {
        let layout = Layout::new(kind, capacity)?;
        let segment = Segment::anonymous(layout.size())?;
        layout.write(&segment);
        Ok(Ring { segment: Arc::new(segment), endpoint: endpoint()? })
    }

    /// A ring that was handed over.
    ///
    /// # Errors
    ///
    /// [`WrongType`](ipc_core::ErrorKind::WrongType) if it is other memory, or not sealed,
    /// [`Corrupted`](ipc_core::ErrorKind::Corrupted) if there is no ring in it.
    pub fn from_fd(fd: impl Into<OwnedFd>) -> Result<Ring> {
        let segment = Segment::from_fd(fd)?;
        read_layout(&segment, None)?;
        Ok(Ring { segment: Arc::new(segment), endpoint: endpoint()? })
    }

    /// Sets the options `waiting` and `max_message` of the ends that are taken from now on, by this process.
    ///
    /// # Errors
    ///
    /// [`UnknownOption`](ipc_core::ErrorKind::UnknownOption) if others are set: they are for names.
    pub fn with_options(mut self, options: Options) -> Result<Ring> {
        let mut others = options.clone();
        others.waiting = None;
        others.max_message = None;
        if others != Options::default() {
            let error = Error::new(ErrorKind::UnknownOption, "open").at(self.endpoint.text());
            return Err(error.with_detail("a ring without a name knows waiting and max_message"));
        }
        self.endpoint = self.endpoint.with_options(options)?;
        Ok(self)
    }

    /// The descriptor, as of [`Segment::fd`].
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.segment.fd()
    }

    /// A copy of the descriptor, close-on-exec, for another process.
    pub fn try_clone_fd(&self) -> std::io::Result<OwnedFd> {
        match self.segment.fd() {
            Some(fd) => fd.try_clone_to_owned(),
            None => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes the end that sends.
    ///
    /// # Errors
    ///
    /// [`Busy`](ipc_core::ErrorKind::Busy) if it has been taken, [`NoPeer`](ipc_core::ErrorKind::NoPeer) if who
    /// had it is gone, [`GeometryMismatch`](ipc_core::ErrorKind::GeometryMismatch) if this is a pair.
    pub fn sender(&self) -> Result<ShmSender> {
        let layout = self.layout(Kind::OneWay)?;
        sender(layout, Side::A, &Arc::new(take(&self.segment, Side::A)?), &self.endpoint)
    }

    /// Takes the end that receives. Errors as of [`sender`](Ring::sender).
    pub fn receiver(&self) -> Result<ShmReceiver> {
        let layout = self.layout(Kind::OneWay)?;
        receiver(layout, Side::B, &Arc::new(take(&self.segment, Side::B)?), &self.endpoint)
    }

    /// Takes an end of a pair: the first that is free. Errors as of [`sender`](Ring::sender).
    pub fn pair(&self) -> Result<ShmPair> {
        let layout = self.layout(Kind::Pair)?;
        let (side, presence) = match take(&self.segment, Side::A) {
            Ok(presence) => (Side::A, presence),
            Err(_) => (Side::B, take(&self.segment, Side::B)?),
        };
        pair(layout, side, &Arc::new(presence), &self.endpoint)
    }

    fn layout(&self, kind: Kind) -> Result<Layout> {
        read_layout(&self.segment, Some(kind)).map_err(|error| error.at(self.endpoint.text()))
    }
}

/// What errors name: there is no real name.
fn endpoint() -> Result<Endpoint> {
    Endpoint::new(Scheme::Shm, Address::Object("(unnamed)".into()), Options::default())
}

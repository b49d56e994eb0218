//! The receiver: puts fragments together, or takes plain bytes from a peer that knows nothing of us.

mod fragments;

use crate::end::{ReadEnd, capacity, set_capacity};
use crate::name::{self, Id, Name, Owned, Side};
use crate::open::{self, Meeting};
use fragments::Fragments;
use ipc_core::{Capabilities, Endpoint, Error, FramedReceiver, Framing, Receiver, Result};
use ipc_core::{ToEndpoint, Wait};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The end of a FIFO that messages come out of. There should be one.
///
/// ```
/// use ipc_fifo::{ErrorKind, FifoReceiver, FifoSender, Receiver, Sender};
///
/// # let directory = tempfile::tempdir()?;
/// # let endpoint = format!("fifo://{}/jobs", directory.path().display());
/// let mut receiver = FifoReceiver::bind(&endpoint)?;
/// assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock); // nobody has come yet
///
/// let mut sender = FifoSender::connect(&endpoint)?;
/// sender.send(b"a message")?;
/// drop(sender);
/// assert_eq!(receiver.recv()?, b"a message");
/// assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected); // everybody has gone
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors when receiving
///
/// Those of [`Receiver`], and with the framing `length`:
///
/// * [`Corrupted`](crate::ErrorKind::Corrupted): somebody has written bytes that are no fragment. Told once; the
///   next call goes on with the next fragment.
/// * [`MessageTooLarge`](crate::ErrorKind::MessageTooLarge): a sender has begun a message over the limit. It is
///   passed over; the next call goes on.
/// * [`Truncated`](crate::ErrorKind::Truncated): when all senders are gone, once, if messages of theirs were
///   [lost](FifoReceiver::lost). While others are there, a sender that dies inside a message is only
///   counted.
/// * [`Removed`](crate::ErrorKind::Removed): nobody has come yet, and the FIFO's name is gone or means another.
#[derive(Debug)]
pub struct FifoReceiver {
    name: Option<Owned>,
    /// Until the first sender has come.
    meeting: Option<Meeting>,
    wire: Wire,
    endpoint: Endpoint,
}

#[derive(Debug)]
enum Wire {
    Fragments(Fragments),
    Stream(FramedReceiver<ReadEnd>),
}

impl FifoReceiver {
    /// Makes the FIFO and owns it, or takes over one that is nobody's; removes it when dropped.
    ///
    /// With the option `persist=true` it outlives its senders: when the last one goes, it waits for the
    /// next, and is never [`Disconnected`](crate::ErrorKind::Disconnected).
    ///
    /// The FIFO has the permissions of the option `mode`, whatever the umask; 0600 by default. See
    /// mkfifo(3).
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](crate::ErrorKind::AddrInUse) if its owner is alive; [`WrongType`](crate::ErrorKind::WrongType) and
    /// [`WrongOwner`](crate::ErrorKind::WrongOwner) if something else is under that name, which is left as it is;
    /// those of the endpoint; and the system's.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<FifoReceiver> {
        let endpoint = endpoint.to_endpoint()?;
        let bound = || {
            let name = Name::of(&endpoint, "bind")?;
            let (owned, file) = name::bind(&name, &endpoint, Side::Read)?;
            let (_, id) = owned.name();
            FifoReceiver::new(name, id, Some(owned), file, &endpoint)
        };
        bound().map_err(|error| error.at(endpoint.text()))
    }

    /// Opens an existing FIFO, without waiting for its name or for a sender.
    ///
    /// The FIFO may have been made by anybody who is this user, or root: by a sender that has bound, by
    /// mkfifo(1), by a C program.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such name; else as [`bind`](FifoReceiver::bind).
    pub fn connect(endpoint: impl ToEndpoint) -> Result<FifoReceiver> {
        FifoReceiver::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<FifoReceiver> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// Opens a FIFO, waiting for its name (but not for a sender: receiving does) at most as long as `wait`
    /// says.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](crate::ErrorKind::TimedOut); else as [`connect`](FifoReceiver::connect). The directory must
    /// exist: it is not waited for.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<FifoReceiver> {
        let endpoint = endpoint.to_endpoint()?;
        let connected = || {
            let name = Name::of(&endpoint, "connect")?;
            let (id, file) = open::connect(&name, Side::Read, wait)?;
            FifoReceiver::new(name, id, None, file, &endpoint)
        };
        connected().map_err(|error| error.at(endpoint.text()))
    }

    fn new(
        name: Name,
        id: Id,
        owned: Option<Owned>,
        file: File,
        endpoint: &Endpoint,
    ) -> Result<FifoReceiver> {
        let writer = match endpoint.options().persist {
            Some(true) => {
                let writer = name::reopen(file.as_fd(), Side::Write);
                Some(writer.map_err(|error| Error::from_io(error, "open"))?)
            }
            _ => None,
        };
        let end = ReadEnd::new(file, writer);
        set_capacity(end.as_fd(), endpoint)?;
        let meeting = Some(Meeting::new(name, id, endpoint.options().waiting));
        let wire = match endpoint.options().framing.unwrap_or_default() {
            Framing::Length => Wire::Fragments(Fragments::new(end, endpoint)?),
            _ => {
                let stream = FramedReceiver::new(end, endpoint);
                Wire::Stream(stream.with_waiting_read(ReadEnd::read_when_there))
            }
        };
        Ok(FifoReceiver { name: owned, meeting, wire, endpoint: endpoint.clone() })
    }

    /// How many messages have begun to come and will never be complete: because their senders have died, or
    /// because a part of them was taken by another receiver.
    ///
    /// A death is noticed when the receiver next has nothing to read, or when much is unfinished; a message
    /// that its sender has given up, because the time ran out, does not count. Always 0 with another
    /// framing than `length`.
    pub fn lost(&self) -> u64 {
        match &self.wire {
            Wire::Fragments(fragments) => fragments.lost(),
            Wire::Stream(_) => 0,
        }
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether this is the FIFO's owner, which removes it.
    pub fn is_owner(&self) -> bool {
        self.name.is_some()
    }

    /// What this receiver can do.
    pub fn capabilities(&self) -> Capabilities {
        crate::capabilities::capabilities(&self.endpoint)
    }

    /// How many bytes the FIFO holds, those of fragments' headers among them.
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.as_fd()).map_err(|error| error.at(self.endpoint.text()))
    }

    fn end(&self) -> &ReadEnd {
        match &self.wire {
            Wire::Fragments(fragments) => &fragments.end,
            Wire::Stream(stream) => stream.get_ref(),
        }
    }

    fn meet(&mut self, wait: Wait) -> Result<()> {
        let Some(mut meeting) = self.meeting.take() else { return Ok(()) };
        let met = meeting.writer(self.end(), wait);
        if met.is_err() {
            self.meeting = Some(meeting);
        }
        met.map_err(|error| error.at(self.endpoint.text()))
    }
}

impl Receiver for FifoReceiver {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.meet(wait)?;
        match &mut self.wire {
            Wire::Fragments(fragments) => match fragments.recv(wait) {
                Ok(message) => Ok(fragments.bytes(message)),
                Err(error) => Err(error.at(self.endpoint.text())),
            },
            Wire::Stream(stream) => stream.recv_within(wait),
        }
    }
}

/// What is waited on for messages. Some may have been read already: receive until
/// [`WouldBlock`](crate::ErrorKind::WouldBlock) before waiting.
impl AsFd for FifoReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end().as_fd()
    }
}

//! The sender: cuts messages into fragments, or frames them plainly for a peer that knows nothing of us.

mod fragments;

use crate::end::{WriteEnd, capacity, set_capacity};
use crate::fork::Origin;
use crate::name::{self, Name, Owned, Side};
use crate::open::{self, Meeting};
use fragments::Fragments;
use ipc_core::{Capabilities, Endpoint, Error, ErrorKind, FramedSender, Framing, Result, Sender};
use ipc_core::{ToEndpoint, Wait};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The end of a FIFO that messages go into. There may be many, in many processes, for one receiver.
///
/// ```
/// use ipc_fifo::{FifoReceiver, FifoSender, Receiver, Sender};
///
/// # let directory = tempfile::tempdir()?;
/// # let endpoint = format!("fifo://{}/jobs", directory.path().display());
/// let mut receiver = FifoReceiver::bind(&endpoint)?;
/// let mut one = FifoSender::connect(&endpoint)?;
/// let mut other = FifoSender::connect(&endpoint)?;
/// one.send(b"from one")?;
/// other.send(b"from the other")?;
/// assert_eq!(receiver.recv()?, b"from one");
/// assert_eq!(receiver.recv()?, b"from the other");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors when sending
///
/// Those of [`Sender`]. A send that fails with [`WouldBlock`](ErrorKind::WouldBlock) or
/// [`TimedOut`](ErrorKind::TimedOut) has sent nothing that will ever be received, also where a part of a
/// long message was on its way (with another framing than `length`, that counts as sent instead, as
/// [`Sender`] says). A message that is longer than the FIFO holds, which is 64 KiB unless the option
/// `capacity` says otherwise, cannot be sent without waiting.
///
/// While a sender that has bound waits for its first receiver, its FIFO may be taken away:
/// [`Removed`](ErrorKind::Removed). Once a receiver has been there and is gone, the sender is
/// [`Disconnected`](ErrorKind::Disconnected) for good.
///
/// A forked child cannot use its parent's sender: [`Unsupported`](ErrorKind::Unsupported).
#[derive(Debug)]
pub struct FifoSender {
    name: Option<Owned>,
    /// Until the first receiver has come and something has been sent to it.
    meeting: Option<Meeting>,
    wire: Wire,
    endpoint: Endpoint,
    gone: bool,
    origin: Origin,
}

#[derive(Debug)]
enum Wire {
    Fragments(Fragments),
    Stream(FramedSender<WriteEnd>),
}

impl FifoSender {
    /// Makes the FIFO and owns it, or takes over one that is nobody's; removes it when dropped.
    ///
    /// It does not wait for a receiver: the first send does, or
    /// [`wait_for_receiver`](FifoSender::wait_for_receiver).
    ///
    /// The FIFO has the permissions of the option `mode`, whatever the umask; 0600 by default. See
    /// mkfifo(3).
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](ErrorKind::AddrInUse) if its owner is alive; [`WrongType`](ErrorKind::WrongType) and
    /// [`WrongOwner`](ErrorKind::WrongOwner) if something else is under that name, which is left as it is;
    /// those of the endpoint; and the system's.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<FifoSender> {
        let endpoint = endpoint.to_endpoint()?;
        let bound = || {
            let name = Name::of(&endpoint, "bind")?;
            let (owned, file) = name::bind(&name, &endpoint, Side::Write)?;
            let id = owned.name().1;
            let meeting = Meeting::new(name, id, endpoint.options().waiting);
            FifoSender::new(Some(owned), Some(meeting), WriteEnd::new(file)?, &endpoint)
        };
        bound().map_err(|error| error.at(endpoint.text()))
    }

    /// Opens a FIFO that has a receiver, without waiting.
    ///
    /// The FIFO may have been made by anybody who is this user, or root: by a receiver that has bound, by
    /// mkfifo(1), by a C program.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is no such name, [`NoPeer`](ErrorKind::NoPeer) if nobody
    /// has it open for reading; else as [`bind`](FifoSender::bind).
    pub fn connect(endpoint: impl ToEndpoint) -> Result<FifoSender> {
        FifoSender::connect_within(endpoint, Wait::Never)
    }

    /// The same, waiting at most `timeout`.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<FifoSender> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// Opens a FIFO, waiting for its name and for a receiver at most as long as `wait` says.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](ErrorKind::TimedOut); else as [`connect`](FifoSender::connect). The directory must
    /// exist: it is not waited for.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<FifoSender> {
        let endpoint = endpoint.to_endpoint()?;
        let connected = || {
            let name = Name::of(&endpoint, "connect")?;
            let (_, file) = open::connect(&name, Side::Write, wait)?;
            FifoSender::new(None, None, WriteEnd::new(file)?, &endpoint)
        };
        connected().map_err(|error| error.at(endpoint.text()))
    }

    fn new(
        name: Option<Owned>,
        meeting: Option<Meeting>,
        end: WriteEnd,
        endpoint: &Endpoint,
    ) -> Result<FifoSender> {
        set_capacity(end.as_fd(), endpoint)?;
        let origin = Origin::here().map_err(|error| Error::from_io(error, "open"))?;
        let wire = match endpoint.options().framing.unwrap_or_default() {
            Framing::Length => Wire::Fragments(Fragments::new(end, endpoint, origin)?),
            _ => Wire::Stream(FramedSender::new(end, endpoint)),
        };
        let endpoint = endpoint.clone();
        Ok(FifoSender { name, meeting, wire, endpoint, gone: false, origin })
    }

    /// Waits until somebody has opened the FIFO for reading.
    ///
    /// A sender that has connected has a receiver already, and does not wait.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](ErrorKind::WouldBlock), [`TimedOut`](ErrorKind::TimedOut); and
    /// [`Removed`](ErrorKind::Removed) if the FIFO's name is gone or means another one.
    pub fn wait_for_receiver(&mut self, wait: Wait) -> Result<()> {
        self.meet("wait_for_receiver", wait).map_err(|error| error.at(self.endpoint.text()))?;
        self.meeting = None;
        Ok(())
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether this is the FIFO's owner, which removes it.
    pub fn is_owner(&self) -> bool {
        self.name.is_some()
    }

    /// What this sender can do.
    pub fn capabilities(&self) -> Capabilities {
        crate::capabilities::capabilities(&self.endpoint)
    }

    /// How many bytes the FIFO holds, those of fragments' headers among them.
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.as_fd()).map_err(|error| error.at(self.endpoint.text()))
    }

    fn end(&self) -> &WriteEnd {
        match &self.wire {
            Wire::Fragments(fragments) => &fragments.end,
            Wire::Stream(stream) => stream.get_ref(),
        }
    }

    fn meet(&mut self, operation: &'static str, wait: Wait) -> Result<()> {
        let Some(mut meeting) = self.meeting.take() else { return Ok(()) };
        let met = meeting.reader(self.end(), wait, operation);
        self.meeting = Some(meeting);
        met
    }

    /// Whether a receiver came and went before a message was sent, so that the next is waited for.
    ///
    /// A stream in which a part of a message has gone out is broken for good; that shows when somebody reads,
    /// and it still fails.
    fn may_meet_another(&self) -> bool {
        let broken = match &self.wire {
            Wire::Fragments(_) => false,
            Wire::Stream(stream) => stream.get_ref().has_reader().unwrap_or(true),
        };
        self.meeting.is_some() && !broken
    }

    /// Fails in a forked child: it shares the parent's number as a writer, and a message half-way out.
    fn check_origin(&self, operation: &'static str) -> Result<()> {
        if self.origin.is_here() {
            return Ok(());
        }
        let detail = "it was opened before a fork, by the parent; open another one in the child";
        let error = Error::new(ErrorKind::Unsupported, operation).with_detail(detail);
        Err(error.at(self.endpoint.text()))
    }

    /// Sends with `send`, to the first receiver that stays long enough.
    fn send_with<T>(
        &mut self,
        wait: Wait,
        mut send: impl FnMut(&mut Wire, Wait) -> Result<T>,
    ) -> Result<T> {
        self.check_origin("send")?;
        if self.gone {
            return Err(Error::new(ErrorKind::Disconnected, "send").at(self.endpoint.text()));
        }
        loop {
            let result = self.meet("send", wait).and_then(|()| send(&mut self.wire, wait));
            match result {
                Ok(sent) => {
                    self.meeting = None;
                    return Ok(sent);
                }
                Err(error) if error.kind() != ErrorKind::Disconnected => {
                    return Err(error.at(self.endpoint.text()));
                }
                Err(_) if self.may_meet_another() => {}
                Err(error) => {
                    self.gone = true;
                    return Err(error.at(self.endpoint.text()));
                }
            }
        }
    }
}

impl Sender for FifoSender {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.send_with(wait, |wire, wait| match wire {
            Wire::Fragments(fragments) => fragments.send(message, wait),
            Wire::Stream(stream) => stream.send_within(message, wait),
        })
    }

    /// With the framing `length`, short messages share writes.
    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        self.send_with(wait, |wire, wait| match wire {
            Wire::Fragments(fragments) => fragments.send_batch(messages, wait),
            Wire::Stream(stream) => stream.send_batch(messages, wait),
        })
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        self.check_origin("flush")?;
        match &mut self.wire {
            Wire::Fragments(_) => Ok(()),
            Wire::Stream(stream) => stream.flush(wait),
        }
    }
}

/// What is waited on for room. Until the first receiver has come, it is always ready: see poll(2) on
/// `POLLERR`.
impl AsFd for FifoSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end().as_fd()
    }
}

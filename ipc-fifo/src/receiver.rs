//! The receiver: reads as much as is there, and hands out message after message.

use crate::assembly::{Assembly, Found};
use crate::end::{ReadEnd, capacity, set_capacity};
use crate::fragment::PIPE_BUF;
use crate::lock;
use crate::name::{self, Id, Name, Owned, Side};
use crate::open::{self, Meeting};
use ipc_core::wait::sleep_until_readable;
use ipc_core::{Attempt, Capabilities, Endpoint, Error, ErrorKind, FramedReceiver, Framing};
use ipc_core::{Receiver, Result, Step, ToEndpoint, Wait, Waiter};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

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
/// * [`Corrupted`](ErrorKind::Corrupted): somebody has written bytes that are no fragment. Told once; the
///   next call goes on with the next fragment.
/// * [`MessageTooLarge`](ErrorKind::MessageTooLarge): a sender has begun a message over the limit. It is
///   passed over; the next call goes on.
/// * [`Truncated`](ErrorKind::Truncated): when all senders are gone, once, if messages of theirs were
///   [lost](FifoReceiver::lost). While others are there, a sender that dies inside a message is only
///   counted.
/// * [`Removed`](ErrorKind::Removed): nobody has come yet, and the FIFO's name is gone or means another.
#[derive(Debug)]
pub struct FifoReceiver {
    // Dropped first, while the end that holds the lock is still open.
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
    /// next, and is never [`Disconnected`](ErrorKind::Disconnected).
    ///
    /// The FIFO has the permissions of the option `mode`, whatever the umask; 0600 by default. See
    /// mkfifo(3).
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](ErrorKind::AddrInUse) if its owner is alive; [`WrongType`](ErrorKind::WrongType) and
    /// [`WrongOwner`](ErrorKind::WrongOwner) if something else is under that name, which is left as it is;
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
    /// [`NotFound`](ErrorKind::NotFound) if there is no such name; else as [`bind`](FifoReceiver::bind).
    pub fn connect(endpoint: impl ToEndpoint) -> Result<FifoReceiver> {
        FifoReceiver::connect_within(endpoint, Wait::Never)
    }

    /// Opens a FIFO, waiting for its name (but not for a sender: receiving does) at most as long as `wait`
    /// says.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](ErrorKind::TimedOut); else as [`connect`](FifoReceiver::connect). The directory must
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
            _ => Wire::Stream(FramedReceiver::new(end, endpoint)),
        };
        Ok(FifoReceiver { name: owned, meeting, wire, endpoint: endpoint.clone() })
    }

    /// How many messages have begun to come and will never be complete, because their senders have died.
    ///
    /// A death is noticed when the receiver next has nothing to read, or when much is unfinished; a message
    /// that its sender has given up, because the time ran out, does not count. Always 0 with another
    /// framing than `length`.
    pub fn lost(&self) -> u64 {
        match &self.wire {
            Wire::Fragments(fragments) => fragments.assembly.lost(),
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
        crate::capabilities(&self.endpoint)
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
                Ok(Message::Here(at)) => Ok(fragments.buffer.get(at).unwrap_or_default()),
                Ok(Message::Assembled) => Ok(fragments.assembly.message()),
                Err(error) => Err(error.at(self.endpoint.text())),
            },
            Wire::Stream(stream) => stream.recv_within(wait),
        }
    }
}

/// What is waited on for messages. Some may have been read already: receive until
/// [`WouldBlock`](ErrorKind::WouldBlock) before waiting.
impl AsFd for FifoReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end().as_fd()
    }
}

/// A receiver of fragments.
#[derive(Debug)]
struct Fragments {
    end: ReadEnd,
    assembly: Assembly,
    /// Bytes that have been read: those from `start` to `filled` have not been looked at.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// How many bytes the FIFO holds at most.
    capacity: usize,
    waiter: Waiter,
    ended: bool,
    /// How many lost messages there were when it was last told.
    told: u64,
}

/// Where a message is.
enum Message {
    Here(Range<usize>),
    Assembled,
}

impl Fragments {
    /// As much as a FIFO usually holds, and the beginning of a fragment from the read before.
    const BUFFER: usize = (64 << 10) + PIPE_BUF;

    fn new(end: ReadEnd, endpoint: &Endpoint) -> Result<Self> {
        let options = endpoint.options();
        Ok(Fragments {
            capacity: capacity(end.as_fd())?,
            end,
            assembly: Assembly::new(options.max_message.unwrap_or(Framing::DEFAULT_MAX)),
            buffer: vec![0; Fragments::BUFFER],
            start: 0,
            filled: 0,
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            ended: false,
            told: 0,
        })
    }

    fn recv(&mut self, wait: Wait) -> Result<Message> {
        let mut attempt = Attempt::new(wait);
        loop {
            if let Some(message) = self.take()? {
                attempt.succeeded(&mut self.waiter);
                return Ok(message);
            }
            if self.ended {
                return Err(self.end_of_conversation());
            }
            match self.read() {
                Ok(0) => self.ended = true,
                Ok(_) => {
                    attempt.progressed(&mut self.waiter).map_err(|kind| Error::new(kind, "recv"))?
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.wait(&mut attempt)?,
                    _ => return Err(Error::from_io(error, "recv")),
                },
            }
        }
    }

    /// The next message among the bytes that have been read.
    fn take(&mut self) -> Result<Option<Message>> {
        let bytes = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let (done, found) = self.assembly.take(bytes);
        let before = self.start;
        self.start += done;
        match found {
            Found::Here(at) => Ok(Some(Message::Here(at.start + before..at.end + before))),
            Found::Assembled => Ok(Some(Message::Assembled)),
            Found::Nothing => Ok(None),
            Found::TooLarge(length) => {
                let limit = self.assembly.max_message() as u64;
                Err(Error::new(ErrorKind::MessageTooLarge, "recv").with_limit(
                    "max_message",
                    limit,
                    format!("one of {length} bytes has come; it is passed over; the option max_message raises it"),
                ))
            }
            Found::Garbage(length) => Err(corrupted(length)),
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        // What is left is less than a fragment.
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        let count = self.end.read(self.buffer.get_mut(self.filled..).unwrap_or_default())?;
        self.filled += count;
        if self.assembly.wants_inspection() {
            self.inspect();
        }
        self.assembly.bury(false);
        Ok(count)
    }

    /// The FIFO is empty: sleeps until it is not.
    fn wait(&mut self, attempt: &mut Attempt) -> Result<()> {
        self.reject_rest()?;
        let step = attempt.next(&mut self.waiter);
        if step != Ok(Step::Look) {
            // Who was condemned before the FIFO was found empty has left nothing in it.
            self.assembly.bury(true);
            if self.inspect() {
                return Ok(());
            }
        }
        match step {
            Ok(Step::Look) => Ok(()),
            Ok(Step::Sleep(limit)) => sleep_until_readable(self.end.as_fd(), limit)
                .map_err(|error| Error::from_io(error, "recv")),
            Err(kind) => Err(Error::new(kind, "recv")),
        }
    }

    /// Looks which of the writers with unfinished messages have died; says whether any has.
    fn inspect(&mut self) -> bool {
        if self.assembly.is_empty() {
            return false;
        }
        let ahead = self.capacity.saturating_add(self.filled - self.start) as u64;
        let end = self.end.as_fd();
        self.assembly.condemn(ahead, |writer| lock::is_free(end, writer) == Ok(true))
    }

    /// Half a fragment in an empty FIFO is none: a fragment is written in one piece.
    fn reject_rest(&mut self) -> Result<()> {
        if self.start == self.filled {
            return Ok(());
        }
        let bytes = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let rejected = self.assembly.reject(bytes);
        self.start += rejected;
        Err(corrupted(rejected))
    }

    fn end_of_conversation(&mut self) -> Error {
        if let Err(error) = self.reject_rest() {
            return error;
        }
        self.assembly.bury_all();
        let lost = self.assembly.lost() - self.told;
        if lost == 0 {
            return Error::new(ErrorKind::Disconnected, "recv");
        }
        self.told += lost;
        let detail = format!("messages that were begun and never finished: {lost}");
        Error::new(ErrorKind::Truncated, "recv").with_detail(detail)
    }
}

fn corrupted(bytes: usize) -> Error {
    let detail =
        format!("{bytes} bytes or more are no fragment: somebody writes without framing=length");
    Error::new(ErrorKind::Corrupted, "recv").with_detail(detail)
}

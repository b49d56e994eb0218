//! The sender: cuts messages into fragments, or frames them plainly for a peer that knows nothing of us.

use crate::end::{WriteEnd, capacity, set_capacity};
use crate::fragment::{Fragment, HEADER, Kind, PAYLOAD, PIPE_BUF};
use crate::lock;
use crate::name::{self, Name, Owned, Side};
use crate::open::{self, Meeting};
use ipc_core::wait::sleep_until_writable;
use ipc_core::{Attempt, Capabilities, Endpoint, Error, ErrorKind, FramedSender, Framing};
use ipc_core::{Result, Sender, Step, ToEndpoint, Wait, Waiter};
use nix::errno::Errno;
use nix::unistd::getpid;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd};

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
    // Dropped first, while the end that holds the lock is still open.
    name: Option<Owned>,
    /// Until the first receiver has come.
    meeting: Option<Meeting>,
    wire: Wire,
    endpoint: Endpoint,
    /// Something has been written, so a broken pipe means that the receiver is gone, not yet to come.
    has_sent: bool,
    gone: bool,
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
        let wire = match endpoint.options().framing.unwrap_or_default() {
            Framing::Length => Wire::Fragments(Fragments::new(end, endpoint)?),
            _ => Wire::Stream(FramedSender::new(end, endpoint)),
        };
        let endpoint = endpoint.clone();
        Ok(FifoSender { name, meeting, wire, endpoint, has_sent: false, gone: false })
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
        crate::capabilities(&self.endpoint)
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
        if met.is_err() || !self.has_sent {
            self.meeting = Some(meeting);
        }
        met
    }

    /// Sends with `send`, to the first receiver that stays long enough.
    fn send_with<T>(
        &mut self,
        wait: Wait,
        mut send: impl FnMut(&mut Wire, Wait) -> Result<T>,
    ) -> Result<T> {
        if self.gone {
            return Err(Error::new(ErrorKind::Disconnected, "send").at(self.endpoint.text()));
        }
        loop {
            let result = self.meet("send", wait).and_then(|()| send(&mut self.wire, wait));
            match result {
                Ok(sent) => {
                    self.has_sent = true;
                    self.meeting = None;
                    return Ok(sent);
                }
                Err(error) if error.kind() != ErrorKind::Disconnected => {
                    return Err(error.at(self.endpoint.text()));
                }
                // A receiver came and went before anything was sent: wait for the next.
                Err(_) if self.meeting.is_some() => {}
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

/// A sender of fragments.
#[derive(Debug)]
struct Fragments {
    end: WriteEnd,
    writer: u64,
    /// The number of the next message.
    message: u64,
    /// The message before was given up when a part of it had been sent.
    owes_notice: bool,
    max_message: usize,
    capacity: usize,
    waiter: Waiter,
    /// What goes out in one piece.
    batch: Vec<u8>,
    process: nix::unistd::Pid,
}

impl Fragments {
    /// Pieces of at most so many bytes are copied to stand behind their header.
    const SHORT: usize = 1024;

    fn new(end: WriteEnd, endpoint: &Endpoint) -> Result<Self> {
        let options = endpoint.options();
        Ok(Fragments {
            writer: register(end.as_fd())?,
            capacity: capacity(end.as_fd())?,
            end,
            message: 0,
            owes_notice: false,
            max_message: options.max_message.unwrap_or(Framing::DEFAULT_MAX).min(Framing::MAX),
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            batch: Vec::new(),
            process: getpid(),
        })
    }

    fn send(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.check(message, wait)?;
        let mut attempt = Attempt::new(wait);
        let mut rest = message;
        loop {
            let (piece, behind) = rest.split_at_checked(PAYLOAD).unwrap_or((rest, &[]));
            let offset = message.len() - rest.len();
            let header = self.piece(piece.len(), message.len(), offset).header();
            if let Err(error) = self.write(&header, piece, &mut attempt) {
                if offset > 0 {
                    // It is not sent any more: the next message, or a notice, tells the receiver.
                    self.message = self.message.wrapping_add(1);
                    self.owes_notice = true;
                }
                return Err(error);
            }
            rest = behind;
            if rest.is_empty() {
                attempt.succeeded(&mut self.waiter);
                self.message = self.message.wrapping_add(1);
                self.owes_notice = false;
                return Ok(());
            }
            // A failure to go on shows at the next write: what is sent without waiting is sent.
            let _ = attempt.progressed(&mut self.waiter);
        }
    }

    /// Puts as many messages into one write as it takes.
    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        let mut sent = 0;
        while let Some(rest @ [first, ..]) = messages.get(sent..) {
            let together = self.gather(rest);
            let result = match together {
                0 | 1 => self.send(first, wait),
                _ => self.send_gathered(wait),
            };
            match result {
                Ok(()) => {
                    if together > 1 {
                        self.message = self.message.wrapping_add(together as u64);
                        self.owes_notice = false;
                    }
                    sent += together.max(1);
                }
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// Fills the batch from the front of `messages`; says with how many.
    fn gather(&mut self, messages: &[&[u8]]) -> usize {
        self.batch.clear();
        let mut count = 0;
        for message in messages {
            let room = PIPE_BUF - self.batch.len();
            if HEADER + message.len() > room || message.len() > self.max_message {
                break;
            }
            let mut fragment = self.piece(message.len(), message.len(), 0);
            fragment.message = self.message.wrapping_add(count as u64);
            self.batch.extend_from_slice(&fragment.header());
            self.batch.extend_from_slice(message);
            count += 1;
        }
        count
    }

    fn send_gathered(&mut self, wait: Wait) -> Result<()> {
        self.check(&[], wait)?;
        let mut attempt = Attempt::new(wait);
        let batch = std::mem::take(&mut self.batch);
        let result = self.write(&batch, &[], &mut attempt);
        self.batch = batch;
        result.map(|()| attempt.succeeded(&mut self.waiter))
    }

    fn check(&self, message: &[u8], wait: Wait) -> Result<()> {
        if self.process != getpid() {
            let detail = "it was opened before a fork, by the parent; open another one in the child";
            return Err(Error::new(ErrorKind::Unsupported, "send").with_detail(detail));
        }
        if message.len() > self.max_message {
            return Err(Error::new(ErrorKind::MessageTooLarge, "send").with_limit(
                "max_message",
                self.max_message as u64,
                format!("the message has {} bytes; the option max_message raises it", message.len()),
            ));
        }
        // Each fragment fills a page of the FIFO's.
        let pages = message.len().div_ceil(PAYLOAD);
        if wait == Wait::Never && pages > self.capacity.div_ceil(PIPE_BUF) {
            return Err(Error::new(ErrorKind::WouldBlock, "send").with_limit(
                "capacity",
                self.capacity as u64,
                "the message is longer, and so cannot be sent without waiting",
            ));
        }
        Ok(())
    }

    fn piece(&self, length: usize, total: usize, offset: usize) -> Fragment {
        let kind = Kind::Piece { length, total, offset };
        Fragment { writer: self.writer, message: self.message, kind }
    }

    /// One write, whole or not at all, as soon as there is room.
    fn write(&mut self, head: &[u8], tail: &[u8], attempt: &mut Attempt) -> Result<()> {
        // Short parts are put together, which costs less than to hand over two.
        let together = tail.len() <= Self::SHORT;
        if together && !tail.is_empty() {
            self.batch.clear();
            self.batch.extend_from_slice(head);
            self.batch.extend_from_slice(tail);
        }
        loop {
            let written = match (together, tail) {
                (_, []) => self.end.write(head),
                (true, _) => self.end.write(&self.batch),
                (false, _) => self.end.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]),
            };
            let error = match written {
                Ok(count) if count == head.len() + tail.len() => return Ok(()),
                Ok(_) => {
                    let detail = "the system has cut a write that it promises not to cut";
                    return Err(Error::new(ErrorKind::Corrupted, "send").with_detail(detail));
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => match attempt.next(&mut self.waiter) {
                    Ok(Step::Look) => {}
                    // If poll(2) says that there is room, a whole page of the FIFO is free, and that is
                    // as much as a write here ever needs: it does not spin.
                    Ok(Step::Sleep(limit)) => sleep_until_writable(self.end.as_fd(), limit)
                        .map_err(|error| Error::from_io(error, "send"))?,
                    Err(kind) => return Err(Error::new(kind, "send")),
                },
                _ => return Err(Error::from_io(error, "send")),
            }
        }
    }
}

/// Tells the receiver of a message that was given up, if there is room: so it is not counted as lost.
impl Drop for Fragments {
    fn drop(&mut self) {
        if self.owes_notice && self.process == getpid() {
            let message = self.message;
            let header = Fragment { writer: self.writer, message, kind: Kind::GiveUp }.header();
            let _ = self.end.write(&header);
        }
    }
}

/// Takes a number that no other writer of this FIFO has, and locks its byte, so that everybody can see
/// whether its holder is alive.
fn register(fd: BorrowedFd<'_>) -> Result<u64> {
    loop {
        let writer = (crate::random() % lock::END).max(lock::OWNER + 1);
        match lock::exclusively(fd, writer) {
            Ok(()) => return Ok(writer),
            Err(Errno::EAGAIN | Errno::EACCES) => {}
            Err(errno) => return Err(Error::from_io(errno.into(), "open")),
        }
    }
}

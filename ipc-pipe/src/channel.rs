//! The pipe as a channel of messages: a sender at one end, a receiver at the other.

use crate::capacity::PipeExt;
use crate::end::{Sink, Source};
use crate::inherit;
use ipc_core::{Address, Framing, Options, Receiver, Result, Scheme, Sender, ToEndpoint, Wait};
use ipc_core::{Boundaries, Capabilities, Endpoint, Error, ErrorKind, FramedReceiver, FramedSender};
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit};
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What a pipe can do, with the options at their defaults.
pub const CAPABILITIES: Capabilities =
    Capabilities::new(Boundaries::Framing).max_message(Framing::DEFAULT_MAX).pollable();

/// A message of so many bytes fills a pipe that is as the kernel makes it.
const LONG: usize = 64 << 10;

/// What a pipe for long messages holds: the two ends seldom wait for each other. More gains nothing, and the
/// pages count towards what all pipes of the user may have.
const ROOMY: usize = 256 << 10;

/// Makes a pipe. What is sent comes out of the receiver; see pipe(2).
///
/// Both ends are close-on-exec: no child keeps one open by accident.
///
/// It holds what the kernel gives it, most often 65,536 bytes; the first message of as many makes it 262,144,
/// if the user may have that.
///
/// # Errors
///
/// [`LimitExceeded`](ErrorKind::LimitExceeded) where there are no more descriptors.
///
/// ```
/// use ipc_pipe::{Receiver, Sender};
///
/// let (mut sender, mut receiver) = ipc_pipe::pipe()?;
/// sender.send(b"Go!")?;
/// assert_eq!(receiver.recv()?, b"Go!");
/// # Ok::<(), ipc_pipe::Error>(())
/// ```
pub fn pipe() -> Result<(PipeSender, PipeReceiver)> {
    pipe_with(&Options::default())
}

/// Makes a pipe with options: `framing`, `max_message`, `capacity`, `waiting`.
///
/// # Errors
///
/// Those of [`pipe`]; those of [`set_capacity`](PipeExt::set_capacity) if the option `capacity` asks
/// for more than may be had; [`UnknownOption`](ErrorKind::UnknownOption) if another option is set.
///
/// ```
/// use ipc_pipe::{Options, PipeExt};
///
/// let options = Options::default().capacity(256 * 1024);
/// let (sender, _receiver) = ipc_pipe::pipe_with(&options)?;
/// assert_eq!(sender.capacity()?, 256 * 1024);
/// # Ok::<(), ipc_pipe::Error>(())
/// ```
pub fn pipe_with(options: &Options) -> Result<(PipeSender, PipeReceiver)> {
    let (read, write) =
        nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(no_more_descriptors)?;
    let receiver_at = endpoint_of(&read, options)?;
    let sender_at = endpoint_of(&write, options)?;
    let sink = Sink::own(write).map_err(|error| Error::from_io(error, "pipe"))?;
    let mut sender = PipeSender::over(sink, &sender_at)?;
    sender.may_grow = options.capacity.is_none();
    Ok((sender, PipeReceiver::over(Source::own(read), &receiver_at)))
}

/// Sends messages into a pipe.
///
/// Dropping it is how the receiver learns that no more will come, as soon as nobody else holds this end.
///
/// A `send` into a pipe that nobody reads fails with [`Disconnected`](ErrorKind::Disconnected),
/// whatever `SIGPIPE` does in this process. A message of which all bytes on the wire (with the framing's
/// own: four for `length`, one for `lines`) are at most [`PIPE_BUF`](crate::PIPE_BUF) goes into the
/// pipe in one piece or not at all.
///
/// After a fork(2) the sender exists twice, over one pipe. Only one of the two may be used: a message
/// half-way out is remembered by both. [`fork`](crate::fork()) sees to it.
#[derive(Debug)]
pub struct PipeSender {
    framed: FramedSender<Sink>,
    capabilities: Capabilities,
    /// The pipe is ours and as the kernel made it: a long message may enlarge it.
    may_grow: bool,
}

impl PipeSender {
    /// Opens an end that this process was given: `pipe://stdout`, or `pipe://fd/N`.
    ///
    /// What is there need not be a pipe: a FIFO, a file, a terminal or a socket will do. The way it
    /// blocks is left as it is, as other processes may share it.
    ///
    /// `pipe://fd/N` is taken over: from now on it belongs to the sender, and the number refers to
    /// `/dev/null`. `pipe://stdout` stays what it is, for `println!` to use, so its reader sees the end
    /// when the process ends. What `println!` had buffered goes out first.
    ///
    /// # Errors
    ///
    /// * [`NotFound`](ErrorKind::NotFound): the descriptor is not open;
    /// * [`AddrInUse`](ErrorKind::AddrInUse): it was not inherited, or has been taken over before;
    /// * [`WrongType`](ErrorKind::WrongType): it is open for reading only, or the option `capacity` is
    ///   set and it is not a pipe;
    /// * those of the endpoint's text.
    ///
    /// ```
    /// use ipc_pipe::{PipeSender, Sender};
    ///
    /// // Lines, as the shell reads them.
    /// let mut sender = PipeSender::open("pipe://stdout?framing=lines")?;
    /// sender.send(b"to whom it may concern")?;
    /// # Ok::<(), ipc_pipe::Error>(())
    /// ```
    pub fn open(endpoint: impl ToEndpoint) -> Result<PipeSender> {
        let endpoint = endpoint.to_endpoint()?;
        endpoint.require(&[Scheme::Pipe], "open")?;
        let fd = inherit::claim(&endpoint, inherit::Direction::Out)?;
        let at = |error| Error::from_io(error, "open").at(endpoint.text());
        PipeSender::over(Sink::shared(fd).map_err(at)?, &endpoint)
    }

    /// Sends messages through the plain end of a pipe.
    ///
    /// Copies of `writer` that others have, a child for one, go on blocking as they do.
    pub fn from_writer(writer: PipeWriter, options: &Options) -> Result<PipeSender> {
        let fd = OwnedFd::from(writer);
        let endpoint = endpoint_of(&fd, options)?;
        let at = |error| Error::from_io(error, "from_writer").at(endpoint.text());
        PipeSender::over(Sink::shared(fd).map_err(at)?, &endpoint)
    }

    /// The plain end, once everything accepted has gone out: for formatted output, or for a child. It
    /// blocks.
    pub fn into_writer(mut self) -> Result<PipeWriter> {
        self.flush(Wait::Forever)?;
        let writer = self.framed.get_ref().to_writer();
        writer.map_err(|error| Error::from_io(error, "into_writer").at(self.framed.endpoint()))
    }

    /// What this sender can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn over(sink: Sink, endpoint: &Endpoint) -> Result<PipeSender> {
        let framed = FramedSender::new(sink, endpoint);
        let sender = PipeSender { framed, capabilities: capabilities_of(endpoint), may_grow: false };
        set_capacity(&sender, endpoint)?;
        Ok(sender)
    }

    /// Makes the pipe hold more, once, where a message shows that it pays, and where the user may have it.
    fn make_room_for(&mut self, message: &[u8]) {
        if self.may_grow && message.len() >= LONG {
            self.may_grow = false;
            if self.capacity().is_ok_and(|capacity| capacity < ROOMY) {
                // Where the limits do not allow it, messages go through all the same, a little slower.
                let _ = self.set_capacity(ROOMY);
            }
        }
    }
}

impl Sender for PipeSender {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.make_room_for(message);
        self.framed.send_within(message, wait)
    }

    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        messages.iter().for_each(|message| self.make_room_for(message));
        self.framed.send_batch(messages, wait)
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        self.framed.flush(wait)
    }
}

/// To wait on, together with other things. Writable means room for [`PIPE_BUF`](crate::PIPE_BUF) bytes.
impl AsFd for PipeSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.framed.as_fd()
    }
}

impl PipeExt for PipeSender {}

/// Receives messages out of a pipe.
///
/// After a fork(2) the receiver exists twice, over one pipe, and what one of the two reads the other
/// never sees. Only one may be used; [`fork`](crate::fork()) sees to it.
#[derive(Debug)]
pub struct PipeReceiver {
    framed: FramedReceiver<Source>,
    capabilities: Capabilities,
}

impl PipeReceiver {
    /// Opens an end that this process was given: `pipe://stdin`, or `pipe://fd/N`.
    ///
    /// What is there need not be a pipe: a FIFO, a file, a terminal or a socket will do. The way it
    /// blocks is left as it is, as other processes may share it.
    ///
    /// `pipe://fd/N` is taken over: from now on it belongs to the receiver, and the number refers to
    /// `/dev/null`. `pipe://stdin` stays what it is; do not mix it with [`std::io::stdin`], for each
    /// reads ahead.
    ///
    /// # Errors
    ///
    /// * [`NotFound`](ErrorKind::NotFound): the descriptor is not open;
    /// * [`AddrInUse`](ErrorKind::AddrInUse): it was not inherited, or has been taken over before;
    /// * [`WrongType`](ErrorKind::WrongType): it is open for writing only, or the option `capacity` is
    ///   set and it is not a pipe;
    /// * those of the endpoint's text.
    ///
    /// ```no_run
    /// use ipc_pipe::{ErrorKind, PipeReceiver, Receiver};
    ///
    /// // Every line that the shell sends in.
    /// let mut receiver = PipeReceiver::open("pipe://stdin?framing=lines")?;
    /// loop {
    ///     match receiver.recv() {
    ///         Ok(line) => println!("{}", String::from_utf8_lossy(line)),
    ///         Err(error) if error.kind() == ErrorKind::Disconnected => break,
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok::<(), ipc_pipe::Error>(())
    /// ```
    pub fn open(endpoint: impl ToEndpoint) -> Result<PipeReceiver> {
        let endpoint = endpoint.to_endpoint()?;
        endpoint.require(&[Scheme::Pipe], "open")?;
        let fd = inherit::claim(&endpoint, inherit::Direction::In)?;
        let source = Source::shared(fd);
        let source = source.map_err(|error| Error::from_io(error, "open").at(endpoint.text()))?;
        let receiver = PipeReceiver::over(source, &endpoint);
        set_capacity(&receiver, &endpoint)?;
        Ok(receiver)
    }

    /// Receives messages through the plain end of a pipe.
    ///
    /// Copies of `reader` that others have, a child for one, go on blocking as they do.
    pub fn from_reader(reader: PipeReader, options: &Options) -> Result<PipeReceiver> {
        let fd = OwnedFd::from(reader);
        let endpoint = endpoint_of(&fd, options)?;
        let source = Source::shared(fd);
        let source = source.map_err(|error| Error::from_io(error, "from_reader").at(endpoint.text()))?;
        let receiver = PipeReceiver::over(source, &endpoint);
        set_capacity(&receiver, &endpoint)?;
        Ok(receiver)
    }

    /// The plain end, which blocks, and the bytes that had been read ahead of the messages: they come
    /// before what the reader gives.
    pub fn into_reader(self) -> Result<(Vec<u8>, PipeReader)> {
        let endpoint = std::sync::Arc::clone(self.framed.endpoint());
        let (source, ahead) = self.framed.into_parts();
        let reader = source.into_reader();
        let reader = reader.map_err(|error| Error::from_io(error, "into_reader").at(&endpoint))?;
        Ok((ahead, reader))
    }

    /// What this receiver can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn over(source: Source, endpoint: &Endpoint) -> PipeReceiver {
        let framed = FramedReceiver::new(source, endpoint).with_waiting_read(Source::read_when_there);
        PipeReceiver { framed, capabilities: capabilities_of(endpoint) }
    }
}

impl Receiver for PipeReceiver {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.framed.recv_within(wait)
    }
}

/// To wait on, together with other things. Messages that were read ahead do not show: call
/// [`try_recv`](Receiver::try_recv) until it says [`WouldBlock`](ErrorKind::WouldBlock), then wait.
impl AsFd for PipeReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.framed.as_fd()
    }
}

impl PipeExt for PipeReceiver {}

/// The endpoint of an end that has no name but its number.
fn endpoint_of(fd: &OwnedFd, options: &Options) -> Result<Endpoint> {
    // A descriptor in hand is never negative.
    let number = fd.as_raw_fd().unsigned_abs();
    Endpoint::new(Scheme::Pipe, Address::Descriptor(number), options.clone())
}

fn capabilities_of(endpoint: &Endpoint) -> Capabilities {
    let options = endpoint.options();
    let boundaries = match options.framing.unwrap_or_default() {
        Framing::Raw => Boundaries::None,
        _ => Boundaries::Framing,
    };
    Capabilities::new(boundaries).max_message(options.longest_message()).pollable()
}

fn set_capacity(end: &impl PipeExt, endpoint: &Endpoint) -> Result<()> {
    match endpoint.options().capacity {
        Some(bytes) => end.set_capacity(bytes).map(drop).map_err(|error| error.at(endpoint.text())),
        None => Ok(()),
    }
}

/// The error of making a pipe, with the limit where that is what was reached.
pub(crate) fn no_more_descriptors(error: impl Into<std::io::Error>) -> Error {
    let error = Error::from_io(error.into(), "pipe");
    let limit = getrlimit(Resource::RLIMIT_NOFILE);
    match (error.kind(), limit) {
        (ErrorKind::LimitExceeded, Ok((soft, _))) => error.with_limit(
            "RLIMIT_NOFILE",
            soft,
            "close some descriptors, raise it with ulimit -n, or let root raise fs.file-max and \
             fs.pipe-user-pages-hard, which give the same error",
        ),
        _ => error,
    }
}

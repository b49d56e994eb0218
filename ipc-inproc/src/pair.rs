//! The pair: two lanes, one each way, between two sockets.

use crate::{InprocReceiver, InprocSender};
use ipc_core::{Boundaries, Capabilities, Pair, Receiver, Result, Sender, ToEndpoint, Wait};

/// Both ends in one: sends to its one peer, and receives from it. ZeroMQ's PAIR.
///
/// ```
/// use ipc_inproc::{Receiver, Sender, bind, connect};
///
/// let mut server = bind("inproc://pair example")?;
/// let client = std::thread::spawn(|| {
///     let mut client = connect("inproc://pair example")?;
///     client.send(b"ping")?;
///     client.recv_vec()
/// });
/// assert_eq!(server.recv()?, b"ping");
/// server.send(b"pong")?;
/// assert_eq!(client.join().unwrap()?, b"pong");
/// # Ok::<(), ipc_inproc::Error>(())
/// ```
///
/// # One conversation
///
/// A bound pair waits in `send` and `recv` until a peer has connected. From then on it has this peer and no
/// other. When the peer has been dropped, its messages are read first; then `recv` fails with
/// [`Disconnected`](crate::ErrorKind::Disconnected), and the names are free. For the next peer, bind again:
///
/// ```
/// # use ipc_inproc::{Context, Receiver, Sender};
/// # let context = Context::new();
/// # for _ in 0..2 { context.connect("inproc://desk")?.send(b"question")?; }
/// # let mut questions = 0;
/// for conversation in 0..2 {
///     let mut desk = context.bind("inproc://desk")?;
///     while let Ok(question) = desk.recv() {
///         // …
/// #       questions += 1;
///     }
/// }
/// # assert_eq!(questions, 2);
/// # Ok::<(), ipc_inproc::Error>(())
/// ```
///
/// Nobody is lost in between: whoever connects when the last peer has gone, but the pair has not been bound
/// again, waits in line, and so do his messages, even if he leaves. Only where a peer is there is the next told
/// [`Busy`](crate::ErrorKind::Busy).
///
/// # Threads
///
/// A pair may move to another thread, but two cannot use it at once, which ZeroMQ forbids and does not notice;
/// here it does not compile. [`split`](InprocPair::split) makes two halves for two threads.
///
/// ```compile_fail,E0499
/// # use ipc_inproc::{Sender, bind, connect};
/// let mut pair = bind("inproc://two threads")?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| pair.send(b"one"));
///     scope.spawn(|| pair.send(b"two"));
/// });
/// # Ok::<(), ipc_inproc::Error>(())
/// ```
#[derive(Debug)]
pub struct InprocPair {
    sender: InprocSender,
    receiver: InprocReceiver,
}

impl InprocPair {
    /// What a pair can do.
    pub const CAPABILITIES: Capabilities =
        Capabilities::new(Boundaries::Kernel).bidirectional().within_process();

    pub(crate) fn new(sender: InprocSender, receiver: InprocReceiver) -> Self {
        InprocPair { sender, receiver }
    }

    /// Binds one more name. It is still one pair with one peer, whichever name that comes by.
    ///
    /// # Errors
    ///
    /// As [`Context::bind`](crate::Context::bind), with [`AddrInUse`](crate::ErrorKind::AddrInUse) also for a
    /// name of this pair; and [`Busy`](crate::ErrorKind::Busy) for a pair that has been connected.
    pub fn bind(&mut self, endpoint: impl ToEndpoint) -> Result<()> {
        self.sender.socket().bind(endpoint)
    }

    /// Lets go of a name, which is free at once. The peer stays connected.
    ///
    /// With no name left, and no peer, `send` and `recv` fail with [`NoPeer`](crate::ErrorKind::NoPeer), as nobody
    /// could come.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if this pair is not bound to the name.
    pub fn unbind(&mut self, endpoint: impl ToEndpoint) -> Result<()> {
        self.sender.socket().unbind(endpoint)
    }

    /// Takes the pair apart, so that one thread can send while another receives.
    ///
    /// When the sender is dropped, the peer reads what has been sent, and then the end; when the receiver is
    /// dropped, the peer cannot send any more. When both are, the names are free.
    pub fn split(self) -> (InprocSender, InprocReceiver) {
        (self.sender, self.receiver)
    }

    /// The endpoint, as text; the first one, if several have been bound.
    pub fn endpoint(&self) -> &str {
        self.sender.endpoint()
    }

    /// What this channel can do.
    pub fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }
}

impl Sender for InprocPair {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.sender.send_within(message, wait)
    }

    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        self.sender.send_batch(messages, wait)
    }
}

impl Receiver for InprocPair {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.receiver.recv_within(wait)
    }
}

impl Pair for InprocPair {
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>) {
        let (sender, receiver) = self.split();
        (Box::new(sender), Box::new(receiver))
    }
}

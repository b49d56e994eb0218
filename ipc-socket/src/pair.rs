//! A connection: both ends in one, whatever the kind of socket.

use crate::address;
use crate::capabilities::{TCP, UNIX, UNIX_PACKET};
use crate::connect::{Patience, connect};
use crate::credentials::{self, Credentials};
use crate::half::{self, SocketReceiver, SocketSender};
use crate::inherited;
use crate::stream::Connection;
use crate::sys;
use ipc_core::{Address, Boundaries, Capabilities, Endpoint, Error, ErrorKind, Framing, Pair, Receiver};
use ipc_core::{Result, Scheme, Sender, ToEndpoint, Wait};
use socket2::Socket;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The schemes whose sockets are connected.
pub(crate) const CONNECTED: [Scheme; 3] = [Scheme::Tcp, Scheme::Unix, Scheme::UnixPacket];

/// A connection over TCP, a Unix stream or a Unix seqpacket socket.
///
/// A [`Listener`](crate::Listener) accepts one, [`connect`](SocketPair::connect) makes one.
///
/// ```
/// use ipc_socket::{Listener, Receiver, Sender, SocketPair};
///
/// let listener = Listener::bind("tcp://127.0.0.1:0")?;
/// let mut client = SocketPair::connect(listener.endpoint())?;
/// let mut server = listener.accept()?;
/// client.send(b"the message")?;
/// assert_eq!(server.recv()?, b"the message");
/// # Ok::<(), ipc_socket::Error>(())
/// ```
///
/// Dropping it closes the connection; what was sent is read by the peer first. Over TCP that does not hold
/// for a peer that goes on sending: whatever reaches a closed socket resets the connection, and tcp(7) then
/// throws away what is still under way.
#[derive(Debug)]
pub struct SocketPair {
    // Dropped in this order: what is held back goes out first.
    pub(crate) sender: SocketSender,
    pub(crate) receiver: SocketReceiver,
    endpoint: Endpoint,
}

impl SocketPair {
    /// Connects to `tcp://HOST:PORT`, `unix://PATH`, `unix://@NAME` or `unixpacket://…`; or takes over a
    /// connected socket that this process has inherited, as `tcp://fd/N` and the like (`/dev/null` is put in
    /// its place, unless it is close-on-exec or a standard stream).
    ///
    /// Fails at once if nobody listens there; waits for the answer, and for a full listener to accept, as
    /// long as it takes. See connect(2).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) for a path that does not exist or a host that cannot be looked
    /// up, [`NoPeer`](ErrorKind::NoPeer) where nobody listens, [`WrongType`](ErrorKind::WrongType) for a
    /// file or another type of socket, [`PermissionDenied`](ErrorKind::PermissionDenied), and
    /// [`WrongOwner`](ErrorKind::WrongOwner) if the listener's user is not that of the option `uid`.
    pub fn connect(endpoint: impl ToEndpoint) -> Result<Self> {
        Self::connect_with(endpoint.to_endpoint()?, Patience::NOW)
    }

    /// Connects, waiting at most `timeout`, also for a name that is not there yet.
    ///
    /// # Errors
    ///
    /// As [`connect`](SocketPair::connect), but [`TimedOut`](ErrorKind::TimedOut) where nobody came.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<Self> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// Connects, waiting as long as `wait` says, also for a name that is not there yet.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Self> {
        Self::connect_with(endpoint.to_endpoint()?, Patience::within(wait))
    }

    fn connect_with(endpoint: Endpoint, patience: Patience) -> Result<Self> {
        address::require(&endpoint, &CONNECTED, "connect")?;
        if let Address::Descriptor(number) = endpoint.address() {
            let socket = inherited::take(*number, &endpoint, false, "connect")?;
            return Self::from_fd(socket, &endpoint);
        }
        let socket = connect(&endpoint, patience, |_| Ok(()))?;
        if let Err(error) = check_user(&socket, &endpoint) {
            return Err(error.at(endpoint.text()));
        }
        Self::new(socket, endpoint, "connect")
    }

    /// Makes a pair of a connected socket that came from elsewhere, such as one end of socketpair(2).
    ///
    /// `endpoint` says what it is, and with which options it is used; its address is for errors only.
    ///
    /// # Errors
    ///
    /// [`WrongType`](ErrorKind::WrongType) if it is a socket of another kind, or not one at all;
    /// [`NoPeer`](ErrorKind::NoPeer) if it is not connected.
    pub fn from_fd(socket: OwnedFd, endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = endpoint.to_endpoint()?;
        address::require(&endpoint, &CONNECTED, "connect")?;
        let socket = Socket::from(socket);
        address::check(&socket, &endpoint, false, "connect")?;
        if let Err(error) = socket.peer_addr() {
            let error = Error::from_io(error, "connect").with_kind(ErrorKind::NoPeer);
            return Err(error.with_detail("the socket is not connected").at(endpoint.text()));
        }
        check_user(&socket, &endpoint).map_err(|error| error.at(endpoint.text()))?;
        Self::new(socket, endpoint, "connect")
    }

    /// Two ends of a new connection without a name: socketpair(2).
    ///
    /// # Errors
    ///
    /// [`UnknownScheme`](ErrorKind::UnknownScheme) unless `scheme` is [`Unix`](Scheme::Unix) or
    /// [`UnixPacket`](Scheme::UnixPacket); [`LimitExceeded`](ErrorKind::LimitExceeded) where no descriptor is
    /// left.
    pub fn anonymous(scheme: Scheme) -> Result<(Self, Self)> {
        if !matches!(scheme, Scheme::Unix | Scheme::UnixPacket) {
            let error = Error::new(ErrorKind::UnknownScheme, "pair");
            return Err(
                error.with_detail(format!("it is {scheme}; unix and unixpacket have such pairs"))
            );
        }
        let endpoint =
            Endpoint::new(scheme, Address::Abstract(b"anonymous".to_vec()), Default::default())?;
        let kind = address::type_of(scheme).cloexec();
        let (one, other) = Socket::pair(socket2::Domain::UNIX, kind, None)
            .map_err(|error| Error::from_io(error, "pair").at(endpoint.text()))?;
        Ok((Self::new(one, endpoint.clone(), "pair")?, Self::new(other, endpoint, "pair")?))
    }

    /// A connected socket as a pair; who the peer is has been checked.
    pub(crate) fn new(socket: Socket, endpoint: Endpoint, operation: &'static str) -> Result<Self> {
        let failed = |error: io::Error| Error::from_io(error, operation).at(endpoint.text());
        let options = endpoint.options();
        if endpoint.scheme() == Scheme::Tcp {
            socket.set_tcp_nodelay(true).map_err(failed)?;
        } else {
            allow_descriptors(&socket, options.descriptors == Some(true)).map_err(failed)?;
        }
        let socket = Arc::new(Connection::new(socket, endpoint.scheme() == Scheme::Tcp));
        let (sender, receiver) = if endpoint.scheme() == Scheme::UnixPacket {
            half::packets(&socket, &endpoint).map_err(failed)?
        } else {
            if let Some(capacity) = options.capacity {
                socket.set_send_buffer_size(capacity).map_err(failed)?;
                socket.set_recv_buffer_size(capacity).map_err(failed)?;
            }
            half::streams(&socket, &endpoint)?
        };
        Ok(SocketPair { sender, receiver, endpoint })
    }

    /// Takes the pair apart, so that one thread can send while another receives. Both halves share one
    /// descriptor.
    pub fn split(mut self) -> (SocketSender, SocketReceiver) {
        self.sender.shared_mut().at_drop = Some(Shutdown::Write);
        // TCP cannot tell the peer so; it would only cease to tell of room, for which the peer may be waiting.
        let is_tcp = self.endpoint.scheme() == Scheme::Tcp;
        self.receiver.shared_mut().at_drop = (!is_tcp).then_some(Shutdown::Read);
        (self.sender, self.receiver)
    }

    /// The endpoint that was connected to; at an accepted TCP connection, the client's.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What this connection can do.
    pub fn capabilities(&self) -> Capabilities {
        let options = self.endpoint.options();
        let mut capabilities = match self.endpoint.scheme() {
            Scheme::Tcp => TCP,
            Scheme::Unix => UNIX,
            _ => UNIX_PACKET,
        };
        capabilities.max_message = Some(self.sender.max_message(options));
        if options.framing == Some(Framing::Raw) {
            capabilities.boundaries = Boundaries::None;
        }
        capabilities
    }

    /// Who is at the other end of a Unix socket: who connected, or who called listen(2).
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) for TCP, which does not know.
    pub fn peer_credentials(&self) -> Result<Credentials> {
        self.require_unix("peer_credentials")?;
        credentials::of_peer(&self.sender)
            .map_err(|error| Error::from_io(error, "peer_credentials").at(self.endpoint.text()))
    }

    /// A pidfd of the peer's process, which never comes to mean another one; see pidfd_open(2).
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) for TCP, and before Linux 6.5.
    pub fn peer_pidfd(&self) -> Result<OwnedFd> {
        self.require_unix("peer_pidfd")?;
        credentials::pidfd_of_peer(&self.sender).map_err(|error| {
            let known = error.raw_os_error() != Some(nix::libc::ENOPROTOOPT);
            let error = Error::from_io(error, "peer_pidfd").at(self.endpoint.text());
            if known { error } else { error.with_kind(ErrorKind::Unsupported) }
        })
    }

    fn require_unix(&self, operation: &'static str) -> Result<()> {
        match self.endpoint.scheme() {
            Scheme::Tcp => Err(Error::new(ErrorKind::Unsupported, operation).at(self.endpoint.text())),
            _ => Ok(()),
        }
    }
}

/// Fails with `WrongOwner` unless the peer's user is the one that the option `uid` wants, if it does.
pub(crate) fn check_user(socket: &Socket, endpoint: &Endpoint) -> Result<()> {
    let Some(wanted) = endpoint.options().uid else { return Ok(()) };
    let found = credentials::of_peer(socket).map_err(|error| Error::from_io(error, "connect"))?.uid();
    if found == wanted {
        return Ok(());
    }
    let detail = format!("the peer is user {found}, but the option uid says {wanted}");
    Err(Error::new(ErrorKind::WrongOwner, "connect").with_detail(detail))
}

/// Tells the kernel whether the peer may send descriptors. A kernel that cannot be told drops them, since
/// no room is ever given for those that are not wanted.
pub(crate) fn allow_descriptors(socket: &Socket, allowed: bool) -> io::Result<()> {
    match sys::set_pass_rights(socket.as_fd(), allowed) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOPROTOOPT) => Ok(()),
        result => result,
    }
}

impl Sender for SocketPair {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.sender.send_within(message, wait)
    }

    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        self.sender.send_batch(messages, wait)
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        self.sender.flush(wait)
    }
}

impl Receiver for SocketPair {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.receiver.recv_within(wait)
    }
}

impl Pair for SocketPair {
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>) {
        let (sender, receiver) = self.split();
        (Box::new(sender), Box::new(receiver))
    }
}

/// To wait on, together with other things. Messages that were read ahead do not show: call
/// [`try_recv`](Receiver::try_recv) until it says [`WouldBlock`](ErrorKind::WouldBlock), then wait.
impl AsFd for SocketPair {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

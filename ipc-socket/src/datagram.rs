//! Datagram sockets, Unix and UDP: messages that the kernel keeps apart, without a connection.
//!
//! One that is bound hears everybody, and answers whom it heard last. One that is connected hears and is
//! heard by one peer only. Either way a socket makes both halves, which share what is learned about the
//! peer.

use crate::address::{self, Purpose};
use crate::capabilities::{UDP, UDP_MAX, UNIX_DATAGRAM};
use crate::connect::{Patience, connect};
use crate::inherited;
use crate::listener::{is_any, is_family_missing};
use crate::name::Name;
use crate::packet::size_buffers;
use crate::pair::allow_descriptors;
use crate::peer::Peer;
use crate::{DatagramReceiver, DatagramSender};
use ipc_core::{
    Address, Capabilities, Endpoint, Error, ErrorKind, Pair, Receiver, Result, Scheme, Sender,
};
use ipc_core::{ToEndpoint, Wait};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockAddr, Socket};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const SCHEMES: [Scheme; 2] = [Scheme::UnixGram, Scheme::Udp];

/// A Unix datagram or UDP socket.
///
/// [`bind`](Datagram::bind) makes one that hears everybody; its `send` answers whoever was heard last.
/// [`connect`](Datagram::connect) makes one that talks to one peer.
///
/// ```
/// use ipc_socket::{Datagram, Receiver, Sender};
///
/// let mut server = Datagram::bind("udp://127.0.0.1:0")?;
/// let mut client = Datagram::connect(server.endpoint())?;
/// client.send(b"Will it rain today?")?;
/// assert_eq!(server.recv()?, b"Will it rain today?");
/// server.send(b"It might")?;
/// assert_eq!(client.recv()?, b"It might");
/// # Ok::<(), ipc_socket::Error>(())
/// ```
///
/// Unix datagrams are neither lost nor reordered; a full receiver holds its senders back. UDP loses what
/// finds no room: [`dropped`](Datagram::dropped) tells how much.
#[derive(Debug)]
pub struct Datagram {
    pub(crate) sender: DatagramSender,
    pub(crate) receiver: DatagramReceiver,
    endpoint: Endpoint,
}

/// What the two halves share.
#[derive(Debug)]
pub(crate) struct Shared {
    // Dropped in this order: while the socket is there, nobody takes the name for a dead one's.
    _name: Option<Name>,
    pub(crate) socket: Socket,
    pub(crate) endpoint: Endpoint,
    /// Connected: there is one peer, and the kernel knows it.
    pub(crate) connected: bool,
    /// Who was heard last, where everybody is heard.
    last: Mutex<Option<Peer>>,
    pub(crate) max_message: usize,
    /// What UDP has dropped, by the kernel's count of 32 bits, and what of the senders was not wanted.
    pub(crate) dropped: AtomicU64,
    pub(crate) turned_away: AtomicU64,
}

impl Shared {
    pub(crate) fn last(&self) -> Option<Peer> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn heard(&self, peer: Peer) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
    }

    /// Takes the kernel's count, which begins anew after 2^32.
    pub(crate) fn count_dropped(&self, kernels: u32) {
        let before = self.dropped.load(Ordering::Relaxed);
        let more = kernels.wrapping_sub(before as u32);
        self.dropped.store(before.saturating_add(more.into()), Ordering::Relaxed);
    }
}

impl Datagram {
    /// Binds to `udp://HOST:PORT`, `unixgram://PATH` or `unixgram://@NAME`, or takes over an inherited
    /// socket, as `udp://fd/N` and the like; as [`Listener::bind`](crate::Listener::bind) does.
    ///
    /// A path gets the permissions of the option `mode`, 0600 if there is none, and is taken over from a
    /// dead owner as by [`Listener::bind`](crate::Listener::bind), whose errors these are, too. With the
    /// option `uid`, messages of other users are passed over.
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = endpoint.to_endpoint()?;
        address::require(&endpoint, &SCHEMES, "bind")?;
        if let Address::Descriptor(number) = endpoint.address() {
            let socket = inherited::take(*number, &endpoint, false, "bind")?;
            return Self::from_fd(socket, &endpoint);
        }
        let mut last = None;
        for address in address::resolve(&endpoint, Purpose::Bind)? {
            match bind_to(&address, &endpoint) {
                Ok((socket, name)) => return Self::new(socket, name, endpoint, false),
                // A machine without IPv6.
                Err(error) if is_family_missing(&error) => last = Some(error),
                Err(error) => return Err(error.at(endpoint.text())),
            }
        }
        let error = last.unwrap_or_else(|| Error::new(ErrorKind::NotFound, "bind"));
        Err(error.at(endpoint.text()))
    }

    /// Connects to the socket that is bound to `endpoint`. A Unix socket is given an abstract name of its
    /// own, so that it can be answered.
    ///
    /// # Errors
    ///
    /// Over Unix sockets as [`SocketPair::connect`](crate::SocketPair::connect). Over UDP nothing is sent
    /// yet, and nobody need be there.
    pub fn connect(endpoint: impl ToEndpoint) -> Result<Self> {
        Self::connect_with(endpoint.to_endpoint()?, Patience::NOW)
    }

    /// Connects, waiting at most `timeout` for a Unix name that is not there yet.
    pub fn connect_timeout(endpoint: impl ToEndpoint, timeout: Duration) -> Result<Self> {
        Self::connect_within(endpoint, Wait::timeout(timeout))
    }

    /// Connects, waiting as long as `wait` says for a Unix name that is not there yet.
    pub fn connect_within(endpoint: impl ToEndpoint, wait: Wait) -> Result<Self> {
        Self::connect_with(endpoint.to_endpoint()?, Patience::within(wait))
    }

    fn connect_with(endpoint: Endpoint, patience: Patience) -> Result<Self> {
        address::require(&endpoint, &SCHEMES, "connect")?;
        let socket = connect(&endpoint, patience, |socket| match endpoint.scheme() {
            Scheme::Udp => Ok(()),
            // An empty address has the kernel choose an abstract name.
            _ => socket.bind(&SockAddr::unix("")?),
        })?;
        check_owner(&endpoint).map_err(|error| error.at(endpoint.text()))?;
        Self::new(socket, None, endpoint, true)
    }

    /// Makes one of a socket that came from elsewhere, bound or connected. Its name is not removed.
    ///
    /// # Errors
    ///
    /// [`WrongType`](ErrorKind::WrongType) if it is a socket of another kind, or not one at all.
    pub fn from_fd(socket: OwnedFd, endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = endpoint.to_endpoint()?;
        address::require(&endpoint, &SCHEMES, "bind")?;
        let socket = Socket::from(socket);
        address::check(&socket, &endpoint, false, "bind")?;
        let connected = socket.peer_addr().is_ok();
        Self::new(socket, None, endpoint, connected)
    }

    fn new(socket: Socket, name: Option<Name>, endpoint: Endpoint, connected: bool) -> Result<Self> {
        let failed = |error: io::Error| Error::from_io(error, "open");
        let endpoint = if connected { endpoint } else { address::with_bound_port(endpoint, &socket)? };
        let options = endpoint.options();
        let max_message =
            prepare(&socket, &endpoint).map_err(|error| failed(error).at(endpoint.text()))?;
        if let Some(capacity) = options.capacity {
            socket.set_recv_buffer_size(capacity).map_err(|error| failed(error).at(endpoint.text()))?;
        }
        let shared = Arc::new(Shared {
            _name: name,
            socket,
            endpoint: endpoint.clone(),
            connected,
            last: Mutex::new(None),
            max_message,
            dropped: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        });
        let sender = DatagramSender::new(&shared);
        let receiver =
            DatagramReceiver::new(&shared).map_err(|error| failed(error).at(endpoint.text()))?;
        Ok(Datagram { sender, receiver, endpoint })
    }

    /// Takes it apart, so that one thread can send while another receives.
    pub fn split(self) -> (DatagramSender, DatagramReceiver) {
        (self.sender, self.receiver)
    }

    /// The endpoint that is bound, with the port that was chosen where any was asked for; or that was
    /// connected to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What this socket can do.
    pub fn capabilities(&self) -> Capabilities {
        let all = if self.endpoint.scheme() == Scheme::Udp { UDP } else { UNIX_DATAGRAM };
        all.max_message(self.sender.shared.max_message)
    }

    /// See [`DatagramReceiver::recv_from`].
    pub fn recv_from(&mut self, wait: Wait) -> Result<(&[u8], Peer)> {
        self.receiver.recv_from(wait)
    }

    /// See [`DatagramSender::send_to`].
    pub fn send_to(&mut self, message: &[u8], peer: &Peer, wait: Wait) -> Result<()> {
        self.sender.send_to(message, peer, wait)
    }

    /// See [`DatagramSender::send_with_fds`].
    pub fn send_with_fds(&mut self, message: &[u8], fds: &[BorrowedFd<'_>], wait: Wait) -> Result<()> {
        self.sender.send_with_fds(message, fds, wait)
    }

    /// See [`DatagramReceiver::recv_with_fds`].
    pub fn recv_with_fds(&mut self, wait: Wait) -> Result<(&[u8], Peer, Vec<OwnedFd>)> {
        self.receiver.recv_with_fds(wait)
    }

    /// How many datagrams the kernel has dropped because nobody read those before: all that were dropped
    /// before the last one that was received came (`SO_RXQ_OVFL` of socket(7)). Zero over Unix sockets,
    /// which drop nothing.
    pub fn dropped(&self) -> u64 {
        self.receiver.dropped()
    }

    /// How many messages were passed over because their sender was not the user that the option `uid`
    /// names.
    pub fn turned_away(&self) -> u64 {
        self.receiver.shared.turned_away.load(Ordering::Relaxed)
    }
}

/// Datagrams tell who sent them, but not beforehand who will get them: the nearest to it is whose the path
/// is.
fn check_owner(endpoint: &Endpoint) -> Result<()> {
    let (Some(wanted), Address::Path(path)) = (endpoint.options().uid, endpoint.address()) else {
        return Ok(());
    };
    let found = std::fs::metadata(path).map_err(|error| Error::from_io(error, "connect"))?.uid();
    if found == wanted {
        return Ok(());
    }
    let detail = format!("the path belongs to user {found}, but the option uid says {wanted}");
    Err(Error::new(ErrorKind::WrongOwner, "connect").with_detail(detail))
}

fn bind_to(address: &SockAddr, endpoint: &Endpoint) -> Result<(Socket, Option<Name>)> {
    let failed = |error| Error::from_io(error, "bind");
    let socket = address::new_socket(endpoint.scheme(), address).map_err(failed)?;
    // Calls that are not to wait say so themselves.
    socket.set_nonblocking(false).map_err(failed)?;
    if address.is_ipv6() {
        socket.set_only_v6(!is_any(endpoint)).map_err(failed)?;
    }
    if let Address::Path(path) = endpoint.address() {
        let name = Name::bind(&socket, path, endpoint.options().mode.unwrap_or(0o600))?;
        return Ok((socket, Some(name)));
    }
    socket.bind(address).map_err(failed)?;
    Ok((socket, None))
}

/// Sets what both kinds need, and says how long a message may be.
fn prepare(socket: &Socket, endpoint: &Endpoint) -> io::Result<usize> {
    let options = endpoint.options();
    if endpoint.scheme() == Scheme::Udp {
        setsockopt(socket, sockopt::RxqOvfl, &1)?;
        if let Some(capacity) = options.capacity {
            socket.set_send_buffer_size(capacity)?;
        }
        return Ok(options.max_message.unwrap_or(UDP_MAX).min(UDP_MAX));
    }
    // The sender's credentials come along with each message.
    socket.set_passcred(true)?;
    allow_descriptors(socket, options.descriptors == Some(true))?;
    size_buffers(socket, endpoint)
}

impl Sender for Datagram {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.sender.send_within(message, wait)
    }
}

impl Receiver for Datagram {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.receiver.recv_within(wait)
    }
}

impl Pair for Datagram {
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>) {
        let (sender, receiver) = self.split();
        (Box::new(sender), Box::new(receiver))
    }
}

impl AsFd for Datagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sender.shared.socket.as_fd()
    }
}

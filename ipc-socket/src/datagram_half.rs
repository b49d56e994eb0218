//! The two halves of a datagram socket.

use crate::control::Control;
use crate::datagram::Shared;
use crate::packet::{check_size, cut, descriptors_lost, receive_buffer};
use crate::peer::Peer;
use crate::ready::{Room, when_readable, when_writable};
use crate::rights::{explain, numbers, unasked};
use crate::stream::SEND;
use crate::sys::{self, Arrived};
use ipc_core::{Attempt, Error, ErrorKind, Receiver, Result, Scheme, Sender, Wait, Waiter};
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, UnixAddr, send, sendmsg};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The half of a [`Datagram`](crate::Datagram) that sends.
#[derive(Debug)]
pub struct DatagramSender {
    pub(crate) shared: Arc<Shared>,
    waiter: Waiter,
}

impl DatagramSender {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let waiter = Waiter::new(shared.endpoint.options().waiting.unwrap_or_default());
        DatagramSender { shared: Arc::clone(shared), waiter }
    }

    /// Sends a message to `peer`, from the socket's own address.
    ///
    /// Where a Unix receiver is full the kernel does not tell when there is room again, so the wait looks
    /// again and again, with up to 10 ms in between.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`]. Also [`NoPeer`](ErrorKind::NoPeer) for a peer without an address.
    pub fn send_to(&mut self, message: &[u8], peer: &Peer, wait: Wait) -> Result<()> {
        let Shared { socket, endpoint, max_message, .. } = &*self.shared;
        let fd = socket.as_raw_fd();
        let sent = check_size(message.len(), *max_message, endpoint).and_then(|()| {
            if !peer.can_be_answered() {
                let error = Error::new(ErrorKind::NoPeer, "send");
                return Err(error.with_detail("it has not bound, so there is no address to answer to"));
            }
            when_writable(socket.as_fd(), Room::Sought, &mut self.waiter, wait, || {
                unless_refused_before(endpoint.scheme(), || {
                    peer.send(fd, message, SEND)
                        .unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
                })
            })
        });
        sent.map(|_| ()).map_err(|error| gone(error).at(endpoint.text()))
    }

    /// Sends a message and, along with it, descriptors; see
    /// [`SocketSender::send_with_fds`](crate::SocketSender::send_with_fds). For connected Unix sockets.
    pub fn send_with_fds(&mut self, message: &[u8], fds: &[BorrowedFd<'_>], wait: Wait) -> Result<()> {
        let Shared { socket, endpoint, connected, max_message, .. } = &*self.shared;
        if endpoint.scheme() == Scheme::Udp || !connected {
            let error = Error::new(ErrorKind::Unsupported, "send").at(endpoint.text());
            return Err(error.with_detail("descriptors go over connected Unix sockets only"));
        }
        let fd = socket.as_raw_fd();
        let sent = check_size(message.len(), *max_message, endpoint).and_then(|()| {
            let numbers = numbers(fds)?;
            let rights = [ControlMessage::ScmRights(&numbers)];
            when_writable(socket.as_fd(), Room::Told, &mut self.waiter, wait, || {
                Ok(sendmsg::<()>(fd, &[IoSlice::new(message)], &rights, SEND, None)?)
            })
        });
        sent.map(|_| ()).map_err(|error| explain(gone(error)).at(endpoint.text()))
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.shared.endpoint.text()
    }

    fn send_to_peer(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        let Shared { socket, endpoint, max_message, .. } = &*self.shared;
        let fd = socket.as_raw_fd();
        let sent = check_size(message.len(), *max_message, endpoint).and_then(|()| {
            when_writable(socket.as_fd(), Room::Told, &mut self.waiter, wait, || {
                unless_refused_before(endpoint.scheme(), || Ok(send(fd, message, SEND)?))
            })
        });
        sent.map(|_| ()).map_err(|error| gone(error).at(endpoint.text()))
    }
}

/// To the connected peer, or, at a bound socket, to whom its receiving half has heard last; before that,
/// [`NoPeer`](ErrorKind::NoPeer).
impl Sender for DatagramSender {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        if self.shared.connected {
            return self.send_to_peer(message, wait);
        }
        match self.shared.last() {
            Some(peer) => self.send_to(message, &peer, wait),
            None => Err(Error::new(ErrorKind::NoPeer, "send")
                .with_detail("a bound socket answers whom it heard last, and has heard nobody yet")
                .at(self.shared.endpoint.text())),
        }
    }
}

impl AsFd for DatagramSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.socket.as_fd()
    }
}

/// Over UDP, `ECONNREFUSED` is about a datagram before this one, of which the other machine has said that
/// nobody was there; this one has not been sent, so it is, then. See udp(7).
fn unless_refused_before(
    scheme: Scheme,
    mut send: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    const TRIES: usize = 8;
    let mut result = send();
    for _ in 0..TRIES {
        match &result {
            Err(error) if scheme == Scheme::Udp && error.raw_os_error() == Some(libc::ECONNREFUSED) => {
                result = send();
            }
            _ => break,
        }
    }
    result
}

/// Whoever was there and is not any more is gone, and not just absent.
fn gone(error: Error) -> Error {
    match error.io_error().and_then(io::Error::raw_os_error) {
        Some(libc::ECONNREFUSED | libc::ENOTCONN | libc::ENOENT | libc::EDESTADDRREQ) => {
            error.with_kind(ErrorKind::Disconnected)
        }
        Some(libc::EPERM) => error
            .with_kind(ErrorKind::PermissionDenied)
            .with_detail("the receiver is connected to somebody else, or wants no descriptors"),
        _ => error,
    }
}

/// The half of a [`Datagram`](crate::Datagram) that receives.
#[derive(Debug)]
pub struct DatagramReceiver {
    pub(crate) shared: Arc<Shared>,
    waiter: Waiter,
    buffer: Vec<u8>,
    control: Control,
    descriptors: Vec<OwnedFd>,
}

impl DatagramReceiver {
    /// More than any UDP datagram has.
    const UDP_BUFFER: usize = 1 << 16;

    pub(crate) fn new(shared: &Arc<Shared>) -> io::Result<Self> {
        let options = shared.endpoint.options();
        let waiter = Waiter::new(options.waiting.unwrap_or_default());
        let (buffer, control) = match shared.endpoint.scheme() {
            Scheme::Udp => {
                let size = options.max_message.unwrap_or(Self::UDP_BUFFER).min(Self::UDP_BUFFER);
                (vec![0; size], Control::drops())
            }
            _ => (
                receive_buffer(&shared.socket, &shared.endpoint)?,
                Control::unix(true, options.descriptors == Some(true)),
            ),
        };
        let shared = Arc::clone(shared);
        Ok(DatagramReceiver { shared, waiter, buffer, control, descriptors: Vec::new() })
    }

    /// Receives a message, and says whom it is from.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`]. Over connected UDP also [`NoPeer`](ErrorKind::NoPeer), once, when the other
    /// machine has said that nobody is there for what was sent.
    pub fn recv_from(&mut self, wait: Wait) -> Result<(&[u8], Peer)> {
        let (size, peer) = self.recv_one(wait).map_err(|error| error.at(self.shared.endpoint.text()))?;
        self.descriptors.clear();
        Ok((self.buffer.get(..size).unwrap_or_default(), peer))
    }

    /// Receives a message and the descriptors that came along with it, of which there may be none; see
    /// [`SocketReceiver::recv_with_fds`](crate::SocketReceiver::recv_with_fds).
    pub fn recv_with_fds(&mut self, wait: Wait) -> Result<(&[u8], Peer, Vec<OwnedFd>)> {
        if self.shared.endpoint.options().descriptors != Some(true) {
            return Err(unasked().at(self.shared.endpoint.text()));
        }
        let (size, peer) = self.recv_one(wait).map_err(|error| error.at(self.shared.endpoint.text()))?;
        let descriptors = std::mem::take(&mut self.descriptors);
        Ok((self.buffer.get(..size).unwrap_or_default(), peer, descriptors))
    }

    /// See [`Datagram::dropped`](crate::Datagram::dropped).
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.shared.endpoint.text()
    }

    fn recv_one(&mut self, wait: Wait) -> Result<(usize, Peer)> {
        let udp = self.shared.endpoint.scheme() == Scheme::Udp;
        let mut attempt = Attempt::new(wait);
        loop {
            let (size, lost, peer) = if udp { self.recv_udp(wait)? } else { self.recv_unix(wait)? };
            if size > self.buffer.len() {
                self.descriptors.clear();
                return Err(cut(size, &self.buffer));
            }
            if lost {
                self.descriptors.clear();
                return Err(descriptors_lost());
            }
            let wanted = self.shared.endpoint.options().uid;
            let found = peer.credentials().map(crate::Credentials::uid);
            if wanted.is_some() && wanted != found {
                self.descriptors.clear();
                self.shared.turned_away.fetch_add(1, Ordering::Relaxed);
                attempt.passed_over().map_err(|kind| Error::new(kind, "recv"))?;
                continue;
            }
            if !self.shared.connected {
                self.shared.heard(peer);
            }
            return Ok((size, peer));
        }
    }

    fn recv_unix(&mut self, wait: Wait) -> Result<(usize, bool, Peer)> {
        let Arrived { size, descriptors_lost, sender } = self.receive::<UnixAddr>(wait)?;
        let lost = descriptors_lost && self.shared.endpoint.options().descriptors == Some(true);
        Ok((size, lost, Peer::unix(sender, self.control.credentials())))
    }

    fn recv_udp(&mut self, wait: Wait) -> Result<(usize, bool, Peer)> {
        let Arrived { size, sender, .. } = self.receive::<SockaddrStorage>(wait)?;
        if let Some(count) = self.control.dropped() {
            self.shared.count_dropped(count);
        }
        let peer = Peer::inet(sender).ok_or_else(|| Error::new(ErrorKind::Corrupted, "recv"))?;
        Ok((size, false, peer))
    }

    fn receive<A: nix::sys::socket::SockaddrLike>(&mut self, wait: Wait) -> Result<Arrived<A>> {
        let fd = self.shared.socket.as_fd();
        let (buffer, control, descriptors) =
            (&mut self.buffer, &mut self.control, &mut self.descriptors);
        descriptors.clear();
        when_readable(fd, &mut self.waiter, wait, |flags| {
            sys::receive(fd, buffer, control, descriptors, flags | MsgFlags::MSG_TRUNC)
        })
    }
}

impl Receiver for DatagramReceiver {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.recv_from(wait).map(|(message, _)| message)
    }
}

impl AsFd for DatagramReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.socket.as_fd()
    }
}

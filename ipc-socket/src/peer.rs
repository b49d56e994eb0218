//! Who is at the other end of a datagram: where from, and who says so.

use crate::address;
use crate::credentials::Credentials;
use ipc_core::{Address, Endpoint, Error, ErrorKind, Result, Scheme};
use nix::sys::socket::{MsgFlags, SockaddrLike, SockaddrStorage, UnixAddr, sendto};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::path::Path;

/// Who a datagram is from: an address that an answer can be sent to, and, over a Unix socket, the sender's
/// credentials.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    place: Place,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Inet(SocketAddr),
    Unix(UnixAddr),
    /// A Unix socket that has not bound to anything.
    Nameless,
}

impl Peer {
    /// The sender of a datagram that came through a Unix socket.
    pub(crate) fn unix(address: Option<UnixAddr>, credentials: Option<Credentials>) -> Self {
        // The family alone, or not even that, is no name.
        let named =
            address.filter(|address| address.len() as usize > size_of::<nix::libc::sa_family_t>());
        Peer { place: named.map_or(Place::Nameless, Place::Unix), credentials }
    }

    /// The sender of a datagram that came through UDP.
    pub(crate) fn inet(address: Option<SockaddrStorage>) -> Option<Self> {
        let address = address?;
        let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
        // With the scope: without it there is no way back to an address of one link.
        let v6 = || address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()));
        v4.or_else(v6).map(Peer::from)
    }

    /// Sends to this peer; `None` if it has no address.
    pub(crate) fn send(&self, fd: RawFd, message: &[u8], flags: MsgFlags) -> Option<io::Result<usize>> {
        let sent = match &self.place {
            Place::Inet(address) => sendto(fd, message, &SockaddrStorage::from(*address), flags),
            Place::Unix(address) => sendto(fd, message, address, flags),
            Place::Nameless => return None,
        };
        Some(sent.map_err(io::Error::from))
    }

    /// The peer at an endpoint, without asking whether anybody is there.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`](ErrorKind::InvalidEndpoint) for `fd/N` and port 0,
    /// [`NotFound`](ErrorKind::NotFound) for a host that cannot be looked up.
    pub fn at(endpoint: &Endpoint) -> Result<Peer> {
        address::require(endpoint, &[Scheme::UnixGram, Scheme::Udp], "connect")?;
        let unix = match endpoint.address() {
            Address::Path(path) => UnixAddr::new(path),
            Address::Abstract(name) => UnixAddr::new_abstract(name),
            _ => {
                let all = address::resolve(endpoint, address::Purpose::Connect)?;
                let first = all
                    .iter()
                    .find_map(socket2::SockAddr::as_socket)
                    .ok_or_else(|| Error::new(ErrorKind::NotFound, "connect").at(endpoint.text()))?;
                return Ok(Peer::from(first));
            }
        };
        let unix = unix.map_err(|errno| Error::from_io(errno.into(), "connect").at(endpoint.text()))?;
        Ok(Peer { place: Place::Unix(unix), credentials: None })
    }

    /// The internet address of a UDP peer.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Inet(address) => Some(address),
            _ => None,
        }
    }

    /// The path of a Unix peer, if it has bound to one.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix(address) => address.path(),
            _ => None,
        }
    }

    /// The abstract name of a Unix peer, if it has bound to one.
    pub fn abstract_name(&self) -> Option<&[u8]> {
        match &self.place {
            Place::Unix(address) => address.as_abstract(),
            _ => None,
        }
    }

    /// Who sent the message, as the kernel vouches for it; `None` over UDP.
    pub fn credentials(&self) -> Option<Credentials> {
        self.credentials
    }

    /// Whether an answer can be sent: a Unix socket that has not bound has no address.
    pub fn can_be_answered(&self) -> bool {
        self.place != Place::Nameless
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Peer { place: Place::Inet(address), credentials: None }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.socket_addr() {
            return match address.ip().to_canonical() {
                IpAddr::V4(host) => write!(f, "{host}:{}", address.port()),
                IpAddr::V6(_) => write!(f, "{address}"),
            };
        }
        if let Some(path) = self.path() {
            return write!(f, "{}", path.display());
        }
        match self.abstract_name() {
            Some(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
            None => f.write_str("a socket without a name"),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({self}, {:?})", self.credentials)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Peer;
    use nix::sys::socket::SockaddrStorage;
    use std::collections::HashSet;
    use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn heard_through(interface: u32) -> Peer {
        let from = SocketAddr::V6(SocketAddrV6::new(LINK_LOCAL, 2000, 0, interface));
        let peer = Peer::inet(Some(SockaddrStorage::from(from))).unwrap();
        assert_eq!(peer.socket_addr(), Some(from));
        peer
    }

    #[test]
    fn a_link_local_peer_is_one_of_its_interface() {
        let (one, other) = (heard_through(4), heard_through(5));
        assert_ne!(one, other);
        assert_eq!(HashSet::from([one, other, one]).len(), 2);
    }

    #[test]
    fn a_peer_is_shown_so_that_it_can_be_written_down() {
        let shown = |text: &str| Peer::from(text.parse::<SocketAddr>().unwrap()).to_string();
        assert_eq!(shown("[::1]:2000"), "[::1]:2000");
        assert_eq!(shown("[::ffff:127.0.0.1]:2000"), "127.0.0.1:2000");
        assert_eq!(heard_through(4).to_string(), "[fe80::1%4]:2000");
    }
}

//! From endpoints to the kernel's socket addresses, and back.

use ipc_core::{Address, Endpoint, Error, ErrorKind, Host, Result, Scheme};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;

/// What an address is wanted for: `*` is every address to bind to, and this machine to connect to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Bind,
    Connect,
}

/// Fails unless the scheme is one of `schemes`, and says which type is for the others.
pub(crate) fn require(endpoint: &Endpoint, schemes: &[Scheme], operation: &'static str) -> Result<()> {
    endpoint.require(schemes, operation).map_err(|error| {
        error.with_detail(match endpoint.scheme() {
            Scheme::Udp | Scheme::UnixGram => "datagrams have no connection: use Datagram",
            Scheme::Tcp | Scheme::Unix | Scheme::UnixPacket => {
                "it has connections: use Listener and SocketPair"
            }
            _ => "this crate's are tcp, unix, unixpacket, unixgram, udp",
        })
    })
}

/// The addresses that an endpoint stands for, the likeliest first. A host's name is looked up, which may
/// take as long as the resolver likes.
pub(crate) fn resolve(endpoint: &Endpoint, purpose: Purpose) -> Result<Vec<SockAddr>> {
    let operation = if purpose == Purpose::Bind { "bind" } else { "connect" };
    let failed = |error| Error::from_io(error, operation).at(endpoint.text());
    let (host, port) = match endpoint.address() {
        Address::Path(path) => return Ok(vec![SockAddr::unix(path).map_err(failed)?]),
        Address::Abstract(_) if purpose == Purpose::Bind && endpoint.options().mode.is_some() => {
            let problem = Error::new(ErrorKind::InvalidOption, operation).at(endpoint.text());
            return Err(problem.with_detail(
                "an abstract name has no permissions, so mode would protect nothing; uid does",
            ));
        }
        Address::Abstract(name) => {
            let name = [&[0], name.as_slice()].concat();
            return Ok(vec![SockAddr::unix(OsStr::from_bytes(&name)).map_err(failed)?]);
        }
        Address::Host { host, port } => (host, *port),
        _ => {
            let problem = Error::new(ErrorKind::InvalidEndpoint, operation).at(endpoint.text());
            return Err(problem.with_detail("this address does not name a socket"));
        }
    };
    if purpose == Purpose::Connect && port == 0 {
        let problem = Error::new(ErrorKind::InvalidEndpoint, operation).at(endpoint.text());
        return Err(problem.with_detail("port 0 is for binding; ask the bound end for its endpoint"));
    }
    let hosts: Vec<IpAddr> = match (host, purpose) {
        // An IPv6 socket takes IPv4 as well; the second is for machines without IPv6.
        (Host::Any, Purpose::Bind) => vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
        (Host::Any, Purpose::Connect) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        (Host::V4(host), _) => vec![(*host).into()],
        (Host::V6(host), _) => vec![(*host).into()],
        (Host::Name(name), _) => {
            let found = (name.as_str(), port).to_socket_addrs().map_err(|error| {
                Error::new(ErrorKind::NotFound, operation)
                    .at(endpoint.text())
                    .with_detail(format!("the host {name} cannot be looked up: {error}"))
                    .with_source(error)
            })?;
            return Ok(found.map(SockAddr::from).collect());
        }
    };
    Ok(hosts.into_iter().map(|host| SocketAddr::new(host, port).into()).collect())
}

/// Makes a socket for `scheme` and an address: close-on-exec and nonblocking.
pub(crate) fn new_socket(scheme: Scheme, address: &SockAddr) -> io::Result<Socket> {
    let protocol = match scheme {
        Scheme::Tcp => Some(Protocol::TCP),
        Scheme::Udp => Some(Protocol::UDP),
        _ => None,
    };
    Socket::new(address.domain(), type_of(scheme).nonblocking().cloexec(), protocol)
}

/// The type of socket that a scheme stands for.
pub(crate) fn type_of(scheme: Scheme) -> Type {
    match scheme {
        Scheme::UnixGram | Scheme::Udp => Type::DGRAM,
        Scheme::UnixPacket => Type::SEQPACKET,
        _ => Type::STREAM,
    }
}

/// Whether a socket that came from elsewhere is what `endpoint`'s scheme says, and is listening or not.
pub(crate) fn check(
    socket: &Socket,
    endpoint: &Endpoint,
    listening: bool,
    operation: &'static str,
) -> Result<()> {
    let wrong = |detail: String| {
        let error = Error::new(ErrorKind::WrongType, operation).at(endpoint.text());
        Err(error.with_detail(detail))
    };
    let failed = |error: io::Error| match error.raw_os_error() {
        Some(nix::libc::ENOTSOCK) => Error::from_io(error, operation)
            .with_kind(ErrorKind::WrongType)
            .with_detail("the descriptor is not a socket")
            .at(endpoint.text()),
        Some(nix::libc::EBADF) => Error::from_io(error, operation)
            .with_kind(ErrorKind::NotFound)
            .with_detail("the descriptor is not open")
            .at(endpoint.text()),
        _ => Error::from_io(error, operation).at(endpoint.text()),
    };
    let domain = socket.domain().map_err(failed)?;
    let kind = socket.r#type().map_err(failed)?;
    let scheme = endpoint.scheme();
    let right_domain = match scheme {
        Scheme::Tcp | Scheme::Udp => domain == Domain::IPV4 || domain == Domain::IPV6,
        _ => domain == Domain::UNIX,
    };
    if !right_domain || kind != type_of(scheme) {
        return wrong(format!("it is a socket of {domain:?} and {kind:?}, not of {scheme}"));
    }
    match socket.is_listener().map_err(failed)? {
        true if !listening => wrong("the socket is listening; what is wanted is a connected one".into()),
        false if listening => wrong("the socket is not listening; see listen(2)".into()),
        _ => Ok(()),
    }
}

/// `endpoint` with the port that the kernel chose, where it asked for any.
pub(crate) fn with_bound_port(endpoint: Endpoint, socket: &Socket) -> Result<Endpoint> {
    let Address::Host { host, port: 0 } = endpoint.address() else { return Ok(endpoint) };
    let bound = socket.local_addr().map_err(|error| Error::from_io(error, "bind"))?;
    let port = bound.as_socket().map_or(0, |address| address.port());
    let address = Address::Host { host: host.clone(), port };
    Endpoint::new(endpoint.scheme(), address, endpoint.options().clone())
}

/// The endpoint of whoever has connected from `address`, with the listener's options.
pub(crate) fn of_peer(listener: &Endpoint, address: &SockAddr) -> Result<Endpoint> {
    let Some(address) = address.as_socket() else { return Ok(listener.clone()) };
    Endpoint::new(listener.scheme(), host_of(address), listener.options().clone())
}

/// An internet address as an endpoint's; IPv4 as such also where it came through an IPv6 socket.
pub(crate) fn host_of(address: SocketAddr) -> Address {
    let host = match address.ip().to_canonical() {
        IpAddr::V4(host) => Host::V4(host),
        IpAddr::V6(host) => Host::V6(host),
    };
    Address::Host { host, port: address.port() }
}

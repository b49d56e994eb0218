//! A name that clients connect to, and the connections they make.

use crate::address::{self, Purpose};
use crate::half::check_framing;
use crate::inherited;
use crate::name::Name;
use crate::pair::{CONNECTED, SocketPair, allow_descriptors, check_user};
use ipc_core::wait::{nap, sleep_until_readable};
use ipc_core::{Address, Attempt, Endpoint, Error, ErrorKind, Host, Result, Scheme, Step, ToEndpoint};
use ipc_core::{Wait, Waiter, Waiting};
use nix::libc;
use socket2::{SockAddr, Socket};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A bound and listening TCP, Unix stream or Unix seqpacket socket.
///
/// ```
/// use ipc_socket::{Listener, Receiver, Sender, SocketPair};
///
/// let listener = Listener::bind("tcp://127.0.0.1:0")?; // any free port; the endpoint says which
/// let endpoint = listener.endpoint().clone();
/// let client = std::thread::spawn(move || {
///     let mut server = SocketPair::connect(&endpoint)?;
///     server.send(b"hello")
/// });
/// let mut client_side = listener.accept()?;
/// assert_eq!(client_side.recv()?, b"hello");
/// # client.join().unwrap()?;
/// # Ok::<(), ipc_socket::Error>(())
/// ```
///
/// Any number of threads may accept from one listener. Dropping it removes the name that it has made in
/// the file system; connections that were accepted live on.
#[derive(Debug)]
pub struct Listener {
    // Dropped in this order: while the socket is there, nobody takes the name for a dead one's.
    _name: Option<Name>,
    socket: Socket,
    endpoint: Endpoint,
    waiter: Waiter,
    turned_away: AtomicU64,
    /// A Unix socket that is shut down would have an accept come again for ever.
    closed: AtomicBool,
}

impl Listener {
    /// How many connections wait to be accepted where the option `backlog` does not say; the sysctl
    /// net.core.somaxconn is the most.
    const BACKLOG: i32 = 4096;

    /// How long an accept waits for a descriptor to become free before it reports that there is none.
    const RELIEF: Duration = Duration::from_millis(100);

    /// Binds to `tcp://HOST:PORT`, `unix://PATH`, `unix://@NAME` or `unixpacket://…`; or takes over a
    /// listening socket that this process has inherited, as `tcp://fd/N` and the like (`/dev/null` is put in
    /// its place, unless it is close-on-exec or a standard stream; see sd_listen_fds(3) for how it is handed
    /// over).
    ///
    /// A path gets the permissions of the option `mode`, 0600 if there is none, before anybody can
    /// connect. One that was left behind by a process that is gone is taken over; of several that try to,
    /// one succeeds.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](ErrorKind::AddrInUse) if a living process holds the name or the port,
    /// [`WrongType`](ErrorKind::WrongType) if there is a file of that name that is not a socket,
    /// [`WrongOwner`](ErrorKind::WrongOwner) if there is a dead socket of another user,
    /// [`NotFound`](ErrorKind::NotFound) if there is no such directory or host,
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    pub fn bind(endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = endpoint.to_endpoint()?;
        address::require(&endpoint, &CONNECTED, "bind")?;
        check_framing(&endpoint, "bind")?;
        if let Address::Descriptor(number) = endpoint.address() {
            let socket = inherited::take(*number, &endpoint, true, "bind")?;
            return Self::from_fd(socket, &endpoint);
        }
        let mut last = None;
        for address in address::resolve(&endpoint, Purpose::Bind)? {
            match Self::bind_to(&address, &endpoint) {
                Ok((socket, name)) => return Self::new(socket, name, endpoint),
                // A machine without IPv6.
                Err(error) if is_family_missing(&error) => last = Some(error),
                Err(error) => return Err(error.at(endpoint.text())),
            }
        }
        let error = last.unwrap_or_else(|| Error::new(ErrorKind::NotFound, "bind"));
        Err(error.at(endpoint.text()))
    }

    /// Makes a listener of a socket that is bound and listens already. Its name is not removed.
    ///
    /// `endpoint` says what it is, and with which options its connections are used; its address is for
    /// errors only. The socket is made nonblocking, which everybody notices who shares it.
    ///
    /// # Errors
    ///
    /// [`WrongType`](ErrorKind::WrongType) if it is a socket of another kind, not listening, or not a
    /// socket at all.
    pub fn from_fd(socket: OwnedFd, endpoint: impl ToEndpoint) -> Result<Self> {
        let endpoint = endpoint.to_endpoint()?;
        address::require(&endpoint, &CONNECTED, "bind")?;
        check_framing(&endpoint, "bind")?;
        let socket = Socket::from(socket);
        address::check(&socket, &endpoint, true, "bind")?;
        let failed = |error| Error::from_io(error, "bind").at(endpoint.text());
        socket.set_nonblocking(true).map_err(failed)?;
        Self::new(socket, None, endpoint)
    }

    fn bind_to(address: &SockAddr, endpoint: &Endpoint) -> Result<(Socket, Option<Name>)> {
        let failed = |error| Error::from_io(error, "bind");
        let socket = address::new_socket(endpoint.scheme(), address).map_err(failed)?;
        let options = endpoint.options();
        if endpoint.scheme() == Scheme::Tcp {
            // A port whose connections of a moment ago are still dying may be bound again.
            socket.set_reuse_address(true).map_err(failed)?;
            if address.is_ipv6() {
                socket.set_only_v6(!is_any(endpoint)).map_err(failed)?;
            }
        } else {
            allow_descriptors(&socket, options.descriptors == Some(true)).map_err(failed)?;
        }
        let name = match endpoint.address() {
            Address::Path(path) => Some(Name::bind(&socket, path, options.mode.unwrap_or(0o600))?),
            _ => {
                socket.bind(address).map_err(|error| explain_busy_port(error, endpoint))?;
                None
            }
        };
        let backlog =
            options.backlog.map_or(Self::BACKLOG, |most| i32::try_from(most).unwrap_or(i32::MAX));
        socket.listen(backlog).map_err(failed)?;
        Ok((socket, name))
    }

    fn new(socket: Socket, name: Option<Name>, endpoint: Endpoint) -> Result<Self> {
        let endpoint = address::with_bound_port(endpoint, &socket)?;
        let waiter = Waiter::new(Waiting::Block);
        let (turned_away, closed) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(Listener { _name: name, socket, endpoint, waiter, turned_away, closed })
    }

    /// The endpoint that is bound, with the port that was chosen where any was asked for. It can be
    /// connected to, where `*` stands for this machine.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Waits for a client as long as it takes.
    pub fn accept(&self) -> Result<SocketPair> {
        self.accept_within(Wait::Forever)
    }

    /// The next client, if one is there.
    pub fn try_accept(&self) -> Result<SocketPair> {
        self.accept_within(Wait::Never)
    }

    /// Waits for a client at most `timeout`.
    pub fn accept_timeout(&self, timeout: Duration) -> Result<SocketPair> {
        self.accept_within(Wait::timeout(timeout))
    }

    /// Waits for a client as long as `wait` says.
    ///
    /// A client that is not the user whom the option `uid` names is turned away, and the wait goes on;
    /// so it does where a client has gone away before it was accepted.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](ErrorKind::WouldBlock) and [`TimedOut`](ErrorKind::TimedOut);
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if no descriptor has become free for a tenth of a
    /// second, which names the limit: the client is still there, and the next call tries again, so a
    /// server may report this and go on without spinning; [`Terminated`](ErrorKind::Terminated) after
    /// [`shutdown`](Listener::shutdown).
    pub fn accept_within(&self, wait: Wait) -> Result<SocketPair> {
        let mut attempt = Attempt::new(wait);
        let mut waiter = self.waiter.clone();
        let mut relief = None;
        self.accept_loop(&mut attempt, &mut waiter, wait, &mut relief)
            .map_err(|error| error.at(self.endpoint.text()))
    }

    fn accept_loop(
        &self,
        attempt: &mut Attempt,
        waiter: &mut Waiter,
        wait: Wait,
        relief: &mut Option<Instant>,
    ) -> Result<SocketPair> {
        loop {
            if self.closed.load(Ordering::Acquire) {
                return Err(Error::new(ErrorKind::Terminated, "accept"));
            }
            let error = match self.socket.accept4(libc::SOCK_CLOEXEC) {
                Ok((socket, address)) => match self.welcome(socket, &address)? {
                    Some(pair) => return Ok(pair),
                    None => {
                        attempt.passed_over().map_err(|kind| Error::new(kind, "accept"))?;
                        continue;
                    }
                },
                Err(error) => error,
            };
            match error.raw_os_error() {
                Some(libc::EAGAIN) => match attempt.next(waiter) {
                    Ok(Step::Look) => {}
                    Ok(Step::Sleep(limit)) => sleep_until_readable(self.socket.as_fd(), limit)
                        .map_err(|error| Error::from_io(error, "accept"))?,
                    Err(kind) => return Err(Error::new(kind, "accept")),
                },
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    // A signal ends a nap, so the time is kept as a deadline.
                    let until = *relief.get_or_insert_with(|| Instant::now() + Self::RELIEF);
                    let pause = until.saturating_duration_since(Instant::now());
                    let pause = wait.remaining().map_or(pause, |left| left.min(pause));
                    if pause.is_zero() {
                        return Err(Error::from_io(error, "accept").with_kind(ErrorKind::LimitExceeded));
                    }
                    nap(pause);
                }
                // Shut down, perhaps by another process that shares the socket.
                Some(libc::EINVAL) => {
                    return Err(Error::from_io(error, "accept").with_kind(ErrorKind::Terminated));
                }
                // What happened to a client before it was accepted; see accept(2).
                Some(
                    libc::EINTR
                    | libc::ECONNABORTED
                    | libc::ENETDOWN
                    | libc::EPROTO
                    | libc::ENOPROTOOPT
                    | libc::EHOSTDOWN
                    | libc::ENONET
                    | libc::EHOSTUNREACH
                    | libc::ENETUNREACH,
                ) => {}
                _ => return Err(Error::from_io(error, "accept")),
            }
        }
    }

    /// A pair for a client, unless it is to be turned away.
    fn welcome(&self, socket: Socket, address: &SockAddr) -> Result<Option<SocketPair>> {
        if let Err(error) = check_user(&socket, &self.endpoint) {
            if error.kind() != ErrorKind::WrongOwner {
                return Err(error);
            }
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let endpoint = address::of_peer(&self.endpoint, address)?;
        SocketPair::new(socket, endpoint, "accept").map(Some)
    }

    /// How many clients were turned away because they were not the user that the option `uid` names.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Accepts no more: every accept that waits, now or later, in any thread, ends with
    /// [`Terminated`](ErrorKind::Terminated). Clients that wait to be accepted are disconnected.
    pub fn shutdown(&self) {
        self.closed.store(true, Ordering::Release);
        // Fails only if it has been done before.
        let _ = self.socket.shutdown(Shutdown::Both);
        // Over TCP that was all. A Unix socket lets nobody in any more, but those who wait would go on
        // waiting until the listener is dropped.
        while self.socket.accept4(libc::SOCK_CLOEXEC).is_ok() {}
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `*`, for which one socket takes IPv6 and IPv4.
pub(crate) fn is_any(endpoint: &Endpoint) -> bool {
    matches!(endpoint.address(), Address::Host { host: Host::Any, .. })
}

/// Whether this machine does not do IPv6, or has no such address.
pub(crate) fn is_family_missing(error: &Error) -> bool {
    let number = error.io_error().and_then(io::Error::raw_os_error);
    matches!(number, Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

/// Says what else than a living process may hold a TCP port.
fn explain_busy_port(error: io::Error, endpoint: &Endpoint) -> Error {
    let busy = error.kind() == io::ErrorKind::AddrInUse;
    let error = Error::from_io(error, "bind");
    match endpoint.address() {
        Address::Host { port: 1.., .. } if busy => error.with_detail(
            "a living process may hold the port; so may, for a minute after it has ended, the connections \
             of a server that did not set SO_REUSEADDR",
        ),
        _ => error,
    }
}

//! Finding a name and connecting to it, now or when it is there, and saying why it did not work.

use crate::address::{self, Purpose};
use crate::name::describe;
use crate::pause::Pause;
use ipc_core::wait::sleep_until_writable;
use ipc_core::{Address, Endpoint, Error, ErrorKind, Result, Wait};
use nix::libc;
use socket2::{SockAddr, Socket};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

/// How long a call that connects may take.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// For an answer, where somebody is there.
    pub(crate) answer: Wait,
    /// Whether to wait for somebody to be there, too.
    pub(crate) for_name: bool,
}

impl Patience {
    /// Fail if nobody is there; otherwise wait for the answer.
    pub(crate) const NOW: Patience = Patience { answer: Wait::Forever, for_name: false };

    /// Wait for both.
    pub(crate) fn within(wait: Wait) -> Self {
        Patience { answer: wait, for_name: wait != Wait::Never }
    }
}

/// Connects a new socket to `endpoint`. `prepare` is called before, with each socket that is tried.
pub(crate) fn connect(
    endpoint: &Endpoint,
    patience: Patience,
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> Result<Socket> {
    let addresses = address::resolve(endpoint, Purpose::Connect)?;
    let mut pause = Pause::default();
    loop {
        let mut last = None;
        for address in &addresses {
            match try_one(endpoint, address, patience.answer, &prepare) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = Some(error),
            }
        }
        let error = last.unwrap_or_else(|| {
            Error::new(ErrorKind::NotFound, "connect").with_detail("the host has no address")
        });
        let wait = match error.kind() {
            // The queue of those who want to be accepted is full: a sign of life.
            ErrorKind::WouldBlock => patience.answer != Wait::Never,
            ErrorKind::NotFound | ErrorKind::NoPeer => patience.for_name,
            _ => false,
        };
        if !wait {
            return Err(error.at(endpoint.text()));
        }
        if !pause.sleep(patience.answer) {
            let detail = if error.kind() == ErrorKind::WouldBlock {
                "the listener has not accepted those who came before"
            } else {
                "nobody was there"
            };
            let error = error.with_kind(ErrorKind::TimedOut).with_detail(detail);
            return Err(error.at(endpoint.text()));
        }
    }
}

fn try_one(
    endpoint: &Endpoint,
    address: &SockAddr,
    wait: Wait,
    prepare: &impl Fn(&Socket) -> io::Result<()>,
) -> Result<Socket> {
    let told = |error| tell(error, endpoint);
    let socket = address::new_socket(endpoint.scheme(), address).map_err(told)?;
    prepare(&socket).map_err(told)?;
    match socket.connect(address) {
        Ok(()) => {}
        Err(error) => match error.raw_os_error() {
            Some(libc::EINPROGRESS | libc::EINTR) => finish(&socket, wait, endpoint)?,
            _ => return Err(told(error)),
        },
    }
    // A connect to a free port of this machine may be given that very port to come from.
    let itself = address.as_socket().is_some_and(|_| match (socket.local_addr(), socket.peer_addr()) {
        (Ok(here), Ok(there)) => here.as_socket() == there.as_socket(),
        _ => false,
    });
    if itself {
        // Without a trace: the port would be held for a minute (`TIME_WAIT`), against the server that is
        // waited for. Fails for no reason that is known, and then the port is held.
        let _ = socket.set_linger(Some(Duration::ZERO));
        let error = Error::new(ErrorKind::NoPeer, "connect");
        return Err(error.with_detail("nobody listens there; the socket had connected to itself"));
    }
    // From now on, calls that are not to wait say so themselves.
    socket.set_nonblocking(false).map_err(told)?;
    Ok(socket)
}

/// Waits until a TCP connection stands.
fn finish(socket: &Socket, wait: Wait, endpoint: &Endpoint) -> Result<()> {
    let told = |error| tell(error, endpoint);
    loop {
        if let Some(error) = socket.take_error().map_err(told)? {
            return Err(told(error));
        }
        match socket.peer_addr() {
            Ok(_) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => {}
            Err(error) => return Err(told(error)),
        }
        let limit = wait.remaining();
        if limit.is_some_and(|left| left.is_zero()) {
            let kind = if wait == Wait::Never { ErrorKind::WouldBlock } else { ErrorKind::TimedOut };
            return Err(Error::new(kind, "connect").with_detail("no answer has come"));
        }
        sleep_until_writable(socket.as_fd(), limit).map_err(told)?;
    }
}

/// An error of connect(2), with the kind that the number means here.
fn tell(error: io::Error, endpoint: &Endpoint) -> Error {
    let number = error.raw_os_error();
    let plain = Error::from_io(error, "connect");
    match number {
        Some(libc::ECONNREFUSED) => match endpoint.address() {
            Address::Path(path) => match fs::metadata(path) {
                Ok(found) if !found.file_type().is_socket() => plain
                    .with_kind(ErrorKind::WrongType)
                    .with_detail(format!("there is {} of that name", describe(&found))),
                _ => plain.with_detail("there is a socket of that name, but nobody listens"),
            },
            _ => plain,
        },
        Some(libc::EPROTOTYPE) => plain.with_kind(ErrorKind::WrongType).with_detail(
            "there is a socket of another type; the types are unix, unixgram and unixpacket",
        ),
        Some(libc::ENOTSOCK | libc::ENOTDIR) => plain.with_kind(ErrorKind::WrongType),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => {
            plain.with_kind(ErrorKind::NoPeer).with_detail("there is no way to that host")
        }
        _ => plain,
    }
}

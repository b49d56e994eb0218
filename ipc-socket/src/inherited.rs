//! Sockets that this process has inherited, by their numbers: `fd/N`.
//!
//! Inherited is what is not close-on-exec. Such a socket is duplicated, and its number then made to refer to
//! `/dev/null`, close-on-exec: so the peer sees the end when the duplicate is dropped, no child gets the
//! socket by accident, and it is taken once. The number is not closed, because a number that is free may be
//! given to somebody else. One that is close-on-exec belongs to somebody in this process, who keeps it, and
//! so do the standard streams.

use crate::{address, sys};
use ipc_core::{Endpoint, Error, ErrorKind, Result};
use socket2::Socket;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// A descriptor of our own of the socket `number`, if it is what `endpoint`'s scheme says, and is listening
/// or not.
pub(crate) fn take(
    number: u32,
    endpoint: &Endpoint,
    listening: bool,
    operation: &'static str,
) -> Result<OwnedFd> {
    /// Two threads that take the same number: one shall find it taken.
    static TAKING: Mutex<()> = Mutex::new(());

    let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let (socket, close_on_exec) = sys::duplicate(number).map_err(|error| {
        let is_closed = error.raw_os_error() == Some(nix::libc::EBADF);
        let error = Error::from_io(error, operation).at(endpoint.text());
        if !is_closed {
            return error;
        }
        error.with_kind(ErrorKind::NotFound).with_detail(format!(
            "descriptor {number} is not open; whoever starts this program has to hand it over"
        ))
    })?;
    let socket = Socket::from(socket);
    address::check(&socket, endpoint, listening, operation)?;
    if number > 2 && !close_on_exec {
        let null = File::options().read(true).write(true).open("/dev/null");
        null.and_then(|null| sys::replace(number, &null)).map_err(|error| {
            Error::from_io(error, operation).with_detail("with /dev/null").at(endpoint.text())
        })?;
    }
    Ok(socket.into())
}

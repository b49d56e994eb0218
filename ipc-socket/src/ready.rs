//! Trying a call until it works or the time is over.

use crate::pause::Pause;
use crate::stream::NOW;
use ipc_core::wait::{sleep_until_readable, sleep_until_writable};
use ipc_core::{Attempt, Error, Result, Step, Wait, Waiter};
use nix::sys::socket::MsgFlags;
use std::io;
use std::os::fd::BorrowedFd;

/// Calls `receive` until it gives something, sleeping until there is something to read: in the call itself,
/// where it is to sleep at once, for as long as it takes, and the socket blocks. `receive` is told the flags
/// to receive with.
pub(crate) fn when_readable<T>(
    fd: BorrowedFd<'_>,
    waiter: &mut Waiter,
    wait: Wait,
    mut receive: impl FnMut(MsgFlags) -> io::Result<T>,
) -> Result<T> {
    let sleeps = wait == Wait::Forever && waiter.never_spins();
    let flags = if sleeps { MsgFlags::empty() } else { NOW };
    let mut attempt = Attempt::new(wait);
    loop {
        match receive(flags) {
            Ok(got) => {
                attempt.succeeded(waiter);
                return Ok(got);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match attempt.next(waiter) {
                Ok(Step::Look) => {}
                Ok(Step::Sleep(limit)) => {
                    sleep_until_readable(fd, limit).map_err(|error| Error::from_io(error, "recv"))?;
                }
                Err(kind) => return Err(Error::new(kind, "recv")),
            },
            Err(error) => return Err(Error::from_io(error, "recv")),
        }
    }
}

/// How to learn that there is room again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// From the kernel.
    Told,
    /// By looking again and again: the kernel says that a datagram socket without a fixed peer can
    /// always be written to, however full the queue of whoever is written to.
    Sought,
}

/// Calls `send` until it is done, sleeping until there is room.
pub(crate) fn when_writable<T>(
    fd: BorrowedFd<'_>,
    room: Room,
    waiter: &mut Waiter,
    wait: Wait,
    mut send: impl FnMut() -> io::Result<T>,
) -> Result<T> {
    let mut attempt = Attempt::new(wait);
    let mut pause = Pause::default();
    loop {
        match send() {
            Ok(sent) => {
                attempt.succeeded(waiter);
                return Ok(sent);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match attempt.next(waiter) {
                Ok(Step::Look) => {}
                Ok(Step::Sleep(_)) if room == Room::Sought => {
                    pause.sleep(wait);
                }
                Ok(Step::Sleep(limit)) => {
                    sleep_until_writable(fd, limit).map_err(|error| Error::from_io(error, "send"))?;
                }
                Err(kind) => return Err(Error::new(kind, "send")),
            },
            Err(error) => return Err(Error::from_io(error, "send")),
        }
    }
}

//! Descriptors along with messages: `SCM_RIGHTS` of unix(7).
//!
//! The receiver decides, by the option `descriptors=true`, before the first message. Without it the
//! kernel refuses them where it can (Linux 6.16), and otherwise drops them on the way: a receiver that
//! does not want any never has one open, not even for a moment.

use crate::control::MAX_DESCRIPTORS;
use crate::half::{Receiving, Sending};
use crate::packet::descriptors_lost;
use crate::{SocketPair, SocketReceiver, SocketSender};
use ipc_core::{Error, ErrorKind, Receiver, Result, Sender, Wait};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, PoisonError};

impl SocketSender {
    /// Sends a message and, along with it, descriptors. The receiver gets duplicates of them, and must
    /// have asked for them by the option `descriptors=true`.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`]. Also [`PermissionDenied`](ErrorKind::PermissionDenied) if the receiver does
    /// not want any (before Linux 6.16 they are lost on the way without notice),
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) for more than 253, or where this user has too many
    /// under way, and [`Unsupported`](ErrorKind::Unsupported) over TCP.
    pub fn send_with_fds(&mut self, message: &[u8], fds: &[BorrowedFd<'_>], wait: Wait) -> Result<()> {
        let numbers = numbers(fds).map_err(|error| error.at(self.text()))?;
        let result = match &mut self.0 {
            Sending::Packet(sender) => sender.send_with(message, &numbers, wait),
            Sending::Stream(sender) if sender.get_ref().is_tcp => {
                let error = Error::new(ErrorKind::Unsupported, "send").at(sender.endpoint());
                Err(error.with_detail("descriptors go over Unix sockets only"))
            }
            Sending::Stream(sender) => {
                // What is left of an earlier message goes first, and alone.
                sender.flush(wait)?;
                sender.get_mut().outgoing = numbers;
                let result = sender.send_within(message, wait);
                sender.get_mut().outgoing.clear();
                result
            }
        };
        result.map_err(explain)
    }
}

impl SocketReceiver {
    /// Receives a message and the descriptors that came along with it, close-on-exec, of which there may
    /// be none. ([`recv`](Receiver::recv) closes them instead.)
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`]. Also [`Unsupported`](ErrorKind::Unsupported) unless the endpoint has the
    /// option `descriptors=true`, and [`LimitExceeded`](ErrorKind::LimitExceeded) if not all of them
    /// could be opened: then none is, and the message is lost.
    pub fn recv_with_fds(&mut self, wait: Wait) -> Result<(&[u8], Vec<OwnedFd>)> {
        let endpoint = Arc::clone(self.text());
        match &mut self.0 {
            Receiving::Stream(receiver, Some(basket)) => {
                let message = receiver.recv_within(wait)?;
                let basket = std::mem::take(&mut *basket.lock().unwrap_or_else(PoisonError::into_inner));
                if basket.lost {
                    return Err(descriptors_lost().at(&endpoint));
                }
                Ok((message, basket.descriptors))
            }
            Receiving::Packet(receiver) if receiver.endpoint.options().descriptors == Some(true) => {
                receiver.recv(wait)?;
                let descriptors = std::mem::take(&mut receiver.descriptors);
                Ok((receiver.last(), descriptors))
            }
            _ => Err(unasked().at(&endpoint)),
        }
    }
}

impl SocketPair {
    /// See [`SocketSender::send_with_fds`].
    ///
    /// ```
    /// use ipc_socket::{Listener, SocketPair, Wait};
    /// use std::io::{Read, Write};
    /// use std::os::fd::AsFd;
    ///
    /// let listener = Listener::bind(format!("unix://@descriptors-{}?descriptors=true", std::process::id()))?;
    /// let mut client = SocketPair::connect(listener.endpoint())?;
    /// let mut server = listener.accept()?;
    ///
    /// let (mut reader, writer) = std::io::pipe()?;
    /// client.send_with_fds(b"write here", &[writer.as_fd()], Wait::Forever)?;
    /// drop(writer);
    ///
    /// let (message, descriptors) = server.recv_with_fds(Wait::Forever)?;
    /// assert_eq!(message, b"write here");
    /// for descriptor in descriptors {
    ///     std::fs::File::from(descriptor).write_all(b"done")?;
    /// }
    /// assert_eq!(std::io::read_to_string(reader)?, "done");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_with_fds(&mut self, message: &[u8], fds: &[BorrowedFd<'_>], wait: Wait) -> Result<()> {
        self.sender.send_with_fds(message, fds, wait)
    }

    /// See [`SocketReceiver::recv_with_fds`].
    pub fn recv_with_fds(&mut self, wait: Wait) -> Result<(&[u8], Vec<OwnedFd>)> {
        self.receiver.recv_with_fds(wait)
    }
}

/// The numbers of the descriptors, if there are not too many for one message.
pub(crate) fn numbers(fds: &[BorrowedFd<'_>]) -> Result<Vec<RawFd>> {
    if fds.len() > MAX_DESCRIPTORS {
        let remedy = format!("{} are too many for one message; send several", fds.len());
        let error = Error::new(ErrorKind::LimitExceeded, "send");
        return Err(error.with_limit("SCM_MAX_FD", MAX_DESCRIPTORS as u64, remedy));
    }
    Ok(fds.iter().map(AsRawFd::as_raw_fd).collect())
}

/// Says what the numbers of sendmsg(2) mean where descriptors are sent.
pub(crate) fn explain(error: Error) -> Error {
    match error.io_error().and_then(std::io::Error::raw_os_error) {
        Some(nix::libc::EPERM) => error
            .with_kind(ErrorKind::PermissionDenied)
            .with_detail("the receiver wants no descriptors: its endpoint lacks descriptors=true"),
        Some(nix::libc::ETOOMANYREFS) => error.with_kind(ErrorKind::LimitExceeded).with_detail(
            "this user has more descriptors under way than RLIMIT_NOFILE allows it to have open",
        ),
        _ => error,
    }
}

/// The error for whoever asks for descriptors without the option.
pub(crate) fn unasked() -> Error {
    let error = Error::new(ErrorKind::Unsupported, "recv");
    error.with_detail("descriptors are asked for by the option descriptors=true")
}

//! Seqpacket sockets: connected like streams, but the kernel keeps messages apart.
//!
//! recvmsg(2) returns zero both for an empty message and at the end. The two are told apart by what comes
//! beside it: the socket asks for the sender's credentials (`SO_PASSCRED`), which the kernel adds to every
//! message, whoever sent it, and not to the end. The room for control messages is just large enough for
//! them, so that no descriptor fits in unasked.

use crate::control::Control;
use crate::ready::{Room, when_readable, when_writable};
use crate::stream::{Connection, SEND, Shared};
use crate::sys::{self, Arrived};
use ipc_core::{Endpoint, Error, ErrorKind, Result, Scheme, Sender, Wait, Waiter};
use nix::sys::socket::{ControlMessage, MsgFlags, send, sendmsg};
use socket2::Socket;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// More than the kernel puts into one message, however large its buffers.
const LARGEST: usize = 8 << 20;

/// The longest message that is received at least, where nothing else is asked for: more than one can be with
/// a send buffer of the kernel's usual size.
const USUAL: usize = 256 << 10;

/// What the kernel adds to each message in a Unix socket's send buffer, and takes off the limit.
const OVERHEAD: usize = 32;

/// Makes the send buffer as large as the options ask for, and says what the longest message is then.
pub(crate) fn size_buffers(socket: &Socket, endpoint: &Endpoint) -> io::Result<usize> {
    let options = endpoint.options();
    let wanted =
        options.capacity.into_iter().chain(options.max_message.map(|max| max.min(LARGEST) + OVERHEAD));
    let now = socket.send_buffer_size()?;
    if let Some(wanted) = wanted.max().filter(|wanted| options.capacity.is_some() || *wanted > now) {
        socket.set_send_buffer_size(wanted)?;
    }
    let kernels = socket.send_buffer_size()?.saturating_sub(OVERHEAD);
    Ok(options.max_message.unwrap_or(usize::MAX).min(kernels))
}

/// A buffer for the longest message that is received; the memory is the kernel's to give when it is used.
/// Where the options do not say, it is no shorter than what this side sends, for the other side most often has
/// the same options, and the same kernel.
pub(crate) fn receive_buffer(socket: &Socket, endpoint: &Endpoint) -> io::Result<Vec<u8>> {
    let size = match endpoint.options().max_message {
        Some(max) => max,
        None => socket.send_buffer_size()?.max(USUAL),
    };
    Ok(vec![0; size.min(LARGEST)])
}

/// The error for a message that is longer than the options or the kernel allow.
pub(crate) fn check_size(length: usize, max: usize, endpoint: &Endpoint) -> Result<()> {
    if length <= max {
        return Ok(());
    }
    let (name, remedy) = match endpoint.options().max_message {
        Some(asked) if asked <= max => ("max_message", "the option max_message raises it"),
        _ if endpoint.scheme() == Scheme::Udp => {
            ("UDP's longest datagram", "send it in parts, or over TCP")
        }
        _ => (
            "SO_SNDBUF less 32",
            "the option capacity raises it, up to twice the sysctl net.core.wmem_max",
        ),
    };
    let remedy = format!("the message has {length} bytes; {remedy}");
    Err(Error::new(ErrorKind::MessageTooLarge, "send").with_limit(name, max as u64, remedy))
}

/// The error for a message that was longer than the buffer, and is lost.
pub(crate) fn cut(size: usize, buffer: &[u8]) -> Error {
    let remedy =
        format!("a message of {size} bytes has come and was dropped; the option max_message raises it");
    Error::new(ErrorKind::MessageTooLarge, "recv").with_limit("max_message", buffer.len() as u64, remedy)
}

/// The error for descriptors that could not be installed. Those that could are closed, and the message
/// is lost.
pub(crate) fn descriptors_lost() -> Error {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let remedy = "a message has come with more descriptors than this process may still open, or than the \
                  253 that one may bring; it is lost; \
                  setrlimit(2) raises it";
    Error::new(ErrorKind::LimitExceeded, "recv").with_limit(
        "RLIMIT_NOFILE",
        limit.map_or(0, |(soft, _)| soft),
        remedy,
    )
}

/// The half that sends.
#[derive(Debug)]
pub(crate) struct PacketSender {
    pub(crate) shared: Shared,
    pub(crate) endpoint: Endpoint,
    waiter: Waiter,
    pub(crate) max_message: usize,
}

impl PacketSender {
    pub(crate) fn new(socket: &Arc<Connection>, endpoint: &Endpoint) -> io::Result<Self> {
        Ok(PacketSender {
            max_message: size_buffers(socket, endpoint)?,
            shared: Shared::new(socket),
            endpoint: endpoint.clone(),
            waiter: Waiter::new(endpoint.options().waiting.unwrap_or_default()),
        })
    }

    pub(crate) fn send_with(&mut self, message: &[u8], descriptors: &[RawFd], wait: Wait) -> Result<()> {
        let socket = &self.shared.socket;
        let fd = socket.as_raw_fd();
        check_size(message.len(), self.max_message, &self.endpoint)
            .and_then(|()| {
                when_writable(socket.as_fd(), Room::Told, &mut self.waiter, wait, || {
                    if descriptors.is_empty() {
                        return Ok(send(fd, message, SEND)?);
                    }
                    let rights = [ControlMessage::ScmRights(descriptors)];
                    Ok(sendmsg::<()>(fd, &[IoSlice::new(message)], &rights, SEND, None)?)
                })
            })
            .map(|_| ())
            .map_err(|error| error.at(self.endpoint.text()))
    }
}

impl Sender for PacketSender {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.send_with(message, &[], wait)
    }
}

/// The half that receives.
#[derive(Debug)]
pub(crate) struct PacketReceiver {
    pub(crate) shared: Shared,
    pub(crate) endpoint: Endpoint,
    waiter: Waiter,
    buffer: Vec<u8>,
    control: Control,
    /// What came with the last message, where descriptors are wanted.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The size of the last message.
    size: usize,
    /// The kernel has told that the peer left messages of ours unread.
    reset: bool,
    ended: bool,
}

impl PacketReceiver {
    pub(crate) fn new(socket: &Arc<Connection>, endpoint: &Endpoint) -> io::Result<Self> {
        socket.set_passcred(true)?;
        let descriptors = endpoint.options().descriptors == Some(true);
        Ok(PacketReceiver {
            shared: Shared::new(socket),
            endpoint: endpoint.clone(),
            waiter: Waiter::new(endpoint.options().waiting.unwrap_or_default()),
            buffer: receive_buffer(socket, endpoint)?,
            control: Control::unix(true, descriptors),
            descriptors: Vec::new(),
            size: 0,
            reset: false,
            ended: false,
        })
    }

    pub(crate) fn recv(&mut self, wait: Wait) -> Result<()> {
        self.size = self.recv_size(wait).map_err(|error| error.at(self.endpoint.text()))?;
        Ok(())
    }

    /// The message that was received last.
    pub(crate) fn last(&self) -> &[u8] {
        self.buffer.get(..self.size).unwrap_or_default()
    }

    fn recv_size(&mut self, wait: Wait) -> Result<usize> {
        self.descriptors.clear();
        loop {
            if self.ended {
                return Err(Error::new(ErrorKind::Disconnected, "recv"));
            }
            let fd = self.shared.socket.as_fd();
            let (buffer, control) = (&mut self.buffer, &mut self.control);
            let descriptors = &mut self.descriptors;
            let received = when_readable(fd, &mut self.waiter, wait, |flags| {
                sys::receive(fd, buffer, control, descriptors, flags | MsgFlags::MSG_TRUNC)
            });
            let Arrived::<()> { size, descriptors_lost: lost, .. } = match received {
                Ok(arrived) => arrived,
                // What the peer had sent is still to be read, and that it left messages of ours unread
                // is told but once.
                Err(error) if error.kind() == ErrorKind::Disconnected => {
                    self.ended = self.reset;
                    self.reset = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if size == 0 && self.control.credentials().is_none() {
                self.ended = true;
                continue;
            }
            if size > self.buffer.len() {
                self.descriptors.clear();
                return Err(cut(size, &self.buffer));
            }
            if lost && self.endpoint.options().descriptors == Some(true) {
                self.descriptors.clear();
                return Err(descriptors_lost());
            }
            return Ok(size);
        }
    }
}

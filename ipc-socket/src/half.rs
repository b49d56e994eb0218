//! The two halves of a connection, whatever the kind of socket.

use crate::packet::{PacketReceiver, PacketSender};
use crate::stream::{Basket, Connection, Incoming, Shared, Sink, Source};
use ipc_core::{Endpoint, Error, ErrorKind, FramedReceiver, FramedSender, Framing, Options, Receiver};
use ipc_core::{Result, Scheme, Sender, Wait};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// The half of a [`SocketPair`](crate::SocketPair) that sends. Dropping it tells the peer that no more
/// will come.
#[derive(Debug)]
pub struct SocketSender(pub(crate) Sending);

/// The half of a [`SocketPair`](crate::SocketPair) that receives. Dropping it tells the peer of a Unix
/// socket that nobody will read what it sends; TCP cannot say so.
#[derive(Debug)]
pub struct SocketReceiver(pub(crate) Receiving);

#[derive(Debug)]
pub(crate) enum Sending {
    Stream(FramedSender<Sink>),
    Packet(PacketSender),
}

#[derive(Debug)]
pub(crate) enum Receiving {
    /// The basket is there where descriptors are wanted.
    Stream(FramedReceiver<Source>, Option<Arc<Mutex<Basket>>>),
    Packet(PacketReceiver),
}

/// Fails where descriptors are wanted and the framing does not say which message they came with.
pub(crate) fn check_framing(endpoint: &Endpoint, operation: &'static str) -> Result<()> {
    match (endpoint.options().descriptors, endpoint.options().framing) {
        (Some(true), Some(Framing::Lines | Framing::Nul)) => {
            let error = Error::new(ErrorKind::InvalidOption, operation).at(endpoint.text());
            Err(error.with_detail("descriptors go with the framings length, fixed:N and raw"))
        }
        _ => Ok(()),
    }
}

/// Both halves of a stream.
pub(crate) fn streams(
    socket: &Arc<Connection>,
    endpoint: &Endpoint,
) -> Result<(SocketSender, SocketReceiver)> {
    check_framing(endpoint, "open")?;
    let options = endpoint.options();
    let basket = (options.descriptors == Some(true)).then(Arc::default);
    let framing = options.framing.unwrap_or_default();
    let incoming = basket.as_ref().and_then(|basket| Incoming::new(framing, basket));
    let is_tcp = endpoint.scheme() == Scheme::Tcp;
    let sink = Sink { shared: Shared::new(socket), outgoing: Vec::new(), is_tcp };
    let source = Source::new(socket, incoming);
    let sender = SocketSender(Sending::Stream(FramedSender::new(sink, endpoint)));
    let stream = FramedReceiver::new(source, endpoint).with_waiting_read(Source::read_when_there);
    let receiver = SocketReceiver(Receiving::Stream(stream, basket));
    Ok((sender, receiver))
}

/// Both halves of a seqpacket socket.
pub(crate) fn packets(
    socket: &Arc<Connection>,
    endpoint: &Endpoint,
) -> io::Result<(SocketSender, SocketReceiver)> {
    let sender = SocketSender(Sending::Packet(PacketSender::new(socket, endpoint)?));
    let receiver = SocketReceiver(Receiving::Packet(PacketReceiver::new(socket, endpoint)?));
    Ok((sender, receiver))
}

impl SocketSender {
    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.text()
    }

    /// The same, to be shared with errors.
    pub(crate) fn text(&self) -> &Arc<str> {
        match &self.0 {
            Sending::Stream(sender) => sender.endpoint(),
            Sending::Packet(sender) => sender.endpoint.text(),
        }
    }

    pub(crate) fn max_message(&self, options: &Options) -> usize {
        match &self.0 {
            Sending::Stream(_) => options.longest_message(),
            Sending::Packet(sender) => sender.max_message,
        }
    }

    pub(crate) fn shared_mut(&mut self) -> &mut Shared {
        match &mut self.0 {
            Sending::Stream(sender) => &mut sender.get_mut().shared,
            Sending::Packet(sender) => &mut sender.shared,
        }
    }
}

impl Sender for SocketSender {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        match &mut self.0 {
            Sending::Stream(sender) => sender.send_within(message, wait),
            Sending::Packet(sender) => sender.send_within(message, wait),
        }
    }

    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        match &mut self.0 {
            Sending::Stream(sender) => sender.send_batch(messages, wait),
            Sending::Packet(sender) => sender.send_batch(messages, wait),
        }
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        match &mut self.0 {
            Sending::Stream(sender) => sender.flush(wait),
            Sending::Packet(_) => Ok(()),
        }
    }
}

impl AsFd for SocketSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Sending::Stream(sender) => sender.as_fd(),
            Sending::Packet(sender) => sender.shared.as_fd(),
        }
    }
}

impl SocketReceiver {
    /// The endpoint, as text.
    pub fn endpoint(&self) -> &str {
        self.text()
    }

    /// The same, to be shared with errors.
    pub(crate) fn text(&self) -> &Arc<str> {
        match &self.0 {
            Receiving::Stream(receiver, _) => receiver.endpoint(),
            Receiving::Packet(receiver) => receiver.endpoint.text(),
        }
    }

    pub(crate) fn shared_mut(&mut self) -> &mut Shared {
        match &mut self.0 {
            Receiving::Stream(receiver, _) => &mut receiver.get_mut().shared,
            Receiving::Packet(receiver) => &mut receiver.shared,
        }
    }
}

impl Receiver for SocketReceiver {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        match &mut self.0 {
            Receiving::Stream(receiver, None) => receiver.recv_within(wait),
            Receiving::Stream(receiver, Some(basket)) => {
                let message = receiver.recv_within(wait)?;
                *basket.lock().unwrap_or_else(PoisonError::into_inner) = Basket::default();
                Ok(message)
            }
            Receiving::Packet(receiver) => {
                receiver.recv(wait)?;
                receiver.descriptors.clear();
                Ok(receiver.last())
            }
        }
    }
}

/// To wait on, together with other things. Messages that were read ahead do not show: call
/// [`try_recv`](Receiver::try_recv) until it says [`WouldBlock`](ipc_core::ErrorKind::WouldBlock), then wait.
impl AsFd for SocketReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Receiving::Stream(receiver, _) => receiver.as_fd(),
            Receiving::Packet(receiver) => receiver.shared.as_fd(),
        }
    }
}

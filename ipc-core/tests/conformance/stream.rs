//! A Unix stream with framing: the receiver, or the binding end of a pair, listens at an abstract name;
//! the other connects.

use ipc_core::conformance::{End, Fixture, Opened, Place, Setup};
use ipc_core::{
    Boundaries, Capabilities, Endpoint, Error, FramedReceiver, FramedSender, Framing, Pair, Receiver,
    Result, Sender, Wait,
};
use std::any::Any;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

/// The transport, with options in the endpoint.
pub(crate) struct Stream(pub(crate) &'static str);

impl Fixture for Stream {
    fn capabilities(&self) -> Capabilities {
        let endpoint = Endpoint::parse(format!("unix://@name{}", self.0)).unwrap();
        let max_message = endpoint.options().max_message.unwrap_or(Framing::DEFAULT_MAX);
        let boundaries = match endpoint.options().framing {
            Some(Framing::Raw) => Boundaries::None,
            _ => Boundaries::Framing,
        };
        Capabilities::new(boundaries).max_message(max_message).bidirectional()
    }

    fn place(&self) -> Place {
        Place { text: format!("unix://@{}{}", crate::new_name(), self.0), keep: Box::new(()) }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        open(end, place, Setup::PATIENCE)
    }

    fn tells_cut_messages(&self) -> bool {
        !self.0.contains("lines")
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        // std's listener takes no timeout.
        matches!(end, End::Sender | End::Connector).then(|| open(end, place, timeout))
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        let listener = UnixListener::bind_addr(&address(place));
        let error = |error| Error::from_io(error, "bind");
        Some(listener.map(|listener| Box::new(listener) as Box<dyn Any + Send>).map_err(error))
    }
}

fn open(end: End, place: &str, timeout: Duration) -> Result<Opened> {
    let endpoint = Endpoint::parse(place)?;
    let stream = open_stream(end, place, timeout)?;
    let again = stream.try_clone().unwrap();
    let sender = FramedSender::new(stream, &endpoint);
    let receiver = FramedReceiver::new(again, &endpoint);
    Ok(match end {
        End::Receiver => Opened::Receiver(Box::new(receiver)),
        End::Sender => Opened::Sender(Box::new(sender)),
        End::Binder | End::Connector => Opened::Pair(Box::new(StreamPair { sender, receiver })),
    })
}

/// Opens the stream by itself.
pub(crate) fn open_stream(end: End, place: &str, timeout: Duration) -> Result<UnixStream> {
    let address = address(place);
    let stream = match end {
        End::Receiver | End::Binder => {
            UnixListener::bind_addr(&address).and_then(|listener| Ok(listener.accept()?.0))
        }
        End::Sender | End::Connector => connect(&address, timeout),
    };
    stream
        .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
        .map_err(|error| Error::from_io(error, "open").at(&place.into()))
}

fn connect(address: &SocketAddr, timeout: Duration) -> io::Result<UnixStream> {
    let started = Instant::now();
    loop {
        match UnixStream::connect_addr(address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if started.elapsed() >= timeout {
                    return Err(error);
                }
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

fn address(place: &str) -> SocketAddr {
    let name = place.strip_prefix("unix://@").unwrap();
    SocketAddr::from_abstract_name(name.split('?').next().unwrap()).unwrap()
}

struct StreamPair {
    sender: FramedSender<UnixStream>,
    receiver: FramedReceiver<UnixStream>,
}

impl Sender for StreamPair {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.sender.send_within(message, wait)
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        self.sender.flush(wait)
    }
}

impl Receiver for StreamPair {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        self.receiver.recv_within(wait)
    }
}

impl Pair for StreamPair {
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>) {
        (Box::new(self.sender), Box::new(self.receiver))
    }
}

mod length {
    ipc_core::conformance_tests!(super::Stream(""));
}

mod lines {
    ipc_core::conformance_tests!(super::Stream("?framing=lines&max_message=1M"));
}

mod raw {
    ipc_core::conformance_tests!(super::Stream("?framing=raw&max_message=64K"));
}

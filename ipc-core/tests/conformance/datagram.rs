//! Unix datagrams: the kernel keeps messages apart, several senders share a receiver, and nobody is told
//! when the other goes. Everything that the stream is not.

use ipc_core::conformance::{End, Fixture, Opened, Place, Setup, until};
use ipc_core::wait::{sleep_until_readable, sleep_until_writable};
use ipc_core::{
    Attempt, Boundaries, Capabilities, Endpoint, Error, ErrorKind, Receiver, Result, Sender, Step, Wait,
    Waiter,
};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

/// The transport.
pub(crate) struct Datagrams;

const MAX: usize = 50_000;

impl Fixture for Datagrams {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Boundaries::Kernel).max_message(MAX).several_senders().ignores_disconnect()
    }

    fn place(&self) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        Place { text: format!("unixgram://{}", path.display()), keep: Box::new(directory) }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        let endpoint = Endpoint::parse(place)?;
        let error = |error| Error::from_io(error, "open").at(endpoint.text());
        let path = place.strip_prefix("unixgram://").unwrap();
        let socket = match end {
            End::Receiver => UnixDatagram::bind(path),
            End::Sender => {
                let socket = UnixDatagram::unbound().unwrap();
                let mut connected = Ok(());
                until("somebody is there", Setup::PATIENCE, || {
                    connected = socket.connect(path);
                    !matches!(&connected, Err(error) if error.kind() == io::ErrorKind::NotFound)
                });
                connected.map(|()| socket)
            }
            End::Binder | End::Connector => return Err(Error::new(ErrorKind::Unsupported, "open")),
        };
        let socket = socket.map_err(error)?;
        socket.set_nonblocking(true).map_err(error)?;
        let datagram = Datagram { socket, endpoint, waiter: Waiter::default(), buffer: vec![0; MAX] };
        Ok(match end {
            End::Receiver => Opened::Receiver(Box::new(datagram)),
            _ => Opened::Sender(Box::new(datagram)),
        })
    }
}

struct Datagram {
    socket: UnixDatagram,
    endpoint: Endpoint,
    waiter: Waiter,
    buffer: Vec<u8>,
}

impl Sender for Datagram {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        if message.len() > MAX {
            return Err(Error::new(ErrorKind::MessageTooLarge, "send").at(self.endpoint.text()));
        }
        let socket = &self.socket;
        let room = |limit| sleep_until_writable(socket.as_fd(), limit);
        waiting(&mut self.waiter, wait, "send", || socket.send(message).map(|_| ()), room)
            .map_err(|error| error.at(self.endpoint.text()))
    }
}

impl Receiver for Datagram {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        let (socket, buffer) = (&self.socket, &mut self.buffer);
        let message = |limit| sleep_until_readable(socket.as_fd(), limit);
        let length = waiting(&mut self.waiter, wait, "recv", || socket.recv(buffer), message);
        match length {
            Ok(length) => Ok(&self.buffer[..length]),
            Err(error) => Err(error.at(self.endpoint.text())),
        }
    }
}

fn waiting<T>(
    waiter: &mut Waiter,
    wait: Wait,
    operation: &'static str,
    mut look: impl FnMut() -> io::Result<T>,
    sleep: impl Fn(Option<std::time::Duration>) -> io::Result<()>,
) -> Result<T> {
    let mut attempt = Attempt::new(wait);
    loop {
        match look() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => return result.map_err(|error| Error::from_io(error, operation)),
        }
        match attempt.next(waiter) {
            Ok(Step::Look) => {}
            Ok(Step::Sleep(limit)) => {
                sleep(limit).map_err(|error| Error::from_io(error, operation))?;
            }
            Err(kind) => return Err(Error::new(kind, operation)),
        }
    }
}

ipc_core::conformance_tests!(Datagrams);

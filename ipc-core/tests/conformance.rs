//! The suite tried on a transport of its own, a Unix stream made of the parts that this crate has: it
//! passes, and shows on the way that those parts keep the contract.

#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_core::conformance::{End, Fixture, Opened, Place, Setup, until};
use ipc_core::{
    Boundaries, Capabilities, Endpoint, Error, ErrorKind, FramedReceiver, FramedSender, Framing, Result,
};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A Unix stream: the receiver listens at an abstract name, the sender connects.
struct Stream;

impl Fixture for Stream {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Boundaries::Framing).max_message(Framing::DEFAULT_MAX)
    }

    fn place(&self) -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let text = format!("unix://@ipc-conformance-{}-{number}", process::id());
        Place { text, keep: Box::new(()) }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        let endpoint = Endpoint::parse(place)?;
        let io = |error| Error::from_io(error, "open").at(endpoint.text());
        let name = place.strip_prefix("unix://@").unwrap();
        let address = SocketAddr::from_abstract_name(name).map_err(io)?;
        match end {
            End::Receiver => {
                let (stream, _) = UnixListener::bind_addr(&address).map_err(io)?.accept().map_err(io)?;
                stream.set_nonblocking(true).map_err(io)?;
                Ok(Opened::Receiver(Box::new(FramedReceiver::new(stream, &endpoint))))
            }
            End::Sender => {
                let mut connected = None;
                until("somebody listens", Setup::PATIENCE, || {
                    connected = UnixStream::connect_addr(&address).ok();
                    connected.is_some()
                });
                let stream = connected.ok_or_else(|| Error::new(ErrorKind::NoPeer, "open"))?;
                stream.set_nonblocking(true).map_err(io)?;
                Ok(Opened::Sender(Box::new(FramedSender::new(stream, &endpoint))))
            }
            End::Binder | End::Connector => Err(Error::new(ErrorKind::Unsupported, "open")),
        }
    }
}

ipc_core::conformance_tests!(Stream);

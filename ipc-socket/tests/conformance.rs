//! Sockets of every kind keep the contract.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_core::conformance::{End, Fixture, Opened, Place};
use ipc_core::{Capabilities, Endpoint, Error, ErrorKind, Receiver, Result, Scheme, Sender};
use ipc_socket::{Datagram, Listener, Peer, SocketPair, TCP, UDP, UNIX, UNIX_DATAGRAM, UNIX_PACKET};
use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

/// A place of its own for each test: a directory, or a port that was free a moment ago.
fn place(scheme: Scheme) -> Place {
    match scheme {
        Scheme::Tcp | Scheme::Udp => {
            // One after the other, below the range of which the kernel gives ports away.
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let host = std::process::id();
            let [_, a, b, c] = host.to_be_bytes();
            let text =
                format!("{scheme}://127.{}.{b}.{}:{}", a % 16 + 16, c.max(1), 10_000 + number % 20_000);
            Place { text, keep: Box::new(()) }
        }
        _ => {
            let dir = tempfile::tempdir().unwrap();
            Place { text: format!("{scheme}://{}/s", dir.path().display()), keep: Box::new(dir) }
        }
    }
}

/// Whoever binds accepts one connection.
struct Connected(Scheme);

impl Fixture for Connected {
    fn capabilities(&self) -> Capabilities {
        match self.0 {
            Scheme::Tcp => TCP,
            Scheme::Unix => UNIX,
            _ => UNIX_PACKET,
        }
    }

    fn place(&self) -> Place {
        place(self.0)
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        self.open_within(end, place, PATIENCE).unwrap()
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let pair = match end {
            End::Receiver | End::Binder => {
                Listener::bind(place).and_then(|listener| listener.accept_timeout(timeout))
            }
            End::Sender | End::Connector => SocketPair::connect_timeout(place, timeout),
        };
        Some(pair.map(|pair| match end {
            End::Sender => Opened::Sender(Box::new(pair.split().0)),
            End::Receiver => Opened::Receiver(Box::new(pair.split().1)),
            End::Binder | End::Connector => Opened::Pair(Box::new(pair)),
        }))
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(
            Endpoint::parse(place)
                .and_then(Listener::bind)
                .map(|held| Box::new(held) as Box<dyn Any + Send>),
        )
    }
}

/// Whoever binds hears everybody. Ends of a pair greet each other, so that the bound one knows whom to send
/// to.
struct Unconnected(Scheme);

impl Unconnected {
    fn connect(&self, place: &str, timeout: Duration) -> Result<Datagram> {
        if self.0 == Scheme::Udp {
            await_port(&Endpoint::parse(place)?, timeout)?;
        }
        Datagram::connect_timeout(place, timeout)
    }
}

impl Fixture for Unconnected {
    fn capabilities(&self) -> Capabilities {
        if self.0 == Scheme::Udp { UDP } else { UNIX_DATAGRAM }
    }

    fn place(&self) -> Place {
        place(self.0)
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        Ok(match end {
            End::Receiver => Opened::Receiver(Box::new(Datagram::bind(place)?.split().1)),
            End::Sender => Opened::Sender(Box::new(self.connect(place, PATIENCE)?.split().0)),
            End::Binder => {
                let mut pair = Datagram::bind(place)?;
                pair.recv_timeout(PATIENCE)?;
                pair.send(b"welcome")?;
                Opened::Pair(Box::new(pair))
            }
            End::Connector => {
                let mut pair = self.connect(place, PATIENCE)?;
                pair.send(b"here I am")?;
                pair.recv_timeout(PATIENCE)?;
                Opened::Pair(Box::new(pair))
            }
        })
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(Datagram::bind(place).map(|held| Box::new(held) as Box<dyn Any + Send>))
    }
}

/// Waits until somebody has bound a UDP port, of which the kernel tells in a table only.
fn await_port(endpoint: &Endpoint, timeout: Duration) -> Result<()> {
    let Some(std::net::SocketAddr::V4(address)) = Peer::at(endpoint)?.socket_addr() else {
        panic!("a place has an IPv4 address");
    };
    let host = u32::from_ne_bytes(address.ip().octets());
    let entry = format!(" {host:08X}:{:04X} ", address.port());
    let deadline = Instant::now() + timeout;
    while !std::fs::read_to_string("/proc/net/udp").unwrap().contains(&entry) {
        if Instant::now() > deadline {
            return Err(Error::new(ErrorKind::TimedOut, "connect").at(endpoint.text()));
        }
        std::thread::yield_now();
    }
    Ok(())
}

mod unixgram {
    ipc_core::conformance_tests!(super::Unconnected(ipc_core::Scheme::UnixGram));
}

mod udp {
    ipc_core::conformance_tests!(super::Unconnected(ipc_core::Scheme::Udp));
}

mod tcp {
    ipc_core::conformance_tests!(super::Connected(ipc_core::Scheme::Tcp));
}

mod unix {
    ipc_core::conformance_tests!(super::Connected(ipc_core::Scheme::Unix));
}

mod unixpacket {
    ipc_core::conformance_tests!(super::Connected(ipc_core::Scheme::UnixPacket));
}

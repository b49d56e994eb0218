#![doc = include_str!("../README.md")]

mod address;
mod connect;
mod control;
mod credentials;
mod datagram;
mod datagram_half;
mod half;
mod inherited;
mod listener;
mod name;
mod packet;
mod pair;
mod pause;
mod peer;
mod ready;
mod rights;
mod serve;
mod stream;
#[allow(unsafe_code)]
mod sys;

pub use credentials::Credentials;
pub use datagram::Datagram;
pub use datagram_half::{DatagramReceiver, DatagramSender};
pub use half::{SocketReceiver, SocketSender};
pub use ipc_core::common::*;
pub use listener::Listener;
pub use pair::SocketPair;
pub use peer::Peer;

/// What a TCP connection can do, unless the framing is `raw`.
pub const TCP: Capabilities = UNIX.crosses_machines();

/// What a Unix stream can do, unless the framing is `raw`.
pub const UNIX: Capabilities =
    Capabilities::new(Boundaries::Framing).max_message(Framing::DEFAULT_MAX).bidirectional().pollable();

/// What a Unix seqpacket connection can do, with the kernel's usual send buffer of 212,992 bytes.
pub const UNIX_PACKET: Capabilities =
    Capabilities::new(Boundaries::Kernel).max_message(212_992 - 32).bidirectional().pollable();

/// What a Unix datagram socket can do, with the kernel's usual send buffer of 212,992 bytes. That the
/// receiver is gone is noticed by whoever sends, and by nobody else.
pub const UNIX_DATAGRAM: Capabilities = UNIX_PACKET.several_senders().ignores_disconnect();

/// What UDP can do.
pub const UDP: Capabilities = Capabilities::new(Boundaries::Kernel)
    .max_message(datagram::UDP_MAX)
    .unreliable()
    .ignores_disconnect()
    .bidirectional()
    .several_senders()
    .pollable()
    .crosses_machines();

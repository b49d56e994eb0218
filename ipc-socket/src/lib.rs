#![doc = include_str!("../README.md")]

mod address;
mod connect;
mod control;
mod credentials;
mod half;
mod listener;
mod name;
mod packet;
mod pair;
mod ready;
mod rights;
mod stream;
#[allow(unsafe_code)]
mod sys;

pub use credentials::Credentials;
pub use half::{SocketReceiver, SocketSender};
pub use listener::Listener;
pub use pair::SocketPair;

pub use ipc_core::{
    Boundaries, Capabilities, Endpoint, Error, ErrorKind, Framing, Pair, Receiver, Result, Scheme, Sender,
    ToEndpoint, Wait,
};

/// What a TCP connection can do, unless the framing is `raw`.
pub const TCP: Capabilities = UNIX.crosses_machines();

/// What a Unix stream can do, unless the framing is `raw`.
pub const UNIX: Capabilities = Capabilities::new(Boundaries::Framing)
    .max_message(Framing::DEFAULT_MAX)
    .bidirectional()
    .pollable();

/// What a Unix seqpacket connection can do, with the kernel's usual send buffer of 212,992 bytes.
pub const UNIX_PACKET: Capabilities = Capabilities::new(Boundaries::Kernel)
    .max_message(212_992 - 32)
    .bidirectional()
    .pollable();

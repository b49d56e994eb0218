#![doc = include_str!("../README.md")]

mod address;
mod capabilities;
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

pub use capabilities::{TCP, UDP, UNIX, UNIX_DATAGRAM, UNIX_PACKET};
pub use credentials::Credentials;
pub use datagram::Datagram;
pub use datagram_half::{DatagramReceiver, DatagramSender};
pub use half::{SocketReceiver, SocketSender};
pub use ipc_core::common::*;
pub use listener::Listener;
pub use pair::SocketPair;
pub use peer::Peer;

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod call;
mod capabilities;
mod channel;
#[cfg(feature = "conformance")]
pub mod conformance;
mod deframer;
mod endpoint;
mod error;
mod framing;
mod pace;
mod sigpipe;
mod stream;
pub mod wait;

pub use call::{Caller, Server, Ticket};
pub use capabilities::{Boundaries, Capabilities};
pub use channel::{Pair, Receiver, Sender};
pub use deframer::Deframer;
pub use endpoint::{Address, Endpoint, Host, Options, Scheme, ToEndpoint};
pub use error::{Error, ErrorKind, Limit, Result};
pub use framing::{Frame, Framing};
pub use pace::Pace;
pub use sigpipe::SigpipeGuard;
pub use stream::{FramedReceiver, FramedSender};
pub use wait::{Attempt, Step, Wait, Waiter, Waiting};

/// What the users of any transport name. Every transport hands on all of it, so that one crate is enough.
pub mod common {
    pub use crate::{
        Address, Boundaries, Caller, Capabilities, Endpoint, Error, ErrorKind, Framing, Host, Limit,
        Options, Pair, Receiver, Result, Scheme, Sender, Server, Ticket, ToEndpoint, Wait, Waiting,
    };
}

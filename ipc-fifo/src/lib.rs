#![doc = include_str!("../README.md")]

mod assembly;
mod capabilities;
mod end;
// The only place of this crate where unsafe code may stand.
#[allow(unsafe_code)]
mod fork;
mod fragment;
mod lock;
mod name;
mod open;
mod random;
mod receiver;
mod sender;

pub use capabilities::CAPABILITIES;
pub use ipc_core::common::*;
pub use receiver::FifoReceiver;
pub use sender::FifoSender;

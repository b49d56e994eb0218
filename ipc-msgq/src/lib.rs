#![doc = include_str!("../README.md")]

mod lock;
mod naps;
mod posix;
#[allow(unsafe_code)]
mod sys;
mod sysv;
mod trust;

pub use ipc_core::common::*;
pub use posix::{MQ_CAPABILITIES, MQ_PAIR_CAPABILITIES, MqAttributes, MqPair, MqReceiver, MqSender};
pub use sysv::{
    SYSV_CAPABILITIES, SYSV_PAIR_CAPABILITIES, Select, SysvPair, SysvReceiver, SysvSender, SysvStatus,
};

/// Removes a queue, `mq://NAME` or `sysvmsg://…`, whoever owns it: what is left of a program that did not
/// clean up. For a pair of POSIX queues, `NAME.reply` is the other name.
///
/// Who has a POSIX queue open goes on using it, see mq_unlink(3); who uses a System V queue is told
/// [`Removed`](ErrorKind::Removed), see msgctl(2).
///
/// # Errors
///
/// [`NotFound`](ErrorKind::NotFound), [`PermissionDenied`](ErrorKind::PermissionDenied).
pub fn remove(endpoint: impl ToEndpoint) -> Result<()> {
    let endpoint = endpoint.to_endpoint()?;
    endpoint.require(&[Scheme::Mq, Scheme::SysvMsg], "remove")?;
    match endpoint.scheme() {
        Scheme::SysvMsg => sysv::remove(&endpoint),
        _ => posix::remove(&endpoint),
    }
}

#![doc = include_str!("../README.md")]

mod assembly;
mod end;
// The only place of this crate where unsafe code may stand.
#[allow(unsafe_code)]
mod fork;
mod fragment;
mod lock;
mod name;
mod open;
mod receiver;
mod sender;

pub use ipc_core::common::*;
pub use receiver::FifoReceiver;
pub use sender::FifoSender;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::SystemTime;

/// What a FIFO can do with the default options.
pub const CAPABILITIES: Capabilities = Capabilities::new(Boundaries::Framing)
    .max_message(Framing::DEFAULT_MAX)
    .several_senders()
    .pollable();

/// What a FIFO can do with the options of `endpoint`.
fn capabilities(endpoint: &Endpoint) -> Capabilities {
    let options = endpoint.options();
    let framing = options.framing.unwrap_or_default();
    let mut capabilities = CAPABILITIES;
    capabilities.max_message =
        Some(options.max_message.unwrap_or(Framing::DEFAULT_MAX).min(Framing::MAX));
    if framing == Framing::Raw {
        capabilities.boundaries = Boundaries::None;
    }
    if let Framing::Fixed(size) = framing {
        capabilities.max_message = Some(size as usize);
    }
    // Plain bytes are mixed where a message is longer than the kernel writes in one piece.
    capabilities.several_senders = match framing {
        Framing::Length => true,
        Framing::Fixed(size) => size as usize <= fragment::PIPE_BUF,
        _ => false,
    };
    if options.persist == Some(true) {
        capabilities = capabilities.ignores_disconnect();
    }
    capabilities
}

/// A number that nobody can foresee, other than in a forked child: the standard library's random hash keys,
/// with the time and the process.
fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u128(
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos(),
    );
    hasher.finish()
}

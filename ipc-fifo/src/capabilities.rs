//! What a FIFO can do, by its options.

use crate::fragment::PIPE_BUF;
use ipc_core::{Boundaries, Capabilities, Endpoint, Framing};

/// What a FIFO can do with the default options.
pub const CAPABILITIES: Capabilities = Capabilities::new(Boundaries::Framing)
    .max_message(Framing::DEFAULT_MAX)
    .several_senders()
    .pollable();

/// What a FIFO can do with the options of `endpoint`.
pub(crate) fn capabilities(endpoint: &Endpoint) -> Capabilities {
    let options = endpoint.options();
    let framing = options.framing.unwrap_or_default();
    let mut capabilities = CAPABILITIES;
    capabilities.max_message = Some(options.longest_message());
    if framing == Framing::Raw {
        capabilities.boundaries = Boundaries::None;
    }
    // Plain bytes are mixed where a message is longer than the kernel writes in one piece.
    capabilities.several_senders = match framing {
        Framing::Length => true,
        Framing::Fixed(size) => size as usize <= PIPE_BUF,
        _ => false,
    };
    if options.persist == Some(true) {
        capabilities = capabilities.ignores_disconnect();
    }
    capabilities
}

//! What each kind of socket can do.

use ipc_core::{Boundaries, Capabilities, Framing};

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
    .max_message(UDP_MAX)
    .unreliable()
    .ignores_disconnect()
    .bidirectional()
    .several_senders()
    .pollable()
    .crosses_machines();

/// The most that UDP carries over IPv4: 65,535 bytes less the two headers.
pub(crate) const UDP_MAX: usize = 65_507;

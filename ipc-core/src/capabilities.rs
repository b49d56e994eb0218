//! What a transport gives, as a value that code can read and the conformance suite obeys.

/// What a channel can do.
///
/// Made by a transport, read by everybody:
///
/// ```
/// use ipc_core::{Boundaries, Capabilities};
///
/// const PIPE: Capabilities = Capabilities::new(Boundaries::Framing).max_message(64 << 20);
/// assert!(PIPE.reliable && !PIPE.bidirectional);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The longest message, in bytes; `None` if only memory limits it.
    pub max_message: Option<usize>,
    /// Who keeps messages apart.
    pub boundaries: Boundaries,
    /// Nothing is lost while both ends live. False for UDP.
    pub reliable: bool,
    /// A full channel holds its sender back. False for UDP, which drops.
    pub bounded: bool,
    /// Either end learns when the other is gone. False for message queues, which outlive their users; for
    /// datagrams; and for ends that wait for the next peer.
    pub notices_disconnect: bool,
    /// Both ends send and receive.
    pub bidirectional: bool,
    /// Several senders may share one receiver, and no message of theirs is mixed up.
    pub several_senders: bool,
    /// The ends have a descriptor to wait on with `poll`, `epoll` or an async runtime, once
    /// [`try_recv`](crate::Receiver::try_recv) has said that it would block: what was read ahead does not show.
    pub pollable: bool,
    /// The ends may be in two processes.
    pub crosses_processes: bool,
    /// The ends may be on two machines.
    pub crosses_machines: bool,
}

/// Who keeps messages apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Boundaries {
    /// The kernel, or the transport's own memory: datagrams, queues, rings.
    Kernel,
    /// A [`Framing`](crate::Framing) over a stream of bytes.
    Framing,
    /// Nobody: what one `recv` gives is whatever had come.
    None,
}

impl Capabilities {
    /// A reliable, bounded channel in one direction between two processes, that notices when the
    /// peer goes. The methods below change one thing each.
    pub const fn new(boundaries: Boundaries) -> Self {
        Capabilities {
            max_message: None,
            boundaries,
            reliable: true,
            bounded: true,
            notices_disconnect: true,
            bidirectional: false,
            several_senders: false,
            pollable: false,
            crosses_processes: true,
            crosses_machines: false,
        }
    }

    /// Limits the message to `bytes`.
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = Some(bytes);
        self
    }

    /// Messages may be lost, and a full channel drops them.
    pub const fn unreliable(mut self) -> Self {
        self.reliable = false;
        self.bounded = false;
        self
    }

    /// A sender is never held back.
    pub const fn unbounded(mut self) -> Self {
        self.bounded = false;
        self
    }

    /// The end of the peer goes unnoticed.
    pub const fn ignores_disconnect(mut self) -> Self {
        self.notices_disconnect = false;
        self
    }

    /// Both ends send and receive.
    pub const fn bidirectional(mut self) -> Self {
        self.bidirectional = true;
        self
    }

    /// Several senders may share one receiver.
    pub const fn several_senders(mut self) -> Self {
        self.several_senders = true;
        self
    }

    /// There is a descriptor to wait on.
    pub const fn pollable(mut self) -> Self {
        self.pollable = true;
        self
    }

    /// The ends are threads of one process.
    pub const fn within_process(mut self) -> Self {
        self.crosses_processes = false;
        self
    }

    /// The ends may be on two machines.
    pub const fn crosses_machines(mut self) -> Self {
        self.crosses_machines = true;
        self
    }
}

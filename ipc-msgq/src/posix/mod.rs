//! POSIX message queues, `mq://NAME`, see mq_overview(7).
//!
//! | file | what is in it |
//! |---|---|
//! | `sender`, `receiver`, `pair` | the ends, as users see them |
//! | `queue` | one open queue: how it is opened, and how calls on it wait |
//! | `name` | names: who owns one, how it is made, taken over and removed |
//! | `limits` | which of the kernel's limits an error means |

mod limits;
mod name;
mod pair;
mod queue;
mod receiver;
mod sender;

pub use pair::MqPair;
pub use receiver::MqReceiver;
pub use sender::MqSender;

pub(crate) use name::remove;

use ipc_core::{Boundaries, Capabilities};

/// What a POSIX queue gives. The longest message is each queue's own: ask the sender or the receiver.
pub const MQ_CAPABILITIES: Capabilities =
    Capabilities::new(Boundaries::Kernel).ignores_disconnect().several_senders().pollable();

/// What a pair of POSIX queues gives.
pub const MQ_PAIR_CAPABILITIES: Capabilities =
    Capabilities::new(Boundaries::Kernel).ignores_disconnect().bidirectional().pollable();

/// The sizes of a POSIX queue, and how much is in it; see mq_getattr(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MqAttributes {
    /// How many messages it holds.
    pub capacity: usize,
    /// The longest message, in bytes.
    pub max_message: usize,
    /// How many messages are in it now.
    pub waiting: usize,
}

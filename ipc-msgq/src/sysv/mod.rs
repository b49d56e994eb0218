//! System V message queues, `sysvmsg://PATH?id=a` and `sysvmsg://0xKEY`, see sysvipc(7).
//!
//! | file | what is in it |
//! |---|---|
//! | `sender`, `receiver`, `pair` | the ends, as users see them |
//! | `queue` | one queue: how it is found, and how calls on it wait |
//! | `owner` | how a queue is made, taken over and removed |
//! | `key` | from an endpoint to a key: ftok(3) |
//! | `claim` | who owns a key, and whether they live |
//! | `limits` | the kernel's limits, and which of them an error means |

mod claim;
mod key;
mod limits;
mod owner;
mod pair;
mod queue;
mod receiver;
mod sender;

pub use pair::SysvPair;
pub use receiver::{Select, SysvReceiver};
pub use sender::SysvSender;

pub(crate) use owner::remove;

use ipc_core::{Boundaries, Capabilities};

/// What a System V queue gives. The longest message is each queue's own: ask the sender or the receiver.
pub const SYSV_CAPABILITIES: Capabilities =
    Capabilities::new(Boundaries::Kernel).ignores_disconnect().several_senders();

/// What a pair on a System V queue gives.
pub const SYSV_PAIR_CAPABILITIES: Capabilities =
    Capabilities::new(Boundaries::Kernel).ignores_disconnect().bidirectional();

/// What the kernel tells about a System V queue; see msgctl(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SysvStatus {
    /// How many messages are in it.
    pub messages: usize,
    /// How many bytes these have together.
    pub bytes: usize,
    /// How many bytes it may hold.
    pub capacity: usize,
    /// The process that sent last; it may be gone, and its number another's by now.
    pub last_sender: Option<i32>,
    /// The process that received last; as `last_sender`.
    pub last_receiver: Option<i32>,
    /// The user it belongs to.
    pub owner: u32,
    /// Its permission bits.
    pub mode: u32,
}

impl SysvStatus {
    fn new(status: &libc::msqid_ds) -> Self {
        let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let process = |pid| (pid != 0).then_some(pid);
        SysvStatus {
            messages: size(status.msg_qnum),
            bytes: size(status.__msg_cbytes),
            capacity: size(status.msg_qbytes),
            last_sender: process(status.msg_lspid),
            last_receiver: process(status.msg_lrpid),
            owner: status.msg_perm.uid,
            mode: u32::from(status.msg_perm.mode) & 0o777,
        }
    }
}

//! The ring as a transport: messages between two processes by shared memory alone, without a system call
//! while both are busy.
//!
//! | file | what |
//! |---|---|
//! | `layout` | what lies where in a segment, in prose and a picture: what a C program needs to join |
//! | `core` | the ring: records in, records out, who sleeps and who wakes; over any memory |
//! | `memory` | what the core asks of memory; `area` is a mapped segment, the tests have others |
//! | `kernel` | the system calls: futex, membarrier, pidfd |
//! | `presence` | who has which side, and whether the other still lives |
//! | `open` | making, finding, joining |
//! | `link`, `sender`, `receiver`, `pair`, `stats` | the ends that users hold |
//! | `in_place` | loan and commit, borrow and release |
//! | `fan_in` | several senders, one receiver: rings composed |
//! | `fan_out` | one sender, several receivers that each see every message: the same |
//! | `unnamed` | rings without a name, handed over by descriptor or by a fork |

#[allow(unsafe_code)]
mod area;
mod core;
mod fan_in;
mod fan_out;
#[allow(unsafe_code)]
mod in_place;
#[allow(unsafe_code)]
mod kernel;
mod layout;
mod link;
#[cfg(test)]
mod loom_tests;
mod memory;
mod open;
mod pair;
#[cfg(test)]
mod plain_tests;
mod presence;
mod receiver;
mod sender;
mod stats;
mod unnamed;

pub use fan_in::ShmFanIn;
pub use fan_out::{ShmFanOut, Slow};
pub use in_place::{Borrowed, Loan};
pub use pair::ShmPair;
pub use receiver::ShmReceiver;
pub use sender::ShmSender;
pub use stats::Stats;
pub use unnamed::Ring;

use ipc_core::{Boundaries, Capabilities, Framing};

/// What [`ShmSender`] and [`ShmReceiver`] can do.
pub const CAPABILITIES: Capabilities =
    Capabilities::new(Boundaries::Kernel).max_message(Framing::DEFAULT_MAX);

/// What [`ShmPair`] can do.
pub const PAIR_CAPABILITIES: Capabilities = CAPABILITIES.bidirectional();

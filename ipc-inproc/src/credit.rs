//! How many messages of one sender wait to be read: the count behind the high-water mark, and the one
//! place where a wake-up could be lost.
//!
//! The sender alone counts what it has sent, in private; here is what the receiver has handed out. A
//! sender that finds the difference at its limit goes to sleep, and the receiver, which takes no lock for
//! handing out a message, has to see that:
//!
//! ```text
//! sender                          receiver
//! waiting = true                  taken += 1
//! look at taken: still full?      look at waiting: ring?
//! sleep
//! ```
//!
//! All four are sequentially consistent, so they happen in one order that both sides agree on. If the
//! sender's look came before the receiver's addition, then `waiting` was set before it too, and the
//! receiver rings; if it came after, the sender sees the room. There is no third case. `tests/credit.rs`
//! has loom try all orders.

use crate::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Shared by one sender and its receiver. The receiver writes it with every message, so nothing else lies on
/// its cache line.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Credit {
    taken: AtomicU64,
    waiting: AtomicBool,
}

impl Credit {
    pub(crate) fn new() -> Self {
        Credit { taken: AtomicU64::new(0), waiting: AtomicBool::new(false) }
    }

    /// How many messages the receiver has handed out, ever.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(SeqCst)
    }

    /// The sender is about to sleep: it must look once more at [`taken`](Credit::taken) before it does.
    pub(crate) fn announce_wait(&self) {
        self.waiting.store(true, SeqCst);
    }

    /// The receiver has handed out a message. True if the sender waits, and the caller is to wake it.
    pub(crate) fn take_one(&self) -> bool {
        self.taken.fetch_add(1, SeqCst);
        self.waiting.load(SeqCst) && self.waiting.swap(false, SeqCst)
    }
}

//! How the receiver goes to sleep without missing a message.
//!
//! The receiver says that it is about to sleep, makes a heavy fence, and looks once more before it does. A
//! sender publishes its message, makes a light fence, and looks whether the receiver sleeps. Because of the
//! [fences](crate::fences), at least one of the two sees what the other has written: the receiver stays
//! awake, or it is woken.

use crate::atomic::{AtomicBool, Ordering};
use crate::fences::Fences;

/// Whether the receiver is to be woken.
#[derive(Debug)]
pub(crate) struct Alarm {
    set: AtomicBool,
    fences: Fences,
}

impl Alarm {
    pub(crate) fn new(fences: Fences) -> Alarm {
        Alarm { set: AtomicBool::new(false), fences }
    }

    /// The receiver is about to sleep, and will look once more before it does. False if a sender may miss
    /// that all the same.
    pub(crate) fn set(&self) -> bool {
        self.set.store(true, Ordering::Relaxed);
        self.fences.heavy()
    }

    /// The receiver is awake.
    pub(crate) fn clear(&self) {
        self.set.store(false, Ordering::Relaxed);
    }

    /// Whether the receiver must be woken, for something that was published before. Only one is told so.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.fences.light();
        self.set.load(Ordering::Relaxed) && self.set.swap(false, Ordering::AcqRel)
    }
}

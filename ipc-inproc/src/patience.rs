//! A pause on the way: when it pays not to look at once.
//!
//! Two threads that look at the same memory all the time keep taking it away from each other, and each is
//! slowed down by the other's impatience. So a sender at its limit lets its receiver get ahead for a moment,
//! and then finds room for several messages at the price of one look. Nobody waits for it meanwhile.

use std::hint::spin_loop;

/// Sixteen of the processor's own pauses, each of which takes some ten to some hundred clock cycles.
pub(crate) fn pause() {
    for _ in 0..16 {
        spin_loop();
    }
}

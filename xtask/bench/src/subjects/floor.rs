//! The floor of the machine: two words of shared memory, on which two processors wait in turn. Nothing that
//! carries a message there and back through memory can be faster.

use super::{Family, Subject};
use crate::plan::Pattern;
use crate::sys;
use crate::wire::{Ends, Result, Wire};
use std::sync::atomic::{AtomicU64, Ordering};

/// The first byte of a message, and a count that makes every word another.
struct Words {
    out: &'static AtomicU64,
    back: &'static AtomicU64,
    sent: u64,
    seen: u64,
    size: usize,
}

impl Wire for Words {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.sent += 1;
        self.out.store(self.sent << 8 | u64::from(message[0]), Ordering::Release);
        Ok(())
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let word = loop {
            let word = self.back.load(Ordering::Acquire);
            if word >> 8 != self.seen {
                break word;
            }
        };
        self.seen = word >> 8;
        let mut message = [0; 64];
        message[0] = word as u8;
        Ok(look(&message[..self.size]))
    }
}

pub(super) fn subject() -> Subject {
    let ends = |size| {
        let [one, other] = sys::shared_words()?;
        let words = move |out, back| move || Ok(Words { out, back, sent: 0, seen: 0, size });
        Ok(Ends::new(words(one, other), words(other, one)))
    };
    Subject::processes(Family::Floor, "two cache lines", ends).only(&[Pattern::RoundTrip], &[64])
}

//! Buffers for long messages, used again and again.
//!
//! The receiver puts a buffer back as soon as its message has been read, and a sender takes the one that was
//! put back last: that is the one the processor still has at hand, and what lies at the bottom is what
//! was never needed lately, and is given back from time to time.

use crate::batch::LONG;
use std::collections::TryReserveError;

/// The buffers that hold no message.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    stack: Vec<Vec<u8>>,
    /// The fewest there have been since the last review: as many at the bottom have not been touched.
    untouched: usize,
    /// The longest message since the last review.
    longest: usize,
}

impl Spares {
    /// A buffer, to be filled by [`fill`]; without memory if there is none to spare.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.stack.pop().unwrap_or_default();
        self.untouched = self.untouched.min(self.stack.len());
        buffer
    }

    /// Takes a buffer back, whose message has been read.
    pub(crate) fn put(&mut self, buffer: Vec<u8>) {
        self.longest = self.longest.max(buffer.len());
        if self.stack.try_reserve(1).is_ok() {
            self.stack.push(buffer);
        }
    }

    /// Gives back the buffers that have not been needed since the last review, and of the others what is
    /// more than twice the longest message since.
    pub(crate) fn review(&mut self) {
        self.stack.drain(..self.untouched.min(self.stack.len()));
        let allowed = self.longest.saturating_mul(2).max(LONG);
        for buffer in &mut self.stack {
            if buffer.capacity() > allowed {
                buffer.clear();
                buffer.shrink_to(allowed);
            }
        }
        self.untouched = self.stack.len();
        self.longest = 0;
    }
}

/// Makes a message the content of a buffer; fails if there is no memory for it.
pub(crate) fn fill(mut buffer: Vec<u8>, message: &[u8]) -> Result<Vec<u8>, TryReserveError> {
    buffer.clear();
    if buffer.capacity() < message.len() {
        // Not made larger, as that would copy what it held.
        buffer = Vec::new();
        buffer.try_reserve_exact(message.len())?;
    }
    buffer.extend_from_slice(message);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(spares: &mut Spares, length: usize) {
        let buffer = fill(spares.take(), &vec![1; length]).unwrap();
        spares.put(buffer);
    }

    #[test]
    fn a_buffer_is_used_again() {
        let mut spares = Spares::default();
        pass(&mut spares, 1 << 20);
        let memory = spares.stack[0].as_ptr();
        for length in [LONG, 1 << 20, 1 << 19] {
            pass(&mut spares, length);
            assert_eq!(spares.stack[0].as_ptr(), memory);
        }
        assert_eq!(spares.stack.len(), 1);
    }

    #[test]
    fn buffers_that_are_not_needed_any_more_are_given_back() {
        let mut spares = Spares::default();
        let crowd: Vec<_> = (0..10).map(|_| fill(spares.take(), &[1; LONG]).unwrap()).collect();
        crowd.into_iter().for_each(|buffer| spares.put(buffer));
        spares.review();
        assert_eq!(spares.stack.len(), 10);
        pass(&mut spares, LONG);
        spares.review();
        assert_eq!(spares.stack.len(), 1);
        spares.review();
        assert_eq!(spares.stack.len(), 0);
    }

    #[test]
    fn a_giant_buffer_that_serves_lesser_messages_shrinks() {
        let mut spares = Spares::default();
        pass(&mut spares, 16 << 20);
        for _ in 0..2 {
            spares.review();
            pass(&mut spares, LONG);
        }
        spares.review();
        assert!(spares.stack.iter().all(|buffer| buffer.capacity() <= 2 * LONG));
    }
}

//! What is used again and again: reels, and buffers for long messages.
//!
//! The receiver puts something back as soon as it has been read, and a sender takes what was put back last:
//! that is what the processor still has at hand, and what lies at the bottom is what was never needed lately,
//! and is given back from time to time.

use std::collections::TryReserveError;

/// Things that can be used again, the last one first. After `MEMORY` of them have been put back, there is a
/// review.
#[derive(Debug)]
pub(crate) struct Stack<T, const MEMORY: u32> {
    things: Vec<T>,
    /// The fewest there have been since the last review: as many at the bottom have not been touched.
    untouched: usize,
    /// How often something has been put back since the last review.
    puts: u32,
}

// Not derived, as that would ask the same of `T`.
impl<T, const MEMORY: u32> Default for Stack<T, MEMORY> {
    fn default() -> Self {
        Stack { things: Vec::new(), untouched: 0, puts: 0 }
    }
}

impl<T, const MEMORY: u32> Stack<T, MEMORY> {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        let thing = self.things.pop();
        self.untouched = self.untouched.min(self.things.len());
        thing
    }

    /// Puts something back. Returns true if that brought a review: what has not been needed since the last one
    /// has been given back.
    pub(crate) fn put(&mut self, thing: T) -> bool {
        if self.things.try_reserve(1).is_ok() {
            self.things.push(thing);
        }
        self.puts += 1;
        let review = self.puts == MEMORY;
        if review {
            self.things.drain(..self.untouched.min(self.things.len()));
            self.untouched = self.things.len();
            self.puts = 0;
        }
        review
    }
}

/// How many messages a giant is remembered for. Many, as fresh memory is dear: a sender of long messages that runs
/// ahead now and then would pay for it with every page, each time.
const MEMORY: u32 = 10_000;

/// The buffers that hold no message.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    stack: Stack<Vec<u8>, MEMORY>,
    /// The longest message since the last review.
    longest: usize,
}

impl Buffers {
    /// A buffer, to be filled by [`fill`].
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        self.stack.take()
    }

    /// Takes a buffer back, whose message has been read. From time to time takes from all buffers what is more
    /// than twice the longest message of late.
    pub(crate) fn put(&mut self, buffer: Vec<u8>) {
        self.longest = self.longest.max(buffer.len());
        if self.stack.put(buffer) {
            let allowed = self.longest.saturating_mul(2);
            for buffer in &mut self.stack.things {
                if buffer.capacity() > allowed {
                    buffer.clear();
                    buffer.shrink_to(allowed);
                }
            }
            self.longest = 0;
        }
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

    const LENGTH: usize = 4096;

    fn pass(buffers: &mut Buffers, length: usize) {
        let buffer = fill(buffers.take().unwrap_or_default(), &vec![1; length]).unwrap();
        buffers.put(buffer);
    }

    /// Passes messages until all that is not needed for them must have been given back.
    fn pass_many(buffers: &mut Buffers, length: usize) {
        (0..2 * MEMORY).for_each(|_| pass(buffers, length));
    }

    #[test]
    fn a_buffer_is_used_again() {
        let mut buffers = Buffers::default();
        pass(&mut buffers, 1 << 20);
        let memory = buffers.stack.things[0].as_ptr();
        for length in [LENGTH, 1 << 20, 1 << 19] {
            pass(&mut buffers, length);
            assert_eq!(buffers.stack.things[0].as_ptr(), memory);
        }
        assert_eq!(buffers.stack.things.len(), 1);
    }

    #[test]
    fn buffers_that_are_not_needed_any_more_are_given_back() {
        let mut buffers = Buffers::default();
        let crowd: Vec<_> =
            (0..10).map(|_| fill(buffers.take().unwrap_or_default(), &[1; LENGTH]).unwrap()).collect();
        crowd.into_iter().for_each(|buffer| buffers.put(buffer));
        assert_eq!(buffers.stack.things.len(), 10);
        pass_many(&mut buffers, LENGTH);
        assert_eq!(buffers.stack.things.len(), 1);
    }

    #[test]
    fn memory_that_is_needed_again_and_again_is_kept() {
        let mut buffers = Buffers::default();
        pass(&mut buffers, 1 << 20);
        let memory = buffers.stack.things[0].as_ptr();
        for round in 0..4 * MEMORY {
            let rare = round % (MEMORY / 2) == 0;
            pass(&mut buffers, if rare { 1 << 20 } else { LENGTH });
            assert_eq!(buffers.stack.things[0].as_ptr(), memory);
        }
    }

    #[test]
    fn a_giant_buffer_that_serves_lesser_messages_shrinks() {
        let mut buffers = Buffers::default();
        pass(&mut buffers, 16 << 20);
        pass_many(&mut buffers, LENGTH);
        assert!(buffers.stack.things.iter().all(|buffer| buffer.capacity() <= 2 * LENGTH));
    }
}

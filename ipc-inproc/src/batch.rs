//! A run of messages in one piece of memory, each behind its length, and whose they are.
//!
//! Two batches belong to a lane: senders fill one while the receiver reads the other. Their memory is used
//! again and again, so nothing is allocated per message; [`Retention`] sees to it that the memory of a rare
//! giant is given back.

use crate::lane::Account;
use std::collections::TryReserveError;
use std::ops::Range;
use std::sync::Arc;

/// Messages in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// For each message its length in 8 bytes, then the message.
    bytes: Vec<u8>,
    /// Who sent them: as many of this sender, then as many of that.
    runs: Vec<Run>,
}

/// Messages of one sender, one behind the other.
#[derive(Debug)]
struct Run {
    sender: Arc<Account>,
    messages: u64,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends a message; fails, with nothing changed, if there is no memory for it.
    pub(crate) fn push(&mut self, message: &[u8], sender: &Arc<Account>) -> Result<(), TryReserveError> {
        let length = (message.len() as u64).to_ne_bytes();
        self.bytes.try_reserve(message.len().saturating_add(length.len()))?;
        match self.runs.last_mut() {
            Some(run) if Arc::ptr_eq(&run.sender, sender) => run.messages += 1,
            _ => {
                self.runs.try_reserve(1)?;
                self.runs.push(Run { sender: Arc::clone(sender), messages: 1 });
            }
        }
        self.bytes.extend_from_slice(&length);
        self.bytes.extend_from_slice(message);
        Ok(())
    }

    pub(crate) fn bytes(&self, message: Range<usize>) -> &[u8] {
        self.bytes.get(message).unwrap_or_default()
    }

    /// Forgets the messages, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
    }
}

/// A place in a batch that is being read.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    at: usize,
    run: usize,
    /// How many messages of the run have been read.
    of_run: u64,
}

impl Cursor {
    /// The next message, as a range of the batch's bytes, and whose it is.
    pub(crate) fn next<'a>(&mut self, batch: &'a Batch) -> Option<(Range<usize>, &'a Account)> {
        let (length, rest) = batch.bytes.get(self.at..)?.split_first_chunk()?;
        let length = usize::try_from(u64::from_ne_bytes(*length)).ok()?;
        let start = batch.bytes.len() - rest.len();
        if batch.runs.get(self.run)?.messages == self.of_run {
            self.run += 1;
            self.of_run = 0;
        }
        let run = batch.runs.get(self.run)?;
        self.of_run += 1;
        self.at = start + length;
        Some((start..self.at, &run.sender))
    }
}

/// Decides how much memory a drained batch may keep: twice what the fullest of the last batches used, and
/// never less than [`FLOOR`](Retention::FLOOR).
#[derive(Debug)]
pub(crate) struct Retention {
    allowed: usize,
    fullest: usize,
    batches: u32,
}

impl Retention {
    /// Enough for 2,000 messages of 64 bytes, the default marks: not worth giving back.
    const FLOOR: usize = 256 * 1024;
    /// How many batches a giant is remembered for. Many, as fresh memory is dear: a sender of long messages
    /// that runs ahead now and then would pay for it with every page, each time.
    const MEMORY: u32 = 10_000;
    /// Runs are many only where senders take turns message by message.
    const RUNS: usize = 4 * 1024;

    pub(crate) fn new() -> Self {
        Retention { allowed: usize::MAX, fullest: 0, batches: 0 }
    }

    /// Clears a batch that has been read, and gives memory back that has not been needed lately.
    pub(crate) fn recycle(&mut self, batch: &mut Batch) {
        self.fullest = self.fullest.max(batch.bytes.len());
        self.batches += 1;
        if self.batches == Self::MEMORY {
            self.allowed = self.fullest.saturating_mul(2).max(Self::FLOOR);
            self.fullest = 0;
            self.batches = 0;
        }
        batch.clear();
        if batch.bytes.capacity() > self.allowed {
            batch.bytes.shrink_to(self.allowed);
        }
        if batch.runs.capacity() > Self::RUNS && self.allowed == Self::FLOOR {
            batch.runs.shrink_to(Self::RUNS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(batch: &mut Batch, length: usize) {
        batch.push(&vec![1; length], &Arc::new(Account::new())).unwrap();
    }

    #[test]
    fn what_goes_in_comes_out_empty_messages_too() {
        let mut batch = Batch::default();
        let (one, two) = (Arc::new(Account::new()), Arc::new(Account::new()));
        for (message, sender) in [("a", &one), ("", &one), ("bc", &two), ("", &two), ("d", &one)] {
            batch.push(message.as_bytes(), sender).unwrap();
        }
        let mut cursor = Cursor::default();
        for (message, sender) in [("a", &one), ("", &one), ("bc", &two), ("", &two), ("d", &one)] {
            let (range, account) = cursor.next(&batch).unwrap();
            assert_eq!(batch.bytes(range), message.as_bytes());
            assert!(std::ptr::eq(account, &**sender));
        }
        assert!(cursor.next(&batch).is_none());
    }

    #[test]
    fn the_memory_of_one_giant_is_given_back_after_a_while() {
        let (mut retention, mut batch) = (Retention::new(), Batch::default());
        fill(&mut batch, 16 << 20);
        for _ in 0..2 * Retention::MEMORY {
            retention.recycle(&mut batch);
            fill(&mut batch, 64);
        }
        assert!(batch.bytes.capacity() <= Retention::FLOOR, "{}", batch.bytes.capacity());
    }

    #[test]
    fn memory_that_is_needed_again_and_again_is_kept() {
        let (mut retention, mut batch) = (Retention::new(), Batch::default());
        fill(&mut batch, 16 << 20);
        let capacity = batch.bytes.capacity();
        for round in 0..10 * Retention::MEMORY {
            retention.recycle(&mut batch);
            fill(&mut batch, if round % (Retention::MEMORY / 2) == 0 { 16 << 20 } else { 64 });
            assert_eq!(batch.bytes.capacity(), capacity);
        }
    }
}

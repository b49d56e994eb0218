//! A run of messages and whose they are: short ones in one piece of memory, each behind its length, and
//! long ones each in a buffer of its own.
//!
//! Two batches belong to a lane: senders fill one while the receiver reads the other. Their memory is used
//! again and again, so nothing is allocated per message; [`Retention`] sees to it that the memory of a rare
//! giant is given back.

use crate::lane::Account;
use std::collections::{TryReserveError, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// From this length on a message travels in a buffer of its own: it is copied there outside the lock, and
/// many of them make no piece of memory so long that no cache holds it.
pub(crate) const LONG: usize = 16 * 1024;

/// Messages in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// For each message its length in 8 bytes, then the message, if it is shorter than [`LONG`].
    bytes: Vec<u8>,
    /// The others, in order.
    long: VecDeque<Vec<u8>>,
    /// Who sent them: as many of this sender, then as many of that.
    runs: Vec<Run>,
}

/// The length before each message.
const HEADER: usize = size_of::<u64>();

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

    /// Whether there is more than one message.
    pub(crate) fn holds_several(&self) -> bool {
        matches!(self.runs.as_slice(), [_, _, ..] | [Run { messages: 2.., .. }])
    }

    /// Appends a short message; fails, with nothing changed, if there is no memory for it.
    pub(crate) fn push(&mut self, message: &[u8], sender: &Arc<Account>) -> Result<(), TryReserveError> {
        debug_assert!(message.len() < LONG);
        self.reserve(HEADER + message.len(), sender)?;
        self.bytes.extend_from_slice(&(message.len() as u64).to_ne_bytes());
        self.bytes.extend_from_slice(message);
        Ok(())
    }

    /// Appends a long message, as [`push`](Batch::push) does a short one.
    pub(crate) fn push_long(
        &mut self,
        message: Vec<u8>,
        sender: &Arc<Account>,
    ) -> Result<(), TryReserveError> {
        debug_assert!(message.len() >= LONG);
        self.long.try_reserve(1)?;
        self.reserve(HEADER, sender)?;
        self.bytes.extend_from_slice(&(message.len() as u64).to_ne_bytes());
        self.long.push_back(message);
        Ok(())
    }

    /// Makes room for so many bytes, and counts one more message of this sender.
    fn reserve(&mut self, bytes: usize, sender: &Arc<Account>) -> Result<(), TryReserveError> {
        self.bytes.try_reserve(bytes)?;
        match self.runs.last_mut() {
            Some(run) if Arc::ptr_eq(&run.sender, sender) => run.messages += 1,
            _ => {
                self.runs.try_reserve(1)?;
                self.runs.push(Run { sender: Arc::clone(sender), messages: 1 });
            }
        }
        Ok(())
    }

    /// The first long message that has not been taken out.
    pub(crate) fn take_long(&mut self) -> Vec<u8> {
        self.long.pop_front().unwrap_or_default()
    }

    pub(crate) fn bytes(&self, message: Range<usize>) -> &[u8] {
        self.bytes.get(message).unwrap_or_default()
    }

    /// Forgets the messages, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.long.clear();
        self.runs.clear();
    }
}

/// Where a message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the batch: a range for [`Batch::bytes`].
    Bytes(Range<usize>),
    /// In a buffer of its own, which [`Batch::take_long`] returns.
    Buffer,
}

/// How far a batch has been read.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    at: usize,
    run: usize,
    /// How many messages of the run have been read.
    of_run: u64,
}

impl Cursor {
    /// Where the next message is, and whose it is.
    pub(crate) fn next<'a>(&mut self, batch: &'a Batch) -> Option<(Place, &'a Account)> {
        let (length, rest) = batch.bytes.get(self.at..)?.split_first_chunk()?;
        let length = usize::try_from(u64::from_ne_bytes(*length)).ok()?;
        let start = batch.bytes.len() - rest.len();
        if batch.runs.get(self.run)?.messages == self.of_run {
            self.run += 1;
            self.of_run = 0;
        }
        let run = batch.runs.get(self.run)?;
        self.of_run += 1;
        if length >= LONG {
            self.at = start;
            return Some((Place::Buffer, &run.sender));
        }
        self.at = start + length;
        Some((Place::Bytes(start..self.at), &run.sender))
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
    /// Returns true from time to time: it is time to look at the [spare buffers](crate::spares), too.
    pub(crate) fn recycle(&mut self, batch: &mut Batch) -> bool {
        self.fullest = self.fullest.max(batch.bytes.len());
        self.batches += 1;
        let review = self.batches == Self::MEMORY;
        if review {
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
        review
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_for(batch: &mut Batch, length: usize, sender: &Arc<Account>) {
        if length < LONG {
            batch.push(&vec![1; length], sender).unwrap();
        } else {
            batch.push_long(vec![1; length], sender).unwrap();
        }
    }

    /// So many bytes in short messages.
    fn fill(batch: &mut Batch, length: usize) {
        let sender = Arc::new(Account::new());
        for at in (0..length).step_by(LONG / 2) {
            fill_for(batch, (length - at).min(LONG / 2), &sender);
        }
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
            let (place, account) = cursor.next(&batch).unwrap();
            let Place::Bytes(range) = place else { panic!("{place:?}") };
            assert_eq!(batch.bytes(range), message.as_bytes());
            assert!(std::ptr::eq(account, &**sender));
        }
        assert!(cursor.next(&batch).is_none());
    }

    #[test]
    fn long_messages_keep_their_place_among_short_ones() {
        let (mut batch, sender) = (Batch::default(), Arc::new(Account::new()));
        for length in [LONG - 1, LONG, 0, LONG + 1] {
            fill_for(&mut batch, length, &sender);
        }
        let mut cursor = Cursor::default();
        for length in [LONG - 1, LONG, 0, LONG + 1] {
            let found = match cursor.next(&batch).unwrap().0 {
                Place::Bytes(range) => range.len(),
                Place::Buffer => batch.take_long().len(),
            };
            assert_eq!(found, length);
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

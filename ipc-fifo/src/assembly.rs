//! Messages from fragments: keeps the unfinished message of each writer, however the writers' fragments
//! are mixed, until its last fragment has come or its writer is known to be dead. It does no input or
//! output of its own.
//!
//! What is kept grows only with bytes that have come. A writer that has died is recognised by its lock
//! (see [`fragment`](crate::fragment)), but what it wrote before may still lie in the pipe. So its message
//! is first condemned, and dropped when all has been read that the pipe held at that time.

use crate::fragment::{Fragment, Front, HEADER, Kind, front, garbage};
use std::collections::HashMap;
use std::ops::Range;

/// What came of looking at some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole message, in these very bytes.
    Here(Range<usize>),
    /// A message is complete: it is [`Assembly::message`].
    Assembled,
    /// A writer has begun a message of so many bytes, which are too many. It is passed over.
    TooLarge(usize),
    /// So many bytes, or more, that are no fragment. Told once, then passed over to the next fragment.
    Garbage(usize),
    /// No message; more must come.
    Nothing,
}

/// The unfinished messages of all writers.
#[derive(Debug)]
pub(crate) struct Assembly {
    max_message: usize,
    unfinished: HashMap<u64, Unfinished>,
    /// How many bytes the unfinished messages have.
    held: usize,
    /// The message that was finished last.
    message: Vec<u8>,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
    /// How many bytes have been looked at, since ever.
    position: u64,
    /// What stood at the front when it was last looked at was garbage.
    in_garbage: bool,
    lost: u64,
    /// When the unfinished messages weigh this much, it is time to see who has died.
    next_inspection: usize,
}

#[derive(Debug)]
struct Unfinished {
    message: u64,
    total: usize,
    bytes: Vec<u8>,
    /// A part of it is missing or not wanted; what comes of it is passed over.
    broken: bool,
    /// Its writer is dead, and will be proved to have left no more when this position is reached.
    condemned: Option<u64>,
}

impl Assembly {
    /// An unfinished message weighs as much as this many bytes, besides those that it has.
    const WEIGHT: usize = 64 << 10;

    /// The least weight that is worth an inspection.
    const LIGHT: usize = 16 * Assembly::WEIGHT;

    /// So many buffers are kept for use again, of at most so many bytes each.
    const SPARES: usize = 4;
    const SPARE_CAPACITY: usize = 2 << 20;

    pub(crate) fn new(max_message: usize) -> Self {
        Assembly {
            max_message,
            unfinished: HashMap::new(),
            held: 0,
            message: Vec::new(),
            spare: Vec::new(),
            position: 0,
            in_garbage: false,
            lost: 0,
            next_inspection: Assembly::LIGHT,
        }
    }

    /// Takes fragments from the front of `bytes` until there is something to tell; says how many bytes
    /// are done with.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (usize, Found) {
        let mut done = 0;
        loop {
            let rest = bytes.get(done..).unwrap_or_default();
            let (used, found) = match front(rest) {
                Front::Fragment(fragment) => {
                    self.in_garbage = false;
                    let piece = rest.get(HEADER..fragment.wire_len()).unwrap_or_default();
                    let found = self.add(&fragment, piece).map(|found| match found {
                        Found::Here(at) => Found::Here(at.start + done..at.end + done),
                        other => other,
                    });
                    (fragment.wire_len(), found)
                }
                Front::Garbage => {
                    let length = garbage(rest);
                    let first = !std::mem::replace(&mut self.in_garbage, true);
                    (length, first.then_some(Found::Garbage(length)))
                }
                Front::Incomplete => (0, Some(Found::Nothing)),
            };
            done += used;
            self.position = self.position.saturating_add(used as u64);
            if let Some(found) = found {
                return (done, found);
            }
        }
    }

    /// Passes over `bytes`, which will not become a fragment whatever comes, up to where one may begin; says
    /// how many.
    pub(crate) fn reject(&mut self, bytes: &[u8]) -> usize {
        let length = garbage(bytes);
        self.in_garbage = true;
        self.position = self.position.saturating_add(length as u64);
        length
    }

    /// The message that was [assembled](Found::Assembled) last.
    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    /// How many messages have begun to come and will never be complete.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn max_message(&self) -> usize {
        self.max_message
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unfinished.is_empty()
    }

    fn add(&mut self, fragment: &Fragment, piece: &[u8]) -> Option<Found> {
        let Kind::Piece { total, offset, .. } = fragment.kind else {
            self.forget(fragment.writer);
            return None;
        };
        if piece.len() == total && total <= self.max_message {
            // The usual case: a short message, whole.
            if !self.unfinished.is_empty() {
                self.forget(fragment.writer);
            }
            return Some(Found::Here(HEADER..HEADER + total));
        }
        let fresh = match self.unfinished.get(&fragment.writer) {
            Some(unfinished) => unfinished.message != fragment.message,
            None => true,
        };
        if fresh {
            // The one before, if there was one, has been given up by its writer.
            self.forget(fragment.writer);
            self.begin(fragment, total);
            if total > self.max_message && offset == 0 {
                self.break_off(fragment.writer, 0);
                if piece.len() == total {
                    self.forget(fragment.writer);
                }
                return Some(Found::TooLarge(total));
            }
        }
        self.append(fragment.writer, total, offset, piece)
    }

    fn begin(&mut self, fragment: &Fragment, total: usize) {
        let bytes = self.spare.pop().unwrap_or_default();
        let message = fragment.message;
        let unfinished = Unfinished { message, total, bytes, broken: false, condemned: None };
        self.unfinished.insert(fragment.writer, unfinished);
    }

    fn append(&mut self, writer: u64, total: usize, offset: usize, piece: &[u8]) -> Option<Found> {
        let unfinished = self.unfinished.get_mut(&writer)?;
        let broken = unfinished.broken;
        let fits = !broken && offset == unfinished.bytes.len() && total == unfinished.total;
        if fits {
            unfinished.bytes.extend_from_slice(piece);
            self.held += piece.len();
        } else if !broken {
            self.break_off(writer, 1);
        }
        if offset + piece.len() < total {
            return None;
        }
        if !fits {
            self.forget(writer);
            return None;
        }
        let finished = self.unfinished.remove(&writer)?.bytes;
        self.held -= finished.len();
        let before = std::mem::replace(&mut self.message, finished);
        self.keep(before);
        Some(Found::Assembled)
    }

    /// From now on, the rest of this writer's message is passed over.
    fn break_off(&mut self, writer: u64, lost: u64) {
        self.lost += lost;
        if let Some(unfinished) = self.unfinished.get_mut(&writer) {
            unfinished.broken = true;
            let bytes = std::mem::take(&mut unfinished.bytes);
            self.held -= bytes.len();
            self.keep(bytes);
        }
    }

    fn forget(&mut self, writer: u64) {
        if let Some(unfinished) = self.unfinished.remove(&writer) {
            self.held -= unfinished.bytes.len();
            self.keep(unfinished.bytes);
        }
    }

    fn keep(&mut self, mut buffer: Vec<u8>) {
        let worth = 1..=Assembly::SPARE_CAPACITY;
        if self.spare.len() < Assembly::SPARES && worth.contains(&buffer.capacity()) {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

/// Dead writers.
impl Assembly {
    /// Whether so much is unfinished that it is time to [`condemn`](Assembly::condemn).
    pub(crate) fn wants_inspection(&self) -> bool {
        self.weight() >= self.next_inspection
    }

    /// Condemns the messages of the writers that `is_dead`, of whose bytes at most `ahead` have not been
    /// looked at yet; says whether there are any.
    pub(crate) fn condemn(&mut self, ahead: u64, is_dead: impl Fn(u64) -> bool) -> bool {
        let proved = self.position.saturating_add(ahead);
        let mut any = false;
        for (writer, unfinished) in &mut self.unfinished {
            if unfinished.condemned.is_none() && is_dead(*writer) {
                unfinished.condemned = Some(proved);
                any = true;
            }
        }
        self.next_inspection = self.weight().saturating_mul(2).max(Assembly::LIGHT);
        any
    }

    /// Drops the condemned messages that have been proved to be lost; all of them if the pipe `is_empty`.
    pub(crate) fn bury(&mut self, is_empty: bool) {
        let position = self.position;
        let proved = |at: u64| is_empty || at <= position;
        self.drop_where(|unfinished| unfinished.condemned.is_some_and(proved));
    }

    /// Drops all unfinished messages: there are no writers any more.
    pub(crate) fn bury_all(&mut self) {
        self.drop_where(|_| true);
    }

    fn drop_where(&mut self, gone: impl Fn(&Unfinished) -> bool) {
        if self.unfinished.is_empty() {
            return;
        }
        let mut freed = 0;
        let mut lost = 0;
        self.unfinished.retain(|_, unfinished| {
            let gone = gone(unfinished);
            if gone {
                freed += unfinished.bytes.len();
                lost += u64::from(!unfinished.broken);
            }
            !gone
        });
        self.held -= freed;
        self.lost += lost;
        // Or it would double with each inspection of a pipe that is never found empty.
        let due = self.weight().saturating_mul(2).max(Assembly::LIGHT);
        self.next_inspection = self.next_inspection.min(due);
    }

    fn weight(&self) -> usize {
        self.unfinished.len().saturating_mul(Assembly::WEIGHT).saturating_add(self.held)
    }
}

#[cfg(test)]
mod tests;

//! From bytes, as they come, to messages: the receiving half of [`Framing`], without any input or
//! output of its own.
//!
//! The bytes lie in one buffer, of which a part is filled, and of that a part has been handed out:
//!
//! ```text
//! | handed out | filled, not yet handed out | spare |
//!              ^ start                      ^ end
//! ```
//!
//! The reader fills the spare part and asks for messages until none is left. When the spare part is
//! used up, what is left is moved to the front. The buffer grows only as bytes arrive, never because a
//! length says that they will, and shrinks again when long messages have not been seen for a while.

use crate::{Error, ErrorKind, Framing, Result};
use std::ops::Range;

/// Takes bytes as they come and hands out messages.
///
/// ```
/// use ipc_core::{Deframer, Framing};
///
/// let mut deframer = Deframer::new(Framing::Lines, 80);
/// let bytes = b"one\ntw";
/// deframer.spare()[..bytes.len()].copy_from_slice(bytes);
/// deframer.filled(bytes.len());
/// let message = deframer.next_message()?.expect("a whole line is there");
/// assert_eq!(deframer.bytes(message), b"one");
/// assert_eq!(deframer.next_message()?, None); // half a line
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Deframer {
    framing: Framing,
    max_message: usize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes from `start` are known to hold no delimiter.
    scanned: usize,
    /// Inside a message that is too long: what comes is dropped, up to the next delimiter. So many bytes were
    /// since that was last told.
    skipping: Option<usize>,
    /// The stream can be read no further, because a length in it was not to be believed.
    broken: bool,
    /// How many messages have been short since the last long one.
    short_messages: u32,
}

impl Deframer {
    /// What the buffer starts with, and returns to.
    const USUAL: usize = 64 << 10;

    /// After so many short messages in a row, a buffer that has grown is given back.
    const PATIENCE: u32 = 64;

    const HEAD: usize = 4;

    /// After so many bytes of a message that is passed over, it is told again, so that one without an end
    /// holds no call that is not to wait.
    const TOLD_AGAIN: usize = 1 << 20;

    /// A deframer that believes no message longer than `max_message`, and holds nothing yet.
    pub fn new(framing: Framing, max_message: usize) -> Self {
        Deframer {
            framing,
            max_message: max_message.min(Framing::MAX),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            scanned: 0,
            skipping: None,
            broken: false,
            short_messages: 0,
        }
    }

    /// The next whole message among the bytes that have come, as a range for
    /// [`bytes`](Deframer::bytes); `None` if more must come first.
    ///
    /// # Errors
    ///
    /// [`MessageTooLarge`](ErrorKind::MessageTooLarge). After it, `lines` and `nul` go on behind the
    /// message, and fail again after each further mebibyte of it; `length` and `fixed` cannot, and fail
    /// again at every call.
    pub fn next_message(&mut self) -> Result<Option<Range<usize>>> {
        match self.framing {
            Framing::Length => match self.announced()? {
                Some(length) => Ok(self.take(Deframer::HEAD, length, 0)),
                None => Ok(None),
            },
            Framing::Fixed(size) if size as usize > self.max_message => {
                Err(self.too_large(size as usize))
            }
            Framing::Fixed(size) => Ok(self.take(0, size as usize, 0)),
            Framing::Lines | Framing::Nul => self.next_delimited(),
            Framing::Raw if self.start == self.end => Ok(None),
            Framing::Raw => Ok(self.take(0, self.held().min(self.max_message.max(1)), 0)),
        }
    }

    /// The bytes of a message. The range is good until [`spare`](Deframer::spare) is called.
    pub fn bytes(&self, message: Range<usize>) -> &[u8] {
        self.buffer.get(message).unwrap_or_default()
    }

    /// Where the next bytes go; never empty.
    pub fn spare(&mut self) -> &mut [u8] {
        self.make_room();
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that the first `count` bytes of [`spare`](Deframer::spare) have been filled.
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// Says that no more will come, and gives the last message, if the framing lets the end of the
    /// stream end a message.
    ///
    /// # Errors
    ///
    /// [`Truncated`](ErrorKind::Truncated) if the stream ended inside a message; what there was of it
    /// is dropped.
    pub fn finish(&mut self) -> Result<Option<Range<usize>>> {
        let held = self.held();
        let wanted = self.wanted();
        let tail = self.start..self.end;
        self.start = self.end;
        self.scanned = 0;
        if held == 0 || self.skipping.is_some() || self.broken {
            return Ok(None);
        }
        match self.framing {
            Framing::Lines | Framing::Nul | Framing::Raw => Ok(Some(tail)),
            Framing::Length | Framing::Fixed(_) => {
                let detail = format!("{held} bytes of {wanted} had come");
                Err(Error::new(ErrorKind::Truncated, "recv").with_detail(detail))
            }
        }
    }

    /// Gives back the bytes that have come and have not been handed out.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        self.buffer
    }

    fn held(&self) -> usize {
        self.end - self.start
    }

    /// The length that the head of the next message announces, once the head is there.
    fn announced(&mut self) -> Result<Option<usize>> {
        let head = self.buffer.get(self.start..self.end).and_then(<[u8]>::first_chunk);
        let Some(head) = head else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > self.max_message || self.broken {
            return Err(self.too_large(length));
        }
        Ok(Some(length))
    }

    /// Hands out a message of `length` bytes that has `head` bytes before it and `tail` behind, if it is
    /// there.
    fn take(&mut self, head: usize, length: usize, tail: usize) -> Option<Range<usize>> {
        let total = head.checked_add(length)?.checked_add(tail)?;
        if self.held() < total {
            return None;
        }
        let message = self.start + head..self.start + head + length;
        self.start += total;
        self.scanned = 0;
        if total > Deframer::USUAL {
            self.short_messages = 0;
        } else {
            self.short_messages = self.short_messages.saturating_add(1);
        }
        Some(message)
    }

    fn next_delimited(&mut self) -> Result<Option<Range<usize>>> {
        let delimiter = self.framing.delimiter().unwrap_or_default();
        loop {
            let unscanned = self.buffer.get(self.start + self.scanned..self.end).unwrap_or_default();
            let found = unscanned.iter().position(|byte| *byte == delimiter);
            let length = self.scanned + found.unwrap_or(unscanned.len());
            if let Some(skipped) = self.skipping.take() {
                self.start += length + usize::from(found.is_some());
                self.scanned = 0;
                if found.is_some() {
                    continue;
                }
                let skipped = skipped.saturating_add(length);
                if skipped < Deframer::TOLD_AGAIN {
                    self.skipping = Some(skipped);
                    return Ok(None);
                }
                self.skipping = Some(0);
                return Err(self.too_large(self.max_message.saturating_add(Deframer::TOLD_AGAIN)));
            }
            if length > self.max_message {
                self.skipping = Some(0);
                return Err(self.too_large(length));
            }
            self.scanned = length;
            return Ok(found.and_then(|_| self.take(0, length, 1)));
        }
    }

    fn too_large(&mut self, length: usize) -> Error {
        let (least, then) = match self.framing {
            Framing::Lines | Framing::Nul => ("at least ", "it is passed over"),
            _ => {
                self.broken = true;
                ("", "nothing behind it can be read")
            }
        };
        Error::new(ErrorKind::MessageTooLarge, "recv").with_limit(
            "max_message",
            self.max_message as u64,
            format!(
                "a message of {least}{length} bytes has come; {then}; the option max_message raises it"
            ),
        )
    }

    /// How many bytes the message at `start` has on the wire, as far as is known.
    fn wanted(&self) -> usize {
        match self.framing {
            Framing::Fixed(size) => size as usize,
            Framing::Length => {
                let head = self.buffer.get(self.start..self.end).and_then(<[u8]>::first_chunk);
                head.map_or(Deframer::HEAD, |head| {
                    Deframer::HEAD.saturating_add(u32::from_le_bytes(*head) as usize)
                })
            }
            Framing::Lines | Framing::Nul => self.held().saturating_add(1),
            Framing::Raw => 1,
        }
    }

    /// Makes the spare part at least one byte long, and as long as the rest of the message where that
    /// is known and no more than what has already come.
    fn make_room(&mut self) {
        if self.buffer.is_empty() {
            self.buffer.resize(Deframer::USUAL, 0);
        }
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > Deframer::USUAL && self.short_messages > Deframer::PATIENCE {
                self.buffer.truncate(Deframer::USUAL);
                self.buffer.shrink_to_fit();
            }
        }
        let wanted = self.wanted();
        if self.start.saturating_add(wanted) > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let double = self.end.saturating_mul(2);
            // How long a line will be, nobody knows; to grow by what is known would be byte by byte.
            let unknown = self.framing.delimiter().is_some();
            let room = if unknown { double } else { wanted.max(self.end + 1).min(double) };
            self.buffer.reserve_exact(room - self.buffer.len());
            self.buffer.resize(room, 0);
        }
    }
}

//! Receives fragments: reads as much as is there, and hands out message after message.

use crate::assembly::{Assembly, Found};
use crate::end::{ReadEnd, capacity};
use crate::fragment::PIPE_BUF;
use crate::lock;
use ipc_core::wait::sleep_until_readable;
use ipc_core::{Attempt, Endpoint, Error, ErrorKind, Pace, Result, Step, Wait, Waiter};
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsFd;

/// A receiver of fragments.
#[derive(Debug)]
pub(super) struct Fragments {
    pub(super) end: ReadEnd,
    assembly: Assembly,
    /// Bytes that have been read: those from `start` to `filled` have not been looked at.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    waiter: Waiter,
    pace: Pace,
    ended: bool,
    /// How many lost messages there were when it was last told.
    told: u64,
}

/// Where a message is.
pub(super) enum Message {
    Here(Range<usize>),
    Assembled,
}

impl Fragments {
    /// As much as a FIFO usually holds, and the beginning of a fragment from the read before.
    const BUFFER: usize = (64 << 10) + PIPE_BUF;

    pub(super) fn new(end: ReadEnd, endpoint: &Endpoint) -> Result<Self> {
        let options = endpoint.options();
        Ok(Fragments {
            end,
            assembly: Assembly::new(options.longest_message()),
            buffer: vec![0; Fragments::BUFFER],
            start: 0,
            filled: 0,
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            pace: Pace::new(),
            ended: false,
            told: 0,
        })
    }

    pub(super) fn recv(&mut self, wait: Wait) -> Result<Message> {
        let mut attempt = Attempt::new(wait);
        loop {
            if let Some(message) = self.take()? {
                attempt.succeeded(&mut self.waiter);
                self.pace.hands_out();
                return Ok(message);
            }
            if self.ended {
                return Err(self.end_of_conversation());
            }
            self.pace.before_read(wait);
            match self.read(wait) {
                Ok(0) => self.ended = true,
                Ok(_) => {
                    attempt.progressed(&mut self.waiter).map_err(|kind| Error::new(kind, "recv"))?
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.wait(&mut attempt)?,
                    _ => return Err(Error::from_io(error, "recv")),
                },
            }
        }
    }

    /// A message that has been received.
    pub(super) fn bytes(&self, message: Message) -> &[u8] {
        match message {
            Message::Here(at) => self.buffer.get(at).unwrap_or_default(),
            Message::Assembled => self.assembly.message(),
        }
    }

    /// See [`FifoReceiver::lost`](super::FifoReceiver::lost).
    pub(super) fn lost(&self) -> u64 {
        self.assembly.lost()
    }

    /// The next message among the bytes that have been read.
    fn take(&mut self) -> Result<Option<Message>> {
        let bytes = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let (done, found) = self.assembly.take(bytes);
        let before = self.start;
        self.start += done;
        match found {
            Found::Here(at) => Ok(Some(Message::Here(at.start + before..at.end + before))),
            Found::Assembled => Ok(Some(Message::Assembled)),
            Found::Nothing => Ok(None),
            Found::TooLarge(length) => {
                let limit = self.assembly.max_message() as u64;
                Err(Error::new(ErrorKind::MessageTooLarge, "recv").with_limit(
                    "max_message",
                    limit,
                    format!("one of {length} bytes has come; it is passed over; the option max_message raises it"),
                ))
            }
            Found::Garbage(length) => Err(corrupted(length)),
        }
    }

    fn read(&mut self, wait: Wait) -> io::Result<usize> {
        // If it sleeps at once, and an empty FIFO tells nothing new about unfinished messages, one call does.
        let sleeps = wait == Wait::Forever && self.waiter.never_spins();
        let nothing_begun = self.start == self.filled && self.assembly.is_empty();
        // What is left is less than a fragment.
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        let spare = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let count = match sleeps && nothing_begun {
            true => self.end.read_when_there(spare)?,
            false => self.end.read(spare)?,
        };
        self.filled += count;
        self.pace.has_read(count);
        if self.assembly.wants_inspection() {
            self.inspect();
        }
        self.assembly.bury(false);
        Ok(count)
    }

    /// The FIFO is empty: sleeps until it is not.
    fn wait(&mut self, attempt: &mut Attempt) -> Result<()> {
        self.reject_rest()?;
        let system = |error| Error::from_io(error, "recv");
        let mut step = attempt.next(&mut self.waiter);
        while step == Ok(Step::Look) {
            if self.end.is_ready().map_err(system)? {
                return Ok(());
            }
            step = attempt.next(&mut self.waiter);
        }
        // Who was condemned before the FIFO was found empty has left nothing in it.
        self.assembly.bury(true);
        if self.inspect() {
            return Ok(());
        }
        match step {
            Ok(Step::Sleep(limit)) => sleep_until_readable(self.end.as_fd(), limit).map_err(system),
            Ok(Step::Look) => Ok(()),
            Err(kind) => Err(Error::new(kind, "recv")),
        }
    }

    /// Looks which of the writers with unfinished messages have died; says whether any has.
    fn inspect(&mut self) -> bool {
        if self.assembly.is_empty() {
            return false;
        }
        let end = self.end.as_fd();
        // Without a capacity, nothing is proved before the FIFO is empty.
        let ahead = capacity(end).map_or(u64::MAX, |capacity| capacity as u64);
        let ahead = ahead.saturating_add((self.filled - self.start) as u64);
        self.assembly.condemn(ahead, |writer| lock::is_free(end, writer) == Ok(true))
    }

    /// Half a fragment in an empty FIFO is none: a fragment is written in one piece.
    fn reject_rest(&mut self) -> Result<()> {
        if self.start == self.filled {
            return Ok(());
        }
        let bytes = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let rejected = self.assembly.reject(bytes);
        self.start += rejected;
        Err(corrupted(rejected))
    }

    fn end_of_conversation(&mut self) -> Error {
        if let Err(error) = self.reject_rest() {
            return error;
        }
        self.assembly.bury_all();
        let lost = self.assembly.lost() - self.told;
        if lost == 0 {
            return Error::new(ErrorKind::Disconnected, "recv");
        }
        self.told += lost;
        let detail = format!("messages that were begun and never finished: {lost}");
        Error::new(ErrorKind::Truncated, "recv").with_detail(detail)
    }
}

fn corrupted(bytes: usize) -> Error {
    let detail =
        format!("{bytes} bytes or more are no fragment: somebody writes without framing=length");
    Error::new(ErrorKind::Corrupted, "recv").with_detail(detail)
}

//! The receiving half: reads as much as is there, and hands out message after message.

use crate::wait::sleep_until_readable;
use crate::{Attempt, Deframer, Endpoint, Error, ErrorKind, Pace, Receiver, Result, Step, Wait, Waiter};
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Reads as soon as there is something; see [`FramedReceiver::with_waiting_read`].
type ReadWhenThere<R> = fn(&mut R, &mut [u8]) -> io::Result<usize>;

/// Receives framed messages out of a stream of bytes.
#[derive(Debug)]
pub struct FramedReceiver<R: Read + AsFd> {
    source: R,
    /// How to wait and read in one call, if there is a way.
    read_when_there: Option<ReadWhenThere<R>>,
    deframer: Deframer,
    waiter: Waiter,
    pace: Pace,
    endpoint: Arc<str>,
    ended: bool,
}

impl<R: Read + AsFd> FramedReceiver<R> {
    /// A receiver out of `source`, which must not block, with the endpoint's framing, limit and waiting.
    pub fn new(source: R, endpoint: &Endpoint) -> Self {
        let options = endpoint.options();
        FramedReceiver {
            source,
            read_when_there: None,
            deframer: Deframer::new(options.framing.unwrap_or_default(), options.longest_message()),
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            pace: Pace::new(),
            endpoint: Arc::clone(endpoint.text()),
            ended: false,
        }
    }

    /// Where a call is to sleep at once and for as long as it takes, it makes one call of `read`, which may
    /// block, instead of three: a look, poll(2), and the read. If `read` says that it would block after
    /// all, those three are made from then on.
    pub fn with_waiting_read(mut self, read: fn(&mut R, &mut [u8]) -> io::Result<usize>) -> Self {
        self.read_when_there = Some(read);
        self
    }

    /// The stream. Bytes that were read ahead are not in it any more.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    /// The stream, to change its state; what is read from it here is missing from the messages.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    /// Takes the receiver apart: the stream, and the bytes that were read ahead of the messages.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        (self.source, self.deframer.into_bytes())
    }

    fn recv_one(&mut self, wait: Wait) -> Result<Range<usize>> {
        let mut attempt = Attempt::new(wait);
        let mut has_read = false;
        loop {
            if let Some(message) = self.deframer.next_message()? {
                attempt.succeeded(&mut self.waiter);
                self.pace.hands_out();
                return Ok(message);
            }
            if self.ended {
                let last = self.deframer.finish()?;
                return last.ok_or_else(|| Error::new(ErrorKind::Disconnected, "recv"));
            }
            if has_read {
                has_read = false;
                attempt.progressed(&mut self.waiter).map_err(|kind| Error::new(kind, "recv"))?;
            }
            self.pace.before_read(wait);
            match self.read(wait) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.deframer.filled(count);
                    self.pace.has_read(count);
                    has_read = true;
                }
                Err(error) => self.wait_for_bytes(error, &mut attempt)?,
            }
        }
    }

    fn read(&mut self, wait: Wait) -> io::Result<usize> {
        let spare = self.deframer.spare();
        match self.read_when_there {
            Some(read) if wait == Wait::Forever && self.waiter.never_spins() => {
                match read(&mut self.source, spare) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.read_when_there = None;
                        self.source.read(spare)
                    }
                    result => result,
                }
            }
            _ => self.source.read(spare),
        }
    }

    fn wait_for_bytes(&mut self, error: io::Error, attempt: &mut Attempt) -> Result<()> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::WouldBlock => match attempt.next(&mut self.waiter) {
                Ok(Step::Look) => {
                    self.pace.between_looks();
                    Ok(())
                }
                Ok(Step::Sleep(limit)) => sleep_until_readable(self.source.as_fd(), limit)
                    .map_err(|error| Error::from_io(error, "recv")),
                Err(kind) => Err(Error::new(kind, "recv")),
            },
            io::ErrorKind::ConnectionReset => {
                self.ended = true;
                Ok(())
            }
            _ => Err(Error::from_io(error, "recv")),
        }
    }
}

impl<R: Read + AsFd + Send> Receiver for FramedReceiver<R> {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        match self.recv_one(wait) {
            Ok(message) => Ok(self.deframer.bytes(message)),
            Err(error) => Err(error.at(&self.endpoint)),
        }
    }
}

impl<R: Read + AsFd> AsFd for FramedReceiver<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

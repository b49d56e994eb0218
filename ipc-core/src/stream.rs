//! Senders and receivers over any stream of bytes with a descriptor: what pipes, TCP and Unix streams
//! have in common.
//!
//! A transport brings something that can [`Read`] or [`Write`] without blocking (an
//! [`ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock) is the sign to wait) and has a descriptor to
//! wait on; framing, deadlines, partial writes and the end of the stream are dealt with here, once.

use crate::wait::{sleep_until_readable, sleep_until_writable};
use crate::{Attempt, Deframer, Endpoint, Error, ErrorKind, Frame, Framing, Receiver, Result, Sender};
use crate::{Step, Wait, Waiter};
use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// Sends framed messages into a stream of bytes.
#[derive(Debug)]
pub struct FramedSender<W: Write + AsFd> {
    sink: W,
    framing: Framing,
    max_message: usize,
    waiter: Waiter,
    endpoint: Arc<str>,
    /// The rest of a message that was accepted when only a part of it had gone out, and how much of
    /// that rest has gone out since.
    rest: Vec<u8>,
    rest_sent: usize,
    /// A part of a message has gone out and the rest never will.
    disconnected: bool,
    /// Where short frames are put together, so that one plain write takes them.
    short: Vec<u8>,
}

impl<W: Write + AsFd> FramedSender<W> {
    /// How long a dropped sender tries to get the rest of an accepted message out.
    pub const LINGER: Duration = Duration::from_secs(1);

    /// Frames up to this length are copied and written in one piece: below it, that takes less time than
    /// the kernel needs for a second piece (writev(2)).
    const SHORT: usize = 4096;

    /// A sender into `sink`, which must not block, with the endpoint's framing, limit and waiting.
    pub fn new(sink: W, endpoint: &Endpoint) -> Self {
        let options = endpoint.options();
        FramedSender {
            sink,
            framing: options.framing.unwrap_or_default(),
            max_message: options.max_message.unwrap_or(Framing::DEFAULT_MAX),
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            endpoint: Arc::clone(endpoint.text()),
            rest: Vec::new(),
            rest_sent: 0,
            disconnected: false,
            short: Vec::new(),
        }
    }

    /// The stream.
    pub fn get_ref(&self) -> &W {
        &self.sink
    }

    /// The stream, to change its state; what is written to it here goes between the frames.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.sink
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    fn send_one(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        let frame = self.framing.frame(message, self.max_message)?;
        let mut attempt = Attempt::new(wait);
        self.send_rest(&mut attempt)?;
        let mut sent = 0;
        loop {
            match self.write_frame(&frame, sent) {
                Ok(count) => {
                    sent += count;
                    if sent >= frame.wire_len() {
                        attempt.succeeded(&mut self.waiter);
                        return Ok(());
                    }
                    if attempt.progressed(&mut self.waiter).is_err() {
                        self.keep_rest(&frame, sent);
                        return Ok(());
                    }
                }
                Err(error) => match self.wait_for_room(error, &mut attempt) {
                    Ok(()) => {}
                    Err(error) if sent == 0 => return Err(error),
                    Err(error) if is_out_of_time(&error) => {
                        self.keep_rest(&frame, sent);
                        return Ok(());
                    }
                    Err(error) => {
                        self.disconnected = true;
                        return Err(error);
                    }
                },
            }
        }
    }

    fn write_frame(&mut self, frame: &Frame<'_>, sent: usize) -> io::Result<usize> {
        if sent == 0 && frame.wire_len() <= Self::SHORT {
            self.short.clear();
            frame.parts().iter().for_each(|part| self.short.extend_from_slice(part));
            return self.sink.write(&self.short);
        }
        let mut slices = frame.parts().map(IoSlice::new);
        let mut slices = slices.as_mut_slice();
        IoSlice::advance_slices(&mut slices, sent);
        self.sink.write_vectored(slices)
    }

    fn keep_rest(&mut self, frame: &Frame<'_>, mut sent: usize) {
        self.rest.clear();
        self.rest_sent = 0;
        for part in frame.parts() {
            let skip = sent.min(part.len());
            sent -= skip;
            self.rest.extend_from_slice(part.get(skip..).unwrap_or_default());
        }
    }

    fn send_rest(&mut self, attempt: &mut Attempt) -> Result<()> {
        if self.disconnected {
            return Err(Error::new(ErrorKind::Disconnected, "send"));
        }
        while let Some(rest @ [_, ..]) = self.rest.get(self.rest_sent..) {
            match self.sink.write(rest) {
                Ok(count) => {
                    self.rest_sent += count;
                    if self.rest_sent < self.rest.len() {
                        let progressed = attempt.progressed(&mut self.waiter);
                        progressed.map_err(|kind| Error::new(kind, "send"))?;
                    }
                }
                Err(error) => self.wait_for_room(error, attempt)?,
            }
        }
        if !self.rest.is_empty() {
            // Rare, and may have been long: not worth keeping.
            self.rest = Vec::new();
            self.rest_sent = 0;
        }
        Ok(())
    }

    fn wait_for_room(&mut self, error: io::Error, attempt: &mut Attempt) -> Result<()> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::WouldBlock => match attempt.next(&mut self.waiter) {
                Ok(Step::Look) => Ok(()),
                Ok(Step::Sleep(limit)) => sleep_until_writable(self.sink.as_fd(), limit)
                    .map_err(|error| Error::from_io(error, "send")),
                Err(kind) => Err(Error::new(kind, "send")),
            },
            _ => Err(Error::from_io(error, "send")),
        }
    }
}

impl<W: Write + AsFd + Send> Sender for FramedSender<W> {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.send_one(message, wait).map_err(|error| error.at(&self.endpoint))
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        self.send_rest(&mut Attempt::new(wait)).map_err(|error| error.at(&self.endpoint))
    }
}

/// Tries for [`LINGER`](FramedSender::LINGER) to get out what was accepted.
impl<W: Write + AsFd> Drop for FramedSender<W> {
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            // The receiver is told by what it gets: `Truncated`.
            let _ = self.send_rest(&mut Attempt::new(Wait::timeout(Self::LINGER)));
        }
    }
}

impl<W: Write + AsFd> AsFd for FramedSender<W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sink.as_fd()
    }
}

fn is_out_of_time(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Receives framed messages out of a stream of bytes.
#[derive(Debug)]
pub struct FramedReceiver<R: Read + AsFd> {
    source: R,
    deframer: Deframer,
    waiter: Waiter,
    endpoint: Arc<str>,
    ended: bool,
}

impl<R: Read + AsFd> FramedReceiver<R> {
    /// A receiver out of `source`, which must not block, with the endpoint's framing, limit and waiting.
    pub fn new(source: R, endpoint: &Endpoint) -> Self {
        let options = endpoint.options();
        FramedReceiver {
            source,
            deframer: Deframer::new(
                options.framing.unwrap_or_default(),
                options.max_message.unwrap_or(Framing::DEFAULT_MAX),
            ),
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            endpoint: Arc::clone(endpoint.text()),
            ended: false,
        }
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
            match self.source.read(self.deframer.spare()) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.deframer.filled(count);
                    has_read = true;
                }
                Err(error) => self.wait_for_bytes(error, &mut attempt)?,
            }
        }
    }

    fn wait_for_bytes(&mut self, error: io::Error, attempt: &mut Attempt) -> Result<()> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::WouldBlock => match attempt.next(&mut self.waiter) {
                Ok(Step::Look) => Ok(()),
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

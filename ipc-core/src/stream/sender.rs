//! The sending half: partial writes, what is left of a message when the time is over, and batches.

use crate::wait::sleep_until_writable;
use crate::{Attempt, Endpoint, Error, ErrorKind, Frame, Framing, Result, Sender, Step, Wait, Waiter};
use std::io::{self, IoSlice, Write};
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
    /// The process that accepted it.
    rest_owner: u32,
    /// A part of a message has gone out and the rest never will.
    disconnected: bool,
    /// Where short frames are put together, so that one plain write takes them.
    short: Vec<u8>,
}

impl<W: Write + AsFd> FramedSender<W> {
    /// How long a dropped sender tries to get the rest of an accepted message out.
    pub const LINGER: Duration = Duration::from_secs(1);

    /// Frames up to this length are copied and written in one piece: below it, that takes less time than
    /// the kernel needs for a second piece (writev(2)). Batches are gathered up to this length, which is
    /// also `PIPE_BUF`: a pipe takes a write of as much in one piece, so that several writers cannot tear
    /// each other's short messages apart. A longer batch would gain nothing worth that.
    const SHORT: usize = 4096;

    /// The memory for the rest of a message is used again, as whoever polls a full stream needs it often; unless
    /// it is larger than this.
    const KEPT: usize = 64 << 10;

    /// A sender into `sink`, which must not block, with the endpoint's framing, limit and waiting.
    pub fn new(sink: W, endpoint: &Endpoint) -> Self {
        let options = endpoint.options();
        FramedSender {
            sink,
            framing: options.framing.unwrap_or_default(),
            max_message: options.longest_message(),
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            endpoint: Arc::clone(endpoint.text()),
            rest: Vec::new(),
            rest_sent: 0,
            rest_owner: 0,
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
        if frame.wire_len() == 0 {
            return Ok(());
        }
        let mut sent = 0;
        loop {
            match self.write_frame(&frame, sent).and_then(moved) {
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

    /// Puts as many short messages into one write as it takes, and sends the long ones by themselves.
    fn send_many(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        let mut sent = 0;
        while let Some(rest @ [first, ..]) = messages.get(sent..) {
            let result = match self.send_rest(&mut Attempt::new(wait)).map(|()| self.gather(rest)) {
                Ok(0 | 1) => self.send_one(first, wait).map(|()| 1),
                Ok(count) => self.send_gathered(rest.get(..count).unwrap_or_default(), wait),
                Err(error) => Err(error),
            };
            match result {
                Ok(count) => sent += count,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
            if !self.rest.is_empty() {
                break;
            }
        }
        Ok(sent)
    }

    /// Fills `short` with frames from the front of `messages`; says how many. One that cannot be sent at all
    /// is left for the end, where it fails by itself.
    fn gather(&mut self, messages: &[&[u8]]) -> usize {
        self.short.clear();
        let mut count = 0;
        for message in messages {
            let room = Self::SHORT - self.short.len();
            if message.len() > room {
                break;
            }
            match self.framing.frame(message, self.max_message) {
                Ok(frame) if frame.wire_len() <= room => {
                    frame.parts().iter().for_each(|part| self.short.extend_from_slice(part));
                    count += 1;
                }
                _ => break,
            }
        }
        count
    }

    /// Sends `messages`, which have been gathered, and says how many were accepted: when the time is over,
    /// those that have gone out, and the one of which a part has.
    fn send_gathered(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        let mut attempt = Attempt::new(wait);
        let mut sent = 0;
        while let Some(unsent @ [_, ..]) = self.short.get(sent..) {
            let failure = match self.sink.write(unsent).and_then(moved) {
                Ok(count) => {
                    sent += count;
                    if sent >= self.short.len() {
                        break;
                    }
                    let over = attempt.progressed(&mut self.waiter).err();
                    over.map(|kind| Error::new(kind, "send"))
                }
                Err(error) => self.wait_for_room(error, &mut attempt).err(),
            };
            match failure {
                None => {}
                Some(error) if sent == 0 => return Err(error),
                Some(error) => {
                    let (accepted, end) = self.accepted(messages, sent);
                    if sent == end {
                        return Ok(accepted);
                    }
                    if is_out_of_time(&error) {
                        self.begin_rest();
                        self.rest.extend_from_slice(self.short.get(sent..end).unwrap_or_default());
                        return Ok(accepted);
                    }
                    self.disconnected = true;
                    return if accepted > 1 { Ok(accepted - 1) } else { Err(error) };
                }
            }
        }
        attempt.succeeded(&mut self.waiter);
        Ok(messages.len())
    }

    /// How many of the gathered `messages` have begun within the first `sent` bytes, and where the last of
    /// them ends.
    fn accepted(&self, messages: &[&[u8]], sent: usize) -> (usize, usize) {
        let (mut count, mut end) = (0, 0);
        for message in messages {
            match self.framing.frame(message, self.max_message) {
                Ok(frame) if end < sent => end += frame.wire_len(),
                _ => break,
            }
            count += 1;
        }
        (count, end)
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

    fn begin_rest(&mut self) {
        self.rest.clear();
        self.rest_sent = 0;
        self.rest_owner = std::process::id();
    }

    fn keep_rest(&mut self, frame: &Frame<'_>, mut sent: usize) {
        self.begin_rest();
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
            match self.sink.write(rest).and_then(moved) {
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
            self.rest.clear();
            self.rest_sent = 0;
            if self.rest.capacity() > Self::KEPT {
                self.rest = Vec::new();
            }
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

    /// Short messages share writes of up to 4,096 bytes.
    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        self.send_many(messages, wait).map_err(|error| error.at(&self.endpoint))
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        self.send_rest(&mut Attempt::new(wait)).map_err(|error| error.at(&self.endpoint))
    }
}

/// Tries for [`LINGER`](FramedSender::LINGER) to get out what was accepted.
impl<W: Write + AsFd> Drop for FramedSender<W> {
    fn drop(&mut self) {
        // A forked child has a copy of the rest, which its parent sends.
        if !self.rest.is_empty() && self.rest_owner == std::process::id() {
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

/// How many bytes a write has moved. One that moves none, and does not say why, never will.
fn moved(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}

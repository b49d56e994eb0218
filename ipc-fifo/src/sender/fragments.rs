//! Sends messages as fragments, each in one write.

use crate::end::{WriteEnd, capacity};
use crate::fork::Origin;
use crate::fragment::{Fragment, HEADER, Kind, PAYLOAD, PIPE_BUF};
use crate::lock;
use ipc_core::wait::sleep_until_writable;
use ipc_core::{Attempt, Endpoint, Error, ErrorKind, Result, Step, Wait, Waiter, Waiting};
use nix::errno::Errno;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// A sender of fragments.
#[derive(Debug)]
pub(super) struct Fragments {
    pub(super) end: WriteEnd,
    writer: u64,
    /// The number of the next message.
    message: u64,
    /// The message before was given up when a part of it had been sent.
    owes_notice: bool,
    max_message: usize,
    capacity: usize,
    waiter: Waiter,
    /// What goes out in one piece.
    batch: Vec<u8>,
    origin: Origin,
}

impl Fragments {
    /// Pieces of at most so many bytes are copied to stand behind their header.
    const SHORT: usize = 1024;

    pub(super) fn new(end: WriteEnd, endpoint: &Endpoint, origin: Origin) -> Result<Self> {
        let options = endpoint.options();
        Ok(Fragments {
            writer: register(end.as_fd())?,
            capacity: capacity(end.as_fd())?,
            end,
            message: 0,
            owes_notice: false,
            max_message: options.longest_message(),
            // A sender that spins on a full FIFO fills each page as soon as it is read: both ends then work
            // page by page, several times slower than if it sleeps until there is much room.
            waiter: Waiter::new(options.waiting.unwrap_or(Waiting::Block)),
            batch: Vec::new(),
            origin,
        })
    }

    pub(super) fn send(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        self.check(message, wait)?;
        let mut attempt = Attempt::new(wait);
        let mut rest = message;
        loop {
            let (piece, behind) = rest.split_at_checked(PAYLOAD).unwrap_or((rest, &[]));
            let offset = message.len() - rest.len();
            let header = self.piece(piece.len(), message.len(), offset).header();
            if let Err(error) = self.write(&header, piece, &mut attempt) {
                if offset > 0 {
                    // It is not sent any more: the next message, or a notice, tells the receiver.
                    self.message = self.message.wrapping_add(1);
                    self.owes_notice = true;
                }
                return Err(error);
            }
            rest = behind;
            if rest.is_empty() {
                attempt.succeeded(&mut self.waiter);
                self.message = self.message.wrapping_add(1);
                self.owes_notice = false;
                return Ok(());
            }
            // A failure to go on shows at the next write: what is sent without waiting is sent.
            let _ = attempt.progressed(&mut self.waiter);
        }
    }

    /// Puts as many messages into one write as it takes.
    pub(super) fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        let mut sent = 0;
        while let Some(rest @ [first, ..]) = messages.get(sent..) {
            let together = self.gather(rest);
            let result = match together {
                0 | 1 => self.send(first, wait),
                _ => self.send_gathered(wait),
            };
            match result {
                Ok(()) => {
                    if together > 1 {
                        self.message = self.message.wrapping_add(together as u64);
                        self.owes_notice = false;
                    }
                    sent += together.max(1);
                }
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// Fills the batch from the front of `messages`; says with how many.
    fn gather(&mut self, messages: &[&[u8]]) -> usize {
        self.batch.clear();
        let mut count = 0;
        for message in messages {
            let room = PIPE_BUF - self.batch.len();
            if HEADER + message.len() > room || message.len() > self.max_message {
                break;
            }
            let mut fragment = self.piece(message.len(), message.len(), 0);
            fragment.message = self.message.wrapping_add(count as u64);
            self.batch.extend_from_slice(&fragment.header());
            self.batch.extend_from_slice(message);
            count += 1;
        }
        count
    }

    fn send_gathered(&mut self, wait: Wait) -> Result<()> {
        self.check(&[], wait)?;
        let mut attempt = Attempt::new(wait);
        let batch = std::mem::take(&mut self.batch);
        let result = self.write(&batch, &[], &mut attempt);
        self.batch = batch;
        result.map(|()| attempt.succeeded(&mut self.waiter))
    }

    fn check(&self, message: &[u8], wait: Wait) -> Result<()> {
        if message.len() > self.max_message {
            return Err(Error::new(ErrorKind::MessageTooLarge, "send").with_limit(
                "max_message",
                self.max_message as u64,
                format!("the message has {} bytes; the option max_message raises it", message.len()),
            ));
        }
        // Each fragment fills a page of the FIFO's.
        let pages = message.len().div_ceil(PAYLOAD);
        if wait == Wait::Never && pages > self.capacity.div_ceil(PIPE_BUF) {
            return Err(Error::new(ErrorKind::WouldBlock, "send").with_limit(
                "capacity",
                self.capacity as u64,
                "the message is longer, and so cannot be sent without waiting",
            ));
        }
        Ok(())
    }

    fn piece(&self, length: usize, total: usize, offset: usize) -> Fragment {
        let kind = Kind::Piece { length, total, offset };
        Fragment { writer: self.writer, message: self.message, kind }
    }

    /// One write, whole or not at all, as soon as there is room.
    fn write(&mut self, head: &[u8], tail: &[u8], attempt: &mut Attempt) -> Result<()> {
        // Short parts are put together, which costs less than to hand over two.
        let together = tail.len() <= Self::SHORT;
        if together && !tail.is_empty() {
            self.batch.clear();
            self.batch.extend_from_slice(head);
            self.batch.extend_from_slice(tail);
        }
        loop {
            let written = match (together, tail) {
                (_, []) => self.end.write(head),
                (true, _) => self.end.write(&self.batch),
                (false, _) => self.end.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]),
            };
            let error = match written {
                Ok(count) if count == head.len() + tail.len() => return Ok(()),
                Ok(_) => {
                    let detail = "the system has cut a write that it promises not to cut";
                    return Err(Error::new(ErrorKind::Corrupted, "send").with_detail(detail));
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => self.wait_for_room(attempt)?,
                _ => return Err(Error::from_io(error, "send")),
            }
        }
    }

    /// If poll(2) says that there is room, a whole page of the FIFO is free, and that is as much as a write
    /// here ever needs: so this and the write do not chase each other.
    fn wait_for_room(&mut self, attempt: &mut Attempt) -> Result<()> {
        let system = |error| Error::from_io(error, "send");
        loop {
            match attempt.next(&mut self.waiter) {
                Ok(Step::Look) if self.end.is_ready().map_err(system)? => return Ok(()),
                Ok(Step::Look) => {}
                Ok(Step::Sleep(limit)) => {
                    return sleep_until_writable(self.end.as_fd(), limit).map_err(system);
                }
                Err(kind) => return Err(Error::new(kind, "send")),
            }
        }
    }
}

/// Tells the receiver of a message that was given up, if there is room: so it is not counted as lost.
impl Drop for Fragments {
    fn drop(&mut self) {
        if self.owes_notice && self.origin.is_here() {
            let message = self.message;
            let header = Fragment { writer: self.writer, message, kind: Kind::GiveUp }.header();
            let _ = self.end.write(&header);
        }
    }
}

/// Takes a number that no other writer of this FIFO has, and locks its byte, so that everybody can see
/// whether its holder is alive.
fn register(fd: BorrowedFd<'_>) -> Result<u64> {
    loop {
        let writer = (crate::random::random() % lock::END).max(lock::OWNER + 1);
        match lock::exclusively(fd, writer) {
            Ok(()) => return Ok(writer),
            Err(Errno::EAGAIN | Errno::EACCES) => {}
            Err(errno) => return Err(Error::from_io(errno.into(), "open")),
        }
    }
}

//! Messages in place: written into the ring and read out of it without a copy, for peers that trust each
//! other. It pays for long messages: what it spares is a copy on each side, next to nothing for short ones.
//!
//! What safe code must never do is done here, under an unsafe contract: to hold plain bytes over memory that
//! another process could change.

use super::core::Record;
use super::{ShmReceiver, ShmSender};
use ipc_core::{Error, ErrorKind, Result, Wait};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

impl ShmSender {
    /// The longest message that [`loan`](ShmSender::loan) has room for, in bytes: half of the ring, less 8.
    ///
    /// Beyond three eighths of the ring, it may have to wait until the receiver looks for its next message,
    /// though that has read all before.
    pub fn max_loan(&self) -> usize {
        self.producer.max_record()
    }

    /// Room in the ring for a message of `len` bytes, to be written in place and then
    /// [committed](Loan::commit): it is not copied. Dropped without that, nothing was sent.
    ///
    /// It pays for long messages, from some kilobytes on: short ones go faster by `send`.
    ///
    /// The bytes are at first whatever was there before. They begin at a multiple of 8.
    ///
    /// # Errors
    ///
    /// Those of `send`; [`MessageTooLarge`](ErrorKind::MessageTooLarge) beyond
    /// [`max_loan`](ShmSender::max_loan).
    ///
    /// # Safety
    ///
    /// As long as the loan lives, the other process neither reads nor writes these bytes. That is so if it
    /// uses this crate and can be trusted not to do anything else with the memory.
    pub unsafe fn loan(&mut self, len: usize, wait: Wait) -> Result<Loan<'_>> {
        match self.reserve(len, wait) {
            Ok(record) => Ok(Loan { sender: self, record }),
            Err(error) => Err(self.failed(error)),
        }
    }
}

/// Room for a message in the ring; see [`ShmSender::loan`].
#[must_use = "dropped without `commit`, nothing is sent"]
#[derive(Debug)]
pub struct Loan<'a> {
    sender: &'a mut ShmSender,
    record: Record,
}

impl Loan<'_> {
    /// Sends it.
    pub fn commit(self) {
        let Loan { sender, record } = self;
        sender.producer.publish(record);
        sender.link.count(record.len);
    }

    fn payload(&self) -> NonNull<u8> {
        let memory = self.sender.producer.memory();
        memory.payload(self.record.words(memory))
    }
}

impl Deref for Loan<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the room was checked to lie in the data, which is mapped as long as the sender, which this
        // borrows; who called `loan` has promised that the other process leaves it alone, and we ourselves
        // write to it only through `deref_mut`.
        unsafe { std::slice::from_raw_parts(self.payload().as_ptr(), self.record.len) }
    }
}

impl DerefMut for Loan<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` is the only way to it in this process.
        unsafe { std::slice::from_raw_parts_mut(self.payload().as_ptr(), self.record.len) }
    }
}

impl ShmReceiver {
    /// Receives one message in place: it is not copied, and its room is the sender's again when the
    /// result is dropped.
    ///
    /// Only messages that lie in the ring in one piece can be had like this: those that were sent with up
    /// to a quarter of its capacity, or [loaned](super::ShmSender::loan) with up to half.
    ///
    /// # Errors
    ///
    /// Those of [`recv_within`](ipc_core::Receiver::recv_within), and [`Unsupported`](ErrorKind::Unsupported) if the next
    /// message is in pieces: `recv` gets it.
    ///
    /// # Safety
    ///
    /// As long as the result lives, the other process writes nothing into these bytes. That is so if it
    /// uses this crate and can be trusted not to do anything else with the memory.
    pub unsafe fn borrow(&mut self, wait: Wait) -> Result<Borrowed<'_>> {
        match self.next_record(wait) {
            Ok(record) if record.more || self.partial > 0 => {
                let error = Error::new(ErrorKind::Unsupported, "borrow").at(self.link.endpoint());
                Err(error.with_detail("the message is in pieces, too long for its ring; use recv"))
            }
            Ok(record) => Ok(Borrowed { receiver: self, record }),
            Err(error) => {
                // `recv`, too, asks first whether anything goes at all.
                self.is_plain = false;
                Err(error.at(self.link.endpoint()))
            }
        }
    }
}

/// A message in the ring; see [`ShmReceiver::borrow`]. Dropping it gives its room back to the sender.
#[derive(Debug)]
pub struct Borrowed<'a> {
    receiver: &'a mut ShmReceiver,
    record: Record,
}

impl Deref for Borrowed<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let memory = self.receiver.consumer.memory();
        let payload = memory.payload(self.record.words(memory));
        // SAFETY: the record was checked to lie in the data, which is mapped as long as the receiver, which
        // this borrows; who called `borrow` has promised that nobody writes to it meanwhile, and we
        // ourselves only do when the record is gone beyond, in `drop`.
        unsafe { std::slice::from_raw_parts(payload.as_ptr(), self.record.len) }
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let receiver = &mut *self.receiver;
        receiver.consumer.advance(self.record);
        receiver.link.count(self.record.len);
    }
}

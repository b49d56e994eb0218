//! The contract: what every sender, receiver and pair of every transport does.
//!
//! Each sentence below is a rule of the conformance suite, unless it says otherwise.
//!
//! * A message is a run of bytes, and may be empty. It arrives whole or not at all.
//! * Messages of one sender arrive in the order in which they were sent.
//! * A `send` that returned `Ok` has accepted the message: it will arrive if the connection lasts and
//!   the receiver goes on reading. A `send` that failed has sent nothing, and may be tried again.
//! * When the peer is gone, what it had sent is read first; then, and at every call after,
//!   [`ErrorKind::Disconnected`](crate::ErrorKind::Disconnected).
//! * Nobody waits longer than asked, whatever signals arrive and however slowly bytes trickle in.

use crate::{Error, Wait};
use std::time::Duration;

/// The end of a channel that messages go into.
///
/// One method is required, [`send_within`](Sender::send_within); all else is provided. The trait is
/// object-safe: `Box<dyn Sender>` is a sender of any transport.
///
/// # Errors
///
/// Every method that sends fails with the kinds below; a transport adds those of its own.
///
/// | kind | meaning |
/// |---|---|
/// | [`WouldBlock`](crate::ErrorKind::WouldBlock) | no room, and the call was not to wait |
/// | [`TimedOut`](crate::ErrorKind::TimedOut) | no room within the time |
/// | [`Disconnected`](crate::ErrorKind::Disconnected) | the receiver is gone, and will not come back |
/// | [`MessageTooLarge`](crate::ErrorKind::MessageTooLarge) | longer than this transport takes; nothing was sent, the channel is as good as before |
/// | [`InvalidMessage`](crate::ErrorKind::InvalidMessage) | these bytes cannot be told apart in this framing (a newline in a line; not N bytes where it is `fixed:N`) |
pub trait Sender: Send {
    /// Sends one message, waiting for room at most as long as `wait` says.
    ///
    /// `Ok` means accepted, not delivered. A message of which a part was already on its way when the
    /// time ran out counts as accepted: the rest is kept, and goes out first at the next call, at
    /// [`flush`](Sender::flush), or when the sender is dropped.
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<(), Error>;

    /// Sends one message, waiting for room as long as it takes.
    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.send_within(message, Wait::Forever)
    }

    /// Sends one message if there is room for it now.
    fn try_send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.send_within(message, Wait::Never)
    }

    /// Sends one message, waiting for room at most `timeout`.
    fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<(), Error> {
        self.send_within(message, Wait::timeout(timeout))
    }

    /// Sends several messages, in order, with as few system calls as the transport can.
    ///
    /// Returns how many were sent. That is all of them, unless time ran out or an error came after
    /// the first; an error at the very first message is returned as such, with nothing sent.
    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize, Error> {
        for (sent, message) in messages.iter().enumerate() {
            if let Err(error) = self.send_within(message, wait) {
                return if sent == 0 { Err(error) } else { Ok(sent) };
            }
        }
        Ok(messages.len())
    }

    /// Waits until nothing accepted earlier is still held back in this process.
    ///
    /// Only a message that ran out of time half-way is ever held back, so after a plain
    /// [`send`](Sender::send) this does nothing.
    fn flush(&mut self, wait: Wait) -> Result<(), Error> {
        let _ = wait;
        Ok(())
    }
}

/// The end of a channel that messages come out of.
///
/// One method is required, [`recv_within`](Receiver::recv_within); all else is provided. The trait is
/// object-safe: `Box<dyn Receiver>` is a receiver of any transport.
///
/// # Errors
///
/// Every method that receives fails with the kinds below; a transport adds those of its own.
///
/// | kind | meaning |
/// |---|---|
/// | [`WouldBlock`](crate::ErrorKind::WouldBlock) | no message, and the call was not to wait |
/// | [`TimedOut`](crate::ErrorKind::TimedOut) | no whole message within the time; what has come of one is kept |
/// | [`Disconnected`](crate::ErrorKind::Disconnected) | the sender is gone, and all it had sent has been read |
/// | [`Truncated`](crate::ErrorKind::Truncated) | the sender went away inside a message; that message is lost, none before it is |
/// | [`MessageTooLarge`](crate::ErrorKind::MessageTooLarge) | the peer announced more than the limit |
pub trait Receiver: Send {
    /// Receives one message, waiting for it at most as long as `wait` says.
    ///
    /// The message is lent: it is good until the next call, so that nothing is allocated for it.
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8], Error>;

    /// Receives one message, waiting as long as it takes.
    fn recv(&mut self) -> Result<&[u8], Error> {
        self.recv_within(Wait::Forever)
    }

    /// Receives one message if one is there now.
    fn try_recv(&mut self) -> Result<&[u8], Error> {
        self.recv_within(Wait::Never)
    }

    /// Receives one message, waiting at most `timeout` for the whole of it.
    fn recv_timeout(&mut self, timeout: Duration) -> Result<&[u8], Error> {
        self.recv_within(Wait::timeout(timeout))
    }

    /// Receives one message into `buffer`, in place of what was there, and returns its length. Waits as long
    /// as it takes.
    ///
    /// On an error `buffer` is left as it was.
    fn recv_into(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Error> {
        let message = self.recv()?;
        buffer.clear();
        buffer.extend_from_slice(message);
        Ok(message.len())
    }

    /// Receives one message as a vector of its own, waiting as long as it takes. With a limit of time that is
    /// `recv_timeout(timeout)?.to_vec()`.
    fn recv_vec(&mut self) -> Result<Vec<u8>, Error> {
        self.recv().map(<[u8]>::to_vec)
    }
}

/// Both ends in one: what goes in here comes out at the peer, and the other way round.
///
/// It has the meaning of ZeroMQ's PAIR: one peer at a time, no routing.
pub trait Pair: Sender + Receiver {
    /// Takes the pair apart, so that one thread can send while another receives.
    ///
    /// The connection lasts until both halves are dropped; dropping the sender alone tells the peer
    /// that no more will come wherever the transport can say so.
    ///
    /// The concrete pair types have a method `split` that returns concrete halves.
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>);
}

/// What points to a sender or receiver is one.
macro_rules! forward {
    ($($pointer:ty),*) => {
        $(
            impl<T: Sender + ?Sized> Sender for $pointer {
                fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<(), Error> {
                    (**self).send_within(message, wait)
                }

                fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize, Error> {
                    (**self).send_batch(messages, wait)
                }

                fn flush(&mut self, wait: Wait) -> Result<(), Error> {
                    (**self).flush(wait)
                }
            }

            impl<T: Receiver + ?Sized> Receiver for $pointer {
                fn recv_within(&mut self, wait: Wait) -> Result<&[u8], Error> {
                    (**self).recv_within(wait)
                }

                fn recv_into(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Error> {
                    (**self).recv_into(buffer)
                }

                fn recv_vec(&mut self) -> Result<Vec<u8>, Error> {
                    (**self).recv_vec()
                }
            }
        )*
    };
}

forward!(Box<T>, &mut T);

//! Senders and receivers over any stream of bytes with a descriptor: what pipes, TCP and Unix streams
//! have in common.
//!
//! A transport brings something that can [`Read`] or [`Write`] without blocking (an
//! [`ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock) is the sign to wait) and has a descriptor to
//! wait on; framing, deadlines, partial writes and the end of the stream are dealt with here, once.

mod receiver;
mod sender;

pub use receiver::FramedReceiver;
pub use sender::FramedSender;

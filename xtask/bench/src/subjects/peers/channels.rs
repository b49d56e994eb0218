//! Channels between threads, carrying a vector of bytes each: crossbeam-channel, kanal, flume.

use crate::subjects::mark;
use crate::wire::{Ends, Result, Wire};

/// A channel each way: how to send a vector, and how to receive one.
pub(super) struct Vectors<S, R>(S, R);

impl<S, R> Wire for Vectors<S, R>
where
    S: FnMut(Vec<u8>) -> Result<()>,
    R: FnMut() -> Result<Vec<u8>>,
{
    fn send(&mut self, message: &[u8]) -> Result<()> {
        (self.0)(message.to_vec())
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let message = (self.1)()?;
        Ok(look(&message))
    }
}

/// As many messages as a sender and a receiver of inproc may be ahead together.
fn capacity(size: usize) -> usize {
    2 * mark(size)
}

#[cfg(feature = "crossbeam-channel")]
pub(super) fn crossbeam(size: usize) -> Result<Ends<impl Wire>> {
    use crossbeam_channel::{Receiver, Sender, bounded};
    let (near_out, far_in) = bounded(capacity(size));
    let (far_out, near_in) = bounded(capacity(size));
    let open = |sender: Sender<Vec<u8>>, receiver: Receiver<Vec<u8>>| {
        move || Ok(Vectors(move |message| Ok(sender.send(message)?), move || Ok(receiver.recv()?)))
    };
    Ok(Ends::new(open(near_out, near_in), open(far_out, far_in)))
}

#[cfg(feature = "kanal")]
pub(super) fn kanal(size: usize) -> Result<Ends<impl Wire>> {
    use kanal::{Receiver, Sender, bounded};
    let (near_out, far_in) = bounded(capacity(size));
    let (far_out, near_in) = bounded(capacity(size));
    let open = |sender: Sender<Vec<u8>>, receiver: Receiver<Vec<u8>>| {
        move || Ok(Vectors(move |message| Ok(sender.send(message)?), move || Ok(receiver.recv()?)))
    };
    Ok(Ends::new(open(near_out, near_in), open(far_out, far_in)))
}

#[cfg(feature = "flume")]
pub(super) fn flume(size: usize) -> Result<Ends<impl Wire>> {
    use flume::{Receiver, Sender, bounded};
    let (near_out, far_in) = bounded(capacity(size));
    let (far_out, near_in) = bounded(capacity(size));
    let open = |sender: Sender<Vec<u8>>, receiver: Receiver<Vec<u8>>| {
        move || Ok(Vectors(move |message| Ok(sender.send(message)?), move || Ok(receiver.recv()?)))
    };
    Ok(Ends::new(open(near_out, near_in), open(far_out, far_in)))
}

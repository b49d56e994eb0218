//! Our transports: as a user gets them, also in batches; with an option where that makes a difference.
//!
//! Both sides open their own ends, so a name is bound by one and waited for by the other, as in life.

mod in_place;
mod kernel;
mod memory;

use super::{Family, Subject};
use crate::plan::Pattern::{self, Batched, Idle, OneWay, Paced, RoundTrip};
use crate::wire::{Ends, Result, Wire};
use ipc_core::{Receiver, Sender, Wait, Waiting};
use std::time::Duration;

const LONG: &[usize] = &[64 << 10, 1 << 20];
const ALL: &[Pattern] = &[RoundTrip, OneWay, Batched, Idle, Paced];
const IN_PLACE: &[Pattern] = &[RoundTrip, OneWay];

/// All of them.
pub(super) fn all() -> Vec<Subject> {
    let wmem = "half of wmem_default, and a head";
    vec![
        usual("pipe", kernel::pipe),
        usual("fifo", kernel::fifo),
        usual("unix", kernel::unix),
        usual("unixpacket", kernel::unixpacket).at_most(212_960, wmem),
        usual("unixgram", kernel::unixgram).at_most(212_960, wmem),
        usual("tcp", kernel::tcp),
        // What UDP loses would have to be sent again, so it is not measured one way.
        usual("udp", kernel::udp)
            .at_most(65_507, "a datagram of IPv4")
            .in_patterns(&[RoundTrip, Idle, Paced]),
        usual("mq", kernel::mq).at_most(8192, "msgsize_max"),
        usual("sysvmsg", kernel::sysvmsg).at_most(8192, "msgmax"),
        usual("shm", memory::shm),
        Subject::processes(Family::Ours, "shm in place", in_place::shm).in_patterns(IN_PLACE),
        inproc("inproc", Waiting::Adaptive).in_patterns(ALL),
        blocking("pipe waiting=block", kernel::pipe),
        blocking("fifo waiting=block", kernel::fifo),
        blocking("unix waiting=block", kernel::unix),
        blocking("unixpacket waiting=block", kernel::unixpacket),
        blocking("tcp waiting=block", kernel::tcp),
        blocking("udp waiting=block", kernel::udp),
        blocking("mq waiting=block", kernel::mq),
        blocking("sysvmsg waiting=block", kernel::sysvmsg),
        blocking("shm waiting=block", memory::shm),
        inproc("inproc waiting=block", Waiting::Block).only(&[RoundTrip], &[64]),
        with("pipe capacity=1M", kernel::pipe, "?capacity=1M").only(&[OneWay], LONG),
        with("fifo capacity=1M", kernel::fifo, "?capacity=1M").only(&[OneWay], LONG),
    ]
}

fn usual<W: Wire + 'static>(name: &'static str, ends: fn(&'static str) -> Result<Ends<W>>) -> Subject {
    with(name, ends, "").in_patterns(ALL)
}

fn blocking<W: Wire + 'static>(
    name: &'static str,
    ends: fn(&'static str) -> Result<Ends<W>>,
) -> Subject {
    with(name, ends, "?waiting=block").only(&[RoundTrip], &[64])
}

fn with<W: Wire + 'static>(
    name: &'static str,
    ends: fn(&'static str) -> Result<Ends<W>>,
    options: &'static str,
) -> Subject {
    Subject::processes(Family::Ours, name, move |_| ends(options))
}

fn inproc(name: &'static str, waiting: Waiting) -> Subject {
    Subject::threads(Family::Ours, name, move |size| memory::inproc(waiting, size))
}

/// How long one side waits for the other's name.
fn soon() -> Wait {
    Wait::timeout(Duration::from_secs(5))
}

/// A sender and a receiver as one side.
struct Halves<S, R>(S, R);

impl<S: Sender, R: Receiver> Wire for Halves<S, R> {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.0.send(message)?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(self.1.recv()?))
    }

    fn send_batch(&mut self, messages: &[&[u8]]) -> Result<()> {
        self.0.send_batch(messages, Wait::Forever)?;
        Ok(())
    }
}

/// A pair as one side.
struct Whole<P>(P);

impl<P: Sender + Receiver> Wire for Whole<P> {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.0.send(message)?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(self.0.recv()?))
    }

    fn send_batch(&mut self, messages: &[&[u8]]) -> Result<()> {
        self.0.send_batch(messages, Wait::Forever)?;
        Ok(())
    }
}

//! What a transport brings to the suite: how its ends are opened.

use crate::{Capabilities, Pair, Receiver, Result, Sender};
use std::any::Any;
use std::io;
use std::process::Command;
use std::time::Duration;

/// A transport, as the suite sees it.
///
/// The suite asks for a [`Place`], opens the two ends there (each in a thread or a process of its own,
/// at the same time, so that either may wait for the other), and tries the rules of the contract.
///
/// The fixture of a bidirectional transport opens all four ends, and its `Sender` and `Receiver` meet:
/// usually as halves of a pair of which the other half is dropped. One that has several senders opens
/// `Sender` as often as it is asked to.
pub trait Fixture: Send + Sync + 'static {
    /// What the transport can do. Rules that need more are passed over.
    fn capabilities(&self) -> Capabilities;

    /// A place where nobody is yet, and that no other test uses.
    fn place(&self) -> Place;

    /// Opens one end, waiting for the other at most five seconds if the transport has to.
    ///
    /// Not with [`Waiting::Spin`](crate::Waiting::Spin): the rules look whether a waiting thread sleeps.
    ///
    /// It may be called in another process than [`place`](Fixture::place) was, with the place's text.
    fn open(&self, end: End, place: &str) -> Result<Opened>;

    /// Whether a message that its sender's death has cut is told from a whole one. It is not in the
    /// framings `lines` and `nul`, where the end of the stream ends a message as well.
    fn tells_cut_messages(&self) -> bool {
        true
    }

    /// Prepares a child process that will open `end`, where it needs more than the place's text: a
    /// descriptor, say. Most transports need nothing.
    ///
    /// Called before either end is opened. The child's standard input belongs to the suite.
    fn hand_over(&self, end: End, place: &str, child: &mut Command) -> io::Result<()> {
        let _ = (end, place, child);
        Ok(())
    }

    /// Opens one end, waiting for the other at most `timeout`. `None` if this end need not wait for
    /// anybody, or takes no timeout.
    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let _ = (end, place, timeout);
        None
    }

    /// Takes the place's name, as its owner does, and holds it until the result is dropped; does not
    /// wait for a peer. `None` if this transport has no names.
    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        let _ = place;
        None
    }
}

/// Where two ends meet: text that may be given to another process, and what keeps the place and cleans
/// it up.
pub struct Place {
    /// The place: most often an endpoint.
    pub text: String,
    /// Dropped when the test is over: a temporary directory, a queue to be removed.
    pub keep: Box<dyn Any + Send>,
}

/// Which end to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Messages go in here.
    Sender,
    /// Messages come out here.
    Receiver,
    /// The end of a pair that binds.
    Binder,
    /// The end of a pair that connects.
    Connector,
}

/// An end that is open.
pub enum Opened {
    /// For [`End::Sender`].
    Sender(Box<dyn Sender>),
    /// For [`End::Receiver`].
    Receiver(Box<dyn Receiver>),
    /// For [`End::Binder`] and [`End::Connector`].
    Pair(Box<dyn Pair>),
}

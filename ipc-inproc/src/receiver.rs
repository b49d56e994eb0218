//! The receiving handle: of many to one, or a pair's half.

use crate::bell::sleep_for;
use crate::lane::{Inbox, Look, Place};
use crate::socket::Socket;
use ipc_core::{
    Attempt, Boundaries, Capabilities, Error, ErrorKind, Receiver, Result, Step, Wait, Waiter,
};
use std::sync::Arc;
use std::time::Duration;

/// Receives the messages of any number of [senders](crate::InprocSender), or of the peer of the
/// [pair](crate::InprocPair) it is a half of.
///
/// ```
/// use ipc_inproc::{Context, ErrorKind, Receiver, Sender};
///
/// let context = Context::new();
/// let mut log = context.bind_receiver("inproc://log")?;
/// let mut one = context.connect_sender("inproc://log")?;
/// let mut other = context.connect_sender("inproc://log")?;
/// one.send(b"started")?;
/// other.send(b"started too")?;
/// drop((one, other));
/// assert_eq!(log.recv()?, b"started");
/// assert_eq!(log.recv()?, b"started too");
/// assert_eq!(log.recv().unwrap_err().kind(), ErrorKind::Disconnected);
/// # Ok::<(), ipc_inproc::Error>(())
/// ```
///
/// Each sender's messages come in the order in which they were sent; and as all share one queue, whatever
/// was sent before something else comes before it.
///
/// As long as no sender has come, `recv` waits. When all that came are gone, and their messages read, it
/// fails with [`Disconnected`](ErrorKind::Disconnected), then and ever after; from then on the name is free to
/// be bound again, and those who connect to it meanwhile wait for that. With
/// [`Terminated`](ErrorKind::Terminated) it fails once the context has been shut down.
#[derive(Debug)]
pub struct InprocReceiver {
    /// `None` as long as nobody has connected to this bound pair. Dropped before the socket, which tidies up.
    inbox: Option<Inbox>,
    /// Where it comes from.
    arrival: crossbeam_channel::Receiver<Inbox>,
    waiter: Waiter,
    socket: Arc<Socket>,
}

impl InprocReceiver {
    /// What several senders and one receiver can do.
    pub const CAPABILITIES: Capabilities =
        Capabilities::new(Boundaries::Kernel).several_senders().within_process();

    pub(crate) fn bound(inbox: Inbox, waiter: Waiter, socket: &Arc<Socket>) -> Self {
        let arrival = crossbeam_channel::never();
        InprocReceiver { inbox: Some(inbox), arrival, waiter, socket: Arc::clone(socket) }
    }

    pub(crate) fn to_come(
        arrival: crossbeam_channel::Receiver<Inbox>,
        waiter: Waiter,
        socket: &Arc<Socket>,
    ) -> Self {
        InprocReceiver { inbox: None, arrival, waiter, socket: Arc::clone(socket) }
    }

    /// The endpoint, as text; the first one, if several have been bound.
    pub fn endpoint(&self) -> &str {
        self.socket.endpoint()
    }

    /// What this channel can do.
    pub fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn recv_one(&mut self, wait: Wait) -> Result<Place, ErrorKind> {
        let mut attempt = Attempt::new(wait);
        loop {
            self.socket.check()?;
            match self.look() {
                Look::Message(place) => {
                    attempt.succeeded(&mut self.waiter);
                    return Ok(place);
                }
                Look::Nothing => {}
                Look::Ended => {
                    // A context that is shut down lets go of all peers: that is not their end.
                    self.socket.check()?;
                    self.socket.unbind_all();
                    return Err(ErrorKind::Disconnected);
                }
            }
            if self.inbox.is_none() && self.socket.is_nameless() {
                return Err(ErrorKind::NoPeer);
            }
            if let Step::Sleep(limit) = attempt.next(&mut self.waiter)? {
                self.sleep(limit);
            }
        }
    }

    fn look(&mut self) -> Look {
        if self.inbox.is_none() {
            self.inbox = self.arrival.try_recv().ok();
        }
        self.inbox.as_mut().map_or(Look::Nothing, Inbox::look)
    }

    fn sleep(&mut self, limit: Option<Duration>) {
        match &mut self.inbox {
            Some(inbox) => inbox.sleep(self.socket.shutdown(), limit),
            None => self.inbox = sleep_for(&self.arrival, self.socket.shutdown(), limit),
        }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        let error = self.socket.error(kind, "recv");
        match kind {
            ErrorKind::NoPeer => error.with_detail("no name is bound, so nobody can connect: bind one"),
            _ => error,
        }
    }
}

impl Receiver for InprocReceiver {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        match self.recv_one(wait) {
            Ok(place) => Ok(self.inbox.as_ref().map_or(&[][..], |inbox| inbox.bytes(place))),
            Err(kind) => Err(self.error(kind)),
        }
    }
}

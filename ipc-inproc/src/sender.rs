//! The sending handle: one of several senders to a receiver, or a pair's half.

use crate::bell::sleep_for;
use crate::lane::{Outbox, Refused};
use crate::patience::pause;
use crate::socket::Socket;
use crossbeam_channel::{Receiver, never};
use ipc_core::{Attempt, Capabilities, Error, ErrorKind, Result, Sender, Step, Wait, Waiter};
use std::sync::Arc;
use std::time::Duration;

/// Sends messages to an [`InprocReceiver`](crate::InprocReceiver), as one of several, or to the peer of the
/// [pair](crate::InprocPair) it is a half of.
///
/// ```
/// use ipc_inproc::{Context, Receiver, Sender};
///
/// let context = Context::new();
/// let mut results = context.bind_receiver("inproc://results")?;
/// for worker in 0..3u8 {
///     let mut sender = context.connect_sender("inproc://results")?;
///     std::thread::spawn(move || sender.send(&[worker]));
/// }
/// let sum: u8 = (0..3).map(|_| results.recv().map(|message| message[0])).sum::<Result<_, _>>()?;
/// assert_eq!(sum, 0 + 1 + 2);
/// # Ok::<(), ipc_inproc::Error>(())
/// ```
///
/// `send` copies the message, and waits only at the high-water mark, or where nobody has connected to a bound pair yet. It fails with
/// [`Disconnected`](ErrorKind::Disconnected) once the receiver has been dropped, with
/// [`Terminated`](ErrorKind::Terminated) once the context has been shut down, and with
/// [`LimitExceeded`](ErrorKind::LimitExceeded) if there is no memory for the message.
#[derive(Debug)]
pub struct InprocSender {
    /// `None` as long as nobody has connected to this bound pair. Dropped before the socket, which tidies up.
    outbox: Option<Outbox>,
    /// Where it comes from.
    arrival: Receiver<Outbox>,
    waiter: Waiter,
    socket: Arc<Socket>,
}

impl InprocSender {
    pub(crate) fn connected(outbox: Outbox, waiter: Waiter, socket: &Arc<Socket>) -> Self {
        InprocSender { outbox: Some(outbox), arrival: never(), waiter, socket: Arc::clone(socket) }
    }

    pub(crate) fn to_come(arrival: Receiver<Outbox>, waiter: Waiter, socket: &Arc<Socket>) -> Self {
        InprocSender { outbox: None, arrival, waiter, socket: Arc::clone(socket) }
    }

    /// The endpoint, as text; the first one, if several have been bound.
    pub fn endpoint(&self) -> &str {
        self.socket.endpoint()
    }

    /// What this channel can do.
    pub fn capabilities(&self) -> Capabilities {
        crate::InprocReceiver::CAPABILITIES
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Sends as many of the messages as there is room for, at least one, and waits if there is none.
    fn send_some(&mut self, messages: &[&[u8]], attempt: &mut Attempt) -> Result<usize, ErrorKind> {
        loop {
            self.socket.check()?;
            if self.outbox.is_none() {
                self.look_for_peer()?;
            }
            match self.push(messages) {
                Ok(sent) => {
                    attempt.succeeded(&mut self.waiter);
                    return Ok(sent);
                }
                Err(Refused::Full) => {}
                Err(Refused::Closed) => {
                    // A context that is shut down lets go of all peers: that is not their end.
                    self.socket.check()?;
                    return Err(ErrorKind::Disconnected);
                }
                Err(Refused::NoMemory) => return Err(ErrorKind::LimitExceeded),
            }
            match attempt.next(&mut self.waiter)? {
                Step::Look => pause(),
                Step::Sleep(limit) => self.sleep(limit),
            }
        }
    }

    /// Takes this end of the connection, if a peer has come. Out of the way of those who have theirs.
    #[cold]
    fn look_for_peer(&mut self) -> Result<(), ErrorKind> {
        // Asked before the look: the other half lets go of the names when the peer has come and gone.
        let hopeless = self.socket.is_nameless();
        self.outbox = self.arrival.try_recv().ok();
        if hopeless && self.outbox.is_none() {
            // A context that is shut down lets go of all names.
            self.socket.check()?;
            return Err(ErrorKind::NoPeer);
        }
        Ok(())
    }

    fn push(&mut self, messages: &[&[u8]]) -> Result<usize, Refused> {
        match &mut self.outbox {
            Some(outbox) => outbox.push(messages),
            None => Err(Refused::Full),
        }
    }

    fn sleep(&mut self, limit: Option<Duration>) {
        match &mut self.outbox {
            Some(outbox) => outbox.sleep(self.socket.shutdown(), limit),
            None => self.outbox = sleep_for(&self.arrival, self.socket.shutdown(), limit),
        }
    }

    fn error(&self, kind: ErrorKind, messages: &[&[u8]]) -> Error {
        let error = self.socket.error(kind, "send");
        match kind {
            ErrorKind::LimitExceeded => {
                let length = messages.first().map_or(0, |message| message.len());
                error.with_detail(format!("no memory for a message of {length} bytes"))
            }
            ErrorKind::NoPeer => error.with_detail("no name is bound, so nobody can connect: bind one"),
            _ => error,
        }
    }
}

impl Sender for InprocSender {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        match self.send_some(&[message], &mut Attempt::new(wait)) {
            Ok(_) => Ok(()),
            Err(kind) => Err(self.error(kind, &[message])),
        }
    }

    /// Where there are several senders, takes their lock once for as many short messages as there is room for.
    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        let mut sent = 0;
        while let Some(rest @ [_, ..]) = messages.get(sent..) {
            match self.send_some(rest, &mut Attempt::new(wait)) {
                Ok(more) => sent += more,
                Err(_) if sent > 0 => break,
                Err(kind) => return Err(self.error(kind, rest)),
            }
        }
        Ok(sent)
    }
}

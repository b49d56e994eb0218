//! How to open: high-water marks and waiting.

use crate::lane::{Inbox, Outbox};
use crate::names::{Connector, Marks, Owner, Slot};
use crate::socket::{Socket, name_of, refusal};
use crate::{Context, InprocPair, InprocReceiver, InprocSender};
use crossbeam_channel::bounded;
use ipc_core::{Endpoint, Error, Result, ToEndpoint, Waiter, Waiting};
use std::sync::Arc;

/// How many messages each side of a connection adds to what may wait unread, unless told otherwise.
pub const DEFAULT_HIGH_WATER_MARK: usize = 1_000;

/// Opens pairs, senders and receivers with other settings than the default; made by
/// [`Context::options`].
///
/// ```
/// use ipc_inproc::{Context, ErrorKind, Sender};
///
/// let options = Context::new().options().send_high_water_mark(2);
/// let mut early = options.connect("inproc://nobody yet")?;
/// early.send(b"one")?;
/// early.send(b"two")?;
/// assert_eq!(early.try_send(b"three").unwrap_err().kind(), ErrorKind::WouldBlock);
/// # Ok::<(), ipc_inproc::Error>(())
/// ```
///
/// A sender may be ahead of its receiver by the sum of the sender's and the receiver's mark, in messages; as
/// long as there is no receiver, by its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct InprocOptions {
    context: Context,
    marks: Marks,
    waiting: Waiting,
}

impl InprocOptions {
    pub(crate) fn new(context: &Context) -> Self {
        let marks = Marks { send: DEFAULT_HIGH_WATER_MARK, recv: DEFAULT_HIGH_WATER_MARK };
        InprocOptions { context: context.clone(), marks, waiting: Waiting::default() }
    }

    /// The mark for messages that go out: 1,000 by default, 0 for no limit but memory.
    pub fn send_high_water_mark(mut self, messages: usize) -> Self {
        self.marks.send = messages;
        self
    }

    /// The mark for messages that come in: 1,000 by default, 0 for no limit but memory.
    pub fn recv_high_water_mark(mut self, messages: usize) -> Self {
        self.marks.recv = messages;
        self
    }

    /// How calls wait; adaptive by default.
    pub fn waiting(mut self, waiting: Waiting) -> Self {
        self.waiting = waiting;
        self
    }

    /// As [`Context::bind`].
    pub fn bind(&self, endpoint: impl ToEndpoint) -> Result<InprocPair> {
        let endpoint = endpoint.to_endpoint()?;
        let name = name_of(&endpoint, "bind")?;
        let open = self.context.open().map_err(|kind| Error::new(kind, "bind").at(endpoint.text()))?;
        let (outboxes, outbox) = bounded(1);
        let (inboxes, inbox) = bounded(1);
        let slot = Arc::new(Slot::new(outboxes, inboxes, self.marks));
        let bound = self.context.names().bind_pair(name, &slot);
        bound.map_err(|refused| refusal(refused, "bind", &endpoint))?;
        let socket = Socket::new(&self.context, open, &endpoint, Some(Owner::Pair(slot)), name);
        let socket = Arc::new(socket);
        Ok(InprocPair::new(
            InprocSender::to_come(outbox, self.waiter(), &socket),
            InprocReceiver::to_come(inbox, self.waiter(), &socket),
        ))
    }

    /// As [`Context::connect`].
    pub fn connect(&self, endpoint: impl ToEndpoint) -> Result<InprocPair> {
        let endpoint = endpoint.to_endpoint()?;
        let connect = |name: &str, socket: &Arc<Socket>| {
            self.context.names().connect_pair(name, self.marks, Connector::new(socket))
        };
        let ((outbox, inbox), socket): ((Outbox, Inbox), _) = self.connect_with(&endpoint, connect)?;
        Ok(InprocPair::new(
            InprocSender::connected(outbox, self.waiter(), &socket),
            InprocReceiver::bound(inbox, self.waiter(), &socket),
        ))
    }

    /// As [`Context::bind_receiver`].
    pub fn bind_receiver(&self, endpoint: impl ToEndpoint) -> Result<InprocReceiver> {
        let endpoint = endpoint.to_endpoint()?;
        let name = name_of(&endpoint, "bind")?;
        let open = self.context.open().map_err(|kind| Error::new(kind, "bind").at(endpoint.text()))?;
        let bound = self.context.names().bind_receiver(name, self.marks.recv);
        let inbox = bound.map_err(|refused| refusal(refused, "bind", &endpoint))?;
        let owner = Owner::Receiver(Arc::clone(inbox.lane()));
        let socket = Arc::new(Socket::new(&self.context, open, &endpoint, Some(owner), name));
        Ok(InprocReceiver::bound(inbox, self.waiter(), &socket))
    }

    /// As [`Context::connect_sender`].
    pub fn connect_sender(&self, endpoint: impl ToEndpoint) -> Result<InprocSender> {
        let endpoint = endpoint.to_endpoint()?;
        let connect =
            |name: &str, _: &Arc<Socket>| self.context.names().connect_sender(name, self.marks.send);
        let (outbox, socket) = self.connect_with(&endpoint, connect)?;
        Ok(InprocSender::connected(outbox, self.waiter(), &socket))
    }

    fn connect_with<T>(
        &self,
        endpoint: &Endpoint,
        connect: impl FnOnce(&str, &Arc<Socket>) -> Result<T, crate::names::Refused>,
    ) -> Result<(T, Arc<Socket>)> {
        let name = name_of(endpoint, "connect")?;
        let open =
            self.context.open().map_err(|kind| Error::new(kind, "connect").at(endpoint.text()))?;
        let socket = Arc::new(Socket::new(&self.context, open, endpoint, None, name));
        let ends = connect(name, &socket).map_err(|refused| refusal(refused, "connect", endpoint))?;
        Ok((ends, socket))
    }

    fn waiter(&self) -> Waiter {
        Waiter::new(self.waiting)
    }
}

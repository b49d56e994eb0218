//! The context: names are unique in it, and shutting it down ends everything that was opened in it.
//!
//! Both ways of telling are channels that never carry anything, and tell by being closed. The context holds
//! the only sender of `shutdown`: when that is dropped, everyone who sleeps wakes. Every socket holds a
//! sender of `closed`: when the last is dropped, [`Context::term`] wakes.

use crate::names::Names;
use crate::{InprocOptions, InprocPair, InprocReceiver, InprocSender, lock};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ipc_core::{Error, ErrorKind, Result, ToEndpoint};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// A space of names, and everything that is open in it.
///
/// A clone is another handle of the same context. The [global](Context::global) one serves the functions
/// [`bind`], [`connect`], [`bind_receiver`] and [`connect_sender`]; a library that must not meet the names of
/// others makes its own.
///
/// ```
/// use ipc_inproc::{Context, ErrorKind, Receiver, Sender};
///
/// let context = Context::new();
/// let mut server = context.bind("inproc://jobs")?;
/// let mut client = context.connect("inproc://jobs")?;
/// client.send(b"do this")?;
/// assert_eq!(server.recv()?, b"do this");
///
/// context.shutdown();
/// assert_eq!(server.recv().unwrap_err().kind(), ErrorKind::Terminated);
/// # Ok::<(), ipc_inproc::Error>(())
/// ```
///
/// Dropping the last handle shuts nothing down: what is open goes on.
#[derive(Clone, Debug)]
pub struct Context {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shut_down: AtomicBool,
    names: Names,
    /// Until the context is shut down: what every new socket gets a share of.
    life: Mutex<Option<Life>>,
    closed: Receiver<Infallible>,
}

#[derive(Debug)]
struct Life {
    /// Never sent to, only dropped.
    _shutdown: Sender<Infallible>,
    open: Open,
}

/// A socket's share in its context.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// Disconnected when the context is shut down.
    pub(crate) shutdown: Receiver<Infallible>,
    /// Never sent to, only dropped.
    _open: Sender<Infallible>,
}

impl Default for Context {
    fn default() -> Self {
        Context::new()
    }
}

impl Context {
    /// A new context, with no names.
    pub fn new() -> Self {
        // Not of capacity 0: waiting on such a channel together with another allocates.
        let (shutdown_sender, shutdown) = bounded(1);
        let (open, closed) = bounded(1);
        let life = Life { _shutdown: shutdown_sender, open: Open { shutdown, _open: open } };
        Context {
            inner: Arc::new(Inner {
                shut_down: AtomicBool::new(false),
                names: Names::default(),
                life: Mutex::new(Some(life)),
                closed,
            }),
        }
    }

    /// The default context of this process. It lasts as long as the process; once shut down, it stays so.
    pub fn global() -> &'static Context {
        static GLOBAL: LazyLock<Context> = LazyLock::new(Context::new);
        &GLOBAL
    }

    /// Opens with other high-water marks or another way of waiting than the default.
    pub fn options(&self) -> InprocOptions {
        InprocOptions::new(self)
    }

    /// Binds a pair to a name, and does not wait for a peer. See [`InprocPair`].
    ///
    /// Whoever has connected to the name before is its peer at once.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](ErrorKind::AddrInUse) if somebody is bound to the name;
    /// [`WrongType`](ErrorKind::WrongType) if senders wait there for a
    /// [receiver](Context::bind_receiver); [`Terminated`](ErrorKind::Terminated); and the errors of
    /// [`Endpoint::parse`](ipc_core::Endpoint::parse).
    pub fn bind(&self, endpoint: impl ToEndpoint) -> Result<InprocPair> {
        self.options().bind(endpoint)
    }

    /// Connects a pair to a name, and does not wait for it to be bound. See [`InprocPair`].
    ///
    /// Until it is, messages are kept, up to the sender's high-water mark; even beyond the end of the pair
    /// that sent them.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) if another pair is connected, or waits to be; [`WrongType`](ErrorKind::WrongType)
    /// if the name is a [receiver's](Context::bind_receiver); [`Terminated`](ErrorKind::Terminated); and the
    /// errors of [`Endpoint::parse`](ipc_core::Endpoint::parse).
    pub fn connect(&self, endpoint: impl ToEndpoint) -> Result<InprocPair> {
        self.options().connect(endpoint)
    }

    /// Binds a receiver that any number of senders may connect to. See [`InprocReceiver`].
    ///
    /// # Errors
    ///
    /// As [`bind`](Context::bind).
    pub fn bind_receiver(&self, endpoint: impl ToEndpoint) -> Result<InprocReceiver> {
        self.options().bind_receiver(endpoint)
    }

    /// Connects a sender to a receiver's name, and does not wait for it to be bound. See [`InprocSender`].
    ///
    /// # Errors
    ///
    /// As [`connect`](Context::connect), but for `Busy`.
    pub fn connect_sender(&self, endpoint: impl ToEndpoint) -> Result<InprocSender> {
        self.options().connect_sender(endpoint)
    }

    /// Ends everything: calls that wait return [`Terminated`](ErrorKind::Terminated), and so does every call
    /// after. Messages that have not been received are lost. Does not wait.
    pub fn shutdown(&self) {
        self.inner.shut_down.store(true, Ordering::Release);
        let life = lock(&self.inner.life).take();
        drop(life);
        self.inner.names.clear();
    }

    /// Shuts down, and waits until everything that was opened in this context has been dropped.
    ///
    /// A thread that holds a pair, sender or receiver of this context itself waits here for ever.
    pub fn term(&self) {
        self.shutdown();
        // Nothing is ever sent: this returns when the last sender is dropped.
        let _ = self.inner.closed.recv();
    }

    /// As [`term`](Context::term), but waits at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](ErrorKind::TimedOut) if something is still open. The context is shut down all the same.
    pub fn term_timeout(&self, timeout: Duration) -> Result<()> {
        self.shutdown();
        match self.inner.closed.recv_timeout(timeout) {
            Err(RecvTimeoutError::Timeout) => Err(Error::new(ErrorKind::TimedOut, "term")
                .with_detail("something that was opened in the context has not been dropped")),
            Err(RecvTimeoutError::Disconnected) => Ok(()),
            Ok(never) => match never {},
        }
    }

    /// Whether the context has been shut down.
    pub fn is_shut_down(&self) -> bool {
        self.inner.shut_down.load(Ordering::Acquire)
    }

    /// A share for a new socket; none after the end.
    pub(crate) fn open(&self) -> Result<Open, ErrorKind> {
        lock(&self.inner.life).as_ref().map(|life| life.open.clone()).ok_or(ErrorKind::Terminated)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.inner.names
    }
}

/// [`Context::bind`] in the [global context](Context::global).
pub fn bind(endpoint: impl ToEndpoint) -> Result<InprocPair> {
    Context::global().bind(endpoint)
}

/// [`Context::connect`] in the [global context](Context::global).
pub fn connect(endpoint: impl ToEndpoint) -> Result<InprocPair> {
    Context::global().connect(endpoint)
}

/// [`Context::bind_receiver`] in the [global context](Context::global).
pub fn bind_receiver(endpoint: impl ToEndpoint) -> Result<InprocReceiver> {
    Context::global().bind_receiver(endpoint)
}

/// [`Context::connect_sender`] in the [global context](Context::global).
pub fn connect_sender(endpoint: impl ToEndpoint) -> Result<InprocSender> {
    Context::global().connect_sender(endpoint)
}

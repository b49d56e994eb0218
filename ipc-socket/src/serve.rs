//! Calls answered for several clients at once.

use crate::Listener;
use ipc_core::{ErrorKind, Result, Server};

impl Listener {
    /// Accepts clients, and answers the calls of each in a thread of its own, all at the same time, until
    /// [`shutdown`](Listener::shutdown); then it waits for the clients it has to leave.
    ///
    /// `handler` makes the answer to a request. A client that breaks the rules, or goes away, is let go of;
    /// the others do not notice. Where descriptors run out, clients wait
    /// until there are some.
    ///
    /// ```
    /// use ipc_socket::{Caller, Listener, SocketPair, Wait};
    ///
    /// let listener = Listener::bind("tcp://127.0.0.1:0")?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| listener.serve(|request| request.to_ascii_uppercase()));
    ///     let mut caller = Caller::new(SocketPair::connect(listener.endpoint())?);
    ///     assert_eq!(caller.call(b"louder", Wait::Forever)?, b"LOUDER");
    ///     listener.shutdown();
    ///     Ok::<(), ipc_socket::Error>(())
    /// })?;
    /// # Ok::<(), ipc_socket::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What keeps the listener from accepting for good.
    ///
    /// # Panics
    ///
    /// If `handler` does, in a thread of one client, when everything is over; the other clients are served
    /// until then.
    pub fn serve<A: AsRef<[u8]>>(&self, handler: impl Fn(&[u8]) -> A + Sync) -> Result<()> {
        let handler = &handler;
        std::thread::scope(|scope| {
            loop {
                let pair = match self.accept() {
                    Ok(pair) => pair,
                    Err(error) if error.kind() == ErrorKind::Terminated => return Ok(()),
                    // The accept has waited a while for it to pass, so this does not spin.
                    Err(error) if error.kind() == ErrorKind::LimitExceeded => continue,
                    Err(error) => return Err(error),
                };
                let serve = move || Server::new(pair).serve(handler);
                // Without a thread for it the client is disconnected, and may come again.
                let _ = std::thread::Builder::new().spawn_scoped(scope, serve);
            }
        })
    }
}

//! What the two halves of a pair have in common, and what every handle has: its context, its endpoint, and
//! the names it is to let go of.

use crate::context::{Context, Open};
use crate::lock;
use crate::names::{Owner, Refused};
use crossbeam_channel::Receiver;
use ipc_core::{Address, Endpoint, Error, ErrorKind, Result, Scheme, ToEndpoint};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// Shared by the halves of a pair; a receiver or a sender has its own. When the last half is dropped, the
/// names are free, and the context knows that the socket is closed.
#[derive(Debug)]
pub(crate) struct Socket {
    context: Context,
    endpoint: Arc<str>,
    /// Who the names are bound to; `None` for one who connects.
    owner: Option<Owner>,
    names: Mutex<Vec<String>>,
    open: Open,
}

impl Socket {
    pub(crate) fn new(
        context: &Context,
        open: Open,
        endpoint: &Endpoint,
        owner: Option<Owner>,
        name: &str,
    ) -> Self {
        Socket {
            context: context.clone(),
            endpoint: Arc::clone(endpoint.text()),
            owner,
            names: Mutex::new(vec![name.to_owned()]),
            open,
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    /// Something that wakes those who sleep when the context is shut down.
    pub(crate) fn shutdown(&self) -> &Receiver<Infallible> {
        &self.open.shutdown
    }

    /// Fails if the context is shut down.
    pub(crate) fn check(&self) -> Result<(), ErrorKind> {
        if self.context.is_shut_down() { Err(ErrorKind::Terminated) } else { Ok(()) }
    }

    pub(crate) fn error(&self, kind: ErrorKind, operation: &'static str) -> Error {
        Error::new(kind, operation).at(&self.endpoint)
    }

    /// Nobody can come: no name is bound.
    pub(crate) fn is_nameless(&self) -> bool {
        lock(&self.names).is_empty()
    }

    /// Binds one more name.
    pub(crate) fn bind(&self, endpoint: impl ToEndpoint) -> Result<()> {
        let endpoint = endpoint.to_endpoint()?;
        let name = name_of(&endpoint, "bind")?;
        self.check().map_err(|kind| Error::new(kind, "bind").at(endpoint.text()))?;
        let Some(Owner::Pair(slot)) = &self.owner else {
            return Err(Error::new(ErrorKind::Busy, "bind").at(endpoint.text()).with_detail(
                "this pair has been connected; only one that has been bound can be bound again",
            ));
        };
        let bound = self.context.names().bind_pair(name, slot);
        bound.map_err(|refused| refusal(refused, "bind", &endpoint))?;
        lock(&self.names).push(name.to_owned());
        Ok(())
    }

    /// Lets go of a name.
    pub(crate) fn unbind(&self, endpoint: impl ToEndpoint) -> Result<()> {
        let endpoint = endpoint.to_endpoint()?;
        let name = name_of(&endpoint, "unbind")?;
        let check = || self.check().map_err(|kind| Error::new(kind, "unbind").at(endpoint.text()));
        check()?;
        let owned = self.owner.as_ref().is_some_and(|owner| self.context.names().unbind(name, owner));
        if !owned {
            // A context that is shut down lets go of all names: then this one may have been the pair's.
            check()?;
            return Err(Error::new(ErrorKind::NotFound, "unbind")
                .at(endpoint.text())
                .with_detail("only a name that this pair is bound to can be unbound"));
        }
        lock(&self.names).retain(|bound| bound != name);
        Ok(())
    }

    /// Lets go of all names: the conversation is over, and the next one can be bound.
    pub(crate) fn unbind_all(&self) {
        for name in std::mem::take(&mut *lock(&self.names)) {
            match &self.owner {
                Some(owner) => {
                    self.context.names().unbind(&name, owner);
                }
                None => self.context.names().tidy(&name),
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.unbind_all();
    }
}

/// The name in an inproc endpoint.
pub(crate) fn name_of<'a>(endpoint: &'a Endpoint, operation: &'static str) -> Result<&'a str> {
    endpoint.require(&[Scheme::Inproc], operation)?;
    match endpoint.address() {
        Address::Name(name) => Ok(name),
        _ => Err(Error::new(ErrorKind::InvalidEndpoint, operation).at(endpoint.text())),
    }
}

pub(crate) fn refusal(refused: Refused, operation: &'static str, endpoint: &Endpoint) -> Error {
    let (kind, detail) = refused.explain();
    Error::new(kind, operation).at(endpoint.text()).with_detail(detail)
}

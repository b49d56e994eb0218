//! One System V queue: how it is found, and how calls on it wait.
//!
//! A look is a call with `IPC_NOWAIT`. To wait as long as it takes is the same call without it: the kernel
//! sleeps, and removal wakes it. There is no call that sleeps until a time, and nothing to poll, so a wait
//! with a deadline naps between looks, a millisecond at most.

use super::owner::{self, Owner};
use super::{SysvStatus, claim, key, limits};
use crate::naps::Naps;
use crate::sys::errno;
use crate::{sys, trust};
use ipc_core::{
    Attempt, Endpoint, Error, ErrorKind, Options, Result, Scheme, Step, ToEndpoint, Wait, Waiter,
};
use libc::{c_int, key_t};
use nix::errno::Errno;
use std::io;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Queue {
    id: c_int,
    /// `None` if only the identifier is known.
    key: Option<key_t>,
    endpoint: Arc<str>,
    options: Options,
    /// The longest message that can be sent: a longer one would never fit.
    max_message: usize,
    waiter: Waiter,
    /// Shared by the halves of a pair.
    owner: Option<Arc<Owner>>,
}

/// The endpoint, if it is one of a System V queue.
pub(super) fn endpoint(endpoint: impl ToEndpoint, operation: &'static str) -> Result<Endpoint> {
    let endpoint = endpoint.to_endpoint()?;
    endpoint.require(&[Scheme::SysvMsg], operation)?;
    Ok(endpoint)
}

impl Queue {
    /// Makes the queue, or takes it over from an owner who died.
    pub(super) fn bind(endpoint: &Endpoint) -> Result<Queue> {
        let (id, key, owner) = owner::bind(endpoint)?;
        Queue::new(id, Some(key), endpoint.options(), endpoint.text(), Some(Arc::new(owner)), "bind")
    }

    /// Finds the queue, waiting until there is one.
    pub(super) fn connect(endpoint: &Endpoint, wait: Wait) -> Result<Queue> {
        const OPERATION: &str = "connect";
        let find = || {
            let key = key::of(endpoint, OPERATION)?;
            match sys::msgget(key, 0) {
                Ok(id) => Queue::found(id, key, endpoint, OPERATION),
                Err(source) => Err(Error::from_io(source, OPERATION).at(endpoint.text())),
            }
        };
        let mut naps = Naps::new();
        loop {
            match find() {
                Err(error) if error.kind() == ErrorKind::NotFound && wait != Wait::Never => {
                    match wait.remaining() {
                        Some(rest) if rest.is_zero() => {
                            let error = error.with_kind(ErrorKind::TimedOut);
                            return Err(error.with_detail("nobody has made it"));
                        }
                        rest => naps.sleep(rest),
                    }
                }
                result => return result,
            }
        }
    }

    /// Finds the queue, or makes it if there is none. Nobody owns it.
    pub(super) fn open_or_create(endpoint: &Endpoint) -> Result<Queue> {
        const OPERATION: &str = "open_or_create";
        let key = key::of(endpoint, OPERATION)?;
        loop {
            match sys::msgget(key, 0) {
                Ok(id) => return Queue::found(id, key, endpoint, OPERATION),
                Err(error) if errno(&error) == Some(Errno::ENOENT) => {}
                Err(source) => return Err(Error::from_io(source, OPERATION).at(endpoint.text())),
            }
            match owner::create(key, endpoint.options()) {
                Ok(id) => {
                    let (options, text) = (endpoint.options(), endpoint.text());
                    let made = owner::set(id, options, OPERATION, text)
                        .and_then(|()| Queue::new(id, Some(key), options, text, None, OPERATION));
                    if made.is_err() {
                        // It is not what was asked for. There is nobody to tell if it is gone already.
                        let _ = sys::msgctl_remove(id);
                    }
                    return made;
                }
                Err(error) if errno(&error) == Some(Errno::EEXIST) => {}
                Err(source) => return Err(limits::explain(source, OPERATION, endpoint.text())),
            }
        }
    }

    /// Makes a queue that has no key.
    pub(super) fn private() -> Result<Queue> {
        const OPERATION: &str = "private";
        let text: Arc<str> = "private System V queue".into();
        let options = Options::default();
        let id = owner::create(libc::IPC_PRIVATE, &options)
            .map_err(|source| limits::explain(source, OPERATION, &text))?;
        let owner = Owner::private(id);
        Queue::new(id, None, &options, &text, Some(Arc::new(owner)), OPERATION)
    }

    /// Uses a queue by its identifier.
    pub(super) fn attach(id: c_int) -> Result<Queue> {
        const OPERATION: &str = "attach";
        let text: Arc<str> = format!("System V queue {id}").into();
        let queue = Queue::new(id, None, &Options::default(), &text, None, OPERATION)?;
        queue.check_trust(None, OPERATION)?;
        Ok(queue)
    }

    /// A queue that was there: it must be what the endpoint asks for.
    fn found(id: c_int, key: key_t, endpoint: &Endpoint, operation: &'static str) -> Result<Queue> {
        let options = endpoint.options();
        let queue = Queue::new(id, Some(key), options, endpoint.text(), None, operation)?;
        queue.check_trust(options.uid, operation)?;
        let status = queue.status()?;
        match options.capacity {
            Some(asked) if asked != status.capacity => {
                Err(Error::new(ErrorKind::GeometryMismatch, operation).at(endpoint.text()).with_detail(
                    format!("it holds {} bytes, and asked for were {asked}", status.capacity),
                ))
            }
            _ => Ok(queue),
        }
    }

    fn check_trust(&self, asked: Option<u32>, operation: &'static str) -> Result<()> {
        let status = sys::msgctl_stat(self.id).map_err(|source| self.failed(operation, source))?;
        trust::check_with_maker(&status.msg_perm, asked, operation, &self.endpoint)
    }

    fn new(
        id: c_int,
        key: Option<key_t>,
        options: &Options,
        endpoint: &Arc<str>,
        owner: Option<Arc<Owner>>,
        operation: &'static str,
    ) -> Result<Queue> {
        let status = sys::msgctl_stat(id).map_err(|source| not_there(source, operation, endpoint))?;
        let msgmax = limits::msgmax();
        if options.max_message.is_some_and(|asked| asked > msgmax) {
            return Err(limits::above_msgmax(msgmax, operation, endpoint));
        }
        let max_message = msgmax.min(SysvStatus::new(&status).capacity);
        Ok(Queue {
            id,
            key,
            endpoint: Arc::clone(endpoint),
            options: options.clone(),
            max_message: options.max_message.map_or(max_message, |asked| asked.min(max_message)),
            waiter: Waiter::new(options.waiting.unwrap_or_default()),
            owner,
        })
    }

    /// The same queue, for another half.
    pub(super) fn share(&self) -> Queue {
        Queue {
            id: self.id,
            key: self.key,
            endpoint: Arc::clone(&self.endpoint),
            options: self.options.clone(),
            max_message: self.max_message,
            waiter: Waiter::new(self.options.waiting.unwrap_or_default()),
            owner: self.owner.clone(),
        }
    }

    /// Makes `call`, with the flags it is given, again and again until it can be done or the time is over.
    pub(super) fn wait_for<T>(
        &mut self,
        operation: &'static str,
        wait: Wait,
        mut call: impl FnMut(c_int, c_int) -> io::Result<T>,
    ) -> Result<T> {
        let mut attempt = Attempt::new(wait);
        let mut naps = Naps::new();
        let sleep_at_once = wait == Wait::Forever && self.waiter.never_spins();
        let mut flags = if sleep_at_once { 0 } else { libc::IPC_NOWAIT };
        loop {
            match call(self.id, flags) {
                Ok(done) => {
                    attempt.succeeded(&mut self.waiter);
                    return Ok(done);
                }
                Err(error) => match errno(&error) {
                    // Full; empty; a signal came.
                    Some(Errno::EAGAIN | Errno::ENOMSG | Errno::EINTR) => {}
                    _ => return Err(self.failed(operation, error)),
                },
            }
            match attempt.next(&mut self.waiter) {
                Ok(Step::Look) => {}
                // The next call sleeps in the kernel.
                Ok(Step::Sleep(None)) => flags = 0,
                Ok(Step::Sleep(limit)) => naps.sleep(limit),
                Err(kind) => return Err(Error::new(kind, operation).at(&self.endpoint)),
            }
        }
    }

    pub(super) fn id(&self) -> i32 {
        self.id
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    pub(super) fn max_message(&self) -> usize {
        self.max_message
    }

    pub(super) fn status(&self) -> Result<SysvStatus> {
        let status = sys::msgctl_stat(self.id).map_err(|source| self.failed("status", source))?;
        Ok(SysvStatus::new(&status))
    }

    pub(super) fn remove(&self) -> Result<()> {
        owner::remove_id(self.id, self.key).map_err(|source| match errno(&source) {
            Some(Errno::EPERM) => self.failed("remove", source).with_kind(ErrorKind::PermissionDenied),
            _ => self.failed("remove", source),
        })
    }

    pub(super) fn has_owner(&self) -> Result<bool> {
        const OPERATION: &str = "has_owner";
        let status = sys::msgctl_stat(self.id).map_err(|source| self.failed(OPERATION, source))?;
        if self.owner.is_some() {
            return Ok(true);
        }
        let Some(key) = self.key else { return Ok(false) };
        claim::is_held(status.msg_perm.uid, key, self.id)
            .map_err(|source| self.failed(OPERATION, source))
    }

    /// `EIDRM` says that the queue was removed during the call, and `EINVAL`, most often, that it was
    /// before.
    fn failed(&self, operation: &'static str, source: io::Error) -> Error {
        let removed = match errno(&source) {
            Some(Errno::EIDRM) => true,
            Some(Errno::EINVAL) => sys::msgctl_stat(self.id)
                .is_err_and(|error| matches!(errno(&error), Some(Errno::EINVAL | Errno::EIDRM))),
            _ => false,
        };
        let error = Error::from_io(source, operation).at(&self.endpoint);
        if removed { error.with_kind(ErrorKind::Removed) } else { error }
    }
}

/// The error of opening a queue that was removed between one call and the next.
fn not_there(source: io::Error, operation: &'static str, endpoint: &Arc<str>) -> Error {
    let gone = matches!(errno(&source), Some(Errno::EINVAL | Errno::EIDRM));
    let denied = errno(&source) == Some(Errno::EACCES);
    let error = Error::from_io(source, operation).at(endpoint);
    if gone {
        error.with_kind(ErrorKind::NotFound)
    } else if denied {
        error.with_detail("to see whose a queue is takes permission to read it")
    } else {
        error
    }
}

//! One System V queue: how it is found or made, and how calls on it wait.
//!
//! A look is a call with `IPC_NOWAIT`. To wait as long as it takes is the same call without it: the kernel
//! sleeps, and removal wakes it. There is no call that sleeps until a time, and nothing to poll, so a wait
//! with a deadline naps between looks, a millisecond at most.

use super::claim::{self, Claim, Record};
use super::{SysvStatus, key, limits};
use crate::naps::Naps;
use crate::{sys, trust};
use ipc_core::{
    Attempt, Endpoint, Error, ErrorKind, Options, Result, Scheme, Step, ToEndpoint, Wait, Waiter,
};
use libc::{c_int, key_t};
use nix::errno::Errno;
use std::io;
use std::sync::Arc;

const DEFAULT_MODE: u32 = 0o600;

/// A queue that is owned, from `bind` on: dropping it removes the queue.
#[derive(Debug)]
pub(super) struct Owner {
    id: c_int,
    /// `None` for a private queue, whose key nobody else can find.
    claim: Option<Claim>,
    /// A forked child has a copy of all this, but does not own the queue.
    process: u32,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // There is nobody to tell, and the next binder takes over what is left.
            let _ = sys::msgctl_remove(self.id);
            if let Some(claim) = &self.claim {
                claim.discard();
            }
        }
    }
}

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

/// Removes a queue, whoever owns it; who waits on it is woken.
pub(crate) fn remove(endpoint: &Endpoint) -> Result<()> {
    const OPERATION: &str = "remove";
    let key = key::of(endpoint, OPERATION)?;
    let failed = |source| Error::from_io(source, OPERATION).at(endpoint.text());
    let id = sys::msgget(key, 0).map_err(failed)?;
    remove_id(id, Some(key)).map_err(|source| match errno(&source) {
        Some(Errno::EPERM) => failed(source).with_kind(ErrorKind::PermissionDenied),
        Some(Errno::EINVAL | Errno::EIDRM) => failed(source).with_kind(ErrorKind::NotFound),
        _ => failed(source),
    })
}

/// Removes the queue, and what its owner has left if they were killed.
fn remove_id(id: c_int, key: Option<key_t>) -> io::Result<()> {
    let status = sys::msgctl_stat(id);
    sys::msgctl_remove(id)?;
    if let (Some(key), Ok(status)) = (key, status) {
        claim::forget(status.msg_perm.uid, key, id);
    }
    Ok(())
}

impl Queue {
    /// Makes the queue, or takes it over from an owner who died.
    pub(super) fn bind(endpoint: &Endpoint) -> Result<Queue> {
        const OPERATION: &str = "bind";
        let key = key::of(endpoint, OPERATION)?;
        let in_use =
            |detail| Error::new(ErrorKind::AddrInUse, OPERATION).at(endpoint.text()).with_detail(detail);
        let claim = Claim::take(key).map_err(|error| error.at(endpoint.text()))?;
        let claim = claim.ok_or_else(|| in_use("its owner is alive"))?;
        let id = match make_or_take_over(key, &claim, endpoint) {
            Ok(Some(id)) => id,
            Ok(None) => {
                claim.discard();
                return Err(in_use(
                    "another program made this queue, and may be using it; connect to it, or remove it",
                ));
            }
            Err(error) => {
                if claim.read() == Record::Making {
                    claim.discard();
                }
                return Err(error);
            }
        };
        // From here on the queue is removed if something fails.
        let owner = Owner { id, claim: Some(claim), process: std::process::id() };
        set(id, endpoint.options(), OPERATION, endpoint.text())?;
        Queue::new(id, Some(key), endpoint.options(), endpoint.text(), Some(Arc::new(owner)), OPERATION)
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
                        Some(rest) if rest.is_zero() => return Err(error.with_kind(ErrorKind::TimedOut)),
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
            match create(key, endpoint.options()) {
                Ok(id) => {
                    set(id, endpoint.options(), OPERATION, endpoint.text())?;
                    return Queue::new(
                        id,
                        Some(key),
                        endpoint.options(),
                        endpoint.text(),
                        None,
                        OPERATION,
                    );
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
        let id = create(libc::IPC_PRIVATE, &options)
            .map_err(|source| limits::explain(source, OPERATION, &text))?;
        let owner = Owner { id, claim: None, process: std::process::id() };
        Queue::new(id, None, &options, &text, Some(Arc::new(owner)), OPERATION)
    }

    /// Uses a queue by its identifier.
    pub(super) fn attach(id: c_int) -> Result<Queue> {
        const OPERATION: &str = "attach";
        let text: Arc<str> = format!("System V queue {id}").into();
        let queue = Queue::new(id, None, &Options::default(), &text, None, OPERATION)?;
        trust::check(queue.status()?.owner, None, OPERATION, &text)?;
        Ok(queue)
    }

    /// A queue that was there: it must be what the endpoint asks for.
    fn found(id: c_int, key: key_t, endpoint: &Endpoint, operation: &'static str) -> Result<Queue> {
        let options = endpoint.options();
        let queue = Queue::new(id, Some(key), options, endpoint.text(), None, operation)?;
        let status = queue.status()?;
        trust::check(status.owner, options.uid, operation, endpoint.text())?;
        match options.capacity {
            Some(asked) if asked != status.capacity => {
                Err(Error::new(ErrorKind::GeometryMismatch, operation).at(endpoint.text()).with_detail(
                    format!("it holds {} bytes, and asked for were {asked}", status.capacity),
                ))
            }
            _ => Ok(queue),
        }
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
        remove_id(self.id, self.key).map_err(|source| match errno(&source) {
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

/// The identifier of a queue that is ours from now on; `None` if another program's is in the way. The
/// claim is held all the while.
fn make_or_take_over(key: key_t, claim: &Claim, endpoint: &Endpoint) -> Result<Option<c_int>> {
    const OPERATION: &str = "bind";
    let failed = |source| limits::explain(source, OPERATION, endpoint.text());
    loop {
        match sys::msgget(key, 0) {
            Ok(id) => {
                let status = match sys::msgctl_stat(id) {
                    Ok(status) => status,
                    Err(error) if matches!(errno(&error), Some(Errno::EINVAL | Errno::EIDRM)) => {
                        continue;
                    }
                    Err(error) => return Err(failed(error)),
                };
                trust::check(status.msg_perm.uid, endpoint.options().uid, OPERATION, endpoint.text())?;
                let unused = status.msg_lspid == 0 && status.msg_lrpid == 0;
                let ours = match claim.read() {
                    Record::Made(made) => made == id,
                    // Killed between making the queue and writing it down: then nobody has used it.
                    Record::Making => unused,
                    Record::Nothing => false,
                };
                if ours {
                    claim.write(Record::Made(id)).map_err(failed)?;
                }
                return Ok(ours.then_some(id));
            }
            Err(error) if errno(&error) == Some(Errno::ENOENT) => {}
            Err(error) => return Err(failed(error)),
        }
        claim.write(Record::Making).map_err(failed)?;
        match create(key, endpoint.options()) {
            Ok(id) => {
                claim.write(Record::Made(id)).map_err(failed)?;
                return Ok(Some(id));
            }
            // Another program was faster.
            Err(error) if errno(&error) == Some(Errno::EEXIST) => {
                claim.write(Record::Nothing).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn create(key: key_t, options: &Options) -> io::Result<c_int> {
    let mode = options.mode.unwrap_or(DEFAULT_MODE).cast_signed();
    sys::msgget(key, libc::IPC_CREAT | libc::IPC_EXCL | mode)
}

/// Gives a queue the capacity and the mode that are asked for.
fn set(id: c_int, options: &Options, operation: &'static str, endpoint: &Arc<str>) -> Result<()> {
    let failed = |source| limits::explain(source, operation, endpoint);
    let mut status = sys::msgctl_stat(id).map_err(failed)?;
    let has = SysvStatus::new(&status);
    let mode = options.mode.unwrap_or(DEFAULT_MODE);
    if mode == has.mode && options.capacity.is_none_or(|asked| asked == has.capacity) {
        return Ok(());
    }
    if let Some(capacity) = options.capacity {
        status.msg_qbytes = libc::msglen_t::try_from(capacity).unwrap_or(libc::msglen_t::MAX);
    }
    // Nine bits.
    status.msg_perm.mode = mode as _;
    sys::msgctl_set(id, &mut status).map_err(failed)
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

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an owner leaves who is killed after making the queue, and before writing down which.
    fn half_made(endpoint: &Endpoint) -> c_int {
        let key = key::of(endpoint, "test").unwrap();
        let claim = Claim::take(key).unwrap().unwrap();
        claim.write(Record::Making).unwrap();
        create(key, endpoint.options()).unwrap()
    }

    #[test]
    fn a_queue_whose_maker_was_killed_before_writing_it_down_is_taken_over() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let endpoint = Endpoint::parse(format!("sysvmsg://{}?id=m", file.path().display())).unwrap();
        let id = half_made(&endpoint);
        let queue = Queue::bind(&endpoint).unwrap();
        assert_eq!(queue.id(), id);
        drop(queue);
        assert_eq!(Queue::connect(&endpoint, Wait::Never).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_queue_that_was_used_is_not_taken_on_that_ground() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let endpoint = Endpoint::parse(format!("sysvmsg://{}?id=u", file.path().display())).unwrap();
        let id = half_made(&endpoint);
        let mut message = sys::Message::new(1);
        assert!(message.set(1, b"x"));
        sys::msgsnd(id, &message, 1, libc::IPC_NOWAIT).unwrap();
        let error = Queue::bind(&endpoint).map(|queue| queue.id());
        remove(&endpoint).unwrap();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}

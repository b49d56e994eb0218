//! Owning a System V queue: how it is made, taken over and removed. `claim` says who lives.

use super::claim::{self, Claim, Record};
use super::{SysvStatus, key, limits};
use crate::sys::errno;
use crate::{sys, trust};
use ipc_core::{Endpoint, Error, ErrorKind, Options, Result};
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

impl Owner {
    /// The owner of a private queue.
    pub(super) fn private(id: c_int) -> Self {
        Owner { id, claim: None, process: std::process::id() }
    }
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

/// Makes the queue, or takes it over from an owner who died.
pub(super) fn bind(endpoint: &Endpoint) -> Result<(c_int, key_t, Owner)> {
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
            // What says that the queue there is ours stays for the next try.
            if !matches!(claim.read(), Record::Made(_)) {
                claim.discard();
            }
            return Err(error);
        }
    };
    // From here on the queue is removed if something fails.
    let owner = Owner { id, claim: Some(claim), process: std::process::id() };
    set(id, endpoint.options(), OPERATION, endpoint.text())?;
    Ok((id, key, owner))
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
pub(super) fn remove_id(id: c_int, key: Option<key_t>) -> io::Result<()> {
    let status = sys::msgctl_stat(id);
    sys::msgctl_remove(id)?;
    if let (Some(key), Ok(status)) = (key, status) {
        claim::forget(status.msg_perm.uid, key, id);
    }
    Ok(())
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
                trust::check_with_maker(
                    &status.msg_perm,
                    endpoint.options().uid,
                    OPERATION,
                    endpoint.text(),
                )?;
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

/// Makes a queue that is not there.
pub(super) fn create(key: key_t, options: &Options) -> io::Result<c_int> {
    let mode = options.mode.unwrap_or(DEFAULT_MODE).cast_signed();
    sys::msgget(key, libc::IPC_CREAT | libc::IPC_EXCL | mode)
}

/// Gives a queue the capacity and the mode that are asked for.
pub(super) fn set(
    id: c_int,
    options: &Options,
    operation: &'static str,
    endpoint: &Arc<str>,
) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysv::queue::Queue;
    use ipc_core::Wait;

    /// What an owner leaves who is killed after making the queue, and before writing down which.
    fn half_made(endpoint: &Endpoint) -> c_int {
        let key = key::of(endpoint, "test").unwrap();
        let claim = Claim::take(key).unwrap().unwrap();
        claim.write(Record::Making).unwrap();
        claim.abandon();
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
    fn a_queue_that_another_user_made_and_gave_to_us_is_not_trusted() {
        const MAKER: &str = "IPC_MSGQ_TEST_MAKER";
        const TEST: &str =
            "sysv::owner::tests::a_queue_that_another_user_made_and_gave_to_us_is_not_trusted";
        if let Ok(key) = std::env::var(MAKER) {
            nix::unistd::setuid(nix::unistd::Uid::from_raw(60_021)).unwrap();
            let id = create(key.parse().unwrap(), &Options::default()).unwrap();
            let mut status = sys::msgctl_stat(id).unwrap();
            status.msg_perm.uid = 0;
            return sys::msgctl_set(id, &mut status).unwrap();
        }
        if !nix::unistd::Uid::effective().is_root() {
            return println!("skipped: it takes root to be another user");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let endpoint = format!("sysvmsg://{}?id=g", file.path().display());
        let trusting = Endpoint::parse(format!("{endpoint}&uid=0")).unwrap();
        let endpoint = Endpoint::parse(endpoint).unwrap();
        let key = key::of(&endpoint, "test").unwrap();
        let mut maker = std::process::Command::new(std::env::current_exe().unwrap());
        assert!(maker.args(["--exact", TEST]).env(MAKER, key.to_string()).status().unwrap().success());

        let id = sys::msgget(key, 0).unwrap();
        let tried = [
            Queue::connect(&endpoint, Wait::Never),
            Queue::connect(&trusting, Wait::Never),
            Queue::bind(&endpoint),
            Queue::open_or_create(&endpoint),
            Queue::attach(id),
        ]
        .map(|queue| queue.map(|queue| queue.id()).map_err(|error| error.kind()));
        sys::msgctl_remove(id).unwrap();
        assert_eq!(tried, [Err(ErrorKind::WrongOwner); 5]);
        assert!(!claim::is_there(key), "a bind that was refused leaves no lock file");
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

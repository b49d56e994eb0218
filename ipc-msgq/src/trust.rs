//! Whose queues are trusted: our own and root's, or those of the user that the option `uid` names.

use ipc_core::{Error, ErrorKind, Result};
use nix::unistd::Uid;
use std::sync::Arc;

/// Fails with `WrongOwner` unless `owner` is trusted: `asked`, if the endpoint asks for somebody.
pub(crate) fn check(
    owner: u32,
    asked: Option<u32>,
    operation: &'static str,
    endpoint: &Arc<str>,
) -> Result<()> {
    let own = Uid::effective().as_raw();
    let (trusted, right) = match asked {
        Some(uid) => (owner == uid, format!("the option uid asks for {uid}")),
        None => (owner == own || owner == 0, format!("user {own} trusts {own} and 0")),
    };
    if trusted {
        return Ok(());
    }
    Err(Error::new(ErrorKind::WrongOwner, operation)
        .at(endpoint)
        .with_detail(format!("the queue belongs to user {owner}; {right}; uid={owner} would trust it")))
}

/// The same for a System V queue, which its maker can give to another user, and still read, write and
/// remove: so its maker must be its owner, or else this user or root.
pub(crate) fn check_with_maker(
    permissions: &libc::ipc_perm,
    asked: Option<u32>,
    operation: &'static str,
    endpoint: &Arc<str>,
) -> Result<()> {
    let (owner, maker) = (permissions.uid, permissions.cuid);
    check(owner, asked, operation, endpoint)?;
    if maker == owner || maker == 0 || maker == Uid::effective().as_raw() {
        return Ok(());
    }
    let detail =
        format!("user {maker} has made the queue, given it to user {owner}, and can still use it");
    Err(Error::new(ErrorKind::WrongOwner, operation).at(endpoint).with_detail(detail))
}

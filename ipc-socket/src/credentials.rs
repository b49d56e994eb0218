//! Who the peer of a Unix socket is.

use nix::sys::socket::{getsockopt, sockopt};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The user, the group and the process of a peer, as the kernel vouches for them; see `SO_PEERCRED` of
/// unix(7).
///
/// Authorise by [`uid`](Credentials::uid). Do not authorise by the process: a number may have passed to
/// another process since; a pidfd, which [`SocketPair::peer_pidfd`](crate::SocketPair::peer_pidfd)
/// gives, cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    uid: u32,
    gid: u32,
    pid: i32,
}

impl Credentials {
    pub(crate) fn new(uid: u32, gid: u32, pid: i32) -> Self {
        Credentials { uid, gid, pid }
    }

    /// The effective user when the peer called connect(2) or listen(2), or when it sent the message.
    pub fn uid(self) -> u32 {
        self.uid
    }

    /// The effective group at that time.
    pub fn gid(self) -> u32 {
        self.gid
    }

    /// The process; `None` if it is in a process namespace that this one does not see.
    ///
    /// At a connecting end it is the process that called listen(2), which need not be the one that
    /// accepted.
    pub fn pid(self) -> Option<u32> {
        u32::try_from(self.pid).ok().filter(|pid| *pid > 0)
    }
}

/// The peer of a connected stream or seqpacket socket.
pub(crate) fn of_peer(socket: &impl AsFd) -> io::Result<Credentials> {
    let found = getsockopt(socket, sockopt::PeerCredentials)?;
    Ok(Credentials::new(found.uid(), found.gid(), found.pid()))
}

/// A pidfd of the peer's process.
pub(crate) fn pidfd_of_peer(socket: &impl AsFd) -> io::Result<OwnedFd> {
    Ok(getsockopt(socket, sockopt::PeerPidfd)?)
}

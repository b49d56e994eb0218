//! Control messages: what comes beside the bytes of a message; see cmsg(3).
//!
//! The kernel writes them one behind the other into a buffer of ours. Each is a length (of itself, head
//! included), a level, a type, and its data; each begins at a multiple of eight bytes:
//!
//! ```text
//! | length, 8 bytes | level, 4 | type, 4 | data … | padding | length | …
//! ```
//!
//! The buffer is all zeros before the call, so that a length of zero ends the row. How large it is
//! decides what can come: without room for descriptors the kernel installs none. They come last, behind
//! the credentials.

use crate::credentials::Credentials;
use nix::libc;

/// Level and type of a control message.
pub(crate) type Kind = (libc::c_int, libc::c_int);

pub(crate) const SCM_RIGHTS: Kind = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
const SCM_CREDENTIALS: Kind = (libc::SOL_SOCKET, libc::SCM_CREDENTIALS);
const SO_RXQ_OVFL: Kind = (libc::SOL_SOCKET, libc::SO_RXQ_OVFL);

/// The most descriptors that the kernel lets one message carry: `SCM_MAX_FD` of unix(7).
pub(crate) const MAX_DESCRIPTORS: usize = 253;

const HEAD: usize = 16;

/// A buffer for control messages.
#[derive(Debug)]
pub(crate) struct Control {
    buffer: Vec<u8>,
}

impl Control {
    /// Room for the sender's credentials, and for descriptors if they are wanted.
    pub(crate) fn unix(credentials: bool, descriptors: bool) -> Self {
        let mut size = 0;
        if credentials {
            size += space(size_of::<libc::ucred>());
        }
        if descriptors {
            size += space(MAX_DESCRIPTORS * size_of::<libc::c_int>());
        }
        Control { buffer: vec![0; size] }
    }

    /// Room for the count of messages that were dropped.
    pub(crate) fn drops() -> Self {
        Control { buffer: vec![0; space(size_of::<u32>())] }
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.fill(0);
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// The data of the first control message of this kind.
    pub(crate) fn find(&self, kind: Kind) -> Option<&[u8]> {
        let mut rest = self.buffer.as_slice();
        loop {
            let (length, tail) = rest.split_first_chunk()?;
            let (level, tail) = tail.split_first_chunk()?;
            let (kind_, _) = tail.split_first_chunk()?;
            let length = usize::from_ne_bytes(*length);
            let data = rest.get(HEAD..length)?;
            if (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind_)) == kind {
                return Some(data);
            }
            rest = rest.get(length.checked_next_multiple_of(8)?..)?;
        }
    }

    /// Who sent the message, if the socket asks for it (`SO_PASSCRED`).
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        let (pid, rest) = self.find(SCM_CREDENTIALS)?.split_first_chunk()?;
        let (uid, rest) = rest.split_first_chunk()?;
        let (gid, _) = rest.split_first_chunk()?;
        let pid = i32::from_ne_bytes(*pid);
        Some(Credentials::new(u32::from_ne_bytes(*uid), u32::from_ne_bytes(*gid), pid))
    }

    /// How many messages the socket had dropped when this one came, if any.
    pub(crate) fn dropped(&self) -> Option<u32> {
        let count = self.find(SO_RXQ_OVFL)?.first_chunk()?;
        Some(u32::from_ne_bytes(*count))
    }
}

/// `CMSG_SPACE` of cmsg(3).
const fn space(data: usize) -> usize {
    HEAD + data.next_multiple_of(8)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(buffer: &mut Vec<u8>, kind: Kind, data: &[u8]) {
        buffer.extend((HEAD + data.len()).to_ne_bytes());
        buffer.extend(kind.0.to_ne_bytes());
        buffer.extend(kind.1.to_ne_bytes());
        buffer.extend(data);
        buffer.resize(buffer.len().next_multiple_of(8), 0);
    }

    #[test]
    fn each_kind_is_found_wherever_it_stands() {
        let mut buffer = Vec::new();
        put(&mut buffer, SCM_CREDENTIALS, &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
        put(&mut buffer, SCM_RIGHTS, &[7; 4]);
        buffer.resize(buffer.len() + 40, 0);
        let control = Control { buffer };
        let found = control.credentials().unwrap();
        assert_eq!((found.pid(), found.uid(), found.gid()), (Some(1), 2, 3));
        assert_eq!(control.find(SCM_RIGHTS), Some(&[7; 4][..]));
        assert_eq!(control.dropped(), None);
    }

    #[test]
    fn lengths_that_lie_find_nothing() {
        for length in [0, 1, HEAD - 1, 1000, usize::MAX, usize::MAX - 6] {
            let mut buffer = length.to_ne_bytes().to_vec();
            buffer.resize(64, 1);
            assert_eq!(Control { buffer }.find(SCM_RIGHTS), None);
        }
        assert_eq!(Control { buffer: Vec::new() }.find(SCM_RIGHTS), None);
    }
}

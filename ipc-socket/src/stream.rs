//! A stream socket as two streams of bytes, one to read and one to write.
//!
//! Sockets of ours block, and every call that is not to wait says so by `MSG_DONTWAIT`: so one that is to
//! wait, for as long as it takes, can do so in the kernel at once. Of a socket that came from elsewhere the
//! flags are left alone.
//!
//! Descriptors travel with the first byte of a message's frame. A read that reaches such a byte brings
//! them, and the kernel does not say which of the bytes it was. So where descriptors are wanted, no read
//! goes beyond the end of the frame in hand: whatever comes with it is that message's. It costs a second
//! call a message (one for the length, one for the rest), and is not done where they are not wanted.

use crate::control::{Control, MAX_DESCRIPTORS};
use crate::sys;
use ipc_core::Framing;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};
use socket2::Socket;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

/// For every call that receives and is not to wait.
pub(crate) const NOW: MsgFlags = MsgFlags::MSG_DONTWAIT;

/// For every call that sends: do not block, and do not kill the process where the peer is gone.
pub(crate) const SEND: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// A connected socket, which is closed when both halves have been dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    is_tcp: bool,
    /// The process that made it.
    owner: u32,
}

impl Connection {
    pub(crate) fn new(socket: Socket, is_tcp: bool) -> Self {
        Connection { socket, is_tcp, owner: std::process::id() }
    }

    /// Whether this is not the copy of a forked child: the connection is the parent's.
    fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }
}

impl Deref for Connection {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

/// A TCP socket that is closed with unread bytes resets the connection, and the kernel throws away what is
/// still on its way to the peer. So they are taken out first: those that are there, since for more to come
/// nobody can wait.
impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_tcp || !self.is_ours() {
            return;
        }
        // No more than that can be there, however fast the peer goes on sending.
        let most = self.socket.recv_buffer_size().unwrap_or_default();
        let mut scrap = [0; 16 << 10];
        let mut discarded = 0;
        while let Ok(count @ 1..) = recv(self.socket.as_raw_fd(), &mut scrap, NOW) {
            discarded += count;
            if discarded >= most {
                break;
            }
        }
    }
}

/// A socket that two halves share, or one of them.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) socket: Arc<Connection>,
    /// What to shut down when this half is dropped: nothing, as long as both are in one hand.
    pub(crate) at_drop: Option<Shutdown>,
}

impl Shared {
    pub(crate) fn new(socket: &Arc<Connection>) -> Self {
        Shared { socket: Arc::clone(socket), at_drop: None }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(how) = self.at_drop
            && self.socket.is_ours()
        {
            // Fails only if the peer is gone, who then need not be told.
            let _ = self.socket.shutdown(how);
        }
    }
}

impl AsFd for Shared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The end to read from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) shared: Shared,
    /// Where descriptors are wanted.
    pub(crate) incoming: Option<Incoming>,
}

impl Source {
    pub(crate) fn new(socket: &Arc<Connection>, incoming: Option<Incoming>) -> Self {
        Source { shared: Shared::new(socket), incoming }
    }

    /// Waits until there is something, and reads it, in one call; `WouldBlock` if the socket, which then is
    /// not one of ours, does not block.
    pub(crate) fn read_when_there(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(buffer, MsgFlags::empty())
    }

    fn read_with(&mut self, buffer: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        match &mut self.incoming {
            None => recv(self.shared.socket.as_raw_fd(), buffer, flags).map_err(lost),
            Some(incoming) => incoming.read(&self.shared.socket, buffer, flags),
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(buffer, NOW)
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.as_fd()
    }
}

/// The descriptors that have come with the message in hand, and where in its frame we are.
#[derive(Debug)]
pub(crate) struct Incoming {
    place: Place,
    control: Control,
    basket: Arc<Mutex<Basket>>,
}

/// Where the descriptors wait for their message to be whole. The receiver holds it, too.
#[derive(Debug, Default)]
pub(crate) struct Basket {
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Not all could be installed, or there were more than a message may bring: none is kept.
    pub(crate) lost: bool,
}

impl Incoming {
    /// `None` if messages of this framing end where only reading byte by byte would tell.
    pub(crate) fn new(framing: Framing, basket: &Arc<Mutex<Basket>>) -> Option<Self> {
        let place = match framing {
            Framing::Length => Place::Head([0; 4], 0),
            Framing::Fixed(size) => Place::Fixed { left: size as usize, size: size as usize },
            Framing::Raw => Place::Anywhere,
            _ => return None,
        };
        let control = Control::unix(false, true);
        Some(Incoming { place, control, basket: Arc::clone(basket) })
    }

    fn read(&mut self, socket: &Socket, buffer: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        let size = buffer.len().min(self.place.left());
        let buffer = buffer.get_mut(..size).unwrap_or_default();
        let mut basket = self.basket.lock().unwrap_or_else(PoisonError::into_inner);
        let Basket { descriptors, lost } = &mut *basket;
        let arrived = sys::receive::<()>(socket.as_fd(), buffer, &mut self.control, descriptors, flags)?;
        // A peer could send as many again with each byte, and never end the message.
        *lost |= arrived.descriptors_lost || descriptors.len() > MAX_DESCRIPTORS;
        if *lost {
            descriptors.clear();
        }
        self.place.advance(buffer.get(..arrived.size).unwrap_or_default());
        Ok(arrived.size)
    }
}

/// A place within a frame.
#[derive(Debug)]
enum Place {
    /// In the four bytes of length; so many of them have come.
    Head([u8; 4], usize),
    /// In a message with a length before it.
    Body { left: usize },
    /// In a message of fixed size.
    Fixed { left: usize, size: usize },
    /// There are no frames.
    Anywhere,
}

impl Place {
    /// How many bytes may be read without going beyond the end of the frame, or of its head.
    fn left(&self) -> usize {
        match self {
            Place::Head(head, have) => head.len().saturating_sub(*have),
            Place::Body { left } | Place::Fixed { left, .. } => *left,
            Place::Anywhere => usize::MAX,
        }
    }

    fn advance(&mut self, bytes: &[u8]) {
        match self {
            Place::Head(head, have) => {
                for (slot, byte) in head.iter_mut().skip(*have).zip(bytes) {
                    *slot = *byte;
                }
                *have += bytes.len();
                if *have >= head.len() {
                    *self = match u32::from_le_bytes(*head) as usize {
                        0 => Place::Head([0; 4], 0),
                        left => Place::Body { left },
                    };
                }
            }
            Place::Body { left } => {
                *left = left.saturating_sub(bytes.len());
                if *left == 0 {
                    *self = Place::Head([0; 4], 0);
                }
            }
            Place::Fixed { left, size } => {
                *left = left.saturating_sub(bytes.len());
                if *left == 0 {
                    *left = *size;
                }
            }
            Place::Anywhere => {}
        }
    }
}

/// The end to write to.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) shared: Shared,
    /// The numbers of the descriptors that go with the next byte. Whoever puts them here keeps the
    /// descriptors open, and takes back what is left when the call is over.
    pub(crate) outgoing: Vec<RawFd>,
    /// TCP carries none.
    pub(crate) is_tcp: bool,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.outgoing.is_empty() {
            return send(self.shared.socket.as_raw_fd(), bytes, SEND).map_err(lost);
        }
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let fd = self.shared.socket.as_raw_fd();
        if self.outgoing.is_empty() {
            return sendmsg::<()>(fd, slices, &[], SEND, None).map_err(lost);
        }
        let rights = [ControlMessage::ScmRights(&self.outgoing)];
        let count = sendmsg::<()>(fd, slices, &rights, SEND, None)?;
        if count > 0 {
            self.outgoing.clear();
        }
        Ok(count)
    }

    /// Nothing is held back here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.as_fd()
    }
}

/// An error of a call on a connection. TCP says by what a connection has been lost, once; that its own
/// patience is over must not be taken for the caller's.
fn lost(errno: Errno) -> io::Error {
    match errno {
        Errno::ETIMEDOUT | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EHOSTDOWN => {
            io::Error::new(io::ErrorKind::ConnectionReset, io::Error::from(errno))
        }
        _ => errno.into(),
    }
}

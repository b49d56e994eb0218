//! Raw calls in C style: blocking descriptors, one call a message, no framing, for both sides know the size.
//! What std and nix put around a call is nothing beside it. (And posixmq, which is the same with names.)
//!
//! "greedy" are streams of bytes whose receiver reads as much as is there, up to 64 KiB, and hands out
//! message after message. That need not be quicker: who empties a pipe each time meets its writer more often.
//!
//! "polled" are the same calls on descriptors that do not block, in a loop that does nothing else: what an
//! adaptive call can reach at best, for whoever calls the kernel cannot hear of a message any sooner.

use super::{Family, Subject, fresh_name};
use crate::plan::Pattern;
use crate::sys::{self, SysvMessage, SysvWay};
use crate::wire::{Ends, Result, Wire};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::mqueue::{
    MQ_OFlag, MqAttr, MqdT, mq_attr_member_t, mq_close, mq_open, mq_receive, mq_send, mq_unlink,
};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

pub(super) fn all() -> Vec<Subject> {
    vec![
        Subject::processes(Family::Raw, "raw pipe", |size| pipe(size, Calls::Blocking)),
        Subject::processes(Family::Raw, "raw fifo", fifo),
        Subject::processes(Family::Raw, "raw unix", |size| unix(size, Calls::Blocking)),
        Subject::processes(Family::Raw, "raw tcp", |size| tcp(size, Calls::Blocking)),
        Subject::processes(Family::Raw, "raw udp", udp)
            .at_most(65_507, "a datagram of IPv4")
            .only(&[Pattern::RoundTrip], &[64, 4096]),
        Subject::processes(Family::Raw, "raw mq", |size| mq(size, Calls::Blocking))
            .at_most(MQ_SIZE, "msgsize_max"),
        Subject::processes(Family::Raw, "posixmq", posixmq).at_most(MQ_SIZE, "msgsize_max"),
        Subject::processes(Family::Raw, "raw sysvmsg", |size| sysvmsg(size, Calls::Blocking))
            .at_most(SysvMessage::MAX, "msgmax"),
        greedy("raw pipe greedy", |size| pipe(size, Calls::Greedy)),
        greedy("raw unix greedy", |size| unix(size, Calls::Greedy)),
        greedy("raw tcp greedy", |size| tcp(size, Calls::Greedy)),
        polled("raw pipe polled", |size| pipe(size, Calls::Polled)),
        polled("raw unix polled", |size| unix(size, Calls::Polled)),
        polled("raw tcp polled", |size| tcp(size, Calls::Polled)),
        polled("raw mq polled", |size| mq(size, Calls::Polled)),
        polled("raw sysvmsg polled", |size| sysvmsg(size, Calls::Polled)),
        polled("raw sysvmsg polled, one queue", sysvmsg_in_one),
    ]
}

/// Fewer calls, measured where there is more than one message to be had.
fn greedy<W: Wire + 'static>(
    name: &'static str,
    ends: impl Fn(usize) -> Result<Ends<W>> + 'static,
) -> Subject {
    Subject::processes(Family::Raw, name, ends).only(&[Pattern::OneWay], &[64, 4096])
}

/// A busy loop, measured where waiting is what counts.
fn polled<W: Wire + 'static>(
    name: &'static str,
    ends: impl Fn(usize) -> Result<Ends<W>> + 'static,
) -> Subject {
    Subject::processes(Family::Raw, name, ends).only(&[Pattern::RoundTrip], &[64])
}

/// How a receiver calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// For one message, and waits in the kernel.
    Blocking,
    /// For all there is, and waits in the kernel.
    Greedy,
    /// For one message, again and again.
    Polled,
}

impl Calls {
    /// Sets a descriptor to it.
    fn set(self, descriptor: impl AsFd) -> Result<()> {
        if self == Calls::Polled {
            fcntl(descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(())
    }
}

/// As much as a pipe of default size holds: the longest single write.
const PIECE: usize = 64 << 10;

/// A stream of bytes each way.
struct Stream<R, W> {
    reader: R,
    writer: W,
    /// Room for one message; for the greedy, for as many as 64 KiB hold. Its end divides no message.
    buffer: Vec<u8>,
    /// What of it has been read, and not handed out.
    unread: Range<usize>,
    size: usize,
    /// The longest single write.
    piece: usize,
}

impl<R: Read, W: Write> Stream<R, W> {
    fn new(reader: R, writer: W, size: usize, piece: usize, calls: Calls) -> Self {
        let messages = if calls == Calls::Greedy { (PIECE / size).max(1) } else { 1 };
        Stream { reader, writer, buffer: vec![0; messages * size], unread: 0..0, size, piece }
    }
}

impl<R: Read, W: Write> Wire for Stream<R, W> {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(message.chunks(self.piece).try_for_each(|piece| self.writer.write_all(piece))?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        }
        while self.unread.len() < self.size {
            match self.reader.read(&mut self.buffer[self.unread.end..]) {
                Ok(0) => return Err("the other side has closed".into()),
                Ok(len) => self.unread.end += len,
                // If it does not block: again.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        let start = self.unread.start;
        self.unread.start += self.size;
        Ok(look(&self.buffer[start..self.unread.start]))
    }
}

/// Two pipes of default size.
fn pipe(size: usize, calls: Calls) -> Result<Ends<Stream<PipeReader, PipeWriter>>> {
    let (near_reader, far_writer) = std::io::pipe()?;
    let (far_reader, near_writer) = std::io::pipe()?;
    let open = |reader: PipeReader, writer| {
        move || {
            calls.set(&reader)?;
            Ok(Stream::new(reader, writer, size, PIECE, calls))
        }
    };
    Ok(Ends::new(open(near_reader, near_writer), open(far_reader, far_writer)))
}

/// Two FIFOs of default size.
fn fifo(size: usize) -> Result<Ends<Stream<File, File>>> {
    let path = |side| std::env::temp_dir().join(format!("{}-{side}", fresh_name()));
    let (to_near, to_far) = (path("near"), path("far"));
    for path in [&to_near, &to_far] {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    }
    let stream = move |reader, writer| Stream::new(reader, writer, size, PIECE, Calls::Blocking);
    let (near_in, near_out) = (to_near.clone(), to_far.clone());
    // Each open waits for its counterpart, so they are in the same order on both sides.
    Ok(Ends::new(
        move || {
            let writer = File::options().write(true).open(near_out)?;
            Ok(stream(File::open(near_in)?, writer))
        },
        move || {
            let reader = File::open(&to_far)?;
            let writer = File::options().write(true).open(&to_near)?;
            std::fs::remove_file(to_far)?;
            std::fs::remove_file(to_near)?;
            Ok(stream(reader, writer))
        },
    ))
}

/// A pair of Unix stream sockets.
fn unix(size: usize, calls: Calls) -> Result<Ends<Stream<UnixStream, UnixStream>>> {
    let (near, far) = UnixStream::pair()?;
    let open = |socket: UnixStream| {
        move || {
            calls.set(&socket)?;
            Ok(Stream::new(socket.try_clone()?, socket, size, usize::MAX, calls))
        }
    };
    Ok(Ends::new(open(near), open(far)))
}

/// TCP over the loopback interface, without Nagle's delay.
fn tcp(size: usize, calls: Calls) -> Result<Ends<Stream<TcpStream, TcpStream>>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let stream = move |socket: TcpStream| {
        socket.set_nodelay(true)?;
        calls.set(&socket)?;
        Ok(Stream::new(socket.try_clone()?, socket, size, usize::MAX, calls))
    };
    Ok(Ends::new(move || stream(TcpStream::connect(address)?), move || stream(listener.accept()?.0)))
}

/// UDP over the loopback interface.
struct Datagrams(UdpSocket, Vec<u8>);

impl Wire for Datagrams {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)?;
        Ok(())
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let len = self.0.recv(&mut self.1)?;
        Ok(look(&self.1[..len]))
    }
}

fn udp(size: usize) -> Result<Ends<Datagrams>> {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    Ok(Ends::new(move || Ok(Datagrams(near, vec![0; size])), move || Ok(Datagrams(far, vec![0; size]))))
}

/// The sizes of a POSIX queue, by default the largest that may be asked for.
const MQ_SIZE: usize = 8192;
const MQ_MESSAGES: usize = 10;

/// A POSIX queue, closed when dropped.
struct Queue(Option<MqdT>);

impl Queue {
    fn new(calls: Calls) -> Result<Queue> {
        let name = format!("/{}", fresh_name());
        let attributes = MqAttr::new(0, MQ_MESSAGES as mq_attr_member_t, MQ_SIZE as mq_attr_member_t, 0);
        let mut flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR;
        flags.set(MQ_OFlag::O_NONBLOCK, calls == Calls::Polled);
        let queue = mq_open(&*name, flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attributes))?;
        mq_unlink(&*name)?;
        Ok(Queue(Some(queue)))
    }

    fn get(&self) -> Result<&MqdT> {
        self.0.as_ref().ok_or_else(|| "closed".into())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let _ = self.0.take().map(mq_close);
    }
}

/// Two POSIX queues.
struct Mq {
    out: Arc<Queue>,
    back: Arc<Queue>,
    buffer: Vec<u8>,
}

impl Wire for Mq {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(mq_send(self.out.get()?, message, 0)?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            match mq_receive(self.back.get()?, &mut self.buffer, &mut 0) {
                Ok(len) => return Ok(look(&self.buffer[..len])),
                // If it does not block: again.
                Err(Errno::EAGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn mq(_: usize, calls: Calls) -> Result<Ends<Mq>> {
    let (one, other) = (Arc::new(Queue::new(calls)?), Arc::new(Queue::new(calls)?));
    let open = |out: &Arc<Queue>, back: &Arc<Queue>| {
        let (out, back) = (Arc::clone(out), Arc::clone(back));
        move || Ok(Mq { out, back, buffer: vec![0; MQ_SIZE] })
    };
    Ok(Ends::new(open(&one, &other), open(&other, &one)))
}

/// The same with the crate posixmq.
struct PosixMq(Arc<[posixmq::PosixMq; 2]>, usize, Vec<u8>);

impl Wire for PosixMq {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.0[self.1].send(0, message)?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let (_, len) = self.0[1 - self.1].recv(&mut self.2)?;
        Ok(look(&self.2[..len]))
    }
}

fn posixmq(_: usize) -> Result<Ends<PosixMq>> {
    let queue = || -> Result<posixmq::PosixMq> {
        let name = format!("/{}", fresh_name());
        let mut options = posixmq::OpenOptions::readwrite();
        let queue = options.capacity(MQ_MESSAGES).max_msg_len(MQ_SIZE).create_new().open(&name)?;
        posixmq::remove_queue(&name)?;
        Ok(queue)
    };
    let queues = Arc::new([queue()?, queue()?]);
    let open = |side| {
        let queues = Arc::clone(&queues);
        move || Ok(PosixMq(queues, side, vec![0; MQ_SIZE]))
    };
    Ok(Ends::new(open(0), open(1)))
}

/// Two System V queues, or one with two types of messages.
struct SysV {
    out: SysvWay,
    back: SysvWay,
    space: Box<SysvMessage>,
    calls: Calls,
    /// This side removes the queues in the end.
    owner: bool,
}

impl Wire for SysV {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(sys::sysv_send(self.out, &mut self.space, message)?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let wait = self.calls == Calls::Blocking;
        loop {
            match sys::sysv_recv(self.back, &mut self.space, wait) {
                Ok(len) => return Ok(look(self.space.first(len))),
                Err(error) if !wait && error.raw_os_error() == Some(libc::ENOMSG) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for SysV {
    fn drop(&mut self) {
        if self.owner {
            sys::sysv_remove(self.out.id);
            if self.back.id != self.out.id {
                sys::sysv_remove(self.back.id);
            }
        }
    }
}

fn sysvmsg(_: usize, calls: Calls) -> Result<Ends<SysV>> {
    let way = || -> Result<SysvWay> { Ok(SysvWay { id: sys::sysv_queue()?, kind: 0 }) };
    Ok(sysv_ends([way()?, way()?], calls))
}

/// As ours does: found by one key, and so one queue.
fn sysvmsg_in_one(_: usize) -> Result<Ends<SysV>> {
    let id = sys::sysv_queue()?;
    Ok(sysv_ends([1, 2].map(|kind| SysvWay { id, kind }), Calls::Polled))
}

fn sysv_ends([one, other]: [SysvWay; 2], calls: Calls) -> Ends<SysV> {
    let open =
        |out, back, owner| move || Ok(SysV { out, back, space: SysvMessage::new(), calls, owner });
    Ends::new(open(one, other, true), open(other, one, false))
}

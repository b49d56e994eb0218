//! Raw calls in C style: blocking descriptors, one call a message, no framing, for both sides know the size.
//! What std and nix put around a call is nothing beside it. (And posixmq, which is the same with names.)

use super::{Family, Subject, fresh_name};
use crate::sys::{self, SysvMessage};
use crate::wire::{Ends, Result, Wire};
use nix::mqueue::{
    MQ_OFlag, MqAttr, MqdT, mq_attr_member_t, mq_close, mq_open, mq_receive, mq_send, mq_unlink,
};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

pub(super) fn all() -> Vec<Subject> {
    vec![
        Subject::processes(Family::Raw, "raw pipe", pipe),
        Subject::processes(Family::Raw, "raw fifo", fifo),
        Subject::processes(Family::Raw, "raw unix", unix),
        Subject::processes(Family::Raw, "raw tcp", tcp),
        Subject::processes(Family::Raw, "raw udp", udp)
            .at_most(65_507, "a datagram of IPv4")
            .only(&[crate::plan::Pattern::RoundTrip], &[64, 4096]),
        Subject::processes(Family::Raw, "raw mq", mq).at_most(MQ_SIZE, "msgsize_max"),
        Subject::processes(Family::Raw, "posixmq", posixmq).at_most(MQ_SIZE, "msgsize_max"),
        Subject::processes(Family::Raw, "raw sysvmsg", sysvmsg).at_most(SysvMessage::MAX, "msgmax"),
    ]
}

/// As much as a pipe of default size holds: the longest single write.
const PIECE: usize = 64 << 10;

/// A stream of bytes each way.
struct Stream<R, W> {
    reader: R,
    writer: W,
    buffer: Vec<u8>,
    /// The longest single write.
    piece: usize,
}

impl<R: Read, W: Write> Wire for Stream<R, W> {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(message.chunks(self.piece).try_for_each(|piece| self.writer.write_all(piece))?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.reader.read_exact(&mut self.buffer)?;
        Ok(look(&self.buffer))
    }
}

/// Two pipes of default size.
fn pipe(size: usize) -> Result<Ends<Stream<PipeReader, PipeWriter>>> {
    let (near_reader, far_writer) = std::io::pipe()?;
    let (far_reader, near_writer) = std::io::pipe()?;
    let open =
        |reader, writer| move || Ok(Stream { reader, writer, buffer: vec![0; size], piece: PIECE });
    Ok(Ends::new(open(near_reader, near_writer), open(far_reader, far_writer)))
}

/// Two FIFOs of default size.
fn fifo(size: usize) -> Result<Ends<Stream<File, File>>> {
    let path = |side| std::env::temp_dir().join(format!("{}-{side}", fresh_name()));
    let (to_near, to_far) = (path("near"), path("far"));
    for path in [&to_near, &to_far] {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    }
    let stream = move |reader, writer| Stream { reader, writer, buffer: vec![0; size], piece: PIECE };
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
fn unix(size: usize) -> Result<Ends<Stream<UnixStream, UnixStream>>> {
    let (near, far) = UnixStream::pair()?;
    let open = |socket: UnixStream| {
        move || {
            let reader = socket.try_clone()?;
            Ok(Stream { reader, writer: socket, buffer: vec![0; size], piece: usize::MAX })
        }
    };
    Ok(Ends::new(open(near), open(far)))
}

/// TCP over the loopback interface, without Nagle's delay.
fn tcp(size: usize) -> Result<Ends<Stream<TcpStream, TcpStream>>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let stream = move |socket: TcpStream| {
        socket.set_nodelay(true)?;
        let reader = socket.try_clone()?;
        Ok(Stream { reader, writer: socket, buffer: vec![0; size], piece: usize::MAX })
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
    fn new() -> Result<Queue> {
        let name = format!("/{}", fresh_name());
        let attributes = MqAttr::new(0, MQ_MESSAGES as mq_attr_member_t, MQ_SIZE as mq_attr_member_t, 0);
        let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR;
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
        let len = mq_receive(self.back.get()?, &mut self.buffer, &mut 0)?;
        Ok(look(&self.buffer[..len]))
    }
}

fn mq(_: usize) -> Result<Ends<Mq>> {
    let (one, other) = (Arc::new(Queue::new()?), Arc::new(Queue::new()?));
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

/// Two System V queues.
struct SysV {
    out: i32,
    back: i32,
    space: Box<SysvMessage>,
    /// This side removes the queues in the end.
    owner: bool,
}

impl Wire for SysV {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(sys::sysv_send(self.out, &mut self.space, message)?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(sys::sysv_recv(self.back, &mut self.space)?))
    }
}

impl Drop for SysV {
    fn drop(&mut self) {
        if self.owner {
            sys::sysv_remove(self.out);
            sys::sysv_remove(self.back);
        }
    }
}

fn sysvmsg(_: usize) -> Result<Ends<SysV>> {
    let (one, other) = (sys::sysv_queue()?, sys::sysv_queue()?);
    let open = |out, back, owner| move || Ok(SysV { out, back, space: SysvMessage::new(), owner });
    Ok(Ends::new(open(one, other, true), open(other, one, false)))
}

//! Streams that take and give little at a time, or break: the deadline is for the whole message, and a
//! batch says truly how much of it was accepted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_core::{Endpoint, ErrorKind, FramedReceiver, FramedSender, Receiver, Sender, Wait};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// Much less than the message takes.
const TIMEOUT: Duration = Duration::from_millis(20);

#[test]
fn a_sink_that_is_slow_holds_no_send_beyond_its_deadline() {
    let mut sender = FramedSender::new(Slow::new(Vec::new()), &endpoint());
    let message = [b'm'; 200];
    sender.send_timeout(&message, TIMEOUT).expect("it was accepted, for a part has gone out");
    let error = sender.send_timeout(b"next", TIMEOUT).expect_err("the rest is still going out");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = sender.flush(Wait::timeout(TIMEOUT)).expect_err("the rest is still going out");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    sender.flush(Wait::Forever).unwrap();
    assert_eq!(sender.get_ref().bytes, [&200_u32.to_le_bytes()[..], &message].concat());
}

#[test]
fn a_source_that_is_slow_holds_no_recv_beyond_its_deadline() {
    let message = [b'm'; 200];
    let bytes = [&200_u32.to_le_bytes()[..], &message].concat();
    let mut receiver = FramedReceiver::new(Slow::new(bytes), &endpoint());
    let error = receiver.recv_timeout(TIMEOUT).expect_err("the message is still coming");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(receiver.recv().unwrap(), message, "what had come of it was kept");
    let error = receiver.recv().expect_err("that was all");
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

#[test]
fn a_sink_that_takes_nothing_is_an_error_and_no_endless_loop() {
    let mut sender = FramedSender::new(Stuck(UnixStream::pair().unwrap().0), &endpoint());
    let batch: [&[u8]; 2] = [b"one", b"two"];
    assert_eq!(sender.send(&batch.concat()).unwrap_err().kind(), ErrorKind::System);
    assert_eq!(sender.send_batch(&batch, Wait::Forever).unwrap_err().kind(), ErrorKind::System);
}

#[test]
fn short_messages_of_a_batch_share_writes() {
    let mut sender = FramedSender::new(Counting::taking(usize::MAX), &endpoint());
    let messages = [[b'm'; 36]; 300];
    let batch = messages.each_ref().map(|message| &message[..]);
    assert_eq!(sender.send_batch(&batch, Wait::Forever).unwrap(), 300);
    assert_eq!(sender.get_ref().bytes.len(), 300 * 40);
    assert_eq!(sender.get_ref().writes, 3, "102 messages are 4,080 bytes");
}

#[test]
fn long_messages_go_by_themselves_in_a_batch_and_in_order() {
    let mut sender = FramedSender::new(Counting::taking(usize::MAX), &endpoint());
    let long = [b'l'; 10_000];
    let batch: [&[u8]; 6] = [b"one", b"two", &long, b"", &long[..4092], b"end"];
    assert_eq!(sender.send_batch(&batch, Wait::Forever).unwrap(), batch.len());
    let mut receiver = FramedReceiver::new(whole(&sender.get_ref().bytes), &endpoint());
    for message in batch {
        assert_eq!(receiver.recv().unwrap(), message);
    }
}

#[test]
fn a_batch_is_cut_where_the_time_ran_out_and_finishes_what_was_begun() {
    let mut sender = FramedSender::new(Slow::new(Vec::new()), &endpoint());
    let batch: [&[u8]; 3] = [&[b'1'; 100], &[b'2'; 100], &[b'3'; 100]];
    let sent = sender.send_batch(&batch, Wait::timeout(TIMEOUT)).unwrap();
    assert_eq!(sent, 1, "the second had not begun");
    sender.flush(Wait::Forever).unwrap();
    assert_eq!(sender.get_ref().bytes, [&100_u32.to_le_bytes()[..], batch[0]].concat());
    let past = Wait::timeout(Duration::ZERO);
    assert_eq!(sender.send_batch(&batch, past).unwrap(), 1, "a byte of it has gone out");
    let error = sender.send_batch(&batch, past).expect_err("the rest is still going out");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_batch_that_breaks_off_counts_the_messages_that_had_gone_out() {
    let mut sender = FramedSender::new(Counting::taking(60), &endpoint());
    let batch: [&[u8]; 3] = [&[b'1'; 36], &[b'2'; 36], &[b'3'; 36]];
    assert_eq!(sender.send_batch(&batch, Wait::Forever).unwrap(), 1, "half of the second is out");
    let error = sender.send_batch(&batch, Wait::Forever).expect_err("it is cut for good");
    assert_eq!(error.kind(), ErrorKind::Disconnected);

    let mut sender = FramedSender::new(Counting::taking(80), &endpoint());
    assert_eq!(sender.send_batch(&batch, Wait::Forever).unwrap(), 2);
    let error = sender.send_batch(&batch[2..], Wait::Forever).expect_err("nobody reads");
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

/// A stream that holds these bytes, of which there may not be many.
fn whole(bytes: &[u8]) -> UnixStream {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    writer.write_all(bytes).unwrap();
    reader.set_nonblocking(true).unwrap();
    reader
}

fn endpoint() -> Endpoint {
    Endpoint::parse("unix://@slow").unwrap()
}

/// Takes so many bytes and then breaks; always ready.
struct Counting {
    bytes: Vec<u8>,
    room: usize,
    writes: usize,
    ready: UnixStream,
}

impl Counting {
    fn taking(room: usize) -> Counting {
        Counting { bytes: Vec::new(), room, writes: 0, ready: UnixStream::pair().unwrap().0 }
    }
}

impl Write for Counting {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = buffer.len().min(self.room);
        if taken == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.room -= taken;
        self.writes += 1;
        self.bytes.extend_from_slice(&buffer[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Counting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

/// Takes or gives one byte in a millisecond; always ready.
struct Slow {
    bytes: Vec<u8>,
    ready: UnixStream,
}

impl Slow {
    fn new(mut bytes: Vec<u8>) -> Slow {
        bytes.reverse();
        Slow { bytes, ready: UnixStream::pair().unwrap().0 }
    }
}

impl Write for Slow {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        thread::sleep(Duration::from_millis(1));
        self.bytes.extend(buffer.first());
        Ok(1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(Duration::from_millis(1));
        let byte = self.bytes.pop();
        byte.map_or(Ok(0), |byte| {
            buffer[0] = byte;
            Ok(1)
        })
    }
}

impl AsFd for Slow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

/// Takes nothing, and does not say why.
struct Stuck(UnixStream);

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stuck {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

//! Streams that take and give one byte at a time, slowly: the deadline is for the whole message.

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

fn endpoint() -> Endpoint {
    Endpoint::parse("unix://@slow").unwrap()
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

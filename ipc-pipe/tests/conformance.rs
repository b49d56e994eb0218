//! The rules of the contract, on pipes: with both ends in one process, and with one of them handed to a
//! child.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_core::conformance::{End, Fixture, Opened, Place};
use ipc_pipe::{CAPABILITIES, Capabilities, Endpoint, Error, ErrorKind, Framing, Options, Result};
use ipc_pipe::{PipeReceiver, PipeSender, hand_over};
use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

/// The plain ends that have been made and not yet been opened, by the place's text, which is
/// `COUNT:READ:WRITE`: in a child the ends have the same numbers.
static UNOPENED: LazyLock<Mutex<HashMap<String, Ends>>> = LazyLock::new(Mutex::default);
type Ends = (Option<PipeReader>, Option<PipeWriter>);

struct Pipe {
    query: &'static str,
}

impl Pipe {
    fn options(&self) -> Options {
        Endpoint::parse(format!("pipe://fd/0{}", self.query)).unwrap().options().clone()
    }
}

fn unopened<T>(place: &str, take: impl FnOnce(&mut Ends) -> Option<T>) -> Option<T> {
    UNOPENED.lock().unwrap().get_mut(place).and_then(take)
}

/// Closes what nobody opened.
struct Keep(String);

impl Drop for Keep {
    fn drop(&mut self) {
        UNOPENED.lock().unwrap().remove(&self.0);
    }
}

impl Fixture for Pipe {
    fn capabilities(&self) -> Capabilities {
        self.options().max_message.map_or(CAPABILITIES, |most| CAPABILITIES.max_message(most))
    }

    fn tells_cut_messages(&self) -> bool {
        self.options().framing != Some(Framing::Lines)
    }

    fn place(&self) -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (reader, writer) = io::pipe().unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let text = format!("{count}:{}:{}", reader.as_raw_fd(), writer.as_raw_fd());
        UNOPENED.lock().unwrap().insert(text.clone(), (Some(reader), Some(writer)));
        Place { text: text.clone(), keep: Box::new(Keep(text)) }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        let inherited =
            |index| format!("pipe://fd/{}{}", place.split(':').nth(index).unwrap(), self.query);
        match end {
            End::Sender => {
                let sender = match unopened(place, |ends| ends.1.take()) {
                    Some(writer) => PipeSender::from_writer(writer, &self.options()),
                    None => PipeSender::open(inherited(2)),
                };
                Ok(Opened::Sender(Box::new(sender?)))
            }
            End::Receiver => {
                let receiver = match unopened(place, |ends| ends.0.take()) {
                    Some(reader) => PipeReceiver::from_reader(reader, &self.options()),
                    None => PipeReceiver::open(inherited(1)),
                };
                Ok(Opened::Receiver(Box::new(receiver?)))
            }
            End::Binder | End::Connector => Err(Error::new(ErrorKind::Unsupported, "open")),
        }
    }

    fn hand_over(&self, end: End, place: &str, child: &mut Command) -> io::Result<()> {
        match end {
            End::Sender => hand_over(unopened(place, |ends| ends.1.take()).unwrap(), child)?,
            _ => hand_over(unopened(place, |ends| ends.0.take()).unwrap(), child)?,
        };
        Ok(())
    }
}

mod length {
    ipc_core::conformance_tests!(super::Pipe { query: "" });
}

/// Through the smallest pipe that there is, and without spinning.
mod lines_through_a_small_pipe {
    ipc_core::conformance_tests!(super::Pipe { query: "?framing=lines&capacity=4096&waiting=block" });
}

/// Strings that fit into `PIPE_BUF` with their NUL are never cut, though their framing could not tell.
mod pieces {
    ipc_core::conformance_tests!(super::Pipe { query: "?framing=nul&max_message=4095" });
}

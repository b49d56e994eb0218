//! The rules of the contract, on FIFOs: whoever binds, with several framings, and with little room.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_core::conformance::{End, Fixture, Opened, Place};
use ipc_fifo::{CAPABILITIES, Capabilities, Error, ErrorKind, FifoReceiver, FifoSender, Result, Wait};
use std::any::Any;
use std::time::Duration;

/// A FIFO with options, that the receiver binds, or the sender.
struct Fifo {
    options: &'static str,
    sender_binds: bool,
}

const PATIENCE: Duration = Duration::from_secs(5);

impl Fifo {
    fn endpoint(&self, place: &str) -> String {
        format!("fifo://{place}{}", self.options)
    }

    fn open(&self, end: End, place: &str, wait: Wait) -> Result<Opened> {
        let endpoint = self.endpoint(place);
        match (end, self.sender_binds) {
            (End::Receiver, false) => Ok(Opened::Receiver(Box::new(FifoReceiver::bind(endpoint)?))),
            (End::Receiver, true) => {
                Ok(Opened::Receiver(Box::new(FifoReceiver::connect_within(endpoint, wait)?)))
            }
            (End::Sender, false) => {
                Ok(Opened::Sender(Box::new(FifoSender::connect_within(endpoint, wait)?)))
            }
            (End::Sender, true) => {
                let mut sender = FifoSender::bind(endpoint)?;
                sender.wait_for_receiver(wait)?;
                Ok(Opened::Sender(Box::new(sender)))
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "open")),
        }
    }
}

impl Fixture for Fifo {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = CAPABILITIES;
        if self.options.contains("max_message=1M") {
            capabilities = capabilities.max_message(1 << 20);
        }
        if self.options.contains("framing=") || self.sender_binds {
            capabilities.several_senders = false;
        }
        if self.options.contains("persist=true") {
            capabilities = capabilities.ignores_disconnect();
        }
        capabilities
    }

    fn tells_cut_messages(&self) -> bool {
        !self.options.contains("framing=lines")
    }

    fn place(&self) -> Place {
        let directory = tempfile::tempdir().unwrap();
        Place {
            text: directory.path().join("fifo").into_os_string().into_string().unwrap(),
            keep: Box::new(directory),
        }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        self.open(end, place, Wait::timeout(PATIENCE))
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let waits = matches!((end, self.sender_binds), (End::Sender, _) | (End::Receiver, true));
        waits.then(|| self.open(end, place, Wait::timeout(timeout)))
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        let endpoint = self.endpoint(place);
        Some(match self.sender_binds {
            false => FifoReceiver::bind(endpoint).map(|end| Box::new(end) as Box<dyn Any + Send>),
            true => FifoSender::bind(endpoint).map(|end| Box::new(end) as Box<dyn Any + Send>),
        })
    }
}

mod receiver_binds {
    ipc_core::conformance_tests!(super::Fifo { options: "", sender_binds: false });
}

mod sender_binds {
    ipc_core::conformance_tests!(super::Fifo { options: "?max_message=1M", sender_binds: true });
}

mod persist {
    ipc_core::conformance_tests!(super::Fifo {
        options: "?persist=true&max_message=1M",
        sender_binds: false
    });
}

mod little_room {
    ipc_core::conformance_tests!(super::Fifo {
        options: "?capacity=4096&waiting=block&max_message=1M",
        sender_binds: false
    });
}

mod lines {
    ipc_core::conformance_tests!(super::Fifo {
        options: "?framing=lines&max_message=1M",
        sender_binds: true
    });
}

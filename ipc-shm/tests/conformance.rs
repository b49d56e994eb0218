//! The conformance suite, over each kind of memory and in both directions.
//!
//! The fans ignore the end of a peer, so the rules about that are passed over. Not here: a `ShmFanOut` that drops
//! slow receivers, and so is not reliable: the rules for a full channel, for batches and for a killed sender do
//! not hold, and the others ask nothing that they do not ask of one that waits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "names/mod.rs"]
mod names;

use ipc_core::conformance::{End, Fixture, Opened, Place};
use ipc_shm::{
    CAPABILITIES, Capabilities, Error, ErrorKind, PAIR_CAPABILITIES, Result, Ring, Segment, ShmFanIn,
    ShmFanOut, ShmPair, ShmReceiver, ShmSender, Slow, Wait,
};
use std::any::Any;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(5);

/// Removes what a killed owner has left.
struct Cleanup(String);

impl Drop for Cleanup {
    fn drop(&mut self) {
        // Most often it is gone already.
        let _ = Segment::remove(&self.0);
    }
}

/// An endpoint that no other test uses.
fn unique(scheme: &str) -> String {
    if scheme == "shm" { format!("shm://{}", names::unique()) } else { names::unique_key() }
}

struct OneWay(&'static str);

impl Fixture for OneWay {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn place(&self) -> Place {
        let text = unique(self.0);
        Place { keep: Box::new(Cleanup(text.clone())), text }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        Ok(match end {
            End::Sender => Opened::Sender(Box::new(ShmSender::connect_timeout(place, LIMIT)?)),
            _ => Opened::Receiver(Box::new(ShmReceiver::bind(place)?)),
        })
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let connect = || ShmSender::connect_timeout(place, timeout);
        (end == End::Sender).then(|| Ok(Opened::Sender(Box::new(connect()?))))
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(ShmReceiver::bind(place).map(|bound| Box::new(bound) as _))
    }
}

/// The sender binds, and messages go into a ring that is much smaller than some of them.
struct SmallFromTheSender;

impl Fixture for SmallFromTheSender {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES.max_message(256 << 10)
    }

    fn place(&self) -> Place {
        let text = unique("shm") + "?capacity=4K&max_message=256K";
        Place { keep: Box::new(Cleanup(text.clone())), text }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        Ok(match end {
            End::Sender => Opened::Sender(Box::new(ShmSender::bind(place)?)),
            _ => Opened::Receiver(Box::new(ShmReceiver::connect_within(place, Wait::timeout(LIMIT))?)),
        })
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(ShmSender::bind(place).map(|bound| Box::new(bound) as _))
    }
}

struct Pairs(&'static str);

impl Fixture for Pairs {
    fn capabilities(&self) -> Capabilities {
        PAIR_CAPABILITIES
    }

    fn place(&self) -> Place {
        let text = unique(self.0);
        Place { keep: Box::new(Cleanup(text.clone())), text }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        let connect = || ShmPair::connect_timeout(place, LIMIT);
        Ok(match end {
            End::Binder => Opened::Pair(Box::new(ShmPair::bind(place)?)),
            End::Connector => Opened::Pair(Box::new(connect()?)),
            End::Sender => Opened::Sender(Box::new(connect()?.split().0)),
            End::Receiver => Opened::Receiver(Box::new(ShmPair::bind(place)?.split().1)),
        })
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let connect = || ShmPair::connect_timeout(place, timeout);
        match end {
            End::Connector => Some(connect().map(|pair| Opened::Pair(Box::new(pair)))),
            End::Sender => Some(connect().map(|pair| Opened::Sender(Box::new(pair.split().0)))),
            _ => None,
        }
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(ShmPair::bind(place).map(|bound| Box::new(bound) as _))
    }
}

/// Several senders, each with a ring of its own.
struct FanIn;

/// How many places the fans have; the suite needs four.
const PLACES: usize = 5;

/// Removes what a killed owner of places has left.
struct CleanupOfPlaces(String);

impl Drop for CleanupOfPlaces {
    fn drop(&mut self) {
        for number in 0..PLACES {
            let _ = Segment::remove(format!("{}.{number}", self.0));
        }
    }
}

fn places() -> Place {
    let text = unique("shm");
    Place { keep: Box::new(CleanupOfPlaces(text.clone())), text }
}

impl Fixture for FanIn {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES.several_senders().ignores_disconnect()
    }

    fn place(&self) -> Place {
        places()
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        Ok(match end {
            End::Sender => {
                Opened::Sender(Box::new(ShmFanIn::connect_within(place, Wait::timeout(LIMIT))?))
            }
            _ => Opened::Receiver(Box::new(ShmFanIn::bind(place, PLACES)?)),
        })
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let connect = || ShmFanIn::connect_within(place, Wait::timeout(timeout));
        (end == End::Sender).then(|| Ok(Opened::Sender(Box::new(connect()?))))
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(ShmFanIn::bind(place, PLACES).map(|bound| Box::new(bound) as _))
    }
}

/// One of several receivers, which holds the sender back.
struct FanOut;

impl Fixture for FanOut {
    fn capabilities(&self) -> Capabilities {
        // A quarter of a ring of a megabyte, less what a record takes.
        CAPABILITIES.max_message((1 << 18) - 4).ignores_disconnect()
    }

    fn place(&self) -> Place {
        places()
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        if end == End::Receiver {
            let receiver = ShmFanOut::connect_within(place, Wait::timeout(LIMIT))?;
            return Ok(Opened::Receiver(Box::new(receiver)));
        }
        let mut sender = ShmFanOut::bind(place, PLACES, Slow::Hold)?;
        assert_eq!(sender.capabilities(), self.capabilities());
        // What is sent before somebody is there goes nowhere.
        let started = Instant::now();
        while sender.receivers() == 0 {
            if started.elapsed() > LIMIT {
                return Err(Error::new(ErrorKind::TimedOut, "open"));
            }
            std::thread::yield_now();
        }
        Ok(Opened::Sender(Box::new(sender)))
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let connect = || ShmFanOut::connect_within(place, Wait::timeout(timeout));
        (end == End::Receiver).then(|| Ok(Opened::Receiver(Box::new(connect()?))))
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(ShmFanOut::bind(place, PLACES, Slow::Hold).map(|bound| Box::new(bound) as _))
    }
}

/// Rings without a name; the other process has the descriptor by way of `/proc`.
struct Unnamed;

impl Fixture for Unnamed {
    fn capabilities(&self) -> Capabilities {
        PAIR_CAPABILITIES
    }

    fn place(&self) -> Place {
        let ring = Ring::both_ways(64 << 10).unwrap();
        let fd = ring.fd().unwrap().as_raw_fd();
        Place { text: format!("/proc/{}/fd/{fd}", std::process::id()), keep: Box::new(ring) }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        let opened = File::options().read(true).write(true).open(place);
        let ring = Ring::from_fd(opened.map_err(|error| Error::from_io(error, "open"))?)?;
        let pair = ring.pair()?;
        Ok(match end {
            End::Sender => Opened::Sender(Box::new(pair.split().0)),
            End::Receiver => Opened::Receiver(Box::new(pair.split().1)),
            End::Binder | End::Connector => Opened::Pair(Box::new(pair)),
        })
    }
}

mod fan_in {
    ipc_core::conformance_tests!(super::FanIn);
}

mod fan_out {
    ipc_core::conformance_tests!(super::FanOut);
}

mod unnamed {
    ipc_core::conformance_tests!(super::Unnamed);
}

mod posix {
    ipc_core::conformance_tests!(super::OneWay("shm"));
}

mod posix_small {
    ipc_core::conformance_tests!(super::SmallFromTheSender);
}

mod posix_pair {
    ipc_core::conformance_tests!(super::Pairs("shm"));
}

mod sysv {
    ipc_core::conformance_tests!(super::OneWay("sysvshm"));
}

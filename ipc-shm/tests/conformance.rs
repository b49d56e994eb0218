//! The conformance suite, over each kind of memory and in both directions.

use ipc_core::conformance::{End, Fixture, Opened, Place};
use ipc_shm::{
    CAPABILITIES, Capabilities, PAIR_CAPABILITIES, Result, Segment, ShmPair, ShmReceiver, ShmSender,
    Wait,
};
use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

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
    static NAMES: AtomicU32 = AtomicU32::new(0);
    static KEYS: AtomicU32 = AtomicU32::new(0);
    let id = std::process::id();
    match scheme {
        "shm" => format!("shm://conformance-{id}-{}", NAMES.fetch_add(1, Ordering::Relaxed)),
        // 22 bits of process id, and the tests that need a key are fewer than 512.
        _ => format!("sysvshm://{:#x}", id << 9 | KEYS.fetch_add(1, Ordering::Relaxed) & 511),
    }
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

//! The rules of the contract, on queues of both kinds and on pairs of them: with both ends in one process,
//! and with one of them in a child.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{MqName, SysvName};
use ipc_core::conformance::{End, Fixture, Opened, Place};
use ipc_msgq::{
    Capabilities, MQ_CAPABILITIES, MQ_PAIR_CAPABILITIES, MqPair, MqReceiver, MqSender, Result,
    SYSV_CAPABILITIES, SYSV_PAIR_CAPABILITIES, SysvPair, SysvReceiver, SysvSender, Wait,
};
use std::any::Any;
use std::time::Duration;

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// Small enough for many queues at once.
const MAX_MESSAGE: usize = 1024;

fn mq_place() -> Place {
    let name = MqName::new();
    Place { text: name.with(&format!("capacity=8&max_message={MAX_MESSAGE}")), keep: Box::new(name) }
}

fn sysv_place() -> Place {
    let name = SysvName::new();
    Place { text: name.with(&format!("max_message={MAX_MESSAGE}")), keep: Box::new(name) }
}

fn no_pair() -> ! {
    panic!("the suite asks for pairs only where there are some")
}

struct Mq;

impl Fixture for Mq {
    fn capabilities(&self) -> Capabilities {
        MQ_CAPABILITIES.max_message(MAX_MESSAGE)
    }

    fn place(&self) -> Place {
        mq_place()
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        match end {
            End::Receiver => Ok(Opened::Receiver(Box::new(MqReceiver::bind(place)?))),
            End::Sender => self.open_within(end, place, TEN_SECONDS).unwrap(),
            _ => no_pair(),
        }
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let opened =
            || Ok(Opened::Sender(Box::new(MqSender::connect_within(place, Wait::timeout(timeout))?)));
        (end == End::Sender).then(opened)
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(MqReceiver::bind(place).map(|bound| Box::new(bound) as _))
    }
}

struct MqBothWays;

impl Fixture for MqBothWays {
    fn capabilities(&self) -> Capabilities {
        MQ_PAIR_CAPABILITIES.max_message(MAX_MESSAGE)
    }

    fn place(&self) -> Place {
        mq_place()
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        Ok(match end {
            End::Binder => Opened::Pair(Box::new(MqPair::bind(place)?)),
            End::Receiver => Opened::Receiver(Box::new(MqPair::bind(place)?.split().1)),
            End::Connector | End::Sender => return self.open_within(end, place, TEN_SECONDS).unwrap(),
        })
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let pair = || MqPair::connect_within(place, Wait::timeout(timeout));
        match end {
            End::Connector => Some(pair().map(|pair| Opened::Pair(Box::new(pair)))),
            End::Sender => Some(pair().map(|pair| Opened::Sender(Box::new(pair.split().0)))),
            _ => None,
        }
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(MqPair::bind(place).map(|bound| Box::new(bound) as _))
    }
}

struct Sysv;

impl Fixture for Sysv {
    fn capabilities(&self) -> Capabilities {
        SYSV_CAPABILITIES.max_message(MAX_MESSAGE)
    }

    fn place(&self) -> Place {
        sysv_place()
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        match end {
            End::Receiver => Ok(Opened::Receiver(Box::new(SysvReceiver::bind(place)?))),
            End::Sender => self.open_within(end, place, TEN_SECONDS).unwrap(),
            _ => no_pair(),
        }
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let opened =
            || Ok(Opened::Sender(Box::new(SysvSender::connect_within(place, Wait::timeout(timeout))?)));
        (end == End::Sender).then(opened)
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(SysvReceiver::bind(place).map(|bound| Box::new(bound) as _))
    }
}

struct SysvBothWays;

impl Fixture for SysvBothWays {
    fn capabilities(&self) -> Capabilities {
        SYSV_PAIR_CAPABILITIES.max_message(MAX_MESSAGE)
    }

    fn place(&self) -> Place {
        sysv_place()
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        Ok(match end {
            End::Binder => Opened::Pair(Box::new(SysvPair::bind(place)?)),
            End::Receiver => Opened::Receiver(Box::new(SysvPair::bind(place)?.split().1)),
            End::Connector | End::Sender => return self.open_within(end, place, TEN_SECONDS).unwrap(),
        })
    }

    fn open_within(&self, end: End, place: &str, timeout: Duration) -> Option<Result<Opened>> {
        let pair = || SysvPair::connect_within(place, Wait::timeout(timeout));
        match end {
            End::Connector => Some(pair().map(|pair| Opened::Pair(Box::new(pair)))),
            End::Sender => Some(pair().map(|pair| Opened::Sender(Box::new(pair.split().0)))),
            _ => None,
        }
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(SysvPair::bind(place).map(|bound| Box::new(bound) as _))
    }
}

mod mq {
    ipc_core::conformance_tests!(super::Mq);
}

mod mq_pair {
    ipc_core::conformance_tests!(super::MqBothWays);
}

mod sysv {
    ipc_core::conformance_tests!(super::Sysv);
}

mod sysv_pair {
    ipc_core::conformance_tests!(super::SysvBothWays);
}

//! The conformance suite, over a pair and over several senders to one receiver.

use ipc_core::conformance::{End, Fixture, Opened, Place};
use ipc_core::{Capabilities, Result};
use ipc_inproc::{InprocPair, InprocReceiver, bind, bind_receiver, connect, connect_sender};
use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A name in the global context that nobody else uses.
fn fresh() -> Place {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let text = format!("inproc://conformance {}", NEXT.fetch_add(1, Ordering::Relaxed));
    Place { text, keep: Box::new(()) }
}

struct Pairs;

impl Fixture for Pairs {
    fn capabilities(&self) -> Capabilities {
        InprocPair::CAPABILITIES
    }

    fn place(&self) -> Place {
        fresh()
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        Ok(match end {
            End::Sender => Opened::Sender(Box::new(connect(place)?.split().0)),
            End::Receiver => Opened::Receiver(Box::new(bind(place)?.split().1)),
            End::Binder => Opened::Pair(Box::new(bind(place)?)),
            End::Connector => Opened::Pair(Box::new(connect(place)?)),
        })
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(bind(place).map(|pair| Box::new(pair) as _))
    }
}

struct ManyToOne;

impl Fixture for ManyToOne {
    fn capabilities(&self) -> Capabilities {
        InprocReceiver::CAPABILITIES
    }

    fn place(&self) -> Place {
        fresh()
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        Ok(match end {
            End::Sender | End::Connector => Opened::Sender(Box::new(connect_sender(place)?)),
            End::Receiver | End::Binder => Opened::Receiver(Box::new(bind_receiver(place)?)),
        })
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        Some(bind_receiver(place).map(|receiver| Box::new(receiver) as _))
    }
}

mod pairs {
    ipc_core::conformance_tests!(super::Pairs, within_process);
}

mod many_to_one {
    ipc_core::conformance_tests!(super::ManyToOne, within_process);
}

#![doc = include_str!("../README.md")]

#[allow(unsafe_code)]
mod futex;
mod listing;
mod locks;
#[allow(unsafe_code)]
mod map;
mod mutex;
mod ring;
mod segment;
#[allow(unsafe_code)]
mod sys;

pub use ipc_core::common::*;
pub use listing::{NamedObject, clean_up, list};
pub use mutex::{LockError, Recovery, SharedCondvar, SharedMutex, SharedMutexGuard, ShmSafe, Woken};
pub use ring::{
    Borrowed, CAPABILITIES, Loan, PAIR_CAPABILITIES, Ring, ShmFanIn, ShmFanOut, ShmPair, ShmReceiver,
    ShmSender, Slow, Stats,
};
pub use segment::{Segment, SegmentOptions};

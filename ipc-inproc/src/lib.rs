#![doc = include_str!("../README.md")]

mod alarm;
mod bell;
mod context;
mod credit;
// The only place of this crate where unsafe code may stand.
#[allow(unsafe_code)]
mod fences;
mod lane;
mod names;
mod options;
mod pair;
mod patience;
mod receiver;
mod sender;
mod socket;
mod spares;
mod tape;
#[cfg(test)]
mod tape_tests;

pub use context::{Context, bind, bind_receiver, connect, connect_sender};
pub use ipc_core::common::*;
pub use options::{DEFAULT_HIGH_WATER_MARK, InprocOptions};
pub use pair::InprocPair;
pub use receiver::InprocReceiver;
pub use sender::InprocSender;

/// The atomics of `alarm`, `credit` and `tape`, which their tests replace by loom's.
mod atomic {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

/// The same for what is locked in `tape`.
mod sync {
    pub(crate) use std::sync::{Arc, Mutex};
}

/// Locks, whatever has happened to other threads.
///
/// No code of users runs under our locks, and what is done there leaves everything in order at every step
/// that could panic. So a poisoned lock is as good as any other, and a panic stays in its thread.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

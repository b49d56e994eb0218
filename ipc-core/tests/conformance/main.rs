//! The suite tried on transports of its own: two that keep the contract, made of the parts that this
//! crate has, and several that each break one rule, which the suite must see.

#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod broken;
mod datagram;
mod processes;
mod stream;

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A name in the abstract namespace that nobody else uses.
fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("ipc-conformance-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

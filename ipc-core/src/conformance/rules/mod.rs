//! The rules, by theme.

pub mod delivery;
pub mod ending;
pub mod full;
pub mod many;
pub mod names;
pub mod pairs;
pub mod resources;
pub mod signals;
pub mod waiting;

use super::ends::Rx;
use super::{Background, Setup, until};
use crate::{ErrorKind, Result};
use std::thread;
use std::time::Duration;

/// Calls until a message has come that was sent, but takes its time to arrive.
fn until_received(
    setup: &Setup,
    rx: &mut Rx,
    mut recv: impl FnMut(&mut Rx) -> Result<Vec<u8>>,
) -> Vec<u8> {
    let mut received = Vec::new();
    until("the message arrives", setup.patience(), || match recv(rx) {
        Ok(message) => {
            received = message;
            true
        }
        Err(error) => {
            let kind = error.kind();
            assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
            false
        }
    });
    received
}

/// Fails if a call that blocks spends a processor's time.
fn assert_costs_nothing<E: Send + 'static, T: Send + 'static>(waiting: &Background<E, T>) {
    const WATCHED: Duration = Duration::from_millis(200);
    let thread = waiting.sleeper();
    let before = thread.processor_time();
    // Nothing is to happen in this time, so there is no event to wait for.
    thread::sleep(WATCHED);
    let spent = thread.processor_time() - before;
    assert!(spent < WATCHED / 20, "{spent:?} of {WATCHED:?} spent on waiting");
}

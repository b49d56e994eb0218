//! The rules, by theme.

pub mod delivery;
pub mod ending;
pub mod full;
pub mod many;
pub mod names;
pub mod pairs;
pub mod resources;
pub mod waiting;

use super::ends::Rx;
use super::{Setup, until};
use crate::{ErrorKind, Result};

/// Calls until a message has come that was sent, but takes its time to arrive.
fn until_received(
    setup: &Setup,
    rx: &mut Rx,
    mut recv: impl FnMut(&mut Rx) -> Result<Vec<u8>>,
) -> Vec<u8> {
    let mut received = Vec::new();
    until("the message arrives", setup.limit(), || match recv(rx) {
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

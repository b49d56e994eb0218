//! Shared memory written and read in place: nothing is copied, and the loops touch the head of a message
//! only, as with iceoryx2 in place. The only unsafe code of this crate's own transports is here.
#![allow(unsafe_code)]

use super::soon;
use crate::subjects::fresh_name;
use crate::wire::{Ends, Result, Wire};
use ipc_core::Wait;
use ipc_shm::{ShmPair, ShmReceiver, ShmSender};

/// How much of a message is written.
const HEAD: usize = 8;

/// A side that lends out the ring's own memory.
pub(super) struct InPlace(ShmSender, ShmReceiver);

impl Wire for InPlace {
    const IN_PLACE: bool = true;

    fn send(&mut self, message: &[u8]) -> Result<()> {
        // SAFETY: the peer is this program, and uses the memory through the crate only.
        let mut loan = unsafe { self.0.loan(message.len(), Wait::Forever) }?;
        loan[..HEAD].copy_from_slice(&message[..HEAD]);
        loan.commit();
        Ok(())
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        // SAFETY: the same.
        let message = unsafe { self.1.borrow(Wait::Forever) }?;
        Ok(look(&message))
    }
}

/// Two rings, each with room for several messages of that size.
pub(super) fn shm(size: usize) -> Result<Ends<InPlace>> {
    let capacity = (8 * size).max(1 << 20);
    let endpoint = format!("shm://{}?capacity={capacity}", fresh_name());
    let name = endpoint.clone();
    let sides = |pair: ShmPair| {
        let (sender, receiver) = pair.split();
        InPlace(sender, receiver)
    };
    Ok(Ends::new(
        move || Ok(sides(ShmPair::connect_within(endpoint, soon())?)),
        move || Ok(sides(ShmPair::bind(name)?)),
    ))
}

//! iceoryx2 as it is meant: written and read in place, nothing copied. The loops touch the head of a
//! message only.
#![allow(unsafe_code)]

use super::iceoryx::{Ports, ends};
use crate::wire::{Ends, Result, Wire};

/// How much of a message is written.
const HEAD: usize = 8;

/// Messages are loaned, and read where they lie.
pub(super) struct InPlace(Ports);

impl Wire for InPlace {
    const IN_PLACE: bool = true;

    fn send(&mut self, message: &[u8]) -> Result<()> {
        let mut sample = self.0.publisher.loan_slice_uninit(message.len())?;
        for (place, byte) in sample.payload_mut().iter_mut().zip(&message[..HEAD]) {
            place.write(*byte);
        }
        // SAFETY: the memory was mapped as zeros, and any byte is a u8.
        let sample = unsafe { sample.assume_init() };
        sample.send()?;
        Ok(())
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let sample = self.0.next()?;
        Ok(look(&sample))
    }
}

pub(super) fn in_place(size: usize) -> Result<Ends<InPlace>> {
    ends(size, |ports, _| InPlace(ports))
}

//! Segments used in place, for peers that trust each other: unsafe, as no lock or type keeps those peers from
//! writing.

use super::Segment;

impl Segment {
    /// All bytes, in place.
    ///
    /// # Safety
    ///
    /// As long as the slice is used, nobody writes to the memory, in no process and by no means; and
    /// nobody shrinks the object.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the same contract.
        unsafe { self.map.slice() }
    }

    /// All bytes, in place, to be written.
    ///
    /// # Safety
    ///
    /// As long as the slice is used, nobody reads or writes the memory in any other way, in no process
    /// and by no means; and nobody shrinks the object.
    #[allow(clippy::mut_from_ref)] // exclusive by the contract: others have the memory in any case
    pub unsafe fn as_slice_mut(&self) -> &mut [u8] {
        // SAFETY: the same contract.
        unsafe { self.map.slice_mut() }
    }
}

//! Segments used in place, by the word of peers and threads that trust each other: unsafe, as no lock or type keeps
//! them from writing.

use super::Segment;
use std::sync::atomic::{AtomicU8, AtomicU32};

impl Segment {
    /// The four bytes at `offset`, as a word. `None` if they are outside, or `offset` is not a multiple of four.
    ///
    /// # Safety
    ///
    /// As long as the word is used, no thread of this process uses the eight bytes in which it lies (from a
    /// multiple of eight on) as an atomic of another width: Rust's memory model knows no race between those; see
    /// [`std::sync::atomic`].
    pub unsafe fn atomic_u32(&self, offset: usize) -> Option<&AtomicU32> {
        // SAFETY: the same contract.
        unsafe { self.map.atomic_u32(offset) }
    }

    /// The byte at `offset`. `None` if it is outside.
    ///
    /// # Safety
    ///
    /// That of [`atomic_u32`](Segment::atomic_u32).
    pub unsafe fn atomic_u8(&self, offset: usize) -> Option<&AtomicU8> {
        // SAFETY: the same contract.
        unsafe { self.map.atomic_u8(offset) }
    }

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

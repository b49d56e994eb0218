//! Memory that other processes can change: mapping it, and the accesses that are sound all the same.
//!
//! A [`Map`] is never lent as `&[u8]`: the compiler may read a slice twice and take for granted that both
//! reads agree. What is offered instead, and why it is sound:
//!
//! * **Copies** ([`Map::read_at`], [`Map::write_at`]) are made by the C library's `memcpy`, called through
//!   a pointer whose value is hidden from the compiler. To the compiler this is foreign code of which it
//!   knows nothing, so it cannot read the source a second time in place of the copy, as it may after a
//!   `ptr::copy`. To the machine it is a run of plain loads and stores, each of which moves whole bytes:
//!   what a loop of relaxed atomic byte accesses would do, at the speed of `memcpy`. If another process
//!   writes meanwhile, the copy is a mixture of old and new bytes, and nothing worse.
//! * **Atomics** ([`Map::atomic_u64`]) are views of aligned words of eight bytes. Any bits are a valid value. Two of
//!   them are the same or apart; with shorter ones they could overlap, where Rust's memory model knows no race, so
//!   those are `unsafe`.
//! * **Slices** are for those who can promise that nobody writes: an `unsafe` contract.
//!
//! This is the only module that maps and unmaps; `sys` has the other system calls.

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// A mapping of shared memory, undone when dropped.
#[derive(Debug)]
pub(crate) struct Map {
    /// The first byte: page-aligned, and mapped for reading and writing for `len` bytes until `drop`.
    start: NonNull<u8>,
    /// How many bytes; at least 1, at most `isize::MAX`.
    len: usize,
    kind: Kind,
}

/// What undoes the mapping.
#[derive(Debug)]
enum Kind {
    Mmap,
    Attached,
}

// SAFETY: a mapping belongs to the process, not to a thread: any thread may use and undo it.
unsafe impl Send for Map {}
// SAFETY: through `&Map`, memory is reached only by foreign copies and atomics, which may run at the same
// time in any number of threads, or under the `unsafe` contracts of `as_ptr`'s users and the slices.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `len` bytes of a file, shared; with `populate`, touches every page.
    pub(crate) fn file(fd: BorrowedFd<'_>, len: usize, populate: bool) -> Result<Map, Errno> {
        let size = checked(len)?;
        let flags = flags(populate);
        // SAFETY: without an address the kernel chooses one where nothing is mapped, so no memory that
        // somebody has a reference to is replaced.
        let start =
            unsafe { mmap(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags, fd, 0) }?;
        Ok(Map { start: start.cast(), len, kind: Kind::Mmap })
    }

    /// Maps `len` bytes of zeros, shared with the children that are forked from now on.
    pub(crate) fn anonymous(len: usize, populate: bool) -> Result<Map, Errno> {
        let size = checked(len)?;
        let flags = flags(populate);
        // SAFETY: as in `file`.
        let start =
            unsafe { mmap_anonymous(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) }?;
        Ok(Map { start: start.cast(), len, kind: Kind::Mmap })
    }

    /// Attaches a System V segment of `len` bytes: shmat(2). Segments keep their size for life.
    pub(crate) fn attach(id: i32, len: usize) -> Result<Map, Errno> {
        checked(len)?;
        // SAFETY: without an address the kernel chooses one where nothing is mapped.
        let start = unsafe { libc::shmat(id, ptr::null(), 0) };
        if start.addr() == usize::MAX {
            return Err(Errno::last());
        }
        let start = NonNull::new(start.cast()).ok_or(Errno::EFAULT)?;
        Ok(Map { start, len, kind: Kind::Attached })
    }

    /// The first byte. Valid for reads and writes of [`len`](Map::len) bytes as long as the map lives.
    pub(crate) fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Copies bytes out; false if they are not all inside.
    pub(crate) fn read_at(&self, offset: usize, buffer: &mut [u8]) -> bool {
        let Some(source) = self.range(offset, buffer.len()) else { return false };
        // SAFETY: `range` has checked that the source lies in the mapping; `buffer` is ours alone, so
        // the two do not overlap.
        unsafe { foreign_copy(source.as_ptr(), buffer.as_mut_ptr(), buffer.len()) };
        true
    }

    /// Copies bytes in; false, with nothing written, if they do not all fit.
    pub(crate) fn write_at(&self, offset: usize, bytes: &[u8]) -> bool {
        let Some(target) = self.range(offset, bytes.len()) else { return false };
        // SAFETY: `range` has checked that the target lies in the mapping, which is writable; nobody
        // holds a reference into it (but under the contracts of `slice`), so the two do not overlap.
        unsafe { foreign_copy(bytes.as_ptr(), target.as_ptr(), bytes.len()) };
        true
    }

    /// The double word at `offset`; `None` if it is outside or not aligned.
    pub(crate) fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        let place = self.place::<AtomicU64>(offset)?;
        // SAFETY: `place` has checked bounds and alignment; any bits are valid; it is mapped as long as
        // `self` lives. By their alignment, two of these are the same or do not overlap.
        Some(unsafe { place.as_ref() })
    }

    /// The word at `offset`; `None` if it is outside or not aligned.
    ///
    /// # Safety
    ///
    /// As long as it is used, nobody in this process uses the eight bytes in which it lies as an atomic of another
    /// width.
    pub(crate) unsafe fn atomic_u32(&self, offset: usize) -> Option<&AtomicU32> {
        let place = self.place::<AtomicU32>(offset)?;
        // SAFETY: as in `atomic_u64`; that it does not overlap with others, the caller promises.
        Some(unsafe { place.as_ref() })
    }

    /// The byte at `offset`; `None` if it is outside.
    ///
    /// # Safety
    ///
    /// That of [`atomic_u32`](Map::atomic_u32).
    pub(crate) unsafe fn atomic_u8(&self, offset: usize) -> Option<&AtomicU8> {
        let place = self.place::<AtomicU8>(offset)?;
        // SAFETY: as in `atomic_u32`.
        Some(unsafe { place.as_ref() })
    }

    /// All bytes, in place.
    ///
    /// # Safety
    ///
    /// As long as the slice is used, no process and no thread writes to the memory or shrinks the object.
    pub(crate) unsafe fn slice(&self) -> &[u8] {
        // SAFETY: mapped for `len` bytes as long as `self` lives, and initialised (the kernel zeroes
        // fresh pages); the caller promises that nobody writes meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// All bytes, in place, to be written.
    ///
    /// # Safety
    ///
    /// As long as the slice is used, no process and no thread reads or writes the memory in any other
    /// way, or shrinks the object.
    #[allow(clippy::mut_from_ref)] // exclusive by the contract
    pub(crate) unsafe fn slice_mut(&self) -> &mut [u8] {
        // SAFETY: as in `slice`; the caller promises that nobody else touches the memory meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Where a `T` at `offset` lies, if it lies inside and is aligned.
    pub(crate) fn place<T>(&self, offset: usize) -> Option<NonNull<T>> {
        let place = self.range(offset, size_of::<T>())?.cast::<T>();
        place.is_aligned().then_some(place)
    }

    /// Where the bytes from `offset` on lie, if all `len` of them are inside.
    fn range(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len)?;
        if end > self.len {
            return None;
        }
        // SAFETY: `offset` is at most `len`, so the result is inside the mapping or one past its end.
        Some(unsafe { self.start.add(offset) })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // Neither call can fail for a mapping of our own; if one did, the memory would stay mapped.
        match self.kind {
            Kind::Mmap => {
                // SAFETY: `start` and `len` are those of one mmap call, undone only here; all references
                // borrow the map, and whoever keeps the raw pointer keeps the map too.
                let _ = unsafe { munmap(self.start.cast(), self.len) };
            }
            Kind::Attached => {
                // SAFETY: `start` came from shmat, detached only here; references as above.
                let _ = unsafe { libc::shmdt(self.start.as_ptr().cast()) };
            }
        }
    }
}

/// Copies `len` bytes, where one side may be changed by others meanwhile; see the head of this module.
///
/// # Safety
///
/// `source` is valid for reads and `target` for writes of `len` bytes; they do not overlap.
#[cfg(not(miri))]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "the function's address is not read through")]
unsafe fn foreign_copy(source: *const u8, target: *mut u8, len: usize) {
    type Memcpy =
        unsafe extern "C" fn(*mut libc::c_void, *const libc::c_void, usize) -> *mut libc::c_void;
    let mut memcpy: Memcpy = libc::memcpy;
    // SAFETY: there is no instruction: it only makes the compiler forget the pointer's value.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) memcpy, options(nostack, preserves_flags));
    }
    // SAFETY: `memcpy` still points to the C library's; the caller vouches for the ranges.
    unsafe { memcpy(target.cast(), source.cast(), len) };
}

/// The same for miri, which runs neither assembly nor foreign code: the loop that the other stands for.
#[cfg(miri)]
unsafe fn foreign_copy(source: *const u8, target: *mut u8, len: usize) {
    use std::sync::atomic::Ordering::Relaxed;
    for index in 0..len {
        // SAFETY: inside the ranges that the caller vouches for.
        let from = unsafe { source.add(index) };
        // SAFETY: as above.
        let to = unsafe { target.add(index) };
        // SAFETY: valid for reads, by the caller; a byte is always aligned.
        let from = unsafe { AtomicU8::from_ptr(from.cast_mut()) };
        // SAFETY: valid for writes, by the caller; a byte is always aligned.
        let to = unsafe { AtomicU8::from_ptr(to) };
        to.store(from.load(Relaxed), Relaxed);
    }
}

fn checked(len: usize) -> Result<NonZeroUsize, Errno> {
    if isize::try_from(len).is_err() {
        return Err(Errno::ENOMEM);
    }
    NonZeroUsize::new(len).ok_or(Errno::EINVAL)
}

fn flags(populate: bool) -> MapFlags {
    if populate { MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE } else { MapFlags::MAP_SHARED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn copies_and_words_stay_inside() {
        let map = Map::anonymous(4096, false).unwrap();
        assert!(map.write_at(4090, b"sixsix") && !map.write_at(4091, b"sixsix"));
        assert!(!map.write_at(usize::MAX, b"x") && map.write_at(4096, b"") && !map.write_at(4097, b""));
        let mut six = [0; 6];
        assert!(map.read_at(4090, &mut six) && &six == b"sixsix");
        assert!(!map.read_at(4091, &mut six) && &six == b"sixsix");
        assert!(map.atomic_u64(4088).is_some() && map.atomic_u64(4092).is_none());
        // SAFETY: they are not used.
        let words = unsafe { [4092, 4093, 4090].map(|offset| map.atomic_u32(offset).is_some()) };
        assert_eq!(words, [true, false, false]);
        // SAFETY: they are not used.
        let bytes = unsafe { [4095, 4096].map(|offset| map.atomic_u8(offset).is_some()) };
        assert_eq!(bytes, [true, false]);
        map.atomic_u64(8).unwrap().store(7, Relaxed);
        let mut eight = [0; 8];
        assert!(map.read_at(8, &mut eight) && u64::from_ne_bytes(eight) == 7);
    }

    #[test]
    fn a_map_has_at_least_one_byte_and_no_more_than_an_address_space() {
        assert_eq!(Map::anonymous(0, false).unwrap_err(), Errno::EINVAL);
        assert_eq!(Map::anonymous(usize::MAX, false).unwrap_err(), Errno::ENOMEM);
    }
}

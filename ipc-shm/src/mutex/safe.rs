//! Which types may lie in memory that several processes change. It is unsafe to say so of a type; nothing else
//! here is.

use std::num::Wrapping;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    AtomicUsize,
};

/// A type that may lie in memory shared with other processes, and survives their death.
///
/// It is there for integers, floats, `()`, atomic integers, and arrays of these. It is not there for `bool`,
/// `char` and enums, which have invalid values: a process may be killed half-way through a change. Store a
/// `u8`. For structs it is promised by hand:
///
/// ```
/// use ipc_shm::ShmSafe;
///
/// #[repr(C)]
/// struct Account {
///     cents: i64,
///     owner: [u8; 32],
/// }
///
/// // SAFETY: `repr(C)`, and made of a number and bytes only.
/// unsafe impl ShmSafe for Account {
///     const TAG: u64 = u64::from_be_bytes(*b"account1");
/// }
/// ```
///
/// # Safety
///
/// * Every combination of bits is a valid value, so that no half-made change can make an invalid one.
/// * It has no pointer, reference, descriptor or other thing that means something in one process only.
/// * Its layout is the same in every program that uses it: `#[repr(C)]` or a primitive type. Tuples and
///   plain Rust structs have no such layout.
/// * Dropping it does nothing.
#[allow(unsafe_code)]
pub unsafe trait ShmSafe: Send + 'static {
    /// Tells types of one size apart: who opens with another tag than the maker's gets
    /// [`GeometryMismatch`](crate::ErrorKind::GeometryMismatch). Choose a number for each struct, and another
    /// when the meaning of its fields changes.
    const TAG: u64 = 0;
}

macro_rules! numbers {
    ($($type:ty: $tag:literal),* $(,)?) => {$(
        // SAFETY: a number: all bits valid, one layout, no drop.
        #[allow(unsafe_code)]
        unsafe impl ShmSafe for $type {
            const TAG: u64 = $tag;
        }
    )*};
}

// What is changed by atomic and by plain accesses is the same number.
numbers! {
    (): 1,
    u8: 2, u16: 2, u32: 2, u64: 2, u128: 2, usize: 2,
    i8: 3, i16: 3, i32: 3, i64: 3, i128: 3, isize: 3,
    f32: 4, f64: 4,
    AtomicU8: 2, AtomicU16: 2, AtomicU32: 2, AtomicU64: 2, AtomicUsize: 2,
    AtomicI8: 3, AtomicI16: 3, AtomicI32: 3, AtomicI64: 3, AtomicIsize: 3,
}

// SAFETY: `repr(transparent)`.
#[allow(unsafe_code)]
unsafe impl<T: ShmSafe> ShmSafe for Wrapping<T> {
    const TAG: u64 = T::TAG;
}

// SAFETY: elements one after the other, each of which is safe.
#[allow(unsafe_code)]
unsafe impl<T: ShmSafe, const N: usize> ShmSafe for [T; N] {
    const TAG: u64 = T::TAG.rotate_left(8) ^ size_of::<T>() as u64;
}

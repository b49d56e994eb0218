//! Counts how often a thread allocates: an allocator that passes everything on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};

thread_local! {
    /// How often this thread has allocated, while it counts.
    static COUNT: Cell<Option<usize>> = const { Cell::new(None) };
    /// Where it did so first.
    static FIRST: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

/// How often this thread allocates during `work`, and where it does so first.
pub(crate) fn during(work: impl FnOnce()) -> (usize, Option<Backtrace>) {
    COUNT.set(Some(0));
    work();
    (COUNT.take().unwrap_or_default(), FIRST.take())
}

fn count() {
    // While the first is looked at, which allocates, nothing is counted.
    let Some(before) = COUNT.take() else { return };
    if before == 0 {
        FIRST.set(Some(Backtrace::force_capture()));
    }
    COUNT.set(Some(before + 1));
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on as it is to the system's allocator, which keeps the contract. Counting does
// not unwind, and what it allocates itself is not counted, so it ends.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the block is of the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`, and the block is of the system's allocator.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[test]
fn the_allocator_counts() {
    let (count, first) =
        during(|| (0..10).for_each(|number| drop(std::hint::black_box(Box::new(number)))));
    assert_eq!(count, 10);
    assert!(first.unwrap().to_string().contains("the_allocator_counts"));
    assert_eq!(during(|| ()).0, 0);
}

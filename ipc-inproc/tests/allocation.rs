//! Nothing is allocated per message: an allocator that counts, and a channel that has warmed up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)]

use ipc_inproc::{Context, InprocPair, Receiver, Sender, Wait};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: every call is passed on as it is to the system's allocator, which keeps the contract; counting
// allocates nothing, as the counter is constant-initialised and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
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

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` twice, and returns how often this thread allocated in the second run.
fn allocations_once_warm(mut work: impl FnMut()) -> usize {
    work();
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn pair() -> (InprocPair, InprocPair) {
    let context = Context::new();
    (context.bind("inproc://a").unwrap(), context.connect("inproc://a").unwrap())
}

#[test]
fn sending_and_receiving_allocates_nothing() {
    for size in [0, 1, 64, 4096, 64 << 10, 1 << 20] {
        let (mut binder, mut connector) = pair();
        let message = vec![7; size];
        let allocated = allocations_once_warm(|| {
            for _ in 0..300 {
                connector.send(&message).unwrap();
                assert_eq!(binder.recv().unwrap().len(), size);
            }
        });
        assert_eq!(allocated, 0, "{size} bytes, one by one");
    }
}

#[test]
fn a_full_channel_filled_and_read_again_allocates_nothing() {
    let (mut binder, mut connector) = pair();
    let batch = [&[7; 64][..]; 100];
    let allocated = allocations_once_warm(|| {
        for _ in 0..200 {
            for _ in 0..20 {
                assert_eq!(connector.send_batch(&batch, Wait::Never).unwrap(), 100);
            }
            connector.try_send(b"").unwrap_err();
            for _ in 0..2_000 {
                binder.recv().unwrap();
            }
            binder.try_recv().unwrap_err();
        }
    });
    assert_eq!(allocated, 0);
}

#[test]
fn several_senders_that_take_turns_allocate_nothing() {
    let context = Context::new();
    let mut receiver = context.bind_receiver("inproc://a").unwrap();
    let mut senders: Vec<_> = (0..5).map(|_| context.connect_sender("inproc://a").unwrap()).collect();
    let allocated = allocations_once_warm(|| {
        for _ in 0..200 {
            for _ in 0..100 {
                senders.iter_mut().for_each(|sender| sender.send(b"message").unwrap());
            }
            for _ in 0..500 {
                receiver.recv().unwrap();
            }
        }
    });
    assert_eq!(allocated, 0);
}

#[test]
fn sleeping_and_waking_allocates_nothing() {
    let (mut binder, mut connector) = {
        let context = Context::new();
        let options = context.options().waiting(ipc_inproc::Waiting::Block);
        (options.bind("inproc://a").unwrap(), options.connect("inproc://a").unwrap())
    };
    let echo = std::thread::spawn(move || {
        allocations_once_warm(|| {
            for _ in 0..500 {
                let mut message = [0; 64];
                message.copy_from_slice(binder.recv().unwrap());
                binder.send(&message).unwrap();
            }
        })
    });
    let allocated = allocations_once_warm(|| {
        for _ in 0..500 {
            connector.send(&[7; 64]).unwrap();
            connector.recv().unwrap();
        }
    });
    assert_eq!((allocated, echo.join().unwrap()), (0, 0));
}

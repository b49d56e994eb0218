//! Parent and child count together in shared memory: first without a lock, then with one.
//!
//! Run it with `cargo run -p ipc-examples --example shared_mutex`. It prints (with some other number in
//! place of 100000):
//!
//! ```text
//! Parent and child count to 100000 each: 200000 together
//! Without the mutex: 100000, some are lost
//! With the mutex: 200000, none is lost
//! ```
//!
//! To count is to read, to add and to write. Two processes that read the same number write the same number,
//! and one count is lost. In C: `mmap` with `MAP_SHARED`, and a mutex with `PTHREAD_PROCESS_SHARED`.

use ipc_examples::show;
use ipc_pipe::fork;
use ipc_shm::{ErrorKind, Result, Segment, SharedMutex};
use std::error::Error;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::thread::yield_now;

const TIMES: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    show("", format!("Parent and child count to {TIMES} each: {} together", 2 * TIMES).as_bytes())?;

    let plain = Segment::inherited(16)?;
    together(|| count_without(&plain))?;
    let total = word(&plain, 0)?.load(Relaxed);
    let lost = if total < 2 * TIMES { "some are lost" } else { "none is lost" };
    show("Without the mutex: ", format!("{total}, {lost}").as_bytes())?;

    let counter = SharedMutex::inherited(0_u64)?;
    together(|| count_with(&counter))?;
    let total = *counter.lock().map_err(ipc_shm::Error::from)?;
    let lost = if total < 2 * TIMES { "some are lost" } else { "none is lost" };
    show("With the mutex: ", format!("{total}, {lost}").as_bytes())?;
    Ok(())
}

/// Does it in this process and in a child at the same time.
fn together(count: impl Fn() -> Result<()>) -> Result<(), Box<dyn Error>> {
    let ((), mut child) = fork((), || Ok(count()?))?;
    count()?;
    if !child.wait()?.success() {
        return Err("the child has failed".into());
    }
    Ok(())
}

fn count_with(counter: &SharedMutex<u64>) -> Result<()> {
    for _ in 0..TIMES {
        *counter.lock()? += 1;
    }
    Ok(())
}

fn count_without(segment: &Segment) -> Result<()> {
    let (counter, reading) = (word(segment, 0)?, word(segment, 8)?);
    // The first time, both read before either writes: at least this count is lost for certain.
    let seen = counter.load(Acquire);
    reading.fetch_add(1, AcqRel);
    while reading.load(Acquire) < 2 {
        yield_now();
    }
    counter.store(seen + 1, Release);
    for _ in 1..TIMES {
        let seen = counter.load(Relaxed);
        counter.store(seen + 1, Relaxed);
    }
    Ok(())
}

/// A number in the segment, which both processes may change at any time.
fn word(segment: &Segment, offset: usize) -> Result<&AtomicU64> {
    segment.atomic_u64(offset).ok_or(ipc_shm::Error::new(ErrorKind::LimitExceeded, "word"))
}

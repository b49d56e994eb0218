//! POSIX shared memory: opens an object, gives it a size, maps it, writes into it, and reads it back
//! through a second handle, as another process would.
//!
//! ```text
//! $ cargo run --example posix_shm
//! The segment has 4096 bytes
//! Written: Hello from shared memory
//! Read through a second handle: Hello from shared memory
//! Listed with 4096 bytes, in use
//! Removed: nothing of that name is left
//! ```
//!
//! It is `shm_open`, `ftruncate` and `mmap` of C, and `shm_unlink` when the first handle is dropped.

use ipc_examples::show;
use ipc_shm::{ErrorKind, Segment};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let name = format!("shm://ipc-posix_shm-{}", std::process::id());
    let ours = Segment::create(&name, 4096)?;
    show("", format!("The segment has {} bytes", ours.len()).as_bytes())?;

    let text = b"Hello from shared memory";
    ours.write_at(0, text)?;
    show("Written: ", text)?;

    let theirs = Segment::open(&name)?;
    let mut copy = vec![0; text.len()];
    theirs.read_at(0, &mut copy)?;
    show("Read through a second handle: ", &copy)?;

    let objects = ipc_shm::list()?;
    let object = objects.iter().find(|object| Some(&object.endpoint) == ours.endpoint());
    let object = object.ok_or("it is not listed")?;
    let state = if object.held { "in use" } else { "not in use" };
    show("", format!("Listed with {} bytes, {state}", object.size).as_bytes())?;

    drop((ours, theirs));
    match Segment::open(&name) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            show("Removed: nothing of that name is left", b"")?;
            Ok(())
        }
        _ => Err("it is still there".into()),
    }
}

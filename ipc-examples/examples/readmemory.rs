//! Reads text from System V shared memory: the segment of 1,024 bytes of the file `sharedmem` in the
//! current directory and the id `a`. Then it removes the segment.
//!
//! Run it after `writememory`, or the C program of that name, in the same directory:
//!
//! ```text
//! $ cargo run --example readmemory
//! Data read from memory: Today it might rain
//! ```
//!
//! Unlike the C program, it does not make a segment to find nothing in it: if there is none, it says so.

use ipc_examples::show;
use ipc_shm::{Segment, SegmentOptions, Wait};
use std::error::Error;

const ENDPOINT: &str = "sysvshm://sharedmem?id=a";

fn main() -> Result<(), Box<dyn Error>> {
    let segment = SegmentOptions::new(1024).mode(0o666).open(ENDPOINT, Wait::Never)?;
    let mut bytes = [0; 1024];
    segment.read_at(0, &mut bytes)?;
    // A C string: up to the first NUL byte.
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    show("Data read from memory: ", text)?;
    Segment::remove(ENDPOINT)?;
    Ok(())
}

//! Writes a line of text into System V shared memory: the segment of 1,024 bytes of the file `sharedmem` in
//! the current directory, which is made if it is not there, and the id `a`.
//!
//! Run it, and then `readmemory`, or the C program of that name, in the same directory:
//!
//! ```text
//! $ cargo run --example writememory
//! Enter the string to be written in memory : Today it might rain
//! String written in memory: Today it might rain
//! ```
//!
//! Unlike the C program, it makes the segment only when it has something to write, and refuses text that
//! does not fit, which the C program writes beyond the segment's end.

use ipc_examples::{prompt, show};
use ipc_shm::SegmentOptions;
use std::error::Error;
use std::fs::File;

const SIZE: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    // As `touch` does: what is there stays as it is, and with it the segment's key.
    File::options().append(true).create(true).open("sharedmem")?;
    let text = prompt("Enter the string to be written in memory : ")?;
    if text.len() >= SIZE {
        let room = SIZE - 1;
        return Err(format!("the text has {} bytes; the segment has room for {room}", text.len()).into());
    }
    if text.contains(&0) {
        return Err("the text has a NUL byte in it, at which the reader would stop".into());
    }

    let options = SegmentOptions::new(SIZE).mode(0o666);
    let mut segment = options.open_or_create("sysvshm://sharedmem?id=a")?;
    segment.write_at(0, &[&text[..], b"\0"].concat())?;
    // It is there for the reader, who removes it.
    segment.keep_name()?;
    show("String written in memory: ", &text)?;
    Ok(())
}

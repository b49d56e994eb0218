//! A pipe holds so much and no more: fills one, 32 bytes at a time, until it is full.
//!
//! Run it with `cargo run -p ipc-examples --example pipe_capacity`. It prints how much has been written
//! before each write, as the C program does, which then hangs; this one says why it stops:
//!
//! ```text
//! 0
//! 32
//! 64
//! …
//! 65536
//! The pipe is full: it holds 65536 bytes, and another write would wait for a reader.
//! ```

use ipc_pipe::{ErrorKind, Framing, Options, PipeExt, Sender, pipe_with};
use std::error::Error;

/// 31 dots and the NUL that ends a string in C.
const MESSAGE: &[u8] = b"...............................\0";

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::default().framing(Framing::Raw); // the bytes and nothing else
    let (mut sender, receiver) = pipe_with(&options)?;

    let mut written = 0;
    loop {
        println!("{written}");
        match sender.try_send(MESSAGE) {
            Ok(()) => written += MESSAGE.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    let held = receiver.bytes_waiting()?;
    println!("The pipe is full: it holds {held} bytes, and another write would wait for a reader.");
    Ok(())
}

//! Reads a line of text from a named pipe: `FIFOPipe` in the current directory.
//!
//! Run it in one terminal, and `writefifo`, or the C program of that name, in another, in the same directory:
//!
//! ```text
//! $ cargo run --example readfifo
//! Read from the FIFO Pipe: This is a named pipe demo example called FIFO
//! ```
//!
//! Unlike the C program, it waits for the pipe if that is not there yet, and reads text of any length.

use ipc_examples::show;
use ipc_fifo::{FifoReceiver, Receiver, Wait};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // The C program writes 255 bytes: the text, a NUL byte, and whatever lies behind it in memory.
    let mut receiver = FifoReceiver::connect_within("fifo://FIFOPipe?framing=nul", Wait::Forever)?;
    let text = receiver.recv()?;
    show("Read from the FIFO Pipe: ", text)?;
    Ok(())
}

//! Writes a line of text into a named pipe: `FIFOPipe` in the current directory.
//!
//! Run it in one terminal, and `readfifo`, or the C program of that name, in another, in the same directory:
//!
//! ```text
//! $ cargo run --example writefifo
//! Enter text: This is a named pipe demo example called FIFO
//! ```
//!
//! As with the C program, the prompt comes when somebody has opened the pipe for reading. Unlike it, the
//! text may have any length, and the pipe is removed at the end; the reader has it open by then. A pipe that
//! the C program has left behind is used, and removed too.

use ipc_examples::prompt;
use ipc_fifo::{FifoSender, Sender, Wait};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // A NUL byte after each message: the C program prints what it has read as a string.
    let mut sender = FifoSender::bind("fifo://FIFOPipe?mode=0666&framing=nul")?;
    sender.wait_for_receiver(Wait::Forever)?;
    let text = prompt("Enter text: ")?;
    sender.send(&text)?;
    Ok(())
}

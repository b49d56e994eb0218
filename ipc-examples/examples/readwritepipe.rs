//! One process writes two messages into a pipe, and reads them from it.
//!
//! Run it with `cargo run -p ipc-examples --example readwritepipe`, and type two lines:
//!
//! ```text
//! Enter first message to write into pipe: This is the first message for the pipe
//! Enter second message to write into pipe: Second message for the pipe
//! Messages read from the pipe are as follows:
//! This is the first message for the pipe
//! Second message for the pipe
//! ```

use ipc_examples::{prompt, show};
use ipc_pipe::{Receiver, Sender, pipe};
use std::error::Error;
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut sender, mut receiver) = pipe()?;
    // A pipe holds only so much: another thread takes out what this one puts in, so that messages of any
    // length get through.
    let reading =
        thread::spawn(move || Ok::<_, ipc_pipe::Error>([receiver.recv_vec()?, receiver.recv_vec()?]));

    sender.send(&prompt("Enter first message to write into pipe: ")?)?;
    sender.send(&prompt("Enter second message to write into pipe: ")?)?;

    println!("Messages read from the pipe are as follows:");
    for message in reading.join().map_err(|_| "the reading thread has panicked")?? {
        show("", &message)?;
    }
    Ok(())
}

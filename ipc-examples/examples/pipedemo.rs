//! A child, made by fork, writes a message into a pipe, and its parent reads it.
//!
//! Run it with `cargo run -p ipc-examples --example pipedemo`, and type a line:
//!
//! ```text
//! Enter the string : This is a message from the pipe
//! Entered message : This is a message from the pipe
//! ```

use ipc_examples::{prompt, show};
use ipc_pipe::{Receiver, Sender, fork, pipe};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut sender, receiver) = pipe()?;
    // The receiver stays with the parent, the sender goes with the child.
    let (mut receiver, mut child) = fork(receiver, move || {
        sender.send(&prompt("Enter the string : ")?)?;
        Ok(())
    })?;
    show("Entered message : ", receiver.recv()?)?;
    print!(" "); // as the C program does: "Entered message : %s\n "
    child.wait()?;
    Ok(())
}

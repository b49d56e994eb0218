//! A pipe has two descriptors: what is written to one is read from the other.
//!
//! Run it with `cargo run -p ipc-examples --example pipe_basic`. It prints the two descriptors, and the
//! message that has gone through the pipe:
//!
//! ```text
//! read from 3, write to 4
//! Go!
//! ```

use ipc_examples::show;
use ipc_pipe::{Receiver, Sender, pipe};
use std::error::Error;
use std::os::fd::{AsFd, AsRawFd};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut sender, mut receiver) = pipe()?;
    let (read, write) = (receiver.as_fd().as_raw_fd(), sender.as_fd().as_raw_fd());
    println!("read from {read}, write to {write}");

    sender.send(b"Go!")?;
    show("", receiver.recv()?)?;
    Ok(())
}

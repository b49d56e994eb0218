//! A child, made by fork, tells its parent through a pipe that it is done.
//!
//! Run it with `cargo run -p ipc-examples --example pipe_child`. The parent prints what it has read:
//!
//! ```text
//! done
//! ```

use ipc_examples::show;
use ipc_pipe::{Receiver, Sender, fork, pipe};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut sender, receiver) = pipe()?;
    // The receiver stays with the parent, the sender goes with the child.
    let (mut receiver, mut child) = fork(receiver, move || {
        sender.send(b"done")?;
        Ok(())
    })?;
    show("", receiver.recv()?)?;
    child.wait()?;
    Ok(())
}

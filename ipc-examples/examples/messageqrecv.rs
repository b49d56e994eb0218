//! Receives a message from a System V message queue: the one of the file `messagefile` in the current
//! directory and the id `a`.
//!
//! Run it after, or before, `messageqsend`, or the C program of that name, in the same directory:
//!
//! ```text
//! $ cargo run --example messageqrecv
//! The message received is GoodBye
//! ```
//!
//! Unlike the C program, it waits for the file and the queue if they are not there yet, takes a message of
//! any length, and removes the queue when it has received the last message in it: a System V queue stays
//! otherwise, until the machine is restarted.

use ipc_examples::show;
use ipc_msgq::{Receiver, SysvReceiver, Wait};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut receiver = SysvReceiver::connect_within("sysvmsg://messagefile?id=a&type=1", Wait::Forever)?;
    let message = receiver.recv()?;
    // Ours ends in a NUL byte, for the C receiver; that of the C sender does not.
    show("The message received is ", message.strip_suffix(b"\0").unwrap_or(message))?;

    if receiver.status()?.messages == 0 {
        // Another user's queue is theirs to remove.
        receiver.remove().ok();
    }
    Ok(())
}

//! Adds a message to a System V message queue: the one of the file `messagefile` in the current directory,
//! which is made if it is not there, and the id `a`.
//!
//! Run it, and then `messageqrecv`, or the C program of that name, in the same directory:
//!
//! ```text
//! $ cargo run --example messageqsend
//! Enter a message to add to message queue : GoodBye
//! The message sent is GoodBye
//! ```
//!
//! Unlike the C program, it sends the whole line and not only its first word, takes a line that is longer
//! than 254 bytes (up to the system's `kernel.msgmax`; the C receiver has room for 254), and fails if the
//! message could not be sent.

use ipc_examples::{prompt, show};
use ipc_msgq::{Sender, SysvSender};
use std::error::Error;
use std::fs::File;

fn main() -> Result<(), Box<dyn Error>> {
    // As `touch` does: what is there stays as it is, and with it the queue's key.
    File::options().append(true).create(true).open("messagefile")?;
    let text = prompt("Enter a message to add to message queue : ")?;

    let mut sender = SysvSender::open_or_create("sysvmsg://messagefile?id=a&type=1&mode=0666")?;
    // A NUL byte behind it: the C program prints what it has received as a string.
    let sent = sender.try_send(&[&text[..], b"\0"].concat());
    if sent.is_err() && sender.status()?.messages == 0 {
        // It would stay, empty, until the machine is restarted. Another user's is theirs to remove.
        sender.remove().ok();
    }
    sent?;
    show("The message sent is ", &text)?;
    Ok(())
}

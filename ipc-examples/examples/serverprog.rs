//! A TCP server: sends the first client one line, and ends.
//!
//! Run it, type a line, and run `clientprog` in a second terminal:
//!
//! ```text
//! $ cargo run -q -p ipc-examples --example serverprog
//! Enter text to send to the client: thanks and good bye
//! ```
//!
//! The text goes out as it is (`framing=raw`), and the end of the connection ends it, as the C program
//! does; so a C program, or `nc 127.0.0.1 2000`, can be the client.

use ipc_examples::prompt;
use ipc_socket::{Listener, Sender};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let listener = Listener::bind("tcp://127.0.0.1:2000?framing=raw&backlog=5")?;
    let text = prompt("Enter text to send to the client: ")?;
    let mut client = listener.accept()?;
    // Of an empty line there is nothing to send: the end of the connection says it all.
    if !text.is_empty() {
        client.send(&text)?;
    }
    Ok(())
}

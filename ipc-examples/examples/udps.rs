//! A UDP server: waits for a message, shows it, and sends a reply to whoever sent it.
//!
//! Run it, then run `udpc` in a second terminal (or the C program of that name):
//!
//! ```text
//! $ cargo run -q -p ipc-examples --example udps
//! Waiting for the message from the client
//! Message received from the client: Will it rain today?
//! Enter the reply to be sent to the client: It might
//! Reply to the client sent
//! ```
//!
//! The C program sends its whole array of 255 bytes, with a NUL behind the text and anything behind that.
//! So the text ends at the first NUL, in both directions.

use ipc_examples::{prompt, show};
use ipc_socket::{Datagram, Receiver, Sender};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut socket = Datagram::bind("udp://*:2000")?;
    show("Waiting for the message from the client", b"")?;
    let message = socket.recv()?;
    let text = message.split(|byte| *byte == 0).next().unwrap_or_default();
    show("Message received from the client: ", text)?;

    let mut reply = prompt("Enter the reply to be sent to the client: ")?;
    if reply.contains(&0) {
        return Err("the reply cannot contain a NUL byte: the client would take it for the end".into());
    }
    reply.push(0);
    socket.send(&reply)?;
    show("Reply to the client sent ", b"")?;
    Ok(())
}

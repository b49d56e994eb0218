//! A UDP client: sends the server a message, and shows its reply.
//!
//! Run it beside `udps`, or beside the C program of that name:
//!
//! ```text
//! $ cargo run -q -p ipc-examples --example udpc
//! Enter the message to send to the server: Will it rain today?
//! Message to the server sent.
//! Received from the server: It might
//! ```
//!
//! The text ends with a NUL, which the C program needs. If nobody is there the kernel says so, and the
//! program ends with that error instead of waiting for ever.

use ipc_examples::{prompt, show};
use ipc_socket::{Datagram, Receiver, Sender};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut message = prompt("Enter the message to send to the server: ")?;
    if message.contains(&0) {
        return Err("the message cannot contain a NUL byte: the server would take it for the end".into());
    }
    message.push(0);
    let mut server = Datagram::connect("udp://127.0.0.1:2000")?;
    server.send(&message)?;
    show("Message to the server sent. ", b"")?;

    let reply = server.recv()?;
    let text = reply.split(|byte| *byte == 0).next().unwrap_or_default();
    show("Received from the server: ", text)?;
    Ok(())
}

//! Names within a process: two that are right, and what a wrong one gets, a line each.
//!
//! ```text
//! $ cargo run -p ipc-examples --example inproc_names
//! inproc://#1: hello
//! inproc://my-endpoint: hello
//! 257 characters: …
//! no name: …
//! the scheme in capitals: …
//! no ://: …
//! bound twice: bind inproc://#1: the name is in use: …
//! ```

use ipc_examples::show;
use ipc_inproc::{Context, Receiver, Sender};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new();
    let mut first = context.bind("inproc://#1")?;
    let mut second = context.bind("inproc://my-endpoint")?;

    context.connect("inproc://#1")?.send(b"hello")?;
    context.connect("inproc://my-endpoint")?.send(b"hello")?;
    show("inproc://#1: ", first.recv()?)?;
    show("inproc://my-endpoint: ", second.recv()?)?;

    let too_long = format!("inproc://{}", "x".repeat(257));
    for (what, endpoint) in [
        ("257 characters", too_long.as_str()),
        ("no name", "inproc://"),
        ("the scheme in capitals", "INPROC://#1"),
        ("no ://", "inproc:#1"),
        ("bound twice", "inproc://#1"),
    ] {
        match context.bind(endpoint) {
            Ok(_) => return Err(format!("{what}: was bound, and should not have been").into()),
            Err(error) => show(&format!("{what}: {error}"), b"")?,
        }
    }
    Ok(())
}

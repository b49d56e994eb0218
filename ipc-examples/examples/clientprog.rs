//! A TCP client: shows what the server sends.
//!
//! Run it beside `serverprog`, or beside the C program of that name:
//!
//! ```text
//! $ cargo run -q -p ipc-examples --example clientprog
//! Data received from server: thanks and good bye
//! ```
//!
//! Bytes without framing may arrive in any number of pieces, so it reads until the server has closed the
//! connection. Like the C program it ends its output without a newline.

use ipc_socket::{ErrorKind, Receiver, SocketPair};
use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let patience = Duration::from_secs(5);
    let mut server = SocketPair::connect_timeout("tcp://127.0.0.1:2000?framing=raw", patience)?;
    let mut text = Vec::new();
    loop {
        match server.recv() {
            Ok(piece) => text.extend_from_slice(piece),
            Err(error) if error.kind() == ErrorKind::Disconnected => break,
            Err(error) => return Err(error.into()),
        }
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(b"Data received from server: ")?;
    stdout.write_all(&text)?;
    Ok(stdout.flush()?)
}

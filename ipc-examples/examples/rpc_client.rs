//! Remote procedure calls, the client: calls procedures of the server like functions, and waits for each
//! result.
//!
//! Run it beside `rpc_server`; an empty line ends it:
//!
//! ```text
//! $ cargo run -q -p ipc-examples --example rpc_client
//! Call: add 20 22
//! Result: 42
//! Call: upper it might
//! Result: IT MIGHT
//! Call: stop
//! Result: the server stops
//! ```

use ipc_examples::{prompt, show};
use ipc_socket::{Caller, SocketPair, Wait};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let patience = Duration::from_secs(5);
    let mut server = Caller::new(SocketPair::connect_timeout("unix://rpc_socket", patience)?);
    loop {
        let request = prompt("Call: ")?;
        if request.is_empty() {
            return Ok(());
        }
        let answer = server.call(&request, Wait::timeout(patience))?;
        match answer.split_first() {
            Some((b'=', result)) => show("Result: ", result)?,
            Some((b'!', problem)) => show("The server refuses: ", problem)?,
            _ => return Err("the server's answer is neither a result nor a refusal".into()),
        }
        if request == b"stop" {
            return Ok(());
        }
    }
}

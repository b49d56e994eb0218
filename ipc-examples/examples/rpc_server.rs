//! Remote procedure calls, the server: has procedures that other processes call.
//!
//! Run it, then run `rpc_client` in other terminals, several at once if you like:
//!
//! ```text
//! $ cargo run -q -p ipc-examples --example rpc_server
//! Serving add, upper and stop at unix://rpc_socket
//! add 20 22
//! upper it might
//! stop
//! ```
//!
//! A request is the name of a procedure and its arguments, as text. An answer begins with `=` if it is a
//! result, and with `!` if it says what was wrong.

use ipc_examples::show;
use ipc_socket::Listener;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let listener = Listener::bind("unix://rpc_socket")?;
    show("Serving add, upper and stop at ", listener.endpoint().to_string().as_bytes())?;
    listener.serve(|request| {
        // A closed terminal is no reason to stop serving.
        let _ = show("", request);
        let (name, arguments) = match request.iter().position(|byte| *byte == b' ') {
            Some(place) => request.split_at(place),
            None => (request, &b""[..]),
        };
        let result = match name {
            b"add" => add(arguments).map(|sum| sum.to_string().into_bytes()),
            b"upper" => Ok(arguments.trim_ascii_start().to_ascii_uppercase()),
            b"stop" => {
                listener.shutdown();
                Ok(b"the server stops".to_vec())
            }
            _ => Err("there is no such procedure; there are add, upper and stop"),
        };
        match result {
            Ok(result) => [b"=", result.as_slice()].concat(),
            Err(problem) => [b"!", problem.as_bytes()].concat(),
        }
    })?;
    Ok(())
}

/// The sum of whole numbers, of which there may be any number.
fn add(arguments: &[u8]) -> Result<i64, &'static str> {
    let text = str::from_utf8(arguments).map_err(|_| "add takes whole numbers")?;
    text.split_whitespace().try_fold(0i64, |sum, number| {
        let number: i64 = number.parse().map_err(|_| "add takes whole numbers")?;
        sum.checked_add(number).ok_or("the sum is too large")
    })
}

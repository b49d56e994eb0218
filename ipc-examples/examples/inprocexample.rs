//! Three threads tell one another that they are ready, each over a pair of its own name: SHASHANK1 tells
//! SHASHANK2, which then tells the main function.
//!
//! ```text
//! $ cargo run -p ipc-examples --example inprocexample
//! SHASHANK1 is READY, signalling SHASHANK2
//! SHASHANK2 is READY, signalling main function
//! ```

use ipc_examples::show;
use ipc_inproc::{Context, Receiver, Sender};
use std::error::Error;
use std::thread::{self, JoinHandle};

type Result = std::result::Result<(), Box<dyn Error + Send + Sync>>;

fn main() -> Result {
    let context = Context::new();
    let mut receiver = context.bind("inproc://SHASHANK3")?;
    let thread = spawn(&context, shashank2);

    let signal = receiver.recv().map(drop);
    join(thread)?;
    signal?;

    drop(receiver);
    context.term();
    Ok(())
}

fn shashank2(context: &Context) -> Result {
    let mut receiver = context.bind("inproc://SHASHANK2")?;
    let thread = spawn(context, shashank1);

    let signal = receiver.recv().map(drop);
    join(thread)?;
    signal?;

    let mut transmitter = context.connect("inproc://SHASHANK3")?;
    show("SHASHANK2 is READY, signalling main function", b"")?;
    Ok(transmitter.send(b"READY")?)
}

fn shashank1(context: &Context) -> Result {
    let mut transmitter = context.connect("inproc://SHASHANK2")?;
    show("SHASHANK1 is READY, signalling SHASHANK2", b"")?;
    Ok(transmitter.send(b"READY")?)
}

/// Starts a thread. If it fails, nobody is left waiting for its signal: the context is shut down.
fn spawn(context: &Context, run: fn(&Context) -> Result) -> JoinHandle<Result> {
    let context = context.clone();
    thread::spawn(move || run(&context).inspect_err(|_| context.shutdown()))
}

/// Waits for a thread, and passes on what went wrong there.
fn join(thread: JoinHandle<Result>) -> Result {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

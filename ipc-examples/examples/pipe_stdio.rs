//! A pipe within one process, with buffers and formatted text instead of messages: what `fdopen`,
//! `fprintf` and `fscanf` do in C.
//!
//! Run it with `cargo run -p ipc-examples --example pipe_stdio`. It prints
//!
//! ```text
//! Writing...
//! Reading...
//! 3 values parsed: 10 20 30
//! ```

use ipc_pipe::pipe;
use std::error::Error;
use std::io::{BufRead, BufReader, BufWriter, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let (sender, receiver) = pipe()?;
    let mut writer = BufWriter::new(sender.into_writer()?);
    // Nothing has been read ahead of a receiver that has not received.
    let (_, reader) = receiver.into_reader()?;
    let mut reader = BufReader::new(reader);

    println!("Writing...");
    writeln!(writer, "{} {} {}", 10, 20, 30)?;
    writer.flush()?;

    println!("Reading...");
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let values = line.split_whitespace().map(str::parse).collect::<Result<Vec<i32>, _>>()?;
    let text: Vec<_> = values.iter().map(i32::to_string).collect();
    println!("{} values parsed: {}", values.len(), text.join(" "));
    Ok(())
}

//! A line typed by a person, and a line shown to one: bytes, of any length, not always UTF-8.

use std::io::{self, BufRead, Write};

/// Shows `text` and reads one line, without its newline.
///
/// # Errors
///
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if standard input has ended before any line.
pub fn prompt(text: &str) -> io::Result<Vec<u8>> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    let mut line = Vec::new();
    if io::stdin().lock().read_until(b'\n', &mut line)? == 0 {
        stdout.write_all(b"\n")?;
        let error = "standard input has ended: there is no line to read";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
    }
    line.pop_if(|byte| *byte == b'\n');
    Ok(line)
}

/// Shows `text`, then `bytes` as they are, then a newline.
pub fn show(text: &str, bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(bytes)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

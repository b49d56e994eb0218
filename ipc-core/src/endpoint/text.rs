//! How the text of an endpoint is written: escapes, and the pieces that it is cut into.

use super::Problem;
use crate::ErrorKind;
use std::fmt::Write;

/// Replaces `%` and two hexadecimal digits by the byte they stand for.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(Problem::new(
                ErrorKind::InvalidEndpoint,
                "after % come two hexadecimal digits; % itself is %25",
            ));
        };
        // Two hexadecimal digits are at most 255.
        bytes.push((high * 16 + low) as u8);
    }
    Ok(bytes)
}

/// Writes text as it is, but for `%`, `?`, blanks and control characters; other bytes as escapes.
pub(super) fn encode(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c == '?' || c.is_whitespace() || c.is_control() {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape(text, byte));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(text, *byte));
    }
}

/// Writes `%` and two hexadecimal digits.
pub(super) fn escape(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "%{byte:02X}");
}

/// What is before and behind the first `at`.
pub(super) fn split_once<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = text.windows(at.len()).position(|window| window == at)?;
    Some((text.get(..place)?, text.get(place + at.len()..)?))
}

/// The text, if it is digits and nothing else.
pub(super) fn digits(text: &[u8]) -> Option<&str> {
    let all = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if all { str::from_utf8(text).ok() } else { None }
}

/// The text as errors show it: printable, and not too long.
pub(super) fn shown(text: &[u8]) -> String {
    const MAX: usize = 200;
    let start = String::from_utf8_lossy(text.get(..MAX).unwrap_or(text));
    let mut shown: String =
        start.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.len() > MAX {
        shown.push('…');
    }
    shown
}

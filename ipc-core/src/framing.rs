//! How messages are told apart in a stream of bytes.

use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

/// How messages are told apart in a stream of bytes: the option `framing` of an endpoint.
///
/// | framing | on the wire | empty message | the stream ends inside a message |
/// |---|---|---|---|
/// | `length` | the length, four bytes, little-endian, then the message | yes | `Truncated` |
/// | `lines` | the message, then a newline | yes | the rest is the last message |
/// | `nul` | the message, then a NUL byte | yes | the rest is the last message |
/// | `fixed:N` | the message, which has N bytes | no | `Truncated` |
/// | `raw` | the message; boundaries are lost | no | cannot be told |
///
/// `length` is ours and the default: it alone carries any message whole, whatever dies. The others talk
/// to programs that know nothing of us: `lines` to the shell, `nul` to `find -print0`, `fixed:N` to C
/// programs that write a struct or a `char[255]`, `raw` to everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Four bytes of length, little-endian, before each message.
    #[default]
    Length,
    /// A newline after each message, which cannot contain one.
    Lines,
    /// A NUL byte after each message, which cannot contain one.
    Nul,
    /// Every message has this many bytes, from 1 to [`Framing::MAX`].
    Fixed(u32),
    /// None: what one read gives is a message.
    Raw,
}

impl Framing {
    /// The longest message that any framing carries, in bytes: what four bytes can count.
    pub const MAX: usize = u32::MAX as usize;

    /// The limit where an endpoint sets none: 64 MiB.
    pub const DEFAULT_MAX: usize = 64 << 20;

    pub(crate) const VALUES: &'static str =
        "length, lines, nul, raw, or fixed:N with N from 1 to 4294967295";

    /// The byte that ends a message, if one does.
    pub(crate) fn delimiter(self) -> Option<u8> {
        match self {
            Framing::Lines => Some(b'\n'),
            Framing::Nul => Some(0),
            Framing::Length | Framing::Fixed(_) | Framing::Raw => None,
        }
    }

    /// Puts a message into its frame, or says why it does not fit: longer than `max`, or with bytes
    /// that this framing cannot carry.
    pub fn frame(self, message: &[u8], max: usize) -> Result<Frame<'_>> {
        if let Framing::Fixed(size) = self
            && message.len() != size as usize
        {
            let detail = format!("it has {} bytes, but must have {size}", message.len());
            return Err(Error::new(ErrorKind::InvalidMessage, "send").with_detail(detail));
        }
        let max = max.min(Framing::MAX);
        if message.len() > max {
            return Err(Error::new(ErrorKind::MessageTooLarge, "send").with_limit(
                "max_message",
                max as u64,
                format!("the message has {} bytes; the option max_message raises it", message.len()),
            ));
        }
        let mut frame = Frame { head: [0; 4], head_len: 0, message, tail: &[] };
        let problem = match self {
            Framing::Length => {
                // Checked above against what four bytes can count.
                frame.head = (message.len() as u32).to_le_bytes();
                frame.head_len = frame.head.len();
                return Ok(frame);
            }
            Framing::Lines if message.contains(&b'\n') => "a line cannot contain a newline",
            Framing::Lines => {
                frame.tail = b"\n";
                return Ok(frame);
            }
            Framing::Nul if message.contains(&0) => "it cannot contain a NUL byte",
            Framing::Nul => {
                frame.tail = b"\0";
                return Ok(frame);
            }
            Framing::Raw if message.is_empty() => "raw bytes cannot show an empty message",
            Framing::Fixed(_) | Framing::Raw => return Ok(frame),
        };
        Err(Error::new(ErrorKind::InvalidMessage, "send").with_detail(problem))
    }
}

/// A message with what goes before and behind it on the wire. Nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    head: [u8; 4],
    head_len: usize,
    message: &'a [u8],
    tail: &'static [u8],
}

impl Frame<'_> {
    /// How many bytes it has on the wire.
    pub fn wire_len(&self) -> usize {
        // A message has at most 2^32 bytes, and this crate is for 64-bit systems.
        self.head_len.saturating_add(self.message.len()).saturating_add(self.tail.len())
    }

    /// The bytes in order: head, message, tail. Any of them may be empty.
    pub fn parts(&self) -> [&[u8]; 3] {
        [self.head.get(..self.head_len).unwrap_or_default(), self.message, self.tail]
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Framing::Length => f.write_str("length"),
            Framing::Lines => f.write_str("lines"),
            Framing::Nul => f.write_str("nul"),
            Framing::Fixed(size) => write!(f, "fixed:{size}"),
            Framing::Raw => f.write_str("raw"),
        }
    }
}

impl FromStr for Framing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Framing> {
        match text {
            "length" => Ok(Framing::Length),
            "lines" => Ok(Framing::Lines),
            "nul" => Ok(Framing::Nul),
            "raw" => Ok(Framing::Raw),
            _ => text
                .strip_prefix("fixed:")
                .filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|size| size.parse().ok())
                .filter(|size| *size > 0)
                .map(Framing::Fixed)
                .ok_or_else(|| {
                    Error::new(ErrorKind::InvalidOption, "parse")
                        .with_detail(format!("the framings are {}", Framing::VALUES))
                }),
        }
    }
}

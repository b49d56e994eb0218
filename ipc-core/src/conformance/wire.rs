//! What goes over the control channel between a rule and the child that holds an end for it: commands
//! one way, answers the other.
//!
//! Each is a length (four bytes, little-endian) and its bytes; the first of these names the half of the
//! pair that it is for, the second what it is. Both sides are the same program, so nothing here needs to
//! last. It does not use the crate's own framing, which is what is being tested.

use crate::{Error, ErrorKind, Result, Wait};
use std::io::{self, Read, Write};
use std::time::Duration;

/// What a child is to do with its end.
pub(super) enum Command {
    Send(Wait, Vec<u8>),
    SendBatch(Wait, Vec<Vec<u8>>),
    Flush(Wait),
    Recv(Wait),
    RecvInto,
    RecvVec,
    /// Take the pair apart: from now on the sender obeys half 0, and the receiver half 1.
    Split,
    /// Whether to make calls under a storm of signals.
    Storm(bool),
    Drop,
}

/// What a child says.
pub(super) enum Answer {
    /// I am here, and these descriptors are open; I begin to open the end.
    Hello(Vec<u32>),
    /// The thread of this number begins to obey.
    Begun(i32),
    Done(Result<Value>),
    /// I have panicked, with these words, and will exit.
    Panicked(String),
}

/// What a call gave.
pub(super) enum Value {
    Nothing,
    Count(usize),
    Message(Vec<u8>),
}

impl Value {
    pub(super) fn into_count(self) -> usize {
        match self {
            Value::Count(count) => count,
            _ => panic!("the child should have answered with a count"),
        }
    }

    pub(super) fn into_message(self) -> Vec<u8> {
        match self {
            Value::Message(message) => message,
            _ => panic!("the child should have answered with a message"),
        }
    }
}

pub(super) fn write_frame(mut to: impl Write, half: u8, parts: Out) -> io::Result<()> {
    let mut frame = Vec::with_capacity(parts.0.len() + 5);
    frame.extend_from_slice(&(parts.0.len() as u32 + 1).to_le_bytes());
    frame.push(half);
    frame.extend_from_slice(&parts.0);
    to.write_all(&frame)
}

/// The next frame: which half it is for, and what is in it. An error is also how the other side's end
/// shows.
pub(super) fn read_frame(mut from: impl Read) -> io::Result<(u8, In)> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut bytes)?;
    let mut frame = In { bytes, at: 0 };
    Ok((frame.byte(), frame))
}

impl Command {
    /// What it is called in a failure's text.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Command::Send(..) => "send",
            Command::SendBatch(..) => "send_batch",
            Command::Flush(_) => "flush",
            Command::Recv(_) => "recv",
            Command::RecvInto => "recv_into",
            Command::RecvVec => "recv_vec",
            Command::Split => "split",
            Command::Storm(_) => "storm",
            Command::Drop => "drop",
        }
    }

    pub(super) fn encode(&self) -> Out {
        let mut out = Out::default();
        match self {
            Command::Send(wait, message) => out.byte(0).wait(*wait).bytes(message),
            Command::SendBatch(wait, messages) => {
                out.byte(1).wait(*wait).number(messages.len() as u64);
                messages.iter().fold(&mut out, |out, message| out.bytes(message))
            }
            Command::Flush(wait) => out.byte(2).wait(*wait),
            Command::Recv(wait) => out.byte(3).wait(*wait),
            Command::RecvInto => out.byte(4),
            Command::RecvVec => out.byte(5),
            Command::Split => out.byte(6),
            Command::Storm(on) => out.byte(7).byte(u8::from(*on)),
            Command::Drop => out.byte(8),
        };
        out
    }

    pub(super) fn decode(mut from: In) -> Command {
        match from.byte() {
            0 => Command::Send(from.wait(), from.bytes()),
            1 => {
                let wait = from.wait();
                let count = from.number();
                Command::SendBatch(wait, (0..count).map(|_| from.bytes()).collect())
            }
            2 => Command::Flush(from.wait()),
            3 => Command::Recv(from.wait()),
            4 => Command::RecvInto,
            5 => Command::RecvVec,
            6 => Command::Split,
            7 => Command::Storm(from.byte() == 1),
            8 => Command::Drop,
            other => panic!("no command has the number {other}"),
        }
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Out {
        let mut out = Out::default();
        match self {
            Answer::Hello(descriptors) => {
                out.byte(0).number(descriptors.len() as u64);
                descriptors.iter().fold(&mut out, |out, descriptor| out.number((*descriptor).into()))
            }
            Answer::Begun(thread) => out.byte(1).number(*thread as u64),
            Answer::Done(Ok(Value::Nothing)) => out.byte(2),
            Answer::Done(Ok(Value::Count(count))) => out.byte(3).number(*count as u64),
            Answer::Done(Ok(Value::Message(message))) => out.byte(4).bytes(message),
            Answer::Done(Err(error)) => {
                out.byte(5).byte(encode_kind(error.kind())).bytes(error.operation().as_bytes());
                out.bytes(error.endpoint().unwrap_or_default().as_bytes());
                out.bytes(error.to_string().as_bytes())
            }
            Answer::Panicked(text) => out.byte(6).bytes(text.as_bytes()),
        };
        out
    }

    pub(super) fn decode(mut from: In) -> Answer {
        match from.byte() {
            0 => Answer::Hello((0..from.number()).map(|_| from.number() as u32).collect()),
            1 => Answer::Begun(from.number() as i32),
            2 => Answer::Done(Ok(Value::Nothing)),
            3 => Answer::Done(Ok(Value::Count(from.number() as usize))),
            4 => Answer::Done(Ok(Value::Message(from.bytes()))),
            5 => {
                let kind = decode_kind(from.byte());
                // Leaked: an error's operation is a literal, and this is a test.
                let error = Error::new(kind, from.text().leak());
                let endpoint = from.text();
                let error = if endpoint.is_empty() { error } else { error.at(&endpoint.into()) };
                Answer::Done(Err(error.with_detail(format!("in the child: {}", from.text()))))
            }
            6 => Answer::Panicked(from.text()),
            other => panic!("no answer has the number {other}"),
        }
    }
}

/// Fields, one after the other.
#[derive(Default)]
pub(super) struct Out(Vec<u8>);

impl Out {
    fn byte(&mut self, byte: u8) -> &mut Out {
        self.0.push(byte);
        self
    }

    fn number(&mut self, number: u64) -> &mut Out {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Out {
        self.number(bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }

    /// The other side's clock starts when it reads this, so a wait gets a little longer on its way, but
    /// never shorter.
    fn wait(&mut self, wait: Wait) -> &mut Out {
        match wait {
            Wait::Never => self.byte(0),
            Wait::Forever => self.byte(1),
            Wait::Until(_) => {
                let nanoseconds = wait.remaining().unwrap_or_default().as_nanos();
                self.byte(2).number(nanoseconds.try_into().unwrap_or(u64::MAX))
            }
        }
    }
}

/// Fields, taken out in the order they went in.
pub(super) struct In {
    bytes: Vec<u8>,
    at: usize,
}

impl In {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let field = self.bytes[self.at..].first_chunk().copied().expect("the frame has this field");
        self.at += N;
        field
    }

    fn byte(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.number() as usize;
        let field = self.bytes[self.at..self.at + length].to_vec();
        self.at += length;
        field
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn wait(&mut self) -> Wait {
        match self.byte() {
            0 => Wait::Never,
            1 => Wait::Forever,
            _ => Wait::timeout(Duration::from_nanos(self.number())),
        }
    }
}

/// The kinds of errors by number; the compiler sees to it that none is missing.
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        fn encode_kind(kind: ErrorKind) -> u8 {
            match kind {
                $(ErrorKind::$kind => ErrorKind::$kind as u8,)+
            }
        }

        fn decode_kind(number: u8) -> ErrorKind {
            [$(ErrorKind::$kind),+]
                .into_iter()
                .find(|kind| *kind as u8 == number)
                .expect("both sides know the same kinds")
        }
    };
}

kinds! {
    WouldBlock, TimedOut, Disconnected, Truncated, MessageTooLarge, InvalidMessage, Corrupted, Terminated,
    Busy, NotFound, NoPeer, AddrInUse, Removed, PermissionDenied, WrongOwner, WrongType, GeometryMismatch,
    LimitExceeded, Poisoned, InvalidPriority, InvalidEndpoint, UnknownScheme, UnknownOption, InvalidOption,
    NameTooLong, Unsupported, System,
}

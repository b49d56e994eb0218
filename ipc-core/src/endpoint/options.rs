//! The options of an endpoint: `?mode=0600&capacity=64K`, and the one table that says which scheme
//! knows which option and what its values are.

use super::{Address, Problem, Scheme, text};
use crate::{ErrorKind, Framing, Waiting};
use std::fmt::Write;
use std::num::NonZeroU8;

/// The options of an endpoint. `None` leaves the choice to the transport.
///
/// ```
/// use ipc_core::{Address, Endpoint, Options, Scheme};
///
/// let options = Options::default().mode(0o640).capacity(64 << 10);
/// let endpoint = Endpoint::new(Scheme::Fifo, Address::Path("/tmp/x".into()), options)?;
/// assert_eq!(endpoint.to_string(), "fifo:///tmp/x?mode=0640&capacity=65536");
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// `mode`: permission bits of the object that is made, whatever the umask; 0600 by default.
    pub mode: Option<u32>,
    /// `framing`: how messages are told apart in a stream; `length` by default.
    pub framing: Option<Framing>,
    /// `max_message`: the longest message, in bytes, that is sent or believed.
    pub max_message: Option<usize>,
    /// `capacity`: how much the channel holds: bytes, but messages for `mq`.
    pub capacity: Option<usize>,
    /// `waiting`: how calls wait; `adaptive` by default.
    pub waiting: Option<Waiting>,
    /// `id`: the second argument of ftok(3), one character.
    pub id: Option<NonZeroU8>,
    /// `type`: the type of a System V message, sent or chosen.
    pub message_type: Option<i64>,
    /// `priority`: of messages sent to a POSIX queue, 0 to 32,767; high ones are received first.
    pub priority: Option<u32>,
    /// `uid`: the user that the peer must be; for message queues and shared memory, the user that the queue or
    /// the segment must belong to.
    pub uid: Option<u32>,
    /// `persist`: the receiver outlives its senders and waits for the next.
    pub persist: Option<bool>,
    /// `backlog`: how many connections may wait to be accepted.
    pub backlog: Option<u32>,
    /// `descriptors`: the peer may send descriptors along with messages; not without it.
    pub descriptors: Option<bool>,
}

impl Options {
    /// The longest message in a stream with these options, in bytes: N for the framing `fixed:N`, otherwise
    /// `max_message`, which is [`Framing::DEFAULT_MAX`] where it is not set and at most [`Framing::MAX`].
    pub fn longest_message(&self) -> usize {
        match self.framing {
            Some(Framing::Fixed(size)) => size as usize,
            _ => self.max_message.unwrap_or(Framing::DEFAULT_MAX).min(Framing::MAX),
        }
    }
}

/// A row of the table.
struct Known {
    name: &'static str,
    schemes: &'static [Scheme],
    /// What the values are, for the error that says so.
    values: &'static str,
    /// Sets the option from text; `None` if the text is not one of the values.
    read: fn(&mut Options, &str) -> Option<()>,
    /// The option as text, if it is set.
    write: fn(&Options) -> Option<String>,
}

/// Those whose peer, or whose owner, the kernel tells.
const OWNED: [Scheme; 7] = [
    Scheme::Unix,
    Scheme::UnixGram,
    Scheme::UnixPacket,
    Scheme::Mq,
    Scheme::SysvMsg,
    Scheme::Shm,
    Scheme::SysvShm,
];
const STREAMS: [Scheme; 4] = [Scheme::Pipe, Scheme::Fifo, Scheme::Unix, Scheme::Tcp];
const LISTENERS: [Scheme; 3] = [Scheme::Unix, Scheme::UnixPacket, Scheme::Tcp];
const SYSV: [Scheme; 2] = [Scheme::SysvMsg, Scheme::SysvShm];
const MADE: [Scheme; 8] = [
    Scheme::Fifo,
    Scheme::Unix,
    Scheme::UnixGram,
    Scheme::UnixPacket,
    Scheme::Mq,
    Scheme::SysvMsg,
    Scheme::Shm,
    Scheme::SysvShm,
];

const SIZE: &str = "a number of bytes from 1, or with K, M or G behind it";

const TABLE: &[Known] = &[
    Known {
        name: "mode",
        schemes: &MADE,
        values: "an octal number up to 0777, such as 0600",
        read: |options, text| {
            let mode = u32::from_str_radix(plain(text)?, 8).ok().filter(|mode| *mode <= 0o777)?;
            options.mode = Some(mode);
            Some(())
        },
        write: |options| Some(format!("{:04o}", options.mode?)),
    },
    Known {
        name: "framing",
        schemes: &STREAMS,
        values: Framing::VALUES,
        read: |options, text| {
            options.framing = Some(text.parse().ok()?);
            Some(())
        },
        write: |options| Some(options.framing?.to_string()),
    },
    Known {
        name: "max_message",
        schemes: &Scheme::ALL,
        values: SIZE,
        read: |options, text| {
            options.max_message = Some(read_size(text)?);
            Some(())
        },
        write: |options| Some(options.max_message?.to_string()),
    },
    Known {
        name: "capacity",
        schemes: &Scheme::ALL,
        values: SIZE,
        read: |options, text| {
            options.capacity = Some(read_size(text)?);
            Some(())
        },
        write: |options| Some(options.capacity?.to_string()),
    },
    Known {
        name: "waiting",
        schemes: &Scheme::ALL,
        values: "adaptive, block or spin",
        read: |options, text| {
            options.waiting = Some(match text {
                "adaptive" => Waiting::Adaptive,
                "block" => Waiting::Block,
                "spin" => Waiting::Spin,
                _ => return None,
            });
            Some(())
        },
        write: |options| {
            let name = match options.waiting? {
                Waiting::Adaptive => "adaptive",
                Waiting::Block => "block",
                Waiting::Spin => "spin",
            };
            Some(name.into())
        },
    },
    Known {
        name: "id",
        schemes: &SYSV,
        values: "one character, such as a",
        read: |options, text| {
            let [byte] = text::decode(text.as_bytes()).ok()?.try_into().ok()?;
            options.id = Some(NonZeroU8::new(byte)?);
            Some(())
        },
        write: |options| {
            let byte = options.id?.get();
            let mut text = String::new();
            if byte.is_ascii_alphanumeric() {
                text.push(char::from(byte));
            } else {
                text::escape(&mut text, byte);
            }
            Some(text)
        },
    },
    Known {
        name: "type",
        schemes: &[Scheme::SysvMsg],
        values: "a whole number; to send with, from 1",
        read: |options, text| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            plain(digits)?;
            options.message_type = Some(text.parse().ok()?);
            Some(())
        },
        write: |options| Some(options.message_type?.to_string()),
    },
    Known {
        name: "priority",
        schemes: &[Scheme::Mq],
        values: "a number from 0 to 32767",
        read: |options, text| {
            options.priority = Some(plain(text)?.parse().ok().filter(|n| *n <= MAX_PRIORITY)?);
            Some(())
        },
        write: |options| Some(options.priority?.to_string()),
    },
    Known {
        name: "uid",
        schemes: &OWNED,
        values: "a user's number",
        read: |options, text| {
            options.uid = Some(plain(text)?.parse().ok()?);
            Some(())
        },
        write: |options| Some(options.uid?.to_string()),
    },
    Known {
        name: "persist",
        schemes: &[Scheme::Fifo],
        values: "true or false",
        read: |options, text| {
            options.persist = Some(text.parse().ok()?);
            Some(())
        },
        write: |options| Some(options.persist?.to_string()),
    },
    Known {
        name: "backlog",
        schemes: &LISTENERS,
        values: "a number from 0 to 2147483647",
        read: |options, text| {
            options.backlog = Some(plain(text)?.parse().ok().filter(|n| *n <= MAX_BACKLOG)?);
            Some(())
        },
        write: |options| Some(options.backlog?.to_string()),
    },
    Known {
        name: "descriptors",
        schemes: &[Scheme::Unix, Scheme::UnixGram, Scheme::UnixPacket],
        values: "true or false",
        read: |options, text| {
            options.descriptors = Some(text.parse().ok()?);
            Some(())
        },
        write: |options| Some(options.descriptors?.to_string()),
    },
];

/// `MQ_PRIO_MAX` - 1, see mq_overview(7).
const MAX_PRIORITY: u32 = 32_767;
/// listen(2) takes an int.
const MAX_BACKLOG: u32 = i32::MAX as u32;

pub(super) fn parse(scheme: Scheme, query: &[u8]) -> Result<Options, Problem> {
    let mut options = Options::default();
    for pair in query.split(|byte| *byte == b'&') {
        let (name, value) = text::split_once(pair, b"=").ok_or_else(|| {
            let detail = format!("an option is NAME=VALUE; {}", known_to(scheme));
            Problem::new(ErrorKind::InvalidOption, detail)
        })?;
        let name = text::shown(name);
        let known = TABLE
            .iter()
            .find(|known| known.name == name && knows(scheme, known))
            .ok_or_else(|| unknown(scheme, &name))?;
        if (known.write)(&options).is_some() {
            let detail = format!("{name} is there twice");
            return Err(Problem::new(ErrorKind::InvalidOption, detail));
        }
        let read = str::from_utf8(value).ok().and_then(|text| (known.read)(&mut options, text));
        if read.is_none() {
            let value = text::shown(value);
            let detail = format!("{name} is {value}, but must be {}", known.values);
            return Err(Problem::new(ErrorKind::InvalidOption, detail));
        }
    }
    Ok(options)
}

/// Checks options that may not have come from text: known to the scheme, and with values that would be
/// read back the same.
pub(super) fn check(scheme: Scheme, address: &Address, options: &Options) -> Result<(), Problem> {
    for known in TABLE {
        let Some(text) = (known.write)(options) else { continue };
        if !knows(scheme, known) {
            return Err(unknown(scheme, known.name));
        }
        let mut read = Options::default();
        if (known.read)(&mut read, &text).is_none() {
            let detail = format!("{} is {text}, but must be {}", known.name, known.values);
            return Err(Problem::new(ErrorKind::InvalidOption, detail));
        }
    }
    if let (Some(Framing::Fixed(size)), Some(max)) = (options.framing, options.max_message)
        && size as usize > max
    {
        let detail = format!("max_message is {max}, but each message of fixed:{size} is longer");
        return Err(Problem::new(ErrorKind::InvalidOption, detail));
    }
    match (SYSV.contains(&scheme), address, options.id) {
        (true, Address::Path(_), None) => {
            let detail = "a path needs the option id, as ftok(3) does: ?id=a";
            Err(Problem::new(ErrorKind::InvalidEndpoint, detail))
        }
        (true, Address::Key(_), Some(_)) => {
            let detail = "id goes with a path; a key is whole by itself";
            Err(Problem::new(ErrorKind::InvalidOption, detail))
        }
        _ => Ok(()),
    }
}

pub(super) fn write(text: &mut String, options: &Options) {
    let mut sign = '?';
    for known in TABLE {
        if let Some(value) = (known.write)(options) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{sign}{}={value}", known.name);
            sign = '&';
        }
    }
}

/// An inproc name may hold any characters, so no option can be told from it.
fn knows(scheme: Scheme, known: &Known) -> bool {
    scheme != Scheme::Inproc && known.schemes.contains(&scheme)
}

fn known_to(scheme: Scheme) -> String {
    let names: Vec<_> =
        TABLE.iter().filter(|known| knows(scheme, known)).map(|known| known.name).collect();
    if names.is_empty() {
        format!("{scheme} knows no options")
    } else {
        format!("{scheme} knows {}", names.join(", "))
    }
}

fn unknown(scheme: Scheme, name: &str) -> Problem {
    Problem::new(ErrorKind::UnknownOption, format!("{name}; {}", known_to(scheme)))
}

/// Digits only: the standard library's parsers also take a plus sign.
fn plain(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

fn read_size(text: &str) -> Option<usize> {
    let (number, unit) = match text.as_bytes().last()? {
        b'K' => (text.strip_suffix('K')?, 1 << 10),
        b'M' => (text.strip_suffix('M')?, 1 << 20),
        b'G' => (text.strip_suffix('G')?, 1 << 30),
        _ => (text, 1),
    };
    let size: usize = plain(number)?.parse().ok()?;
    size.checked_mul(unit).filter(|size| *size > 0)
}

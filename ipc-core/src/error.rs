//! One error type for all transports: a kind to match on, and a text that says what, where, and what
//! would be right.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What went wrong, in which operation, at which endpoint, and why.
///
/// Match on [`kind`](Error::kind); show the whole to a person. An error that is a part of normal
/// traffic ([`WouldBlock`](ErrorKind::WouldBlock), [`TimedOut`](ErrorKind::TimedOut),
/// [`Disconnected`](ErrorKind::Disconnected)) is made without allocating.
///
/// ```
/// use ipc_core::{Endpoint, ErrorKind};
///
/// let error = Endpoint::parse("fifo:///tmp/x?mode=9").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidOption);
/// assert_eq!(
///     error.to_string(),
///     "parse fifo:///tmp/x?mode=9: an option's value is not valid: \
///      mode is 9, but must be an octal number up to 0777, such as 0600"
/// );
/// ```
#[derive(thiserror::Error)]
#[error("{}", Text(self))]
pub struct Error {
    kind: ErrorKind,
    operation: &'static str,
    endpoint: Option<Arc<str>>,
    more: Option<Box<More>>,
    #[source]
    source: Option<io::Error>,
}

/// What only rare errors carry, kept apart so that the common ones stay small.
#[derive(Default)]
struct More {
    detail: Option<Cow<'static, str>>,
    limit: Option<Limit>,
}

/// A limit that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name, as the manual pages have it: `msg_max`, `RLIMIT_MSGQUEUE`, `sun_path`.
    pub name: &'static str,
    /// Its value now.
    pub value: u64,
    /// What raises it, or what to do instead.
    pub remedy: Cow<'static, str>,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call was not to wait, and would have had to.
    WouldBlock,
    /// The time ran out.
    TimedOut,
    /// The peer is gone, and everything it had sent has been read.
    Disconnected,
    /// The peer went away inside a message.
    Truncated,
    /// The message is longer than the limit.
    MessageTooLarge,
    /// The message cannot be sent in this framing.
    InvalidMessage,
    /// The bytes that came are not what the framing or the layout says.
    Corrupted,
    /// The context was shut down.
    Terminated,
    /// The endpoint has a peer already.
    Busy,
    /// The name does not exist.
    NotFound,
    /// The name exists, but nobody is at the other end.
    NoPeer,
    /// The name is in use.
    AddrInUse,
    /// The object was removed while it was in use.
    Removed,
    /// The operating system does not permit it.
    PermissionDenied,
    /// The object belongs to another user.
    WrongOwner,
    /// There is something else under that name: a regular file where a FIFO should be.
    WrongType,
    /// The object exists with other sizes than asked for.
    GeometryMismatch,
    /// A limit of the system or of the user was reached.
    LimitExceeded,
    /// The holder of the lock died, and nobody repaired what it guards.
    Poisoned,
    /// The priority is out of range.
    InvalidPriority,
    /// The endpoint has no scheme, no address, or an address of the wrong form.
    InvalidEndpoint,
    /// The endpoint's scheme is not one of ours, or not one of this transport.
    UnknownScheme,
    /// The scheme does not know this option.
    UnknownOption,
    /// The option's value is not valid, or the option is there twice.
    InvalidOption,
    /// The name is longer than the system or the transport takes.
    NameTooLong,
    /// This transport does not do that.
    Unsupported,
    /// Another error of the operating system; see the source.
    System,
}

/// A result with our error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` in `operation`, which is named like the method: `"recv"`.
    pub const fn new(kind: ErrorKind, operation: &'static str) -> Self {
        Error { kind, operation, endpoint: None, more: None, source: None }
    }

    /// An error of the operating system, its kind taken from `source`.
    ///
    /// The kinds that depend on the call (is `ENOENT` a missing name or a missing peer?) are the
    /// transport's to set; this knows those that mean the same everywhere, and names the limit where no
    /// descriptor is left.
    pub fn from_io(source: io::Error, operation: &'static str) -> Self {
        let error = Error::new(kind_of(&source), operation);
        let error = match source.raw_os_error() {
            Some(number) if number == Errno::EMFILE as i32 => error.with_limit(
                "RLIMIT_NOFILE",
                getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
                "close some descriptors, or raise it with ulimit -n or setrlimit(2)",
            ),
            _ => error,
        };
        error.with_source(source)
    }

    /// Names the endpoint. Cheap: the text is shared.
    pub fn at(mut self, endpoint: &Arc<str>) -> Self {
        self.endpoint = Some(Arc::clone(endpoint));
        self
    }

    /// Says more: what was found, and what would be right.
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.more().detail = Some(detail.into());
        self
    }

    /// Names the limit that was reached, its value, and what raises it.
    pub fn with_limit(
        mut self,
        name: &'static str,
        value: u64,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.more().limit = Some(Limit { name, value, remedy: remedy.into() });
        self
    }

    /// Keeps the operating system's error as the source.
    pub fn with_source(mut self, source: io::Error) -> Self {
        self.source = Some(source);
        self
    }

    /// Changes the kind, where the caller knows better than the error's number.
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Names another operation: the one that the user called, where it failed in a part of it.
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The operation that failed, named like the method.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The endpoint, as text.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The limit that was reached, if that is what happened.
    pub fn limit(&self) -> Option<&Limit> {
        self.more.as_ref()?.limit.as_ref()
    }

    /// The operating system's error, if there is one.
    pub fn io_error(&self) -> Option<&io::Error> {
        self.source.as_ref()
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

/// Writes an error in one line, without its source.
struct Text<'a>(&'a Error);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error { kind, operation, endpoint, more, source } = self.0;
        f.write_str(operation)?;
        if let Some(endpoint) = endpoint {
            write!(f, " {endpoint}")?;
        }
        match source {
            // The system's words are all there is to say about it.
            Some(source) if *kind == ErrorKind::System => write!(f, ": {source}")?,
            _ => write!(f, ": {kind}")?,
        }
        if let Some(More { detail, limit }) = more.as_deref() {
            if let Some(detail) = detail {
                write!(f, ": {detail}")?;
            }
            if let Some(Limit { name, value, remedy }) = limit {
                write!(f, ": {name} is {value}; {remedy}")?;
            }
        }
        Ok(())
    }
}

/// The kind, the text of `Display` and the source: it is what `fn main() -> Result<(), Error>` prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, Text(self))?;
        match &self.source {
            Some(source) if self.kind != ErrorKind::System => write!(f, " ({source})"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::WouldBlock => "would have to wait",
            ErrorKind::TimedOut => "the time ran out",
            ErrorKind::Disconnected => "the peer is gone",
            ErrorKind::Truncated => "the peer went away inside a message",
            ErrorKind::MessageTooLarge => "the message is too large",
            ErrorKind::InvalidMessage => "the message does not fit the framing",
            ErrorKind::Corrupted => "what came is not what it should be",
            ErrorKind::Terminated => "the context was shut down",
            ErrorKind::Busy => "it has a peer already",
            ErrorKind::NotFound => "there is nothing of that name",
            ErrorKind::NoPeer => "nobody is at the other end",
            ErrorKind::AddrInUse => "the name is in use",
            ErrorKind::Removed => "it was removed while in use",
            ErrorKind::PermissionDenied => "permission denied",
            ErrorKind::WrongOwner => "it belongs to another user",
            ErrorKind::WrongType => "something else is under that name",
            ErrorKind::GeometryMismatch => "it exists with other sizes",
            ErrorKind::LimitExceeded => "a limit was reached",
            ErrorKind::Poisoned => "the lock's holder died and nobody repaired the data",
            ErrorKind::InvalidPriority => "the priority is out of range",
            ErrorKind::InvalidEndpoint => "not an endpoint",
            ErrorKind::UnknownScheme => "unknown scheme",
            ErrorKind::UnknownOption => "unknown option",
            ErrorKind::InvalidOption => "an option's value is not valid",
            ErrorKind::NameTooLong => "the name is too long",
            ErrorKind::Unsupported => "this transport does not do that",
            ErrorKind::System => "the system refused",
        })
    }
}

fn kind_of(error: &io::Error) -> ErrorKind {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE | Errno::ENFILE | Errno::EDQUOT | Errno::ENOBUFS) => {
            return ErrorKind::LimitExceeded;
        }
        Some(Errno::EMSGSIZE) => return ErrorKind::MessageTooLarge,
        Some(Errno::EIDRM) => return ErrorKind::Removed,
        Some(Errno::ENXIO) => return ErrorKind::NoPeer,
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::WouldBlock => ErrorKind::WouldBlock,
        io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::AddrInUse => ErrorKind::AddrInUse,
        io::ErrorKind::ConnectionRefused => ErrorKind::NoPeer,
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected => ErrorKind::Disconnected,
        io::ErrorKind::InvalidFilename => ErrorKind::NameTooLong,
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory => ErrorKind::LimitExceeded,
        _ => ErrorKind::System,
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            ErrorKind::WouldBlock => io::ErrorKind::WouldBlock,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::Disconnected | ErrorKind::Terminated => io::ErrorKind::BrokenPipe,
            ErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
            ErrorKind::Corrupted => io::ErrorKind::InvalidData,
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::NoPeer => io::ErrorKind::ConnectionRefused,
            ErrorKind::AddrInUse => io::ErrorKind::AddrInUse,
            ErrorKind::PermissionDenied | ErrorKind::WrongOwner => io::ErrorKind::PermissionDenied,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::MessageTooLarge
            | ErrorKind::InvalidMessage
            | ErrorKind::InvalidPriority
            | ErrorKind::InvalidEndpoint
            | ErrorKind::UnknownScheme
            | ErrorKind::UnknownOption
            | ErrorKind::InvalidOption
            | ErrorKind::NameTooLong => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn where_no_descriptor_is_left_the_limit_is_named() {
        let error = Error::from_io(Errno::EMFILE.into(), "connect");
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let limit = error.limit().unwrap();
        assert_eq!(limit.name, "RLIMIT_NOFILE");
        assert_eq!(limit.value, getrlimit(Resource::RLIMIT_NOFILE).unwrap().0);
        assert!(error.to_string().contains("ulimit -n"), "{error}");
    }
}

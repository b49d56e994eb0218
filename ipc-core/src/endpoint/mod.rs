//! Endpoint URLs: where a channel's two ends meet.
//!
//! An endpoint is a scheme, an address and options: `fifo:///run/jobs?mode=0600&framing=lines`. It is
//! split at the first `://`; schemes are lower case. What the address may be depends on the scheme; the
//! table is on the crate's front page.
//!
//! In paths and names, `%` and two hexadecimal digits stand for one byte, so that any name can be
//! written: `%3F` is a question mark. A file whose name looks like something else is written with `./`
//! in front: `unix://./@file`.
//!
//! The parts: `parse` reads the text, `address` has the rules for names, `options` the table of options, `setters`
//! what sets them one by one, `text` the escapes.

mod address;
mod options;
mod parse;
mod setters;
mod text;

pub use address::{Address, Host};
pub use options::Options;

use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// A parsed and checked endpoint URL.
///
/// ```
/// use ipc_core::{Address, Endpoint, Scheme};
///
/// let endpoint = Endpoint::parse("fifo:///tmp/jobs?mode=0600")?;
/// assert_eq!(endpoint.scheme(), Scheme::Fifo);
/// assert_eq!(endpoint.address(), &Address::Path("/tmp/jobs".into()));
/// assert_eq!(endpoint.options().mode, Some(0o600));
/// assert_eq!(endpoint.to_string(), "fifo:///tmp/jobs?mode=0600");
/// # Ok::<(), ipc_core::Error>(())
/// ```
///
/// What `Display` writes, [`parse`](Endpoint::parse) reads back as an equal endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    address: Address,
    options: Options,
    text: Arc<str>,
}

impl Endpoint {
    /// The longest text that is looked at, in bytes.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Reads an endpoint. Paths may be any bytes, so any bytes are taken.
    ///
    /// The time it takes grows with the length of the text, which is limited to
    /// [`MAX_LEN`](Endpoint::MAX_LEN). It never panics.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`](ErrorKind::InvalidEndpoint), [`UnknownScheme`](ErrorKind::UnknownScheme),
    /// [`UnknownOption`](ErrorKind::UnknownOption), [`InvalidOption`](ErrorKind::InvalidOption) and
    /// [`NameTooLong`](ErrorKind::NameTooLong); each says what is wrong and what would be right.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Endpoint> {
        let text = text.as_ref();
        parse::parse(text).map_err(|problem| problem.into_error("parse", &text::shown(text)))
    }

    /// Makes an endpoint from its parts, checked as if they had been read from text.
    pub fn new(scheme: Scheme, address: Address, options: Options) -> Result<Endpoint> {
        Endpoint::checked(scheme, address, options)
            .map_err(|problem| problem.into_error("make", &format!("{scheme} endpoint")))
    }

    /// The endpoint of a file: a FIFO, a Unix socket; with the option `id`, a System V object.
    ///
    /// In text, `%` and `?` stand for other things; here a path is a path, whatever bytes it has.
    ///
    /// ```
    /// use ipc_core::{Endpoint, Options, Scheme};
    ///
    /// let path = std::env::temp_dir().join("really?");
    /// let endpoint = Endpoint::from_path(Scheme::Fifo, path, Options::default().mode(0o640))?;
    /// assert!(endpoint.to_string().ends_with("/really%3F?mode=0640"));
    /// # Ok::<(), ipc_core::Error>(())
    /// ```
    pub fn from_path(scheme: Scheme, path: impl Into<PathBuf>, options: Options) -> Result<Endpoint> {
        Endpoint::new(scheme, Address::Path(path.into()), options)
    }

    /// The same endpoint with other options.
    pub fn with_options(self, options: Options) -> Result<Endpoint> {
        Endpoint::new(self.scheme, self.address, options)
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The endpoint as text, shared: what errors carry.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Fails unless the scheme is one of `schemes`: what every transport asks first.
    pub fn require(&self, schemes: &[Scheme], operation: &'static str) -> Result<()> {
        if schemes.contains(&self.scheme) {
            return Ok(());
        }
        let names: Vec<_> = schemes.iter().map(|scheme| scheme.name()).collect();
        Err(Error::new(ErrorKind::UnknownScheme, operation)
            .at(&self.text)
            .with_detail(format!("this transport's are: {}", names.join(", "))))
    }

    fn checked(scheme: Scheme, address: Address, options: Options) -> Result<Endpoint, Problem> {
        address::check(scheme, &address)?;
        options::check(scheme, &address, &options)?;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = fmt::write(&mut text, format_args!("{scheme}://"));
        address::write(&mut text, scheme, &address);
        options::write(&mut text, &options);
        Ok(Endpoint { scheme, address, options, text: text.into() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Endpoint> {
        Endpoint::parse(text)
    }
}

/// The part of an endpoint before `://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Threads of one process.
    Inproc,
    /// Anonymous pipes, by descriptor.
    Pipe,
    /// Named pipes.
    Fifo,
    /// Unix stream sockets; `ipc` is another spelling.
    Unix,
    /// Unix datagram sockets.
    UnixGram,
    /// Unix sequenced-packet sockets.
    UnixPacket,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// POSIX message queues.
    Mq,
    /// System V message queues.
    SysvMsg,
    /// POSIX shared memory.
    Shm,
    /// System V shared memory.
    SysvShm,
}

impl Scheme {
    /// All schemes, in the order of the table.
    pub const ALL: [Scheme; 12] = [
        Scheme::Inproc,
        Scheme::Pipe,
        Scheme::Fifo,
        Scheme::Unix,
        Scheme::UnixGram,
        Scheme::UnixPacket,
        Scheme::Tcp,
        Scheme::Udp,
        Scheme::Mq,
        Scheme::SysvMsg,
        Scheme::Shm,
        Scheme::SysvShm,
    ];

    /// The scheme as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Inproc => "inproc",
            Scheme::Pipe => "pipe",
            Scheme::Fifo => "fifo",
            Scheme::Unix => "unix",
            Scheme::UnixGram => "unixgram",
            Scheme::UnixPacket => "unixpacket",
            Scheme::Tcp => "tcp",
            Scheme::Udp => "udp",
            Scheme::Mq => "mq",
            Scheme::SysvMsg => "sysvmsg",
            Scheme::Shm => "shm",
            Scheme::SysvShm => "sysvshm",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What can be made into an endpoint: text, or an endpoint.
///
/// So that `bind("fifo:///tmp/x")` and `bind(&endpoint)` are both right, as with
/// [`std::net::ToSocketAddrs`].
pub trait ToEndpoint {
    /// Makes the endpoint.
    fn to_endpoint(&self) -> Result<Endpoint>;
}

impl ToEndpoint for str {
    fn to_endpoint(&self) -> Result<Endpoint> {
        Endpoint::parse(self)
    }
}

impl ToEndpoint for String {
    fn to_endpoint(&self) -> Result<Endpoint> {
        Endpoint::parse(self)
    }
}

impl ToEndpoint for Endpoint {
    fn to_endpoint(&self) -> Result<Endpoint> {
        Ok(self.clone())
    }
}

impl<T: ToEndpoint + ?Sized> ToEndpoint for &T {
    fn to_endpoint(&self) -> Result<Endpoint> {
        (**self).to_endpoint()
    }
}

/// What is wrong with an endpoint, before it is known how to show the endpoint.
#[derive(Debug)]
struct Problem {
    kind: ErrorKind,
    detail: String,
    limit: Option<(&'static str, usize)>,
}

impl Problem {
    fn new(kind: ErrorKind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), limit: None }
    }

    /// Something has so many units, and may have so many.
    fn too_long(what: &str, unit: &str, length: usize, (limit, max): (&'static str, usize)) -> Problem {
        let detail = format!("{what} has {length} {unit}");
        Problem { limit: Some((limit, max)), ..Problem::new(ErrorKind::NameTooLong, detail) }
    }

    fn into_error(self, operation: &'static str, shown: &str) -> Error {
        let error = Error::new(self.kind, operation).at(&shown.into()).with_detail(self.detail);
        match self.limit {
            Some((name, max)) => error.with_limit(name, max as u64, "a shorter one is needed"),
            None => error,
        }
    }
}

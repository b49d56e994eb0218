//! Addresses: their forms, which scheme takes which, the rules for names, and how they are written.

use super::text::{encode, escape};
use super::{Problem, Scheme};
use crate::ErrorKind;
use std::ffi::OsString;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The part of an endpoint between `://` and the options.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// `inproc`: any 1 to 256 characters.
    Name(String),
    /// `pipe`: standard input.
    Stdin,
    /// `pipe`: standard output.
    Stdout,
    /// `pipe` and sockets: a descriptor this process has inherited.
    Descriptor(u32),
    /// `fifo`, Unix sockets, and System V objects found by ftok(3).
    Path(PathBuf),
    /// Unix sockets: a name in the abstract namespace, 1 to 107 bytes.
    Abstract(Vec<u8>),
    /// `tcp`, `udp`: port 0 stands for any free port.
    Host {
        /// The address, or the name to look up.
        host: Host,
        /// The port.
        port: u16,
    },
    /// `mq`, `shm`: 1 to 255 bytes, no slash; without the slash that the C functions want in front.
    Object(OsString),
    /// System V objects: the key itself, not zero (which is `IPC_PRIVATE`).
    Key(u32),
}

/// The machine in a `tcp` or `udp` endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `*`: every address of this machine, to bind to.
    Any,
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, in brackets.
    V6(Ipv6Addr),
    /// A name to look up: letters, digits, `-`, `_` and dots.
    Name(String),
}

/// The name of a limit, and its value.
type Limit = (&'static str, usize);

const INPROC_MAX: Limit = ("inproc_name_max", 256);
/// `NAME_MAX` of limits.h(0p).
const NAME_MAX: Limit = ("NAME_MAX", 255);
/// `PATH_MAX` counts the NUL at the end.
const PATH_MAX: Limit = ("PATH_MAX", 4096 - 1);
/// `sun_path` of unix(7) has 108 bytes; C programs keep the last for a NUL, and abstract names use the
/// first for one.
const SUN_PATH_MAX: Limit = ("sun_path", 108 - 1);
const HOST_MAX: Limit = ("host_name_max", 253);

pub(super) fn check(scheme: Scheme, address: &Address) -> Result<(), Problem> {
    match (scheme, address) {
        (Scheme::Inproc, Address::Name(name)) => {
            let length = name.chars().count();
            limit("the inproc name", "characters", length, INPROC_MAX)
        }
        (Scheme::Pipe, Address::Stdin | Address::Stdout) => Ok(()),
        (
            Scheme::Pipe
            | Scheme::Unix
            | Scheme::UnixGram
            | Scheme::UnixPacket
            | Scheme::Tcp
            | Scheme::Udp,
            Address::Descriptor(number),
        ) => match i32::try_from(*number) {
            Ok(_) => Ok(()),
            Err(_) => Err(invalid("a descriptor's number is at most 2147483647")),
        },
        (Scheme::Fifo | Scheme::SysvMsg | Scheme::SysvShm, Address::Path(path)) => {
            check_path(path.as_os_str().as_bytes(), PATH_MAX)
        }
        (Scheme::Unix | Scheme::UnixGram | Scheme::UnixPacket, address) => match address {
            Address::Path(path) => check_path(path.as_os_str().as_bytes(), SUN_PATH_MAX),
            Address::Abstract(name) => limit("the abstract name", "bytes", name.len(), SUN_PATH_MAX),
            _ => Err(other(scheme)),
        },
        (Scheme::Tcp | Scheme::Udp, Address::Host { host, .. }) => check_host(host),
        (Scheme::Mq | Scheme::Shm, Address::Object(name)) => check_object(name.as_bytes()),
        (Scheme::SysvMsg | Scheme::SysvShm, Address::Key(0)) => {
            Err(invalid("key 0 is IPC_PRIVATE: nobody else could find the object"))
        }
        (Scheme::SysvMsg | Scheme::SysvShm, Address::Key(_)) => Ok(()),
        _ => Err(other(scheme)),
    }
}

pub(super) fn write(text: &mut String, scheme: Scheme, address: &Address) {
    // Writing to a string cannot fail.
    let _ = match address {
        Address::Name(name) => text.write_str(name),
        Address::Stdin => text.write_str("stdin"),
        Address::Stdout => text.write_str("stdout"),
        Address::Descriptor(number) => write!(text, "fd/{number}"),
        Address::Path(path) => {
            let path = path.as_os_str().as_bytes();
            let (first, rest) = path.split_at(usize::from(looks_special(scheme, path)));
            first.iter().for_each(|byte| escape(text, *byte));
            encode(text, rest);
            Ok(())
        }
        Address::Abstract(name) => {
            text.push('@');
            encode(text, name);
            Ok(())
        }
        Address::Object(name) => {
            encode(text, name.as_bytes());
            Ok(())
        }
        Address::Key(key) => write!(text, "{key:#x}"),
        Address::Host { host, port } => match host {
            Host::Any => write!(text, "*:{port}"),
            Host::V4(host) => write!(text, "{host}:{port}"),
            Host::V6(host) => write!(text, "[{host}]:{port}"),
            Host::Name(host) => write!(text, "{host}:{port}"),
        },
    };
}

/// Whether a path, as it is, would be read as an abstract name, a descriptor or a key.
fn looks_special(scheme: Scheme, path: &[u8]) -> bool {
    match scheme {
        Scheme::Unix | Scheme::UnixGram | Scheme::UnixPacket => {
            path.starts_with(b"@") || path.starts_with(b"fd/")
        }
        Scheme::SysvMsg | Scheme::SysvShm => path.starts_with(b"0x"),
        _ => false,
    }
}

fn check_path(path: &[u8], max: Limit) -> Result<(), Problem> {
    limit("the path", "bytes", path.len(), max)?;
    if path.contains(&0) {
        return Err(invalid("a path cannot contain a NUL byte"));
    }
    match path.split(|byte| *byte == b'/').map(<[u8]>::len).max() {
        Some(part) if part > NAME_MAX.1 => {
            Err(Problem::too_long("a part of the path", "bytes", part, NAME_MAX))
        }
        _ => Ok(()),
    }
}

fn check_object(name: &[u8]) -> Result<(), Problem> {
    limit("the name", "bytes", name.len(), NAME_MAX)?;
    if name.contains(&0) || name.contains(&b'/') {
        return Err(invalid("the name cannot contain a NUL byte, nor a slash but in front"));
    }
    if name == b"." || name == b".." {
        return Err(invalid("the name cannot be . or .."));
    }
    Ok(())
}

fn check_host(host: &Host) -> Result<(), Problem> {
    let Host::Name(name) = host else { return Ok(()) };
    limit("the host name", "bytes", name.len(), HOST_MAX)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.bytes().all(allowed) {
        return Err(invalid(
            "a host name has letters, digits, - _ and . only; an IPv6 address goes in [ ]",
        ));
    }
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("an IPv4 address has four numbers from 0 to 255: 127.0.0.1"));
    }
    Ok(())
}

fn limit(what: &str, unit: &str, length: usize, max: Limit) -> Result<(), Problem> {
    match length {
        0 => Err(invalid(format!("{what} is empty; it has 1 to {} {unit}", max.1))),
        _ if length > max.1 => Err(Problem::too_long(what, unit, length, max)),
        _ => Ok(()),
    }
}

fn other(scheme: Scheme) -> Problem {
    invalid(format!("{scheme} takes another kind of address"))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorKind::InvalidEndpoint, detail)
}

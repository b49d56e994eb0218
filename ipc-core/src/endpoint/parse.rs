//! From text to an endpoint: split, decode, and hand over to the checks.

use super::address::{Address, Host};
use super::text::{decode, digits, split_once};
use super::{Endpoint, Options, Problem, Scheme, options};
use crate::ErrorKind;
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;

pub(super) fn parse(text: &[u8]) -> Result<Endpoint, Problem> {
    if text.len() > Endpoint::MAX_LEN {
        return Err(Problem::too_long("the text", "bytes", text.len(), ("MAX_LEN", Endpoint::MAX_LEN)));
    }
    let (scheme, rest) = split_once(text, b"://").ok_or_else(|| {
        invalid("there is no ://; an endpoint is SCHEME://ADDRESS, such as fifo:///tmp/x")
    })?;
    let scheme = parse_scheme(scheme)?;
    if scheme == Scheme::Inproc {
        let name = str::from_utf8(rest).map_err(|_| invalid("an inproc name must be UTF-8"))?;
        return Endpoint::checked(scheme, Address::Name(name.into()), Options::default());
    }
    let (address, query) = match split_once(rest, b"?") {
        Some((address, query)) => (address, Some(query)),
        None => (rest, None),
    };
    let address = parse_address(scheme, address)?;
    let options = match query {
        Some(query) => options::parse(scheme, query)?,
        None => Options::default(),
    };
    Endpoint::checked(scheme, address, options)
}

fn parse_scheme(scheme: &[u8]) -> Result<Scheme, Problem> {
    if scheme.is_empty() {
        return Err(invalid("there is no scheme before ://"));
    }
    if scheme == b"ipc" {
        return Ok(Scheme::Unix);
    }
    let known = Scheme::ALL.into_iter().find(|known| known.name().as_bytes() == scheme);
    known.ok_or_else(|| {
        let names: Vec<_> = Scheme::ALL.iter().map(|scheme| scheme.name()).collect();
        let lower = scheme.to_ascii_lowercase();
        let case = names.iter().any(|name| name.as_bytes() == lower);
        let hint = if case { "schemes are lower case; " } else { "" };
        let detail = format!("{hint}the schemes are {} and ipc, which is unix", names.join(", "));
        Problem::new(ErrorKind::UnknownScheme, detail)
    })
}

fn parse_address(scheme: Scheme, text: &[u8]) -> Result<Address, Problem> {
    match scheme {
        Scheme::Inproc => Err(invalid("an inproc name is not decoded")),
        Scheme::Pipe => match text {
            b"stdin" => Ok(Address::Stdin),
            b"stdout" => Ok(Address::Stdout),
            _ => parse_descriptor(text)
                .ok_or_else(|| invalid("a pipe's address is stdin, stdout or fd/N"))?,
        },
        Scheme::Fifo => Ok(path(decode(text)?)),
        Scheme::Unix | Scheme::UnixGram | Scheme::UnixPacket => {
            if let Some(descriptor) = parse_descriptor(text) {
                return descriptor;
            }
            match text.strip_prefix(b"@") {
                Some(name) => Ok(Address::Abstract(decode(name)?)),
                None => Ok(path(decode(text)?)),
            }
        }
        Scheme::Tcp | Scheme::Udp => parse_descriptor(text).unwrap_or_else(|| parse_host_and_port(text)),
        Scheme::Mq | Scheme::Shm => {
            let name = decode(text)?;
            let name = name.strip_prefix(b"/").map(<[u8]>::to_vec).unwrap_or(name);
            Ok(Address::Object(OsString::from_vec(name)))
        }
        Scheme::SysvMsg | Scheme::SysvShm => match text.strip_prefix(b"0x") {
            Some(key) => parse_key(key),
            None => Ok(path(decode(text)?)),
        },
    }
}

/// `fd/N`; `None` if it is something else.
fn parse_descriptor(text: &[u8]) -> Option<Result<Address, Problem>> {
    let number = text.strip_prefix(b"fd/")?;
    let valid = digits(number).and_then(|number| number.parse().ok());
    Some(
        valid.map(Address::Descriptor).ok_or_else(|| {
            invalid("after fd/ comes a descriptor's number; a file of that name is ./fd/…")
        }),
    )
}

fn parse_key(text: &[u8]) -> Result<Address, Problem> {
    let wrong = || {
        invalid("a key is 0x and 1 to 8 hexadecimal digits, not all zero; a file of that name is ./0x…")
    };
    if text.is_empty() || text.len() > 8 || !text.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    let key = str::from_utf8(text).ok().and_then(|text| u32::from_str_radix(text, 16).ok());
    key.map(Address::Key).ok_or_else(wrong)
}

fn parse_host_and_port(text: &[u8]) -> Result<Address, Problem> {
    let form = || invalid("the address is HOST:PORT: 127.0.0.1:2000, [::1]:2000, localhost:0, *:2000");
    let text = str::from_utf8(text).map_err(|_| form())?;
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let port = match port {
        "*" => 0,
        _ => digits(port.as_bytes()).and_then(|port| port.parse().ok()).ok_or_else(|| {
            invalid("the port is a number from 0 to 65535, or *, which is 0: any free one")
        })?,
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = if host == "*" {
        Host::Any
    } else if let Some(host) = bracketed {
        let host: Ipv6Addr = host.parse().map_err(|_| invalid("in [ ] goes an IPv6 address"))?;
        Host::V6(host)
    } else if let Ok(host) = host.parse::<Ipv4Addr>() {
        Host::V4(host)
    } else {
        Host::Name(host.to_owned())
    };
    Ok(Address::Host { host, port })
}

fn path(bytes: Vec<u8>) -> Address {
    Address::Path(OsString::from_vec(bytes).into())
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorKind::InvalidEndpoint, detail)
}

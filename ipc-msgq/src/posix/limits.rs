//! Which limit an error of mq_open(3) means, its value now, and what raises it. The kernel says `EINVAL`
//! or `EMFILE` for several things.

use crate::sys::errno;
use ipc_core::{Endpoint, Error, ErrorKind};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use std::fs;
use std::io;

/// What not even a privileged process gets beyond, see mq_overview(7).
const HARD_MSG_MAX: usize = 65_536;
const HARD_MSGSIZE_MAX: usize = 16 << 20;

/// The sizes a new queue gets: what the endpoint asks for, and for the rest the system's defaults. `None`
/// if nothing is asked for.
pub(super) fn sizes(endpoint: &Endpoint) -> Option<(usize, usize)> {
    let options = endpoint.options();
    if options.capacity.is_none() && options.max_message.is_none() {
        return None;
    }
    let or_default = |asked: Option<usize>, default, max, otherwise| {
        asked.unwrap_or_else(|| {
            let default = system(default).unwrap_or(otherwise);
            default.min(system(max).unwrap_or(default))
        })
    };
    Some((
        or_default(options.capacity, "msg_default", "msg_max", 10),
        or_default(options.max_message, "msgsize_default", "msgsize_max", 8192),
    ))
}

/// Explains why a queue could not be made.
pub(super) fn explain_create(source: io::Error, operation: &'static str, endpoint: &Endpoint) -> Error {
    let asked = sizes(endpoint);
    match errno(&source) {
        Some(Errno::EINVAL | Errno::EOVERFLOW) => {
            let (capacity, max_message) = asked.unwrap_or_default();
            let error = Error::from_io(source, operation).at(endpoint.text());
            if let Some(value) = exceeded(capacity, "msg_max", HARD_MSG_MAX) {
                limit(
                    error,
                    "msg_max",
                    value,
                    "sysctl fs.mqueue.msg_max raises it up to 65536; or ask for less by capacity",
                )
            } else if let Some(value) = exceeded(max_message, "msgsize_max", HARD_MSGSIZE_MAX) {
                limit(
                    error,
                    "msgsize_max",
                    value,
                    "sysctl fs.mqueue.msgsize_max raises it up to 16777216; or ask for less by max_message",
                )
            } else {
                error
            }
        }
        Some(Errno::EMFILE) if a_descriptor_is_left() => {
            let value = getrlimit(Resource::RLIMIT_MSGQUEUE).map_or(0, |(now, _)| now);
            let error = Error::from_io(source, operation).at(endpoint.text());
            limit(
                error,
                "RLIMIT_MSGQUEUE",
                value,
                "it counts the bytes of all queues of this user; ulimit -q or setrlimit(2) raises it; or remove queues, or make them smaller",
            )
        }
        Some(Errno::ENOSPC) => {
            let value = system("queues_max").unwrap_or(0);
            let error = Error::from_io(source, operation).at(endpoint.text());
            limit(
                error,
                "queues_max",
                to_u64(value),
                "sysctl fs.mqueue.queues_max raises it; or remove queues",
            )
        }
        _ => explain_open(source, operation, endpoint),
    }
}

/// Explains why a queue could not be opened.
pub(super) fn explain_open(source: io::Error, operation: &'static str, endpoint: &Endpoint) -> Error {
    let number = errno(&source);
    let error = Error::from_io(source, operation).at(endpoint.text());
    match number {
        Some(Errno::EACCES) => {
            error.with_detail("there is a queue of that name, and its mode keeps this user out")
        }
        _ => error,
    }
}

fn limit(error: Error, name: &'static str, value: u64, remedy: &'static str) -> Error {
    error.with_kind(ErrorKind::LimitExceeded).with_limit(name, value, remedy)
}

/// The limit that `asked` is over: the kernel's own for a privileged process, else the system's.
fn exceeded(asked: usize, name: &str, hard: usize) -> Option<u64> {
    if asked > hard {
        return Some(to_u64(hard));
    }
    system(name).filter(|now| asked > *now).map(to_u64)
}

/// A limit of the system, see mq_overview(7).
fn system(name: &str) -> Option<usize> {
    fs::read_to_string(format!("/proc/sys/fs/mqueue/{name}")).ok()?.trim().parse().ok()
}

/// `EMFILE` means either that this process has no descriptor left, or that the user has no queue memory
/// left. A descriptor that can be had excludes the first.
fn a_descriptor_is_left() -> bool {
    fs::File::open("/dev/null").is_ok()
}

fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

//! The kernel's limits on System V queues, and which of them an error means; see msgget(2).

use ipc_core::{Error, ErrorKind};
use nix::errno::Errno;
use std::fs;
use std::io;
use std::sync::Arc;

/// `kernel.msgmax`: the longest message.
pub(super) fn msgmax() -> usize {
    system("msgmax").unwrap_or(8192)
}

/// Explains why a queue could not be made, or its capacity set.
pub(super) fn explain(source: io::Error, operation: &'static str, endpoint: &Arc<str>) -> Error {
    let errno = source.raw_os_error().map(Errno::from_raw);
    let error = Error::from_io(source, operation).at(endpoint);
    let limit = |error: Error, name, setting, remedy: &'static str| {
        let value = system(setting).and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        error.with_kind(ErrorKind::LimitExceeded).with_limit(name, value, remedy)
    };
    match errno {
        Some(Errno::ENOSPC) => limit(
            error,
            "MSGMNI",
            "msgmni",
            "sysctl kernel.msgmni raises it; or remove queues: ipcs -q lists them",
        ),
        Some(Errno::EPERM) => limit(
            error,
            "MSGMNB",
            "msgmnb",
            "sysctl kernel.msgmnb raises it; or ask for less by capacity",
        ),
        _ => error,
    }
}

/// The error for a `max_message` beyond what the kernel takes.
pub(super) fn above_msgmax(max: usize, operation: &'static str, endpoint: &Arc<str>) -> Error {
    Error::new(ErrorKind::LimitExceeded, operation).at(endpoint).with_limit(
        "MSGMAX",
        u64::try_from(max).unwrap_or(u64::MAX),
        "sysctl kernel.msgmax raises it; or ask for less by max_message",
    )
}

fn system(name: &str) -> Option<usize> {
    fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok()
}

//! Calls over queues, which outlive their callers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{MqName, SysvName};
use ipc_msgq::{Caller, ErrorKind, MqPair, Pair, Server, SysvPair, Wait};
use std::time::Duration;

/// One caller gives up and goes, the server answers it, and the next caller comes.
fn late_answer_to_the_caller_before<P: Pair>(server: P, connect: impl Fn() -> P) {
    let mut server = Server::new(server);
    let mut first = Caller::new(connect());
    let error = first.call(b"first", Wait::Never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(first);
    server.serve_one(Wait::Forever, <[u8]>::to_vec).unwrap();

    let mut second = Caller::new(connect());
    let ticket = second.request(b"second", Wait::Forever).unwrap();
    // Only the late answer is there yet.
    let error = second.collect(&ticket, Wait::timeout(Duration::from_millis(20))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    server.serve_one(Wait::Forever, <[u8]>::to_vec).unwrap();
    assert_eq!(second.collect(&ticket, Wait::Forever).unwrap(), b"second");
}

#[test]
fn a_late_answer_to_a_caller_that_has_gone_is_not_taken_for_the_next_callers() {
    let name = MqName::new();
    let server = MqPair::bind(name.small()).unwrap();
    late_answer_to_the_caller_before(server, || MqPair::connect(&name.0).unwrap());
    let name = SysvName::new();
    let server = SysvPair::bind(&name.endpoint).unwrap();
    late_answer_to_the_caller_before(server, || SysvPair::connect(&name.endpoint).unwrap());
}

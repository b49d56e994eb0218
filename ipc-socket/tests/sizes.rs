//! Large numbers: a thousand clients, a gigabyte in one message, and no descriptors left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{abstract_endpoint, role, start, stay};
use ipc_socket::{ErrorKind, Listener, Receiver, Sender, SocketPair, Wait};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_gettime};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const CLIENTS: u32 = 1_000;
const GIB: usize = 1 << 30;
/// How long an accept waits for a descriptor at least.
const RELIEF: Duration = Duration::from_millis(100);

fn limit_descriptors(most: u64) -> u64 {
    let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, hard).unwrap();
    before
}

#[test]
fn a_thousand_clients_at_once_within_1024_descriptors_a_process() {
    let test = "a_thousand_clients_at_once_within_1024_descriptors_a_process";
    match role() {
        None => {
            for text in
                ["tcp://127.0.0.1:0", &abstract_endpoint("unix"), &abstract_endpoint("unixpacket")]
            {
                let mut server = start(test, text);
                let clients = start(test, &format!("connect {}", server.hears("bound")));
                clients.succeeds();
                server.succeeds();
            }
        }
        Some(text) => {
            limit_descriptors(1024);
            match text.strip_prefix("connect ") {
                Some(endpoint) => thousand_clients(endpoint),
                None => thousand_served(&text),
            }
        }
    }
}

fn thousand_served(endpoint: &str) {
    let listener = Listener::bind(endpoint).unwrap();
    eprintln!("bound {}", listener.endpoint());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| listener.accept().unwrap().split()).collect();
    // All are connected; now each is heard and answered.
    for (sender, receiver) in &mut clients {
        let request = receiver.recv().unwrap();
        sender.send(request).unwrap();
    }
    for (_, receiver) in &mut clients {
        assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    }
}

fn thousand_clients(endpoint: &str) {
    let patience = Wait::timeout(Duration::from_secs(20));
    let connect = |_| SocketPair::connect_within(endpoint, patience).unwrap();
    let mut clients: Vec<_> = (0..CLIENTS).map(connect).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&number.to_le_bytes()).unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.recv().unwrap(), number.to_le_bytes());
    }
}

#[test]
fn a_message_of_one_gibibyte_costs_the_receiver_the_message_and_a_buffer() {
    let test = "a_message_of_one_gibibyte_costs_the_receiver_the_message_and_a_buffer";
    if let Some(endpoint) = role() {
        let mut pair = SocketPair::connect(endpoint).unwrap();
        let message = pair.recv().unwrap();
        assert_eq!(message.len(), GIB);
        assert_eq!((message[0], message[GIB / 2], message[GIB - 1]), (1, 2, 3));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        eprintln!("peak {}", peak.trim().trim_end_matches(" kB"));
        return stay();
    }
    let mut message = vec![0; GIB];
    (message[0], message[GIB / 2], message[GIB - 1]) = (1, 2, 3);
    for text in ["tcp://127.0.0.1:0", &abstract_endpoint("unix")] {
        let listener = Listener::bind(format!("{text}?max_message=1G")).unwrap();
        let mut other = start(test, &listener.endpoint().to_string());
        let mut pair = listener.accept().unwrap();
        pair.send(&message).unwrap();
        let peak: usize = other.hears("peak").parse().unwrap();
        let more = (peak << 10).saturating_sub(GIB);
        assert!(more < 16 << 20, "{more} bytes more than the message");
        other.succeeds();
    }
}

/// How long this thread has been on a processor. It takes no descriptor to find out.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn accept_without_descriptors_tells_and_goes_on_when_there_are_some() {
    let test = "accept_without_descriptors_tells_and_goes_on_when_there_are_some";
    if role().is_none() {
        return start(test, "accept").succeeds();
    }
    let listener = Listener::bind(abstract_endpoint("unix")).unwrap();
    let client = SocketPair::connect(listener.endpoint()).unwrap();
    // The number that the next descriptor would have.
    let next = std::fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
    let before = limit_descriptors(next);
    let (began, busy_before) = (Instant::now(), processor_time());
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(error.limit().unwrap().name, "RLIMIT_NOFILE");
    assert_eq!(error.limit().unwrap().value, next);
    assert!(began.elapsed() >= RELIEF, "it has not waited");
    let busy = processor_time() - busy_before;
    assert!(busy < RELIEF / 4, "it has looked again and again: {busy:?} on a processor");
    assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::LimitExceeded);
    limit_descriptors(before);
    // The client has waited.
    let server = listener.accept().unwrap();
    assert_eq!(server.peer_credentials().unwrap().pid(), Some(std::process::id()));
    drop(client);
}

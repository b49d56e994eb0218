//! Calls over sockets: answers find their call, late ones find nobody, several clients are served at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::abstract_endpoint;
use ipc_socket::{
    Caller, Datagram, ErrorKind, Listener, Pair, Receiver, Sender, Server, SocketPair, Wait,
};
use std::sync::Barrier;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(30);

fn pairs() -> Vec<(Box<dyn Pair>, Box<dyn Pair>)> {
    let mut all: Vec<(Box<dyn Pair>, Box<dyn Pair>)> = Vec::new();
    for endpoint in ["tcp://127.0.0.1:0", &abstract_endpoint("unix"), &abstract_endpoint("unixpacket")] {
        let listener = Listener::bind(endpoint).unwrap();
        let client = SocketPair::connect(listener.endpoint()).unwrap();
        all.push((Box::new(client), Box::new(listener.accept().unwrap())));
    }
    for endpoint in ["udp://127.0.0.1:0", &abstract_endpoint("unixgram")] {
        let server = Datagram::bind(endpoint).unwrap();
        let client = Datagram::connect(server.endpoint()).unwrap();
        all.push((Box::new(client), Box::new(server)));
    }
    all
}

#[test]
fn a_call_gets_its_answer() {
    for (client, server) in pairs() {
        let serving = std::thread::spawn(move || {
            let mut server = Server::new(server);
            for _ in 0..100 {
                server.serve_one(Wait::Forever, |request| request.repeat(2)).unwrap();
            }
        });
        let mut caller = Caller::new(client);
        for number in 0..99u32 {
            let request = number.to_string();
            let answer = caller.call(request.as_bytes(), Wait::Forever).unwrap();
            assert_eq!(answer, request.repeat(2).as_bytes());
        }
        assert_eq!(caller.call(b"", Wait::Forever).unwrap(), b"");
        serving.join().unwrap();
    }
}

#[test]
fn a_late_answer_is_never_taken_for_the_next_calls() {
    for (client, server) in pairs() {
        let mut caller = Caller::new(client);
        let error = caller.call(b"slow", Wait::timeout(SHORT)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let serving = std::thread::spawn(move || {
            let mut server = Server::new(server);
            for _ in 0..2 {
                server.serve_one(Wait::Forever, <[u8]>::to_vec).unwrap();
            }
        });
        assert_eq!(caller.call(b"next", Wait::Forever).unwrap(), b"next");
        serving.join().unwrap();
    }
}

#[test]
fn answers_are_collected_in_any_order_and_once() {
    for (client, server) in pairs() {
        let mut server = Server::new(server);
        let mut caller = Caller::new(client);
        let tickets: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|text| caller.request(text.as_bytes(), Wait::Forever).unwrap())
            .collect();
        assert_eq!(
            caller.collect(&tickets[0], Wait::timeout(SHORT)).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        for _ in 0..3 {
            server.serve_one(Wait::Forever, <[u8]>::to_ascii_uppercase).unwrap();
        }
        assert_eq!(caller.collect(&tickets[2], Wait::Forever).unwrap(), b"C");
        assert_eq!(caller.collect(&tickets[0], Wait::Forever).unwrap(), b"A");
        assert_eq!(caller.collect(&tickets[1], Wait::Never).unwrap(), b"B");
        assert_eq!(caller.collect(&tickets[1], Wait::Never).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn a_ticket_of_another_caller_collects_nothing() {
    let mut pairs = pairs().into_iter();
    let (one, _keep) = pairs.next().unwrap();
    let (other, _keep_too) = pairs.next().unwrap();
    let (mut one, mut other) = (Caller::new(one), Caller::new(other));
    let ticket = one.request(b"x", Wait::Forever).unwrap();
    let _ = other.request(b"x", Wait::Forever).unwrap();
    assert_eq!(other.collect(&ticket, Wait::Never).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_no_request_or_answer_is_corrupted() {
    for (mut client, mut server) in pairs() {
        client.send(b"short").unwrap();
        let error = Server::new(&mut server).serve_one(Wait::Forever, <[u8]>::to_vec).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
        server.send(b"short").unwrap();
        let error = Caller::new(client).call(b"request", Wait::Forever).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
    }
}

#[test]
fn a_caller_whose_server_is_gone_is_told() {
    let (client, server) = pairs().remove(1);
    drop(server);
    let error = Caller::new(client).call(b"x", Wait::Forever).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

#[test]
fn several_clients_are_answered_at_once() {
    const CLIENTS: usize = 8;
    let listener = Listener::bind(abstract_endpoint("unix")).unwrap();
    let all_inside = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            listener.serve(|request| {
                // Passes only if all clients' requests are being dealt with at the same time.
                all_inside.wait();
                request.to_ascii_uppercase()
            })
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let endpoint = listener.endpoint();
                scope.spawn(move || {
                    let mut caller = Caller::new(SocketPair::connect(endpoint).unwrap());
                    let answer =
                        caller.call(format!("client {number}").as_bytes(), Wait::Forever).unwrap();
                    assert_eq!(answer, format!("CLIENT {number}").as_bytes());
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        // A client that breaks the rules costs itself.
        let mut rude = SocketPair::connect(listener.endpoint()).unwrap();
        rude.send(b"rude").unwrap();
        assert_eq!(rude.recv().unwrap_err().kind(), ErrorKind::Disconnected);
        listener.shutdown();
        serving.join().unwrap().unwrap();
    });
}

/// A pair whose peer sends without end: answers to a request that nobody has made.
#[derive(Debug)]
struct Flood;

impl Sender for Flood {
    fn send_within(&mut self, _: &[u8], _: Wait) -> ipc_socket::Result<()> {
        Ok(())
    }
}

impl Receiver for Flood {
    fn recv_within(&mut self, _: Wait) -> ipc_socket::Result<&[u8]> {
        Ok(&[0; 8])
    }
}

#[test]
fn answers_that_nobody_asked_for_do_not_hold_a_call_beyond_its_deadline() {
    let mut caller = Caller::new(Flood);
    let error = caller.call(b"x", Wait::timeout(SHORT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

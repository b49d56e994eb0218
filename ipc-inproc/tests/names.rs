//! Names: what may be one, who may have it, and when it is free again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_inproc::{Context, ErrorKind, Receiver, Result, Sender, bind, connect};
use std::fmt::Debug;

#[track_caller]
fn fails<T: Debug>(result: Result<T>, kind: ErrorKind) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

/// Sends and receives a message over `name`.
fn works(context: &Context, name: &str) {
    let mut binder = context.bind(name).unwrap();
    let mut connector = context.connect(name).unwrap();
    connector.send(name.as_bytes()).unwrap();
    assert_eq!(binder.recv().unwrap(), name.as_bytes());
}

#[test]
fn a_name_has_1_to_256_characters_whatever_they_are() {
    let context = Context::new();
    for name in
        ["x", "*", "#1", "my-endpoint", "a?b=c", "a b\n\0", "/etc/passwd", "%41", "inproc://x", "né"]
    {
        works(&context, &format!("inproc://{name}"));
    }
    works(&context, &format!("inproc://{}", "x".repeat(256)));
    works(&context, &format!("inproc://{}", "ü".repeat(256)));
}

#[test]
fn names_of_none_or_257_characters_are_refused() {
    let context = Context::new();
    let long = format!("inproc://{}", "x".repeat(257));
    let text = fails(context.bind(&long), ErrorKind::NameTooLong);
    assert!(text.contains("257 characters") && text.contains("is 256"), "{text}");
    fails(context.connect(&long), ErrorKind::NameTooLong);
    fails(context.bind_receiver(&long), ErrorKind::NameTooLong);
    fails(context.connect_sender(&long), ErrorKind::NameTooLong);
    fails(context.bind("inproc://"), ErrorKind::InvalidEndpoint);
    fails(context.connect("inproc://"), ErrorKind::InvalidEndpoint);
}

#[test]
fn names_that_differ_in_anything_are_different() {
    let context = Context::new();
    let names = ["inproc://a", "inproc://A", "inproc://a ", "inproc://%61", "inproc:///a"];
    let bound: Vec<_> = names.map(|name| context.bind(name).unwrap()).into();
    assert_eq!(bound.len(), names.len());
}

#[test]
fn an_endpoint_without_a_scheme_is_invalid_and_another_scheme_is_unknown() {
    let context = Context::new();
    for wrong in ["", "a", "inproc", "inproc:", "inproc:/a", "://a"] {
        fails(context.bind(wrong), ErrorKind::InvalidEndpoint);
        fails(context.connect(wrong), ErrorKind::InvalidEndpoint);
    }
    for wrong in ["INPROC://a", "Inproc://a", "tcp://127.0.0.1:1", "ipc:///tmp/a", "nonsense://a"] {
        fails(context.bind(wrong), ErrorKind::UnknownScheme);
        fails(context.connect_sender(wrong), ErrorKind::UnknownScheme);
    }
    assert!(fails(context.bind("INPROC://a"), ErrorKind::UnknownScheme).contains("lower case"));
    assert!(fails(context.bind("ipc:///tmp/a"), ErrorKind::UnknownScheme).contains("inproc"));
}

#[test]
fn a_name_is_bound_once_in_a_context() {
    let context = Context::new();
    let mut first = context.bind("inproc://a").unwrap();
    let _receiver = context.bind_receiver("inproc://b").unwrap();
    for name in ["inproc://a", "inproc://b"] {
        let text = fails(context.bind(name), ErrorKind::AddrInUse);
        assert!(text.starts_with(&format!("bind {name}: ")), "{text}");
        fails(context.bind_receiver(name), ErrorKind::AddrInUse);
        fails(first.bind(name), ErrorKind::AddrInUse);
    }
}

#[test]
fn another_context_has_names_of_its_own() {
    let (one, other) = (Context::new(), Context::new());
    let mut at_one = one.bind("inproc://a").unwrap();
    let mut at_other = other.bind("inproc://a").unwrap();
    one.connect("inproc://a").unwrap().send(b"one").unwrap();
    other.clone().connect("inproc://a").unwrap().send(b"other").unwrap();
    assert_eq!(at_one.recv().unwrap(), b"one");
    assert_eq!(at_other.recv().unwrap(), b"other");
}

#[test]
fn the_functions_meet_in_the_global_context() {
    let mut binder = bind("inproc://names: global").unwrap();
    connect("inproc://names: global").unwrap().send(b"hello").unwrap();
    assert_eq!(binder.recv().unwrap(), b"hello");
    fails(Context::global().bind_receiver("inproc://names: global"), ErrorKind::AddrInUse);
}

#[test]
fn one_pair_may_bind_several_names_and_still_has_one_peer() {
    let context = Context::new();
    let mut binder = context.bind("inproc://a").unwrap();
    binder.bind("inproc://b").unwrap();
    binder.bind("inproc://c").unwrap();
    let mut peer = context.connect("inproc://b").unwrap();
    for name in ["inproc://a", "inproc://b", "inproc://c"] {
        fails(context.connect(name), ErrorKind::Busy);
    }
    peer.send(b"hello").unwrap();
    assert_eq!(binder.recv().unwrap(), b"hello");
    binder.send(b"and back").unwrap();
    assert_eq!(peer.recv().unwrap(), b"and back");
}

#[test]
fn a_second_name_may_bring_the_peer_that_waits_there() {
    let context = Context::new();
    let mut early = context.connect("inproc://b").unwrap();
    early.send(b"early").unwrap();
    let mut binder = context.bind("inproc://a").unwrap();
    fails(binder.try_recv().map(<[u8]>::to_vec), ErrorKind::WouldBlock);
    binder.bind("inproc://b").unwrap();
    assert_eq!(binder.recv().unwrap(), b"early");
    fails(context.connect("inproc://a"), ErrorKind::Busy);
}

#[test]
fn a_pair_that_has_been_connected_cannot_be_bound() {
    let mut pair = Context::new().connect("inproc://a").unwrap();
    fails(pair.bind("inproc://b"), ErrorKind::Busy);
}

#[test]
fn unbinding_twice_or_what_another_has_bound_finds_nothing() {
    let context = Context::new();
    let mut one = context.bind("inproc://one").unwrap();
    let mut other = context.bind("inproc://other").unwrap();
    let mut peer = context.connect("inproc://one").unwrap();
    fails(one.unbind("inproc://other"), ErrorKind::NotFound);
    fails(one.unbind("inproc://nobody's"), ErrorKind::NotFound);
    fails(peer.unbind("inproc://one"), ErrorKind::NotFound);
    other.unbind("inproc://other").unwrap();
    fails(other.unbind("inproc://other"), ErrorKind::NotFound);
    one.unbind("inproc://one").unwrap();
}

#[test]
fn unbinding_keeps_the_peer_and_frees_the_name_at_once() {
    let context = Context::new();
    let mut binder = context.bind("inproc://a").unwrap();
    let mut peer = context.connect("inproc://a").unwrap();
    binder.unbind("inproc://a").unwrap();
    works(&context, "inproc://a");
    peer.send(b"still here").unwrap();
    assert_eq!(binder.recv().unwrap(), b"still here");
    binder.send(b"so am I").unwrap();
    assert_eq!(peer.recv().unwrap(), b"so am I");
}

#[test]
fn a_pair_with_no_name_and_no_peer_does_not_wait_for_ever() {
    let context = Context::new();
    let mut pair = context.bind("inproc://a").unwrap();
    pair.unbind("inproc://a").unwrap();
    fails(pair.recv().map(<[u8]>::to_vec), ErrorKind::NoPeer);
    fails(pair.send(b"x"), ErrorKind::NoPeer);
    pair.bind("inproc://b").unwrap();
    context.connect("inproc://b").unwrap().send(b"found").unwrap();
    assert_eq!(pair.recv().unwrap(), b"found");
}

#[test]
fn a_name_is_free_when_its_owner_is_dropped_and_that_of_a_split_pair_when_both_halves_are() {
    let context = Context::new();
    drop(context.bind("inproc://a").unwrap());
    drop(context.bind_receiver("inproc://a").unwrap());
    let (sender, receiver) = context.bind("inproc://a").unwrap().split();
    drop(sender);
    fails(context.bind("inproc://a"), ErrorKind::AddrInUse);
    drop(receiver);
    works(&context, "inproc://a");
}

#[test]
fn who_connected_and_left_without_a_word_is_forgotten() {
    let context = Context::new();
    drop(context.connect("inproc://a").unwrap());
    drop(context.connect_sender("inproc://a").unwrap());
    // Nobody waits there, neither a pair nor a sender: both can be bound.
    drop(context.bind_receiver("inproc://a").unwrap());
    let mut pair = context.bind("inproc://a").unwrap();
    fails(pair.try_recv().map(<[u8]>::to_vec), ErrorKind::WouldBlock);
}

#[test]
fn pairs_and_senders_to_a_receiver_do_not_mix() {
    let context = Context::new();
    let _pair = context.bind("inproc://pair").unwrap();
    let _receiver = context.bind_receiver("inproc://receiver").unwrap();
    let _early_pair = context.connect("inproc://early pair").unwrap();
    let _early_sender = context.connect_sender("inproc://early sender").unwrap();
    fails(context.connect_sender("inproc://pair"), ErrorKind::WrongType);
    fails(context.connect_sender("inproc://early pair"), ErrorKind::WrongType);
    fails(context.bind_receiver("inproc://early pair"), ErrorKind::WrongType);
    fails(context.connect("inproc://receiver"), ErrorKind::WrongType);
    fails(context.connect("inproc://early sender"), ErrorKind::WrongType);
    fails(context.bind("inproc://early sender"), ErrorKind::WrongType);
}

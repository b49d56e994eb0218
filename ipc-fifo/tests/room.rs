//! Room: messages that are too long, or for which there is none in time; and many short ones at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Place;
use ipc_fifo::{ErrorKind, FifoReceiver, FifoSender, Receiver, Sender, Wait};
use std::thread;
use std::time::Duration;

#[test]
fn a_message_over_the_receivers_limit_is_told_and_passed_over() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("?max_message=5000")).unwrap();
    let mut sender = FifoSender::connect(place.endpoint("")).unwrap();
    sender.send(&[1; 5001]).unwrap();
    sender.send(&[2; 5000]).unwrap();
    let error = receiver.recv().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    assert_eq!(error.limit().unwrap().value, 5000);
    assert_eq!(receiver.recv().unwrap(), [2; 5000]);
    assert_eq!(receiver.lost(), 0);
}

#[test]
fn a_message_that_ran_out_of_time_is_not_sent_and_nothing_is_lost() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    let mut sender = FifoSender::connect(place.endpoint("")).unwrap();
    let long = vec![7; 200_000];
    assert_eq!(sender.try_send(&long).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    let error = sender.send_timeout(&long, Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let sending = thread::spawn(move || sender.send(b"another").map(|()| sender));
    assert_eq!(receiver.recv().unwrap(), b"another");
    let mut sender = sending.join().unwrap().unwrap();

    // Nor if its sender goes, once there is room to say so.
    let error = sender.send_timeout(&long, Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(sender);
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(receiver.lost(), 0);
}

#[test]
fn a_full_fifo_takes_nothing_of_what_does_not_fit() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("?capacity=8192")).unwrap();
    assert_eq!(receiver.capacity().unwrap(), 8192);
    let mut sender = FifoSender::connect(place.endpoint("")).unwrap();
    let mut sent = 0;
    while sender.try_send(&[sent; 3000]).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 2);
    // A page of the FIFO has room behind what is in it.
    sender.try_send(b"short").unwrap();
    for number in 0..sent {
        assert_eq!(receiver.recv().unwrap(), [number; 3000]);
    }
    assert_eq!(receiver.recv().unwrap(), b"short");
}

#[test]
fn a_capacity_beyond_the_limit_names_the_limit() {
    let place = Place::new();
    let error = FifoReceiver::bind(place.endpoint("?capacity=4G")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    assert_eq!(error.limit().unwrap().name, "pipe-max-size");
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_batch_of_short_messages_arrives_whole_and_in_order() {
    let place = Place::new();
    let mut receiver = FifoReceiver::bind(place.endpoint("")).unwrap();
    let mut sender = FifoSender::connect(place.endpoint("")).unwrap();
    let messages: Vec<Vec<u8>> = (0..300).map(|number| vec![number as u8; number * 7 % 500]).collect();
    let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let sending = thread::spawn({
        let messages = messages.clone();
        move || {
            let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            sender.send_batch(&slices, Wait::Forever).unwrap()
        }
    });
    for message in slices {
        assert_eq!(receiver.recv().unwrap(), message);
    }
    assert_eq!(sending.join().unwrap(), 300);
}

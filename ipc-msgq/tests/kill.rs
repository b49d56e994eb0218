//! Receivers that are killed while messages flow: what the kernel had handed over to them is lost with
//! them, one message at most; nothing else is, nothing is torn, nothing comes twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{MqName, Second, SysvName, role, say};
use ipc_msgq::{MqReceiver, MqSender, Receiver, Sender, SysvReceiver, SysvSender};
use std::thread;

const KILLS: usize = 20;
const LAST: u64 = u64::MAX;

/// A message of a number: itself, again and again, so that a torn one shows.
fn message(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(5)
}

/// The receiver's side: says each number that it has, until the last.
fn receive(mut receiver: impl Receiver) {
    loop {
        let message = receiver.recv().unwrap();
        let number = u64::from_le_bytes(message[..8].try_into().unwrap());
        assert_eq!(message, self::message(number));
        say(number);
        if number == LAST {
            return;
        }
    }
}

/// The sender's side: sends numbers while one receiver after the other is killed.
fn kill_receivers(mut sender: impl Sender + 'static, start: impl Fn() -> Second) {
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let sending = thread::spawn(move || {
        let mut number = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            sender.send(&message(number)).unwrap();
            number += 1;
        }
        sender.send(&message(LAST)).unwrap();
        // Dropped later: the owner of a System V queue takes the messages in it along.
        (sender, number)
    });
    let mut seen: Vec<u64> = Vec::new();
    for kill in 0..KILLS {
        let mut receiver = start();
        seen.extend((0..=kill * 3).map(|_| receiver.next().unwrap().parse::<u64>().unwrap()));
        seen.extend(receiver.kill_and_hear_the_rest().iter().map(|said| said.parse::<u64>().unwrap()));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut receiver = start();
    while let Some(said) = receiver.next() {
        seen.push(said.parse().unwrap());
    }
    assert_eq!(seen.pop(), Some(LAST));
    let (_sender, sent) = sending.join().unwrap();
    assert!(seen.is_sorted_by(|one, next| one < next), "something came twice, or out of order");
    let lost = sent - u64::try_from(seen.len()).unwrap();
    assert!(lost <= KILLS as u64, "{lost} messages lost by {KILLS} kills");
}

#[test]
fn a_killed_receiver_of_a_posix_queue_costs_one_message_at_most() {
    const TEST: &str = "a_killed_receiver_of_a_posix_queue_costs_one_message_at_most";
    if let Some(endpoint) = role("receiver") {
        return receive(MqReceiver::connect(endpoint).unwrap());
    }
    let name = MqName::new();
    let sender = MqSender::bind(name.small()).unwrap();
    kill_receivers(sender, || Second::start(TEST, "receiver", &name.0));
}

#[test]
fn a_killed_receiver_of_a_system_v_queue_costs_one_message_at_most() {
    const TEST: &str = "a_killed_receiver_of_a_system_v_queue_costs_one_message_at_most";
    if let Some(endpoint) = role("receiver") {
        return receive(SysvReceiver::connect(endpoint).unwrap());
    }
    let name = SysvName::new();
    let sender = SysvSender::bind(name.with("capacity=400")).unwrap();
    kill_receivers(sender, || Second::start(TEST, "receiver", &name.endpoint));
}

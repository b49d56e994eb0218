//! High-water marks: how many messages fit, before bind and after, and when there is room again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{start, until};
use ipc_inproc::{Context, ErrorKind, Receiver, Sender, Wait};

const NAME: &str = "inproc://marks";
/// More than any sum of marks here: what went in until here has no limit.
const MANY: usize = 10_000;

/// Fills a channel, and returns how many messages it took.
fn fill(sender: &mut impl Sender) -> usize {
    for sent in 0..MANY {
        match sender.try_send(b"message") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
            Err(error) => panic!("{error}"),
        }
    }
    MANY
}

/// The sender's mark, the receiver's, what fits before there is a receiver, and after.
const TABLE: [(usize, usize, usize, usize); 7] = [
    (1_000, 1_000, 1_000, 2_000),
    (1, 1, 1, 2),
    (2, 3, 2, 5),
    (4, 1_000, 4, 1_004),
    (0, 5, MANY, MANY),
    (5, 0, 5, MANY),
    (0, 0, MANY, MANY),
];

#[test]
fn what_fits_is_the_sum_of_both_marks_and_nothing_stops_a_sender_where_one_is_0() {
    for (send, recv, _, both) in TABLE {
        let context = Context::new();
        let sending = context.options().send_high_water_mark(send).recv_high_water_mark(7);
        let receiving = context.options().recv_high_water_mark(recv).send_high_water_mark(9);
        let _binder = receiving.bind(NAME).unwrap();
        assert_eq!(fill(&mut sending.connect(NAME).unwrap()), both, "{send} + {recv}");

        let mut binder = sending.bind("inproc://the other way").unwrap();
        let _connector = receiving.connect("inproc://the other way").unwrap();
        assert_eq!(fill(&mut binder), both, "{send} + {recv}");

        let _receiver = receiving.bind_receiver("inproc://many").unwrap();
        for _ in 0..3 {
            let mut sender = sending.connect_sender("inproc://many").unwrap();
            assert_eq!(fill(&mut sender), both, "each of several senders: {send} + {recv}");
        }
    }
}

#[test]
fn before_bind_only_the_senders_mark_counts_and_from_bind_on_both() {
    for (send, recv, alone, both) in TABLE {
        let context = Context::new();
        let sending = context.options().send_high_water_mark(send);
        let receiving = context.options().recv_high_water_mark(recv);
        let mut connector = sending.connect(NAME).unwrap();
        assert_eq!(fill(&mut connector), alone, "{send}");
        let mut binder = receiving.bind(NAME).unwrap();
        if both < MANY {
            assert_eq!(fill(&mut connector), both - alone, "{send} + {recv}");
            for _ in 0..both {
                binder.recv().unwrap();
            }
            assert_eq!(binder.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
        }

        let mut senders: Vec<_> =
            (0..3).map(|_| sending.connect_sender("inproc://many").unwrap()).collect();
        senders.iter_mut().for_each(|sender| assert_eq!(fill(sender), alone, "{send}"));
        let _receiver = receiving.bind_receiver("inproc://many").unwrap();
        if both < MANY {
            senders.iter_mut().for_each(|sender| assert_eq!(fill(sender), both - alone));
        }
    }
}

#[test]
fn the_default_is_1000_on_each_side() {
    let context = Context::new();
    let _binder = context.bind(NAME).unwrap();
    assert_eq!(fill(&mut context.connect(NAME).unwrap()), 2_000);
    assert_eq!(fill(&mut context.connect("inproc://nobody").unwrap()), 1_000);
}

#[test]
fn one_message_read_makes_room_for_one() {
    let context = Context::new();
    let options = context.options().send_high_water_mark(3).recv_high_water_mark(3);
    let mut binder = options.bind(NAME).unwrap();
    let mut connector = options.connect(NAME).unwrap();
    assert_eq!(fill(&mut connector), 6);
    for read in [1, 2, 6, 3] {
        for _ in 0..read {
            binder.recv().unwrap();
        }
        assert_eq!(fill(&mut connector), read);
    }
}

#[test]
fn exactly_one_recv_lets_a_send_that_sleeps_at_the_mark_return() {
    let context = Context::new();
    let options = context.options().send_high_water_mark(4).recv_high_water_mark(4);
    let mut binder = options.bind(NAME).unwrap();
    let mut connector = options.connect(NAME).unwrap();
    assert_eq!(fill(&mut connector), 8);
    for _ in 0..100 {
        let (task, sending) = start(move || connector.send(b"one more").map(|()| connector));
        until("the sender sleeps", || task.sleeps());
        binder.recv().unwrap();
        until("send returns", || sending.is_finished());
        connector = sending.join().unwrap().unwrap();
        assert_eq!(connector.try_send(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    // The same where one receives from many, and each sender has marks of its own.
    let mut receiver = options.bind_receiver("inproc://many").unwrap();
    let mut sender = options.connect_sender("inproc://many").unwrap();
    let mut other = options.connect_sender("inproc://many").unwrap();
    assert_eq!((fill(&mut sender), fill(&mut other)), (8, 8));
    let (task, sending) = start(move || sender.send(b"one more"));
    let (others_task, others) = start(move || other.send(b"one more"));
    until("both senders sleep", || task.sleeps() && others_task.sleeps());
    receiver.recv().unwrap();
    until("send returns", || sending.is_finished());
    sending.join().unwrap().unwrap();
    // That message was the first sender's, as are the next seven.
    assert!(others_task.sleeps());
    assert!(!others.is_finished());
    for _ in 0..8 {
        receiver.recv().unwrap();
    }
    until("the other returns", || others.is_finished());
    others.join().unwrap().unwrap();
}

#[test]
fn messages_of_one_sender_take_no_room_from_another() {
    let context = Context::new();
    let options = context.options().send_high_water_mark(2).recv_high_water_mark(2);
    let mut receiver = options.bind_receiver(NAME).unwrap();
    let mut one = options.connect_sender(NAME).unwrap();
    let mut other = options.connect_sender(NAME).unwrap();
    assert_eq!(fill(&mut one), 4);
    assert_eq!(fill(&mut other), 4);
    for _ in 0..4 {
        receiver.recv().unwrap();
    }
    // Those were the first sender's.
    assert_eq!(fill(&mut other), 0);
    assert_eq!(fill(&mut one), 4);
}

#[test]
fn an_empty_message_counts_as_one() {
    let context = Context::new();
    let options = context.options().send_high_water_mark(2);
    let mut connector = options.connect(NAME).unwrap();
    connector.send(b"").unwrap();
    connector.send(b"").unwrap();
    assert_eq!(connector.try_send(b"").unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_batch_stops_at_the_mark_and_says_how_far_it_came() {
    let context = Context::new();
    let options = context.options().send_high_water_mark(2).recv_high_water_mark(2);
    let mut binder = options.bind(NAME).unwrap();
    let mut connector = options.connect(NAME).unwrap();
    let batch: [&[u8]; 6] = [b"1", b"2", b"3", b"4", b"5", b"6"];
    assert_eq!(connector.send_batch(&batch, Wait::Never).unwrap(), 4);
    let error = connector.send_batch(&batch[4..], Wait::Never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    for message in &batch[..4] {
        assert_eq!(binder.recv().unwrap(), *message);
    }
    assert_eq!(connector.send_batch(&batch[4..], Wait::Never).unwrap(), 2);
    assert_eq!(connector.send_batch(&[], Wait::Never).unwrap(), 0);
    // One that waits, and is longer than the mark, while the other end reads.
    let reader = std::thread::spawn(move || (0..2 + 6).map(|_| binder.recv_vec().unwrap()).last());
    assert_eq!(connector.send_batch(&batch, Wait::Forever).unwrap(), 6);
    assert_eq!(reader.join().unwrap().unwrap(), b"6");
}

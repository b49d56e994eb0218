//! What a message costs, counted and not timed, so that it does not depend on the machine's mood: no
//! allocation at all, and no more system calls than promised here. Whoever makes a transport cost more learns
//! of it from these tests; whoever makes it cost less writes the new number into the table.
//!
//! `lines` opens the transports, `allocations` and `calls` count, `rules` are what is counted. To see what is
//! called: `cargo test -p ipc-examples --test cost system_calls -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod allocations;
mod calls;
mod lines;
mod rules;

use ipc_core::Waiting;
use lines::Line;

/// A transport, and what is promised of it.
struct Transport {
    name: &'static str,
    open: fn(Waiting) -> Line,
    /// So many messages, and so many bytes, may be on the way at once: one thread can send them and then
    /// receive them.
    holds: (usize, usize),
    /// The longest message that is tried.
    longest: usize,
    /// The most system calls for 100 messages of 64 bytes: to send them; to send them in batches; to receive
    /// them when they are all there; to find 100 times that none is there; and to ask and be answered with
    /// them, in the thread that asks, where each side sleeps as long as the other works.
    calls: [usize; 5],
}

macro_rules! transports {
    ($($name:ident $holds:tt, $longest:expr, $calls:tt;)*) => {$(
        mod $name {
            use super::{lines, rules, Transport};

            const TRANSPORT: &Transport = &Transport {
                name: stringify!($name),
                open: lines::$name,
                holds: $holds,
                longest: $longest,
                calls: $calls,
            };

            #[test]
            fn sending_and_receiving_allocates_nothing() {
                let _turn = rules::turn();
                rules::sending_and_receiving(TRANSPORT);
            }

            #[test]
            fn sending_batches_allocates_nothing() {
                let _turn = rules::turn();
                rules::sending_batches(TRANSPORT);
            }

            #[test]
            fn finding_no_message_allocates_nothing() {
                let _turn = rules::turn();
                rules::finding_no_message(TRANSPORT);
            }

            #[test]
            fn finding_no_room_allocates_nothing() {
                let _turn = rules::turn();
                rules::finding_no_room(TRANSPORT);
            }

            #[test]
            fn there_and_back_between_threads_allocates_nothing() {
                let _turn = rules::turn();
                rules::there_and_back(TRANSPORT);
            }

            #[test]
            fn no_more_system_calls_than_promised() {
                let _turn = rules::turn();
                rules::system_calls(TRANSPORT);
            }
        }
    )*};
}

transports! {
    // name              holds             longest    send batch recv find none ask
    //                   messages, bytes
    // Who meets the other at a lock sleeps and is woken once more; where others want the processors, sometimes
    // twice.
    inproc               (100, 1 << 20),   1 << 20,   [  0,   0,   0,   0, 700];
    inproc_from_several  (100, 1 << 20),   1 << 20,   [  0,   0,   0,   0, 700];
    pipe                 (100, 32 << 10),  1 << 20,   [100,   2,   1, 100, 200];
    pipe_of_lines        (100, 32 << 10),  64 << 10,  [100,   2,   1, 100, 200];
    // A FIFO's sender asks in each call for the number of its process, to know a forked child's copy.
    fifo                 (100, 32 << 10),  1 << 20,   [200,   6,   1, 100, 300];
    fifo_from_several    (100, 32 << 10),  1 << 20,   [200,   6,   1, 100, 300];
    unix                 (100, 64 << 10),  1 << 20,   [100,   2,   1, 100, 400];
    unixpacket           (100, 64 << 10),  64 << 10,  [100, 100, 100, 100, 400];
    unixgram             (10, 64 << 10),   64 << 10,  [100, 100, 100, 100, 400];
    tcp                  (100, 64 << 10),  1 << 20,   [100,   2,   2, 100, 400];
    udp                  (100, 32 << 10),  4096,      [100, 100, 100, 100, 400];
    mq                   (10, 64 << 10),   4096,      [100, 100, 100, 100, 200];
    sysvmsg              (100, 8 << 10),   4096,      [100, 100, 100, 100, 200];
    // To sleep takes two calls and to wake takes one; whether the peer lives is looked at by the clock besides.
    shm                  (100, 256 << 10), 1 << 20,   [  0,   0,   0,   0, 400];
    shm_in_place         (100, 256 << 10), 256 << 10, [  0,   0,   0,   0, 400];
    shm_from_several     (100, 256 << 10), 1 << 20,   [  0,   0,   0,   0, 500];
    shm_to_several       (100, 256 << 10), 256 << 10, [  0,   0,   0,   0, 900];
}

#[test]
fn a_remote_call_allocates_nothing() {
    let _turn = rules::turn();
    rules::remote_call();
}

//! The conformance suite: one public function for each rule of the contract, for every transport, ours
//! or yours.
//!
//! Describe the transport by a [`Fixture`], and let [`conformance_tests!`](crate::conformance_tests) make
//! the tests, in a file under `tests/`:
//!
//! ```no_run
//! use ipc_core::conformance::{End, Fixture, Opened, Place};
//! use ipc_core::{Boundaries, Capabilities, Result};
//!
//! struct Pigeon;
//!
//! impl Fixture for Pigeon {
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::new(Boundaries::Kernel).max_message(140)
//!     }
//!
//!     fn place(&self) -> Place {
//!         Place { text: "a roof nobody else uses".to_owned(), keep: Box::new(()) }
//!     }
//!
//!     fn open(&self, end: End, place: &str) -> Result<Opened> {
//! # let _ = place;
//!         match end {
//!             // End::Sender => Ok(Opened::Sender(Box::new(PigeonSender::connect(place)?))),
//!             // End::Receiver => Ok(Opened::Receiver(Box::new(PigeonReceiver::bind(place)?))),
//!             _ => unreachable!("no pigeon flies both ways: it is not bidirectional"),
//!         }
//!     }
//! }
//!
//! ipc_core::conformance_tests!(Pigeon);
//! # fn main() {}
//! ```
//!
//! # What is run
//!
//! Each rule is run in three [placements](Placement): both ends in the test's process, the sender in a
//! child, the receiver in a child. The child is the test binary itself, run once more; a rule does not know
//! the difference. A rule is passed over, and says so, where the [capabilities](crate::Capabilities) do not
//! offer what it needs: a full channel where there are no bounds, an end that nobody notices, several
//! senders, a second process.
//!
//! | theme | what its rules ask |
//! |---|---|
//! | [`delivery`](rules::delivery) | whole, in order, every size; what cannot be sent is refused, and harms nothing |
//! | [`waiting`](rules::waiting) | not at all, so long, or until it is done; and awake in time |
//! | [`full`](rules::full) | exactly the accepted arrive; who waits for room is woken |
//! | [`ending`](rules::ending) | what was sent is read first, then `Disconnected`, for good; dropped or killed |
//! | [`signals`](rules::signals) | never seen, and no wait the longer or shorter for them |
//! | [`pairs`](rules::pairs) | both directions, halves in two threads, and how they end |
//! | [`many`](rules::many) | several senders: nothing lost, mixed or out of order, even if one is killed |
//! | [`names`](rules::names) | bound once, free again, taken over from the dead |
//! | [`resources`](rules::resources) | no descriptor inherited or left; waiting costs nothing; errors say where |
//!
//! Messages are of many sizes, so the framing `fixed:N` cannot be tried by this suite. They consist of
//! printable characters, so `lines` and `nul` can.
//!
//! A rule never waits for ever: a call that takes longer than [`Setup::PATIENCE`] fails it, and the failure
//! says what was waited for. No child and no place is left behind then. A panic in a child, as any error of
//! its end, is reported by the parent.
//!
//! A rule is a plain function, so one can also be tried by hand:
//!
//! ```no_run
//! use ipc_core::conformance::{Fixture, Placement, Setup, rules};
//! use std::sync::Arc;
//!
//! # fn example(my_fixture: Arc<dyn Fixture>) {
//! let setup = Setup::new(my_fixture, Placement::InProcess, "peer");
//! setup.run("an empty message", rules::delivery::an_empty_message_is_a_message);
//! # }
//! ```
//!
//! The parts: `setup` is what a rule is given, `ends` what it opens; `remote` is the proxy of an end in a
//! child, `peer` the child, `wire` what the two say; `watch` notices what hangs and what sleeps, `storm`
//! sends signals; `messages` has messages; [`rules`] has the rules.

// The suite is test code: it fails by panicking, and what a rule indexes it has just made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod ends;
mod fixture;
mod messages;
mod peer;
mod remote;
pub mod rules;
mod setup;
mod storm;
mod watch;
mod wire;

pub use ends::{Background, Both, Rx, Tx, Watched};
pub use fixture::{End, Fixture, Opened, Place};
pub use peer::serve;
pub use setup::{Placement, Setup, until};
pub use storm::under_a_storm_of_signals;

use std::sync::{Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked has been told of; what it guarded is still of use for cleaning up.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the tests of a transport: one for each rule and [placement](crate::conformance::Placement).
///
/// It is given the [`Fixture`](crate::conformance::Fixture), as an expression, and makes three modules in
/// the place where it stands, `in_process`, `sender_across` and `receiver_across`, each with a test for
/// each rule; and a test `peer`, which does nothing but in the children that the others start. Several
/// fixtures stand in a module each. For a transport that stays within a process, write
/// `conformance_tests!(MyFixture, within_process)`, which makes the first module only.
///
/// The list of all rules stands in this macro, and nowhere else.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        $crate::conformance_tests!($fixture, within_process);

        mod sender_across {
            $crate::conformance_tests!(@placement SenderAcross);
        }

        mod receiver_across {
            $crate::conformance_tests!(@placement ReceiverAcross);
        }

        #[test]
        fn peer() {
            $crate::conformance::serve(&*conformance_fixture());
        }
    };
    ($fixture:expr, within_process) => {
        fn conformance_fixture() -> ::std::sync::Arc<dyn $crate::conformance::Fixture> {
            ::std::sync::Arc::new($fixture)
        }

        fn conformance_setup(
            placement: $crate::conformance::Placement,
        ) -> $crate::conformance::Setup {
            // The path of the peer test within the binary, whose own name stands before it.
            let path = ::std::concat!(::std::module_path!(), "::peer");
            let peer_test = path.split_once("::").map_or(path, |(_, path)| path);
            $crate::conformance::Setup::new(conformance_fixture(), placement, peer_test)
        }

        mod in_process {
            $crate::conformance_tests!(@placement InProcess);
        }
    };
    (@placement $placement:ident) => {
        $crate::conformance_tests! { @tests $placement
            delivery {
                a_message_of_any_size_arrives_as_sent
                an_empty_message_is_a_message
                every_value_of_a_byte_arrives_or_is_refused
                many_messages_keep_their_boundaries_and_order
                a_message_that_is_too_long_is_refused_and_the_channel_goes_on
                the_longest_message_arrives
                without_boundaries_the_bytes_arrive_in_order
                recv_into_replaces_what_the_buffer_held
                recv_vec_gives_a_vector
                a_batch_arrives_in_order
                a_batch_stops_at_a_message_that_is_refused
                ends_move_to_other_threads
            }
            waiting {
                try_recv_on_nothing_would_block
                recv_timeout_on_nothing_times_out_in_time
                a_timeout_of_nothing_takes_what_is_there
                a_blocked_recv_wakes_for_a_message
                a_recv_with_a_timeout_wakes_for_a_message
                a_message_may_come_in_pieces_over_many_calls
            }
            ending {
                what_was_sent_is_read_before_disconnected
                what_was_sent_is_read_though_the_sender_was_killed
                a_blocked_recv_wakes_when_the_sender_is_dropped
                a_blocked_recv_wakes_when_the_sender_is_killed
                send_after_the_receiver_was_dropped_fails
                send_after_the_receiver_was_killed_fails
                a_sender_killed_inside_a_message_tears_none
            }
            full {
                try_send_on_a_full_channel_would_block
                try_send_of_long_messages_on_a_full_channel_would_block
                try_send_of_mixed_messages_on_a_full_channel_would_block
                send_timeout_on_a_full_channel_times_out
                send_timeout_of_long_messages_on_a_full_channel_times_out
                send_timeout_on_a_full_channel_times_out_in_time
                a_batch_on_a_full_channel_reports_what_was_sent
                a_blocked_send_wakes_when_the_receiver_reads
                a_storm_of_signals_does_not_wake_a_blocked_send
                a_blocked_send_wakes_when_the_receiver_is_dropped
                a_blocked_send_of_a_long_message_wakes_when_the_receiver_is_dropped
                a_blocked_send_wakes_when_the_receiver_is_killed
                flush_waits_for_what_is_held_back
                what_was_accepted_arrives_though_the_sender_is_dropped
                a_sender_that_waits_costs_nothing
            }
            pairs {
                a_pair_carries_messages_both_ways
                the_connecting_end_may_speak_first
                the_halves_of_a_pair_work_at_the_same_time
                dropping_a_pair_tells_the_other
                dropping_the_binding_pair_tells_the_other
                killing_a_pair_tells_the_other
                a_blocked_pair_wakes_when_the_other_is_dropped
                dropping_both_halves_tells_the_other
                a_receiving_half_outlives_the_sending_half
                a_late_answer_is_never_taken_for_the_next_calls
            }
            many {
                several_senders_lose_and_mix_nothing
                one_of_several_senders_may_leave
                one_of_several_senders_is_killed_and_no_other_loses
            }
            names {
                a_name_is_bound_once_and_free_when_dropped
                opening_where_nobody_is_ends_in_time
                a_place_can_be_used_again
                a_place_can_be_used_again_when_one_end_was_killed
            }
            signals {
                a_storm_of_signals_changes_no_timeout
                a_storm_of_signals_does_not_wake_a_blocked_recv
                a_storm_of_signals_tears_no_message
                a_stopped_receiver_goes_on_waiting
                a_stopped_receiver_times_out_in_time
                a_stopped_process_tears_no_message
            }
            resources {
                no_descriptor_is_inherited_by_children
                a_dropped_end_leaves_no_descriptor
                a_receiver_that_waits_costs_nothing
                errors_name_the_operation_and_the_endpoint
            }
        }
    };
    (@tests $placement:ident $($theme:ident { $($rule:ident)+ })+) => {
        $($(
            #[test]
            fn $rule() {
                let setup = super::conformance_setup($crate::conformance::Placement::$placement);
                setup.run(::std::stringify!($rule), $crate::conformance::rules::$theme::$rule);
            }
        )+)+
    };
}

//! Waiting for a name, a key, or a place: signals neither end it nor make it longer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod names;

use ipc_core::conformance::under_a_storm_of_signals;
use ipc_shm::{ErrorKind, Result, Segment, ShmFanIn, ShmReceiver, Wait};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(50);

fn times_out<T>(wait: impl FnOnce(Wait) -> Result<T>) {
    under_a_storm_of_signals(SHORT..SHORT * 20, || {
        assert_eq!(wait(Wait::timeout(SHORT)).err().unwrap().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn for_a_name_or_a_key_that_is_not_there() {
    let (name, key) = (format!("shm://{}", names::unique()), names::unique_key());
    times_out(|wait| Segment::open_within(&name, wait));
    times_out(|wait| Segment::open_within(&key, wait));
}

#[test]
fn for_a_ring_that_its_maker_has_not_finished() {
    let name = format!("shm://{}", names::unique());
    let _unfinished = Segment::create(&name, 1 << 20).unwrap();
    times_out(|wait| ShmReceiver::connect_within(&name, wait));
}

#[test]
fn for_a_place_among_many_senders() {
    let name = format!("shm://{}", names::unique());
    let _receiver = ShmFanIn::bind(&name, 1).unwrap();
    let _first = ShmFanIn::connect(&name).unwrap();
    times_out(|wait| ShmFanIn::connect_within(&name, wait));
}

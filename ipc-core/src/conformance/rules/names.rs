//! Who binds a name owns it.

use crate::ErrorKind;
use crate::conformance::messages::{exchange, message};
use crate::conformance::{End, Placement, Setup};
use std::time::{Duration, Instant};

/// A name that is bound cannot be bound again, and can be when its owner has dropped it.
pub fn a_name_is_bound_once_and_free_when_dropped(setup: &Setup) {
    let Some(bound) = setup.fixture().bind(setup.place()) else {
        setup.applies(false, "one with names");
        return;
    };
    let owner = bound.expect("a free name can be bound");
    for _ in 0..2 {
        match setup.fixture().bind(setup.place()).expect("it has names") {
            Ok(_) => panic!("a name was bound twice"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
        }
    }
    drop(owner);
    for _ in 0..3 {
        let again = setup.fixture().bind(setup.place()).expect("it has names");
        drop(again.expect("the name is free again"));
    }
}

/// Opening an end where nobody is waits no longer than it is told to, and says that nobody is there.
pub fn opening_where_nobody_is_ends_in_time(setup: &Setup) {
    let timeout = Duration::from_millis(60);
    for end in [End::Sender, End::Receiver, End::Connector] {
        let started = Instant::now();
        let Some(opened) = setup.fixture().open_within(end, setup.place(), timeout) else { continue };
        let waited = started.elapsed();
        let Err(error) = opened else { panic!("the {end:?} was opened, and nobody is there") };
        let kind = error.kind();
        let fits = matches!(kind, ErrorKind::TimedOut | ErrorKind::NotFound | ErrorKind::NoPeer);
        assert!(fits, "{error}");
        // Generous: the machine may be busy.
        assert!(waited < setup.patience() / 2, "{waited:?} is too long for {timeout:?}");
    }
}

/// When both ends are gone, so is the name: others may meet there.
pub fn a_place_can_be_used_again(setup: &Setup) {
    if !has_names(setup) {
        return;
    }
    for number in 0..3 {
        let (tx, mut rx) = setup.open();
        exchange(setup, tx, &mut rx, vec![message(number, 20)]);
    }
}

/// A name that was left behind by a killed process is taken over.
pub fn a_place_can_be_used_again_when_one_end_was_killed(setup: &Setup) {
    if setup.placement() == Placement::InProcess || !has_names(setup) {
        return;
    }
    for number in 0..3 {
        let (tx, mut rx) = setup.open();
        let tx = exchange(setup, tx, &mut rx, vec![message(number, 20)]);
        if tx.is_across() { tx.kill() } else { rx.kill() }
    }
}

fn has_names(setup: &Setup) -> bool {
    let names = setup.fixture().bind(setup.place()).is_some();
    setup.applies(names, "one with names")
}

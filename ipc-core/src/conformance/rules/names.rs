//! Who binds a name owns it.

use crate::ErrorKind;
use crate::conformance::Setup;

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

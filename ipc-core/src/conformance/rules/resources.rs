//! What an end costs while it is open, and leaves behind when it is not.

use crate::conformance::Setup;
use crate::conformance::messages::assert_same;
use crate::{Error, Receiver, Sender};

/// Every descriptor of an end is closed on exec(3), so that no child holds a channel open.
pub fn no_descriptor_is_inherited_by_children(setup: &Setup) {
    const O_CLOEXEC: u32 = 0o2_000_000;
    let (tx, rx) = setup.open();
    for process in [tx.process(), rx.process()].into_iter().flatten() {
        let new = process.new_descriptors();
        let inherited: Vec<_> = new.iter().filter(|(_, flags)| flags & O_CLOEXEC == 0).collect();
        assert!(inherited.is_empty(), "descriptors without close-on-exec: {inherited:?}");
    }
}

/// A dropped end leaves no descriptor open.
pub fn a_dropped_end_leaves_no_descriptor(setup: &Setup) {
    let (tx, rx) = setup.open();
    let processes = [tx.process().cloned(), rx.process().cloned()];
    drop((tx, rx));
    for process in processes.into_iter().flatten() {
        let left = process.new_descriptors();
        assert!(left.is_empty(), "descriptors still open: {left:?}");
    }
}

/// A receiver that waits uses next to no time of a processor.
pub fn a_receiver_that_waits_costs_nothing(setup: &Setup) {
    let (mut tx, rx) = setup.open();
    let waiting = setup.background(rx, |rx| rx.recv_vec());
    super::assert_costs_nothing(&waiting);
    tx.send(b"message").expect("a message is sent");
    assert_same(&waiting.join().1.expect("a message arrives"), b"message");
}

/// An error says which operation failed, and at which endpoint.
pub fn errors_name_the_operation_and_the_endpoint(setup: &Setup) {
    let (mut tx, mut rx) = setup.open();
    assert_names(&rx.try_recv().map(<[u8]>::len).expect_err("nothing was sent"), "recv");
    if let Some(max) = setup.capabilities().max_message.filter(|max| *max <= 64 << 20) {
        assert_names(&tx.send(&vec![b'x'; max + 1]).expect_err("it is too long"), "send");
    }
    if setup.capabilities().notices_disconnect {
        drop(tx);
        assert_names(&rx.recv().map(<[u8]>::len).expect_err("the sender is gone"), "recv");
    }
}

fn assert_names(error: &Error, operation: &str) {
    assert!(error.operation().contains(operation), "the operation was {operation}: {error}");
    let endpoint = error.endpoint().unwrap_or_else(|| panic!("it names no endpoint: {error}"));
    assert!(error.to_string().contains(endpoint), "the text should name {endpoint}: {error}");
}

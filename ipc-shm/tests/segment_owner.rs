//! What is left to who has made a segment: to give its name up early, and to use its memory in place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // slices

mod names;

use ipc_shm::{ErrorKind, Segment};

fn gone(endpoint: &str) -> bool {
    matches!(Segment::open(endpoint), Err(error) if error.kind() == ErrorKind::NotFound)
}

#[test]
fn a_name_given_up_early_is_free_and_not_removed_from_the_next() {
    for endpoint in [format!("shm://{}", names::unique()), names::unique_key()] {
        let mut first = Segment::create(&endpoint, 10).unwrap();
        let user = Segment::open(&endpoint).unwrap();
        first.remove_name().unwrap();
        assert!(gone(&endpoint));
        user.write_at(0, b"still").unwrap();
        let mut read = [0; 5];
        first.read_at(0, &mut read).unwrap();
        assert_eq!(&read, b"still");

        let second = Segment::create(&endpoint, 20).unwrap();
        first.remove_name().unwrap();
        drop(first);
        assert_eq!(Segment::open(&endpoint).unwrap().len(), 20);
        drop(second);
        assert!(gone(&endpoint));
    }
}

#[test]
fn who_has_only_opened_a_segment_cannot_take_its_name() {
    for endpoint in [format!("shm://{}", names::unique()), names::unique_key()] {
        let _owner = Segment::create(&endpoint, 10).unwrap();
        Segment::open(&endpoint).unwrap().remove_name().unwrap();
        assert!(!gone(&endpoint));
    }
}

#[test]
fn what_is_written_in_place_is_there_for_all() {
    let name = format!("shm://{}", names::unique());
    let ours = Segment::create(&name, 8).unwrap();
    let theirs = Segment::open(&name).unwrap();
    // SAFETY: nobody else knows the name, and the slice is used before the next line.
    unsafe { ours.as_slice_mut() }.copy_from_slice(b"in place");
    // SAFETY: nobody writes any more.
    assert_eq!(unsafe { theirs.as_slice() }, b"in place");
}

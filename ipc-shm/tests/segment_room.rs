//! The size of a POSIX segment, and the room that it takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Name, child, is_root, kind, own_shm, role, say, start};
use ipc_shm::{ErrorKind, Segment, SegmentOptions, Wait};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// What second processes do.
#[test]
fn child_process() {
    let Some((role, _)) = role() else { return };
    match role.as_str() {
        "fill a small /dev/shm" => fill_a_small_shm(),
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn a_segment_that_is_too_short_is_refused() {
    let name = Name::new("short");
    let _segment = Segment::create(&name.endpoint, 100).unwrap();
    let error = SegmentOptions::new(101).open(&name.endpoint, Wait::Never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GeometryMismatch);
    assert!(error.to_string().contains("it has 100 bytes; at least 101 are needed"), "{error}");
    assert_eq!(SegmentOptions::new(100).open(&name.endpoint, Wait::Never).unwrap().len(), 100);
    assert_eq!(kind(Segment::create(&name.endpoint, 0)), ErrorKind::InvalidOption);
}

#[test]
fn a_segment_beyond_all_memory_is_refused() {
    let name = Name::new("huge");
    for size in [1 << 50, isize::MAX as usize, usize::MAX] {
        assert_eq!(kind(Segment::create(&name.endpoint, size)), ErrorKind::LimitExceeded, "{size}");
    }
    assert!(!name.file.exists());
}

#[test]
fn four_gib_cost_nothing_until_they_are_touched() {
    let name = Name::new("4g");
    let four_gib = 4 << 30;
    let segment = match Segment::create(&name.endpoint, four_gib) {
        Ok(segment) => segment,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::LimitExceeded);
            println!("skipped: {error}");
            return;
        }
    };
    let blocks = || fs::metadata(&name.file).unwrap().blocks();
    assert_eq!((segment.len(), blocks()), (four_gib, 0));
    segment.write_at(four_gib - 3, b"end").unwrap();
    assert!(blocks() * 512 <= 4 << 20, "one page, small or huge");
}

#[test]
fn reserved_room_is_taken_at_once_and_other_room_when_touched() {
    let name = Name::new("reserve");
    let segment = SegmentOptions::new(3 << 20).create(&name.endpoint).unwrap();
    assert_eq!(fs::metadata(&name.file).unwrap().blocks() * 512, 3 << 20);
    drop(segment);
    let segment = SegmentOptions::new(3 << 20).reserve(false).create(&name.endpoint).unwrap();
    assert_eq!(fs::metadata(&name.file).unwrap().blocks(), 0);
    drop(segment);
}

#[test]
fn a_full_dev_shm_is_an_error_that_names_its_free_space() {
    if !is_root() {
        return;
    }
    let mut filler = start(child("fill a small /dev/shm", ""));
    assert_eq!(filler.hear(), "done");
    filler.finish();
}

/// In a mount namespace of its own, with a `/dev/shm` of one MiB.
fn fill_a_small_shm() {
    own_shm("size=1M");
    let half = Segment::create("shm://half", 512 << 10).unwrap();
    let names = || fs::read_dir("/dev/shm").unwrap().count();
    for options in [SegmentOptions::new(513 << 10), SegmentOptions::new(513 << 10).reserve(false)] {
        let error = options.create("shm://more").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let limit = error.limit().unwrap();
        assert_eq!((limit.name, limit.value), ("the free space of /dev/shm", 512 << 10));
        assert!(limit.remedy.contains("remount"));
        assert_eq!(names(), 1, "nothing half-made");
    }
    drop(half);
    // All of it may be touched.
    let whole = Segment::create("shm://whole", 1 << 20).unwrap();
    whole.write_at(0, &vec![7; 1 << 20]).unwrap();
    drop(whole);
    assert_eq!(names(), 0);
    say("done");
}

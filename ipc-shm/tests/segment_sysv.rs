//! System V segments: keys from files and keys as numbers, sizes, owners, removal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)]

mod common;

use common::{child, is_root, role, say, start};
use ipc_shm::{ErrorKind, Segment, SegmentOptions, ShmReceiver, ShmSender, Wait};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// What second processes do.
#[test]
fn child_process() {
    let Some((role, argument)) = role() else { return };
    match role.as_str() {
        "make until killed" => {
            let segment = Segment::create(&argument, 4096).unwrap();
            segment.write_at(0, b"orphan").unwrap();
            say("made");
            loop {
                std::thread::park();
            }
        }
        "make for everybody" => {
            let mut segment = SegmentOptions::new(4096).mode(0o666).create(&argument).unwrap();
            segment.keep_name().unwrap();
            say("made");
        }
        "make and give away" => {
            let mut segment = Segment::create(&argument, 1 << 13).unwrap();
            segment.keep_name().unwrap();
            let id = segment.id().unwrap();
            give_to_root(id);
            say(&id.to_string());
        }
        "open by number" => {
            let segment = SegmentOptions::default().open_id(argument.parse().unwrap()).unwrap();
            let mut text = [0; 5];
            segment.read_at(0, &mut text).unwrap();
            say(str::from_utf8(&text).unwrap());
        }
        "make with umask 077" => {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
            let _segment = SegmentOptions::new(1).mode(0o666).create(&argument).unwrap();
            let strict = Segment::open(&argument).unwrap_err();
            say(&strict.to_string());
        }
        other => panic!("no such role: {other}"),
    }
}

/// A key of the test's own, which is removed whatever the test does: that of a fresh file.
struct Key {
    endpoint: String,
    _file: NamedTempFile,
}

impl Key {
    fn new() -> Key {
        let (file, endpoint) = common::names::unique_file();
        // Other users look it up too.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode).unwrap();
        // Keys are 16 bits of an inode's number, 8 of a device's, and the id: another's may be the same.
        let _ = Segment::remove(&endpoint);
        Key { endpoint, _file: file }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = Segment::remove(&self.endpoint);
    }
}

/// Makes a segment root's: shmctl(2), `IPC_SET`.
fn give_to_root(id: i32) {
    let mut ds = std::mem::MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: the kernel fills in a structure of that size.
    assert_eq!(unsafe { libc::shmctl(id, libc::IPC_STAT, ds.as_mut_ptr()) }, 0);
    // SAFETY: numbers only, for which zeros are valid.
    let mut ds = unsafe { ds.assume_init() };
    ds.shm_perm.uid = 0;
    // SAFETY: the kernel reads the same structure.
    assert_eq!(unsafe { libc::shmctl(id, libc::IPC_SET, &raw mut ds) }, 0);
}

fn kind<T: std::fmt::Debug>(result: ipc_shm::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn the_file_and_id_of_ftok_lead_to_the_same_segment() {
    let key = Key::new();
    assert_eq!(kind(Segment::open(&key.endpoint)), ErrorKind::NotFound);
    let ours = Segment::create(&key.endpoint, 1024).unwrap();
    ours.write_at(1019, b"hello").unwrap();
    let theirs = Segment::open(&key.endpoint).unwrap();
    assert_eq!((theirs.len(), theirs.id()), (1024, ours.id()));
    let mut text = [0; 5];
    theirs.read_at(1019, &mut text).unwrap();
    assert_eq!(&text, b"hello");
    assert!(ours.is_current() && theirs.is_current() && theirs.fd().is_none());
    assert_eq!(kind(Segment::create(&key.endpoint, 1024)), ErrorKind::AddrInUse);
    assert_eq!(kind(Segment::open(key.endpoint.replace("id=a", "id=b"))), ErrorKind::NotFound);
    // Who made it removes the key; the memory stays.
    drop(ours);
    assert!(!theirs.is_current());
    theirs.write_at(0, b"still here").unwrap();
    assert_eq!(kind(Segment::open(&key.endpoint)), ErrorKind::NotFound);
}

#[test]
fn a_key_may_be_a_number() {
    let endpoint = common::names::unique_key();
    let _segment = Segment::create(&endpoint, 10).unwrap();
    assert_eq!(Segment::open(&endpoint).unwrap().len(), 10);
}

#[test]
fn a_private_segment_is_found_by_its_number_and_leaves_nothing() {
    let segment = SegmentOptions::new(4096).private().unwrap();
    segment.write_at(0, b"hello").unwrap();
    let id = segment.id().unwrap();
    let mut other = start(child("open by number", &id.to_string()));
    assert_eq!(other.hear(), "hello");
    other.finish();
    drop(segment);
    // A child that another test is starting has it, too, until it calls exec.
    let deadline = Instant::now() + Duration::from_secs(10);
    let open = || SegmentOptions::default().open_id(id);
    while open().is_ok() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(kind(open()), ErrorKind::Removed);
}

#[test]
fn more_than_the_segment_has_is_a_mismatch() {
    let key = Key::new();
    let _segment = Segment::create(&key.endpoint, 100).unwrap();
    let asked = SegmentOptions::new(101);
    for result in [asked.open(&key.endpoint, Wait::Never), asked.open_or_create(&key.endpoint)] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GeometryMismatch);
        assert!(error.to_string().contains("it has 100 bytes; at least 101 are needed"), "{error}");
    }
    assert_eq!(SegmentOptions::new(99).open(&key.endpoint, Wait::Never).unwrap().len(), 100);
    assert_eq!(kind(Segment::create(&key.endpoint, 0)), ErrorKind::InvalidOption);
}

#[test]
fn a_segment_beyond_all_memory_names_the_limit() {
    let key = Key::new();
    for size in [isize::MAX as usize, usize::MAX] {
        let error = Segment::create(&key.endpoint, size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    }
    assert_eq!(kind(Segment::open(&key.endpoint)), ErrorKind::NotFound);
}

#[test]
fn a_killed_makers_key_stays_and_is_taken_over_only_if_asked() {
    let key = Key::new();
    let mut maker = start(child("make until killed", &key.endpoint));
    assert_eq!(maker.hear(), "made");
    let take_over = SegmentOptions::new(64).take_over(true);
    assert_eq!(kind(take_over.create(&key.endpoint)), ErrorKind::AddrInUse);
    maker.kill();
    let mut text = [0; 6];
    Segment::open(&key.endpoint).unwrap().read_at(0, &mut text).unwrap();
    assert_eq!(&text, b"orphan");
    assert_eq!(kind(Segment::create(&key.endpoint, 64)), ErrorKind::AddrInUse);
    assert_eq!(take_over.create(&key.endpoint).unwrap().len(), 64);
}

#[test]
fn a_kept_key_is_removed_by_name() {
    let key = Key::new();
    let mut segment = Segment::create(&key.endpoint, 10).unwrap();
    segment.keep_name().unwrap();
    drop(segment);
    assert_eq!(Segment::open(&key.endpoint).unwrap().len(), 10);
    Segment::remove(&key.endpoint).unwrap();
    assert_eq!(kind(Segment::remove(&key.endpoint)), ErrorKind::NotFound);
}

#[test]
fn a_key_comes_from_a_file_that_exists() {
    let error = Segment::open("sysvshm:///nowhere/at/all?id=a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("ftok"), "{error}");
    assert_eq!(kind(Segment::open("sysvshm:///tmp")), ErrorKind::InvalidEndpoint);
}

#[test]
fn open_waits_for_the_key() {
    let key = Key::new();
    let soon = Wait::timeout(Duration::from_millis(20));
    assert_eq!(kind(Segment::open_within(&key.endpoint, soon)), ErrorKind::TimedOut);
    let wait = Wait::timeout(Duration::from_secs(10));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Segment::open_within(&key.endpoint, wait).unwrap().len());
        let _segment = Segment::create(&key.endpoint, 10).unwrap();
        assert_eq!(waiting.join().unwrap(), 10);
    });
}

#[test]
fn open_waits_for_the_file_of_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late");
    let endpoint = format!("sysvshm://{}?id=a", path.display());
    let wait = Wait::timeout(Duration::from_secs(10));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Segment::open_within(&endpoint, wait).unwrap().len());
        std::fs::write(&path, "").unwrap();
        let _segment = Segment::create(&endpoint, 10).unwrap();
        assert_eq!(waiting.join().unwrap(), 10);
    });
}

#[test]
fn the_mode_is_exact_whatever_the_umask() {
    let key = Key::new();
    let mut maker = start(child("make with umask 077", &key.endpoint));
    let said = maker.hear();
    assert!(said.contains("its mode is 0666") && said.contains("mode=0622"), "{said}");
    maker.finish();
}

#[test]
fn another_users_segment_is_refused_unless_that_user_is_meant() {
    if !is_root() {
        return;
    }
    let key = Key::new();
    let mut other = child("make for everybody", &key.endpoint);
    other.uid(65534).gid(65534);
    let mut other = start(other);
    assert_eq!(other.hear(), "made");
    other.finish();
    assert_eq!(kind(Segment::open(&key.endpoint)), ErrorKind::WrongOwner);
    let take_over = SegmentOptions::new(10).take_over(true);
    assert_eq!(kind(take_over.create(&key.endpoint)), ErrorKind::WrongOwner);
    let meant = SegmentOptions::default().owner(65534).mode(0o666);
    assert_eq!(meant.open(&key.endpoint, Wait::Never).unwrap().len(), 4096);
}

#[test]
fn a_segment_that_another_user_made_and_gave_to_us_is_not_trusted() {
    if !is_root() {
        return;
    }
    let key = Key::new();
    let mut maker = child("make and give away", &key.endpoint);
    maker.uid(60_021).gid(60_021);
    let mut maker = start(maker);
    let id = maker.hear().parse().unwrap();
    maker.finish();
    let error = Segment::open(&key.endpoint).unwrap_err();
    assert!(error.to_string().contains("user 60021 has made it"), "{error}");
    let open = SegmentOptions::new(10);
    for error in [
        kind(open.open(&key.endpoint, Wait::Never)),
        kind(open.clone().owner(0).open(&key.endpoint, Wait::Never)),
        kind(open.clone().owner(60_021).open(&key.endpoint, Wait::Never)),
        kind(open.open_id(id)),
        kind(open.open_or_create(&key.endpoint)),
        kind(open.create(&key.endpoint)),
        kind(open.clone().take_over(true).create(&key.endpoint)),
        kind(ShmReceiver::bind(&key.endpoint)),
        kind(ShmSender::connect(&key.endpoint)),
    ] {
        assert_eq!(error, ErrorKind::WrongOwner);
    }
    // It is ours to remove.
    Segment::remove(&key.endpoint).unwrap();
    Segment::create(&key.endpoint, 10).unwrap();
}

//! POSIX segments: names, owners, modes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Name, child, is_root, kind, role, say, start, unique};
use ipc_shm::{ErrorKind, Segment, SegmentOptions, Wait};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

/// What second processes do.
#[test]
fn child_process() {
    let Some((role, argument)) = role() else { return };
    match role.as_str() {
        "squat" => {
            File::create_new(&argument).unwrap().set_len(4096).unwrap();
            fs::set_permissions(&argument, fs::Permissions::from_mode(0o666)).unwrap();
            say("made");
        }
        "try as another user" => {
            say(&format!("{:?}", kind(Segment::open(&argument))));
            say(&format!("{:?}", kind(Segment::create(&argument, 4096))));
        }
        "create with umask 077" => {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
            let segment = SegmentOptions::new(1).mode(0o666).create(&argument).unwrap();
            say("made");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            drop(segment);
        }
        "read" => {
            let mut text = [0; 5];
            Segment::open(&argument).unwrap().read_at(100, &mut text).unwrap();
            say(str::from_utf8(&text).unwrap());
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn what_one_process_writes_another_reads() {
    let name = Name::new("read");
    let segment = Segment::create(&name.endpoint, 4096).unwrap();
    segment.write_at(100, b"hello").unwrap();
    let mut reader = start(child("read", &name.endpoint));
    assert_eq!(reader.hear(), "hello");
    reader.finish();
}

#[test]
fn the_maker_removes_the_name_and_others_keep_the_memory() {
    let name = Name::new("drop");
    let ours = Segment::create(&name.endpoint, 4096).unwrap();
    let theirs = Segment::open(&name.endpoint).unwrap();
    assert_eq!(theirs.owner_is_alive(), Some(true));
    assert!(ours.is_current() && theirs.is_current());
    drop(ours);
    assert!(!name.file.exists());
    // A child that another test is starting has the descriptor, and so the lock, until it calls exec.
    let deadline = Instant::now() + Duration::from_secs(10);
    while theirs.owner_is_alive() == Some(true) && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(theirs.owner_is_alive(), Some(false));
    assert!(!theirs.is_current());
    theirs.write_at(0, b"still here").unwrap();
    assert_eq!(kind(Segment::open(&name.endpoint)), ErrorKind::NotFound);
}

#[test]
fn a_name_whose_owner_lives_is_in_use() {
    let name = Name::new("use");
    let _segment = Segment::create(&name.endpoint, 4096).unwrap();
    let error = Segment::create(&name.endpoint, 4096).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("its owner is alive"), "{error}");
}

#[test]
fn a_fill_that_fails_leaves_nothing() {
    let name = Name::new("fill");
    let made = SegmentOptions::new(64)
        .create_with(&name.endpoint, |segment| segment.write_at(64, b"one byte too far"));
    assert_eq!(kind(made), ErrorKind::LimitExceeded);
    assert!(!name.file.exists());
}

#[test]
fn open_waits_for_the_name() {
    let name = Name::new("wait");
    let endpoint = &name.endpoint;
    assert_eq!(kind(Segment::open(endpoint)), ErrorKind::NotFound);
    let soon = Wait::timeout(Duration::from_millis(20));
    assert_eq!(kind(Segment::open_within(endpoint, soon)), ErrorKind::TimedOut);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let segment =
                Segment::open_within(endpoint, Wait::timeout(Duration::from_secs(10))).unwrap();
            segment.atomic_u64(0).unwrap().store(1, Release);
        });
        let segment = Segment::create(endpoint, 8).unwrap();
        waiting.join().unwrap();
        assert_eq!(segment.atomic_u64(0).unwrap().load(Acquire), 1);
    });
}

#[test]
fn open_waits_for_a_c_program_to_give_its_object_a_size() {
    let name = Name::new("size");
    let file = File::create_new(&name.file).unwrap();
    assert_eq!(kind(Segment::open(&name.endpoint)), ErrorKind::GeometryMismatch);
    std::thread::scope(|scope| {
        let wait = Wait::timeout(Duration::from_secs(10));
        let mode = SegmentOptions::default().mode(0o666);
        let waiting = scope.spawn(move || mode.open(&name.endpoint, wait).unwrap().len());
        file.set_len(77).unwrap();
        assert_eq!(waiting.join().unwrap(), 77);
    });
}

#[test]
fn an_object_of_a_c_program_is_opened_but_never_taken_over() {
    let name = Name::new("foreign");
    let file = File::create_new(&name.file).unwrap();
    file.set_len(10).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Segment::open(&name.endpoint).unwrap().owner_is_alive(), None);
    assert_eq!(kind(Segment::create(&name.endpoint, 10)), ErrorKind::AddrInUse);
    Segment::remove(&name.endpoint).unwrap();
    assert!(!name.file.exists());
    assert_eq!(kind(Segment::remove(&name.endpoint)), ErrorKind::NotFound);
}

#[test]
fn a_kept_name_is_nobodys() {
    let name = Name::new("keep");
    let mut segment = Segment::create(&name.endpoint, 10).unwrap();
    segment.keep_name().unwrap();
    drop(segment);
    assert_eq!(Segment::open(&name.endpoint).unwrap().len(), 10);
    assert_eq!(kind(Segment::create(&name.endpoint, 10)), ErrorKind::AddrInUse);
    assert_eq!(SegmentOptions::new(10).open_or_create(&name.endpoint).unwrap().owner_is_alive(), None);
}

#[test]
fn an_owner_does_not_remove_a_name_that_leads_elsewhere() {
    let name = Name::new("elsewhere");
    let first = Segment::create(&name.endpoint, 10).unwrap();
    fs::remove_file(&name.file).unwrap();
    let second = Segment::create(&name.endpoint, 20).unwrap();
    drop(first);
    assert!(second.is_current());
}

#[test]
fn the_mode_is_exact_whatever_the_umask() {
    let name = Name::new("umask");
    let mut maker = child("create with umask 077", &name.endpoint);
    maker.stdin(std::process::Stdio::piped());
    let mut maker = start(maker);
    assert_eq!(maker.hear(), "made");
    assert_eq!(fs::metadata(&name.file).unwrap().mode() & 0o7777, 0o666);
    maker.kill();
    let modes = Name::new("modes");
    let _default = Segment::create(&modes.endpoint, 1).unwrap();
    assert_eq!(fs::metadata(&modes.file).unwrap().mode() & 0o7777, 0o600);
    let asked = Name::new("asked");
    let _asked = Segment::create(format!("{}?mode=0640", asked.endpoint), 1).unwrap();
    assert_eq!(fs::metadata(&asked.file).unwrap().mode() & 0o7777, 0o640);
}

#[test]
fn who_lets_strangers_write_must_be_expected() {
    let name = Name::new("strangers");
    let _segment = SegmentOptions::new(8).mode(0o666).create(&name.endpoint).unwrap();
    let error = Segment::open(&name.endpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("mode=0622"), "{error}");
    assert!(Segment::open(format!("{}?mode=0666", name.endpoint)).is_ok());
}

#[test]
fn a_name_squatted_by_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let name = Name::new("squat");
    let mut squatter = child("squat", name.file.to_str().unwrap());
    squatter.uid(65534);
    let mut squatter = start(squatter);
    assert_eq!(squatter.hear(), "made");
    squatter.finish();
    assert_eq!(kind(Segment::open(&name.endpoint)), ErrorKind::WrongOwner);
    assert_eq!(kind(Segment::create(&name.endpoint, 4096)), ErrorKind::WrongOwner);
    let known = SegmentOptions::default().owner(65534).mode(0o666);
    assert_eq!(known.open(&name.endpoint, Wait::Never).unwrap().len(), 4096);
}

#[test]
fn another_users_segment_cannot_be_opened_or_taken() {
    if !is_root() {
        return;
    }
    let name = Name::new("other");
    let _segment = Segment::create(&name.endpoint, 4096).unwrap();
    let mut other = child("try as another user", &name.endpoint);
    other.uid(65534);
    let mut other = start(other);
    assert_eq!((other.hear().as_str(), other.hear().as_str()), ("WrongOwner", "WrongOwner"));
    other.finish();
}

#[test]
fn what_is_not_an_object_is_refused_and_survives() {
    let name = Name::new("type");
    let directory = Name::new("directory");
    fs::create_dir(&directory.file).unwrap();
    let target = tempfile::NamedTempFile::new().unwrap();
    fs::write(&target, "precious").unwrap();
    for make in [
        (|name: &Name, _| nix::unistd::mkfifo(&name.file, nix::sys::stat::Mode::S_IRWXU).unwrap())
            as fn(&Name, &Path),
        |name, target| symlink(target, &name.file).unwrap(),
        |name, _| symlink("/nowhere/at/all", &name.file).unwrap(),
    ] {
        make(&name, target.path());
        assert_eq!(kind(Segment::open(&name.endpoint)), ErrorKind::WrongType);
        assert_eq!(kind(Segment::create(&name.endpoint, 10)), ErrorKind::WrongType);
        fs::remove_file(&name.file).unwrap();
    }
    assert_eq!(kind(Segment::open(&directory.endpoint)), ErrorKind::WrongType);
    assert_eq!(kind(Segment::create(&directory.endpoint, 10)), ErrorKind::WrongType);
    fs::remove_dir(&directory.file).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn names_of_255_bytes_and_odd_ones_work_and_others_are_refused() {
    for name in ["#1", "a b", "grüße", "x%3Fy"] {
        let endpoint = format!("shm://{}-{name}", unique("odd"));
        let _segment = Segment::create(&endpoint, 1).unwrap();
        assert!(Segment::open(&endpoint).is_ok(), "{endpoint}");
    }
    let mut long = unique("long").into_bytes();
    long.resize(255, b'x');
    let text = str::from_utf8(&long).unwrap();
    let segment = Segment::create(format!("shm://{text}"), 1).unwrap();
    assert!(PathBuf::from("/dev/shm").join(OsStr::from_bytes(&long)).exists());
    assert!(Segment::open(format!("shm:///{text}")).is_ok(), "a slash in front is dropped");
    drop(segment);
    assert_eq!(kind(Segment::create(format!("shm://{text}x"), 1)), ErrorKind::NameTooLong);
    for wrong in ["shm://.", "shm://..", "shm://a/b", "shm://", "shm://a%00b"] {
        assert_eq!(kind(Segment::create(wrong, 1)), ErrorKind::InvalidEndpoint, "{wrong}");
    }
    assert_eq!(kind(Segment::create("fifo:///tmp/x", 1)), ErrorKind::UnknownScheme);
}

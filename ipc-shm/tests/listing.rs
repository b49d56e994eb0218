//! The list of named objects, and the removal of those that nobody has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // in `trace`

mod common;
mod trace;

use common::{Name, child, is_root, own_shm, role, say, start};
use ipc_shm::{ErrorKind, NamedObject, Segment, SegmentOptions, ShmReceiver};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use trace::Stopped;

/// Held by each test: what one leaves for a moment, another's clean-up would remove. Where that can be
/// had, a test also has a `/dev/shm` of its own, lest it cleans up after other programs.
fn alone() -> MutexGuard<'static, ()> {
    static CLEANING: Mutex<()> = Mutex::new(());
    if nix::unistd::geteuid().is_root() {
        own_shm("size=16M");
    }
    CLEANING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What second processes do.
#[test]
fn child_process() {
    let Some((role, argument)) = role() else { return };
    match role.as_str() {
        "own until killed" => {
            let _segment = SegmentOptions::new(5000).mode(0o640).create(&argument).unwrap();
            say("made");
            loop {
                std::thread::park();
            }
        }
        "own, then keep the name" => {
            let mut segment = Segment::create(&argument, 100).unwrap();
            say("made");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            segment.keep_name().unwrap();
        }
        "clean up" => drop(trace::traced(ipc_shm::clean_up).unwrap()),
        "bind until killed" => {
            let _receiver = ShmReceiver::bind(&argument).unwrap();
            say("made");
            loop {
                std::thread::park();
            }
        }
        "list and clean up as another user" => {
            say(&format!("{:?}", find(&argument).map(|object| (object.uid, object.held))));
            assert!(ipc_shm::clean_up().unwrap().is_empty());
            say("done");
        }
        other => panic!("no such role: {other}"),
    }
}

fn find(endpoint: &str) -> Option<NamedObject> {
    ipc_shm::list().unwrap().into_iter().find(|object| object.endpoint.to_string() == endpoint)
}

/// A name whose owner was killed.
fn orphan(what: &str, role: &str) -> Name {
    let name = Name::new(what);
    let mut owner = start(child(role, &name.endpoint));
    assert_eq!(owner.hear(), "made");
    owner.kill();
    name
}

#[test]
fn an_object_is_listed_with_its_owner_its_size_and_who_has_it() {
    let _alone = alone();
    let name = Name::new("list");
    let mut owner = start(child("own until killed", &name.endpoint));
    assert_eq!(owner.hear(), "made");
    let object = find(&name.endpoint).unwrap();
    assert_eq!((object.uid, object.mode), (nix::unistd::geteuid().as_raw(), 0o640));
    assert_eq!((object.size, object.owned, object.held), (5000, true, true));

    let ours = Segment::open(format!("{}?mode=0640", name.endpoint)).unwrap();
    owner.kill();
    let object = find(&name.endpoint).unwrap();
    assert_eq!((object.owned, object.held), (false, true), "{object}");
    drop(ours);
    let object = find(&name.endpoint).unwrap();
    assert_eq!((object.owned, object.held), (false, false));
    let line = object.to_string();
    assert!(line.ends_with(", nobody has it") && line.contains("5000 bytes, mode 0640"), "{line}");
}

#[test]
fn clean_up_removes_what_nobody_has_and_nothing_else() {
    let _alone = alone();
    let (owned, orphan_held) = (Name::new("owned"), orphan("held", "own until killed"));
    let (segment, ring) = (orphan("segment", "own until killed"), orphan("ring", "bind until killed"));
    let _owned = Segment::create(&owned.endpoint, 10).unwrap();
    let held = Segment::open(format!("{}?mode=0640", orphan_held.endpoint)).unwrap();
    let (foreign, kept) = (Name::new("foreign"), Name::new("kept"));
    File::create_new(&foreign.file).unwrap().set_len(10).unwrap();
    Segment::create(&kept.endpoint, 10).unwrap().keep_name().unwrap();
    assert!(find(&foreign.endpoint).is_none() && find(&kept.endpoint).is_none());

    let removed: Vec<String> =
        ipc_shm::clean_up().unwrap().iter().map(|object| object.endpoint.to_string()).collect();
    assert!(removed.contains(&segment.endpoint) && removed.contains(&ring.endpoint), "{removed:?}");
    assert!(!segment.file.exists() && !ring.file.exists());
    for stays in [&owned, &orphan_held, &foreign, &kept] {
        assert!(stays.file.exists(), "{}", stays.endpoint);
    }
    drop(held);
    let again = ipc_shm::clean_up().unwrap();
    assert!(again.iter().any(|object| object.endpoint.to_string() == orphan_held.endpoint));
    assert!(
        ipc_shm::clean_up().unwrap().iter().all(|object| object.endpoint.to_string() != owned.endpoint)
    );
}

#[test]
fn other_users_objects_are_listed_as_far_as_they_may_be_read_and_stay() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let name = orphan("user", "own until killed");
    let look = || {
        let mut other = child("list and clean up as another user", &name.endpoint);
        other.uid(65534).gid(65534);
        let mut other = start(other);
        let seen = other.hear();
        assert_eq!(other.hear(), "done");
        other.finish();
        seen
    };
    assert_eq!(look(), "None");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&name.file, mode).unwrap();
    assert_eq!(look(), "Some((0, false))");
    assert!(name.file.exists());
}

#[test]
fn of_opening_taking_over_and_cleaning_up_at_once_nobody_gets_half() {
    let _alone = alone();
    for _ in 0..30 {
        let name = orphan("race", "own until killed");
        let (made, opened) = std::thread::scope(|scope| {
            let made = scope.spawn(|| Segment::create(&name.endpoint, 64));
            let opened = scope.spawn(|| Segment::open(format!("{}?mode=0640", name.endpoint)));
            scope.spawn(|| ipc_shm::clean_up().unwrap());
            (made.join().unwrap(), opened.join().unwrap())
        });
        // The orphan has no owner, so whoever wants its name gets it.
        let made = made.unwrap();
        assert!(made.is_current());
        match opened {
            Ok(opened) => assert!(opened.len() == 5000 || opened.is_current()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
    }
}

/// A clean-up that has seen that an object is ours, and is about to do this with its locks: 1 and 2 to ask for
/// the owner's and the holders', 3 to take one.
fn clean_up_stopped_at(lock: usize) -> Option<Stopped> {
    let mut locks = 0;
    trace::unless_forbidden(trace::stop("clean up", "", |number| {
        match number {
            libc::SYS_fgetxattr => locks = 0,
            libc::SYS_fcntl => locks += 1,
            _ => {}
        }
        number == libc::SYS_fcntl && locks == lock
    }))
}

#[test]
fn a_name_that_is_taken_over_during_a_clean_up_stays() {
    let _alone = alone();
    let name = orphan("over", "own until killed");
    let Some(cleaner) = clean_up_stopped_at(3) else { return };
    let ours = Segment::create(&name.endpoint, 64).unwrap();
    cleaner.go_on();
    cleaner.child.finish();
    assert!(ours.is_current());
}

#[test]
fn a_name_that_is_kept_during_a_clean_up_stays() {
    let _alone = alone();
    let name = Name::new("kept");
    let mut owner = child("own, then keep the name", &name.endpoint);
    owner.stdin(Stdio::piped());
    let mut owner = start(owner);
    assert_eq!(owner.hear(), "made");
    let Some(cleaner) = clean_up_stopped_at(1) else { return };
    owner.tell("keep it");
    owner.finish();
    cleaner.go_on();
    cleaner.child.finish();
    assert!(name.file.exists());
}

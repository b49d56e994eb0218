//! POSIX segments whose makers and owners are killed: whole or not at all, and taken over by one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // in `trace`

mod common;
mod trace;

use common::{Name, child, kind, role, say, start};
use ipc_shm::{ErrorKind, Segment, SegmentOptions};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Acquire;
use trace::{Stopped, stop};

/// What second processes do.
#[test]
fn child_process() {
    let Some((role, argument)) = role() else { return };
    match role.as_str() {
        "own until killed" => {
            let segment = Segment::create(&argument, 4096).unwrap();
            segment.write_at(0, b"orphan").unwrap();
            say("made");
            let _segment = segment;
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
        "make one" => {
            let made = trace::traced(|| {
                let fill = |segment: &Segment| segment.write_at(8192 - 8, &u64::MAX.to_ne_bytes());
                SegmentOptions::new(8192).create_with(&argument, fill)
            });
            if let Err(error) = made {
                say(&format!("{:?}", error.kind()));
            }
        }
        "open one" => say(&trace::traced(|| Segment::open(&argument)).unwrap().len().to_string()),
        "be killed while filling it in" => {
            let made = SegmentOptions::new(4096).create_with(&argument, |segment| {
                segment.write_at(0, b"half")?;
                assert!(!Path::new("/dev/shm").join(&argument["shm://".len()..]).exists());
                say("half-made");
                loop {
                    std::thread::park();
                }
            });
            made.unwrap();
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn a_name_whose_owner_was_killed_is_taken_over() {
    let name = Name::new("stale");
    let mut owner = start(child("own until killed", &name.endpoint));
    assert_eq!(owner.hear(), "made");
    assert_eq!(kind(Segment::create(&name.endpoint, 4096)), ErrorKind::AddrInUse);
    owner.kill();
    let orphan = Segment::open(&name.endpoint).unwrap();
    assert_eq!(orphan.owner_is_alive(), Some(false));
    let ours = Segment::create(&name.endpoint, 100).unwrap();
    assert_eq!((ours.len(), orphan.len()), (100, 4096));
    assert!(ours.is_current() && !orphan.is_current());
    let mut text = [0; 6];
    orphan.read_at(0, &mut text).unwrap();
    assert_eq!(&text, b"orphan");
}

#[test]
fn of_eight_who_race_for_a_stale_name_one_wins() {
    for _ in 0..20 {
        let name = Name::new("race");
        let mut owner = start(child("own until killed", &name.endpoint));
        assert_eq!(owner.hear(), "made");
        owner.kill();
        let barrier = Barrier::new(8);
        let winners: Vec<Segment> = std::thread::scope(|scope| {
            let race = || {
                barrier.wait();
                match Segment::create(&name.endpoint, 64) {
                    Ok(segment) => Some(segment),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::AddrInUse);
                        None
                    }
                }
            };
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
            racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1);
        assert!(winners[0].is_current());
    }
}

/// Kills a maker where it is about to make the system call of this number, counted from the beginning of
/// `create`; the rest of it never happens. Whether there was such a call: `false` if `create` made fewer, and
/// the process was killed after it.
fn kill_a_maker_at(call: usize, endpoint: &str) -> Result<bool, Errno> {
    let mut calls = 0..call;
    let Stopped { child: mut maker, thread, inside } =
        stop("make one", endpoint, |_| calls.next().is_none())?;
    if thread.as_raw() != maker.id().cast_signed() {
        // A process has ended when its tracer has taken note of the end of each thread.
        kill(Pid::from_raw(maker.id().cast_signed()), Signal::SIGKILL)?;
        while !matches!(waitpid(thread, Some(WaitPidFlag::__WALL))?, WaitStatus::Signaled(..)) {}
    }
    maker.kill();
    Ok(inside)
}

#[test]
fn a_name_that_is_kept_while_another_looks_at_it_is_not_taken_over() {
    let name = Name::new("kept");
    // In a process of its own, of whose lock no child of another test has a part.
    let mut owner = child("own, then keep the name", &name.endpoint);
    owner.stdin(Stdio::piped());
    let mut owner = start(owner);
    assert_eq!(owner.hear(), "made");
    // It has seen whose the name is, and is about to try the owner's lock.
    let mut seen = false;
    let stopped = stop("make one", &name.endpoint, |number| {
        seen |= number == libc::SYS_fgetxattr;
        seen && number == libc::SYS_fcntl
    });
    let Some(mut maker) = trace::unless_forbidden(stopped) else { return };
    owner.tell("keep it");
    owner.finish();
    maker.go_on();
    assert_eq!(maker.child.hear(), "AddrInUse");
    maker.child.finish();
    assert_eq!(Segment::open(&name.endpoint).unwrap().len(), 100);
}

#[test]
fn who_opens_a_name_that_is_taken_over_meanwhile_gets_what_has_it_then() {
    let name = Name::new("anew");
    let mut owner = start(child("own until killed", &name.endpoint));
    assert_eq!(owner.hear(), "made");
    // It has opened the object, and is about to lock it.
    let stopped = stop("open one", &name.endpoint, |number| number == libc::SYS_fcntl);
    let Some(mut opener) = trace::unless_forbidden(stopped) else { return };
    owner.kill();
    let _ours = Segment::create(&name.endpoint, 100).unwrap();
    opener.go_on();
    assert_eq!(opener.child.hear(), "100");
    opener.child.finish();
}

/// What is there under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Stale,
    Whole,
}

fn find(name: &Name) -> Found {
    match Segment::open(&name.endpoint) {
        Ok(segment) if segment.len() == 4096 => {
            let mut text = [0; 6];
            segment.read_at(0, &mut text).unwrap();
            assert_eq!(&text, b"orphan");
            Found::Stale
        }
        Ok(segment) => {
            assert_eq!(segment.len(), 8192);
            assert_eq!(segment.atomic_u64(8192 - 8).unwrap().load(Acquire), u64::MAX);
            assert_eq!(fs::metadata(&name.file).unwrap().mode() & 0o777, 0o600);
            Found::Whole
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(!name.file.exists());
            Found::Nothing
        }
    }
}

/// Kills makers at each system call of `create` in turn: what was found under the name after each.
fn kill_makers(name: &Name, prepare: impl Fn()) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    for call in 0.. {
        prepare();
        match kill_a_maker_at(call, &name.endpoint) {
            Ok(was_made) => {
                found.push(find(name));
                // Whatever it has left, the next gets the name.
                drop(Segment::create(&name.endpoint, 64).unwrap());
                assert!(!name.file.exists());
                if !was_made {
                    break;
                }
            }
            Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) if call == 0 => {
                println!("skipped: processes may not be traced here");
                return None;
            }
            Err(errno) => panic!("{errno}"),
        }
    }
    println!("killed at {} system calls, and after them", found.len() - 1);
    Some(found)
}

#[test]
fn a_maker_killed_at_each_of_its_system_calls_leaves_a_whole_segment_or_none() {
    let name = Name::new("kill");
    let Some(found) = kill_makers(&name, || {}) else { return };
    let whole = found.iter().position(|found| *found == Found::Whole).unwrap();
    assert!(whole > 0 && found[..whole].iter().all(|found| *found == Found::Nothing), "{found:?}");
    assert!(found[whole..].iter().all(|found| *found == Found::Whole), "{found:?}");
}

#[test]
fn who_is_killed_while_it_takes_a_name_over_leaves_the_old_segment_none_or_its_own() {
    let name = Name::new("kill-over");
    let leave_a_stale_one = || {
        let mut owner = start(child("own until killed", &name.endpoint));
        assert_eq!(owner.hear(), "made");
        owner.kill();
    };
    let Some(found) = kill_makers(&name, leave_a_stale_one) else { return };
    let at = |what| found.iter().position(|found| *found == what).unwrap();
    let (nothing, whole) = (at(Found::Nothing), at(Found::Whole));
    assert!(at(Found::Stale) == 0 && 0 < nothing && nothing < whole, "{found:?}");
    for (at, found) in found.iter().enumerate() {
        let expected = match at {
            at if at < nothing => Found::Stale,
            at if at < whole => Found::Nothing,
            _ => Found::Whole,
        };
        assert_eq!(*found, expected, "call {at}");
    }
}

#[test]
fn a_maker_killed_while_it_fills_the_segment_in_leaves_none() {
    let name = Name::new("half");
    let mut maker = start(child("be killed while filling it in", &name.endpoint));
    assert_eq!(maker.hear(), "half-made");
    maker.kill();
    assert!(!name.file.exists());
}

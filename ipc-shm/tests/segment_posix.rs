//! POSIX segments: names, owners, modes, whole or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // to read what the kernel says of a traced process

mod common;

use common::{Name, child, is_root, own_shm, role, say, start, unique};
use ipc_shm::{ErrorKind, Segment, SegmentOptions, Wait};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Barrier;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

fn kind<T: std::fmt::Debug>(result: ipc_shm::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

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
        "make one" => {
            say(&nix::unistd::gettid().to_string());
            std::io::stdin().read_line(&mut String::new()).unwrap();
            let _begin = std::os::unix::process::parent_id();
            let made = SegmentOptions::new(8192)
                .create_with(&argument, |segment| segment.write_at(8192 - 8, &u64::MAX.to_ne_bytes()));
            let _end = std::os::unix::process::parent_id();
            drop(made.unwrap());
        }
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
        "fill a small /dev/shm" => fill_a_small_shm(),
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

/// Starts a process that makes a segment, and kills it where it is about to make the system call of this
/// number, counted from the beginning of `create`; the rest of it never happens. Whether there was such a
/// call: `false` if `create` made fewer, and the process was killed after it.
fn kill_a_maker_at(call: usize, endpoint: &str) -> Result<bool, Errno> {
    let mut maker = child("make one", endpoint);
    maker.stdin(Stdio::piped());
    let mut maker = start(maker);
    let thread = Pid::from_raw(maker.hear().parse().unwrap());
    // The process is this one's child, which may trace it also where only ancestors may.
    ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)?;
    ptrace::interrupt(thread)?;
    waitpid(thread, Some(WaitPidFlag::__WALL))?;
    maker.tell("go");
    let (mut calls, mut signal) = (None, None);
    let was_made = loop {
        ptrace::syscall(thread, signal.take())?;
        match waitpid(thread, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(_) => {
                let info = ptrace::syscall_info(thread)?;
                if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
                    continue;
                }
                // SAFETY: it is an entry, as was seen, and the kernel has filled in that field.
                let number = unsafe { info.u.entry }.nr as libc::c_long;
                match &mut calls {
                    // It asks for its parent's number before `create`, and again after it.
                    None if number == libc::SYS_getppid => calls = Some(0),
                    None => {}
                    Some(_) if number == libc::SYS_getppid => break false,
                    Some(made) if *made == call => break true,
                    Some(made) => *made += 1,
                }
            }
            WaitStatus::Stopped(_, raised) => signal = Some(raised),
            WaitStatus::PtraceEvent(..) => {}
            ended => panic!("it has ended: {ended:?}"),
        }
    };
    if thread.as_raw() != maker.id().cast_signed() {
        // A process has ended when its tracer has taken note of the end of each thread.
        kill(Pid::from_raw(maker.id().cast_signed()), Signal::SIGKILL)?;
        while !matches!(waitpid(thread, Some(WaitPidFlag::__WALL))?, WaitStatus::Signaled(..)) {}
    }
    maker.kill();
    Ok(was_made)
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

#[test]
fn a_fill_that_fails_leaves_nothing() {
    let name = Name::new("fill");
    let made = SegmentOptions::new(64)
        .create_with(&name.endpoint, |segment| segment.write_at(64, b"one byte too far"));
    assert_eq!(kind(made), ErrorKind::MessageTooLarge);
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
            segment.atomic_u32(0).unwrap().store(1, Release);
        });
        let segment = Segment::create(endpoint, 4).unwrap();
        waiting.join().unwrap();
        assert_eq!(segment.atomic_u32(0).unwrap().load(Acquire), 1);
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
fn a_segment_that_is_too_short_is_refused() {
    let name = Name::new("short");
    let _segment = Segment::create(&name.endpoint, 100).unwrap();
    let error = SegmentOptions::new(101).open(&name.endpoint, Wait::Never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GeometryMismatch);
    assert!(error.to_string().contains("it has 100 bytes; at least 101 are needed"), "{error}");
    assert_eq!(SegmentOptions::new(100).open(&name.endpoint, Wait::Never).unwrap().len(), 100);
    assert_eq!(kind(Segment::create(&name.endpoint, 0)), ErrorKind::GeometryMismatch);
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

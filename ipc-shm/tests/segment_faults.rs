//! What goes wrong around a segment: signals all the time, a peer that shrinks the object, programs that
//! are started, nothing left of `/dev/shm`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // a signal handler, a timer

mod common;

use common::{Name, child, is_root, own_shm, role, say, start};
use ipc_shm::{ErrorKind, Segment, SegmentOptions, Wait};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What second processes do.
#[test]
fn child_process() {
    let Some((role, argument)) = role() else { return };
    match role.as_str() {
        "work in a storm of signals" => in_a_storm(&argument),
        "touch what was cut off" => {
            let segment = Segment::open(&argument).unwrap();
            say("open");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            let _ = segment.read_at(8192, &mut [0; 1]);
            say("still here");
        }
        "use a /dev/shm that is not there" => {
            own_shm("size=1M");
            nix::mount::umount("/dev/shm").unwrap();
            nix::mount::mount(
                Some("proc"),
                "/dev/shm",
                Some("proc"),
                nix::mount::MsFlags::empty(),
                None::<&str>,
            )
            .unwrap();
            say(&Segment::create("shm://x", 1).unwrap_err().to_string());
        }
        other => panic!("no such role: {other}"),
    }
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    SIGNALS.fetch_add(1, Relaxed);
}

fn in_a_storm(name: &str) {
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler touches only an atomic.
    unsafe { sigaction(Signal::SIGALRM, &action) }.unwrap();
    let often = libc::timeval { tv_sec: 0, tv_usec: 200 };
    let timer = libc::itimerval { it_interval: often, it_value: often };
    // SAFETY: reads `timer`, and writes nothing.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    for _ in 0..10 {
        let segment = Segment::create(name, 16 << 20).unwrap();
        assert_eq!(
            File::open(format!("/dev/shm/{}", &name[6..])).unwrap().metadata().unwrap().blocks(),
            32 << 10
        );
        segment.write_at(0, &[1; 4096]).unwrap();
        assert_eq!(Segment::open(name).unwrap().len(), 16 << 20);
        drop(segment);
        let (started, patience) = (Instant::now(), Duration::from_millis(10));
        let late = Segment::open_within(name, Wait::timeout(patience)).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() >= patience);
    }
    assert!(SIGNALS.load(Relaxed) > 50);
    say("done");
}

#[test]
fn a_storm_of_signals_is_not_noticed() {
    let name = Name::new("storm");
    let mut worker = start(child("work in a storm of signals", &name.endpoint));
    assert_eq!(worker.hear(), "done");
    worker.finish();
}

#[test]
fn a_named_segment_that_a_peer_shrinks_kills_who_touches_what_is_missing() {
    // The kernel's nature, and documented: objects with a name cannot be sealed.
    let name = Name::new("shrunk");
    let segment = Segment::create(&name.endpoint, 3 * 4096).unwrap();
    let mut toucher = child("touch what was cut off", &name.endpoint);
    toucher.stdin(std::process::Stdio::piped());
    let mut toucher = start(toucher);
    assert_eq!(toucher.hear(), "open");
    nix::unistd::ftruncate(segment.fd().unwrap(), 4096).unwrap();
    let status = toucher.end();
    assert_eq!(status.signal(), Some(libc::SIGBUS));
    // Who opens it now is told.
    let error = SegmentOptions::new(3 * 4096).open(&name.endpoint, Wait::Never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GeometryMismatch);
}

#[test]
fn no_descriptor_of_a_segment_gets_into_programs_that_are_started() {
    let name = Name::new("cloexec");
    let made = Segment::create(&name.endpoint, 10).unwrap();
    let opened = Segment::open(&name.endpoint).unwrap();
    for segment in [&made, &opened] {
        let flags = fcntl(segment.fd().unwrap(), FcntlArg::F_GETFD).unwrap();
        assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
    }
}

#[test]
fn without_a_tmpfs_the_error_says_that_there_must_be_one() {
    if !is_root() {
        return;
    }
    let mut user = start(child("use a /dev/shm that is not there", ""));
    let said = user.hear();
    assert!(said.contains("POSIX shared memory needs a tmpfs at /dev/shm"), "{said}");
    user.finish();
}

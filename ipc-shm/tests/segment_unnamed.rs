//! Segments without a name: handed over by descriptor and sealed, inherited by a fork, 4 GiB of nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code)] // fork

mod common;

use common::{child, role, say, start, unique};
use ipc_shm::{ErrorKind, Segment, SegmentOptions};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, ftruncate};
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// What second processes do.
#[test]
fn child_process() {
    let Some((role, _)) = role() else { return };
    match role.as_str() {
        "read standard input as a segment" => {
            let segment =
                Segment::from_fd(std::io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap();
            let mut text = [0; 5];
            segment.read_at(4091, &mut text).unwrap();
            say(str::from_utf8(&text).unwrap());
            segment.write_at(0, b"answer").unwrap();
            say(&format!("{:?}", ftruncate(std::io::stdin(), 0)));
        }
        "measure 4 GiB" => {
            say("started");
            let before = resident();
            let segment = Segment::anonymous(4 << 30).unwrap();
            let mapped = resident();
            segment.write_at((4 << 30) - 3, b"end").unwrap();
            let touched = resident();
            // A page may be a huge one.
            assert!(
                mapped - before < 1 << 20 && touched - mapped <= 4 << 20,
                "{before} {mapped} {touched}"
            );
            let populated = SegmentOptions::new(8 << 20).populate(true).anonymous().unwrap();
            assert!(resident() - touched >= 8 << 20, "asked for, every page is touched");
            drop((segment, populated));
            say("done");
        }
        other => panic!("no such role: {other}"),
    }
}

/// How many bytes of this process's memory are in use: `VmRSS` of proc_pid_status(5).
fn resident() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() * 1024
}

fn kind(result: ipc_shm::Result<Segment>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn memfd(size: i64, seals: SealFlag) -> OwnedFd {
    let fd = memfd_create("test", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    ftruncate(&fd, size).unwrap();
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    fd
}

const FIXED: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW);

#[test]
fn a_descriptor_hands_the_memory_to_another_process_which_cannot_shrink_it() {
    let segment = Segment::anonymous(4096).unwrap();
    segment.write_at(4091, b"hello").unwrap();
    let mut peer = child("read standard input as a segment", "");
    peer.stdin(segment.fd().unwrap().try_clone_to_owned().unwrap());
    let mut peer = start(peer);
    assert_eq!(peer.hear(), "hello");
    assert_eq!(peer.hear(), format!("{:?}", Err::<(), _>(Errno::EPERM)));
    peer.finish();
    let mut answer = [0; 6];
    segment.read_at(0, &mut answer).unwrap();
    assert_eq!(&answer, b"answer");
    assert!(segment.endpoint().is_none() && !segment.is_current());
    assert_eq!(segment.owner_is_alive(), None);
}

#[test]
fn its_descriptor_is_close_on_exec_and_sealed_for_good() {
    let segment = Segment::anonymous(4096).unwrap();
    let fd = segment.fd().unwrap();
    let flags = nix::fcntl::FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap());
    assert!(flags.contains(nix::fcntl::FdFlag::FD_CLOEXEC));
    // Nobody can take the right to write from the others.
    let seal = fcntl(fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_FUTURE_WRITE));
    assert_eq!(seal, Err(Errno::EPERM));
}

#[test]
fn what_could_shrink_is_refused() {
    for seals in [SealFlag::empty(), SealFlag::F_SEAL_GROW] {
        let error = Segment::from_fd(memfd(4096, seals)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongType);
        assert!(error.to_string().contains("not sealed against shrinking"), "{error}");
    }
    assert_eq!(Segment::from_fd(memfd(4096, FIXED)).unwrap().len(), 4096);
}

#[test]
fn what_is_no_such_memory_is_refused() {
    assert_eq!(kind(Segment::from_fd(tempfile::tempfile().unwrap())), ErrorKind::WrongType);
    assert_eq!(kind(Segment::from_fd(File::open("/dev/null").unwrap())), ErrorKind::WrongType);
    assert_eq!(kind(Segment::from_fd(std::io::pipe().unwrap().0)), ErrorKind::WrongType);
    let name = format!("/dev/shm/{}", unique("fd"));
    let named = File::create_new(&name).unwrap();
    named.set_len(4096).unwrap();
    fs::remove_file(name).unwrap();
    assert_eq!(kind(Segment::from_fd(named)), ErrorKind::WrongType);
}

#[test]
fn what_is_too_short_or_cannot_be_written_is_refused() {
    assert_eq!(kind(Segment::from_fd(memfd(0, FIXED))), ErrorKind::GeometryMismatch);
    let asked = SegmentOptions::new(101);
    assert_eq!(kind(asked.from_fd(memfd(100, FIXED))), ErrorKind::GeometryMismatch);
    let sealed = memfd(100, FIXED | SealFlag::F_SEAL_WRITE);
    assert_eq!(kind(Segment::from_fd(sealed)), ErrorKind::PermissionDenied);
    let size_zero = SegmentOptions::default();
    assert_eq!(kind(size_zero.anonymous()), ErrorKind::InvalidOption);
    assert_eq!(kind(size_zero.inherited()), ErrorKind::InvalidOption);
}

#[test]
fn four_gib_cost_nothing_until_they_are_touched() {
    let mut measuring = start(child("measure 4 GiB", ""));
    assert_eq!(measuring.hear(), "started");
    assert_eq!(measuring.hear(), "done");
    measuring.finish();
}

#[test]
fn what_is_mapped_before_a_fork_is_shared_after_it() {
    let segment = Segment::inherited(8192).unwrap();
    assert!(segment.fd().is_none() && segment.id().is_none());
    let word = segment.atomic_u64(8184).unwrap();
    word.store(41, Relaxed);
    // SAFETY: the child touches only the mapping and leaves by _exit: it allocates and locks nothing.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let told = segment.write_at(0, b"from the child").is_ok();
            word.fetch_add(1, Release);
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(i32::from(!told)) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            assert_eq!(word.load(Acquire), 42);
            let mut text = [0; 14];
            segment.read_at(0, &mut text).unwrap();
            assert_eq!(&text, b"from the child");
        }
    }
}

#[test]
fn a_forked_child_that_drops_a_segment_removes_no_name() {
    let endpoint = format!("shm://{}", unique("fork"));
    let segment = Segment::create(&endpoint, 64).unwrap();
    // SAFETY: the child unmaps, closes a descriptor, and leaves by _exit.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(segment);
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            assert!(segment.is_current());
            assert_eq!(Segment::open(&endpoint).unwrap().owner_is_alive(), Some(true));
        }
    }
}

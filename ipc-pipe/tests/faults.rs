//! What can go wrong with a pipe, one test each: killed writers, signals, SIGPIPE, small pipes, leaked
//! descriptors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{NOBODY, PATIENCE, again, give_role, is_root, pattern, role, wait};
use ipc_pipe::{ErrorKind, Options, PIPE_BUF, PipeExt, PipeReceiver, PipeSender, Receiver, Sender};
use ipc_pipe::{hand_over, pipe, pipe_with};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The calls that only a test needs, and that have no safe wrapper.
mod unsafe_calls {
    #![allow(unsafe_code)]

    /// As a C program has it, or a Rust program that wants to end quietly in `… | head`.
    pub(super) fn let_sigpipe_kill() {
        use nix::sys::signal::{SigHandler, Signal, signal};
        // SAFETY: the default action runs no code of this process.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    }
}

fn receiver_of(reader: std::io::PipeReader) -> PipeReceiver {
    PipeReceiver::from_reader(reader, &Options::default()).unwrap()
}

#[test]
fn a_writer_killed_inside_a_message_gives_truncated_and_never_a_short_message() {
    const NAME: &str = "a_writer_killed_inside_a_message_gives_truncated_and_never_a_short_message";
    if let Some(endpoint) = role() {
        let mut sender = PipeSender::open(endpoint).unwrap();
        sender.send(b"whole").unwrap();
        // Does not fit: stays here until killed.
        sender.send(&pattern(1 << 20)).unwrap();
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = again(NAME, "");
    let endpoint = hand_over(writer, &mut command).unwrap();
    give_role(&mut command, endpoint);
    let mut child = command.spawn().unwrap();
    drop(command);

    // The pipe cannot hold all of the second message, so there the writer is, inside it.
    let deadline = Instant::now() + PATIENCE;
    while reader.bytes_waiting().unwrap() < 1_000 {
        assert!(Instant::now() < deadline, "the child has not filled the pipe");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut receiver = receiver_of(reader);
    assert_eq!(receiver.recv().unwrap(), b"whole");
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn long_messages_get_through_a_storm_of_signals() {
    signal_hook::flag::register(Signal::SIGALRM as i32, Arc::default()).unwrap();
    let (mut sender, mut receiver) = pipe().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let hits = Arc::new(AtomicUsize::new(0));
    let (main, hits_there, over_there) = (pthread_self(), Arc::clone(&hits), Arc::clone(&over));
    let (tell, told) = std::sync::mpsc::channel();
    let sending = std::thread::spawn(move || {
        tell.send(pthread_self()).unwrap();
        for _ in 0..20 {
            sender.send(&pattern(200_000)).unwrap();
        }
        while !over.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    });
    let sender_thread = told.recv().unwrap();
    let storm = {
        let over = Arc::clone(&over_there);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                pthread_kill(main, Signal::SIGALRM).unwrap();
                pthread_kill(sender_thread, Signal::SIGALRM).unwrap();
                hits.fetch_add(2, Ordering::Relaxed);
            }
        })
    };
    for _ in 0..20 {
        assert_eq!(receiver.recv().unwrap(), pattern(200_000));
    }
    let start = Instant::now();
    let error = receiver.recv_timeout(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(50));
    over_there.store(true, Ordering::Relaxed);
    storm.join().unwrap();
    sending.join().unwrap();
    assert!(hits_there.load(Ordering::Relaxed) > 100);
}

#[test]
fn a_pipe_without_reader_gives_disconnected_even_where_sigpipe_would_kill() {
    const NAME: &str = "a_pipe_without_reader_gives_disconnected_even_where_sigpipe_would_kill";
    if role().is_some() {
        unsafe_calls::let_sigpipe_kill();
        let mut report = PipeSender::open("pipe://stdout?framing=lines").unwrap();
        for message in [&b"short"[..], &pattern(100_000)] {
            let (mut sender, receiver) = pipe().unwrap();
            drop(receiver);
            for _ in 0..3 {
                report
                    .send(format!("{:?}", sender.send(message).unwrap_err().kind()).as_bytes())
                    .unwrap();
            }
        }
        // The reader goes while we wait for it.
        let (mut sender, receiver) = pipe().unwrap();
        sender.try_send(&pattern(1 << 20)).unwrap();
        let closing = std::thread::spawn(move || drop(receiver));
        report.send(format!("{:?}", sender.send(b"more").unwrap_err().kind()).as_bytes()).unwrap();
        closing.join().unwrap();
        // Nothing is left pending that would kill later, and the mask is as it was.
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        for (name, value) in status.lines().filter_map(|line| line.split_once(":\t")) {
            if ["SigPnd", "ShdPnd", "SigBlk"].contains(&name) {
                report.send(format!("{name} {}", value.trim_start_matches('0')).as_bytes()).unwrap();
            }
        }
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = again(NAME, "writer");
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut { reader }, &mut said).unwrap();
    let status = wait(&mut child);
    assert!(status.success(), "{status}: {said}");
    assert_eq!(said.matches("Disconnected\n").count(), 7, "{said}");
    for clean in ["SigPnd ", "ShdPnd ", "SigBlk "] {
        assert!(said.lines().any(|line| line == clean), "{said}");
    }
}

#[test]
fn no_end_stays_open_in_a_child_that_was_not_given_it() {
    let (sender, mut receiver) = pipe().unwrap();
    let (plain_reader, plain_writer) = std::io::pipe().unwrap();
    let framed = PipeSender::from_writer(plain_writer, &Options::default()).unwrap();
    let mut holder = Command::new("sleep").arg("1000").spawn().unwrap();
    drop(sender);
    drop(framed);
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap_err().kind(), ErrorKind::Disconnected);
    let error = receiver_of(plain_reader).recv_timeout(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn a_user_with_many_pipes_gets_small_ones_which_work() {
    const NAME: &str = "a_user_with_many_pipes_gets_small_ones_which_work";
    if role().is_some() {
        many_pipes();
        PipeSender::open("pipe://stdout?framing=lines").unwrap().send(b"all went well").unwrap();
        return;
    }
    if !is_root() {
        return;
    }
    let (hard, descriptors) = (getrlimit(Resource::RLIMIT_NOFILE).unwrap().1, 2_300);
    if hard < descriptors {
        eprintln!("skipped: RLIMIT_NOFILE is {hard}, and the test needs {descriptors}");
        return;
    }
    let output =
        again(NAME, "nobody").uid(NOBODY).gid(NOBODY).stdout(std::process::Stdio::piped()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("all went well\n"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn many_pipes() {
    let hard = getrlimit(Resource::RLIMIT_NOFILE).unwrap().1;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let mut pipes: Vec<_> = (0..1_100).map(|_| pipe().unwrap()).collect();
    let (mut sender, mut receiver) = pipes.pop().unwrap();
    let capacity = sender.capacity().unwrap();
    assert!(capacity <= 8_192, "the last of 1,100 pipes holds {capacity} bytes");

    // Smaller than the other pipes, but everything works.
    let sending = std::thread::spawn(move || {
        for size in [0, 1, PIPE_BUF, 100_000, 1 << 20] {
            sender.send(&pattern(size)).unwrap();
        }
        sender
    });
    for size in [0, 1, PIPE_BUF, 100_000, 1 << 20] {
        assert_eq!(receiver.recv().unwrap(), pattern(size));
    }
    let sender = sending.join().unwrap();

    let error = sender.set_capacity(65_536).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(error.limit().unwrap().name, "pipe-user-pages-soft", "{error}");
    let error = sender.set_capacity(64 << 20).unwrap_err();
    assert_eq!(error.limit().unwrap().name, "pipe-max-size", "{error}");
    let options = Options::default().capacity(1 << 20);
    let error = pipe_with(&options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
}

#[test]
fn without_descriptors_left_the_limit_is_named() {
    const NAME: &str = "without_descriptors_left_the_limit_is_named";
    if role().is_some() {
        let (mut report, hard) = (
            PipeSender::open("pipe://stdout?framing=lines").unwrap(),
            getrlimit(Resource::RLIMIT_NOFILE),
        );
        setrlimit(Resource::RLIMIT_NOFILE, 3, hard.unwrap().1).unwrap();
        let error = pipe().unwrap_err();
        let limit = error.limit().unwrap();
        let said = format!("{:?} {} {}", error.kind(), limit.name, limit.value);
        report.send(said.as_bytes()).unwrap();
        return;
    }
    let output = again(NAME, "pauper").stdout(std::process::Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("LimitExceeded RLIMIT_NOFILE 3\n"), "{said}");
}

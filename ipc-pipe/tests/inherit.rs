//! Ends that pass from process to process: `pipe://fd/N`, `pipe://stdin`, `pipe://stdout`, whatever is
//! behind them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{NOBODY, PATIENCE, again, alone, give_role, is_root, pattern, role, wait};
use ipc_pipe::{Endpoint, ErrorKind, Options, PipeReceiver, PipeSender, Receiver, Sender};
use ipc_pipe::{hand_over, hand_over_as};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A number that nothing of this process has, with so few tests at a time.
const FREE: u32 = 103;

fn lines() -> Options {
    Endpoint::parse("pipe://stdin?framing=lines").unwrap().options().clone()
}

fn blocks(fd: impl AsFd) -> bool {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
    !flags.contains(OFlag::O_NONBLOCK)
}

/// The child of the tests below: sends back every message it receives, after some looks at its ends.
fn echo(endpoints: &str) {
    let (from, to) = endpoints.split_once(' ').unwrap();
    let mut receiver = PipeReceiver::open(from).unwrap();
    let mut sender = PipeSender::open(to).unwrap();
    assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    let error = receiver.recv_timeout(Duration::from_millis(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    sender.send(format!("{receiver:?}{sender:?}").as_bytes()).unwrap();
    loop {
        match receiver.recv() {
            Ok(message) => sender.send(message).unwrap(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Disconnected);
                break;
            }
        }
    }
    drop(sender);
    // The end is seen when the sender is dropped, not when the process is over: it waits to be killed.
    loop {
        std::thread::park();
    }
}

/// Starts the echo, and plays with it. Returns what the ends say of themselves.
fn play_with_echo(mut command: Command) -> String {
    let (their_reader, our_writer) = std::io::pipe().unwrap();
    let (our_reader, their_writer) = std::io::pipe().unwrap();
    let kept = their_writer.try_clone().unwrap();
    let from = hand_over(their_reader, &mut command).unwrap();
    let to = hand_over(their_writer, &mut command).unwrap();
    give_role(&mut command, format!("{from} {to}"));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut sender = PipeSender::from_writer(our_writer, &Options::default()).unwrap();
    let mut receiver = PipeReceiver::from_reader(our_reader, &Options::default()).unwrap();
    let about = String::from_utf8(receiver.recv_timeout(PATIENCE).unwrap().to_vec()).unwrap();
    assert!(blocks(&kept), "the child has changed a description that it shares with us");
    drop(kept);
    for size in [0, 1, 4_096, 65_536, 300_000] {
        sender.send(&pattern(size)).unwrap();
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), pattern(size));
    }
    drop(sender);
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap_err().kind(), ErrorKind::Disconnected);
    child.kill().unwrap();
    child.wait().unwrap();
    about
}

#[test]
fn a_child_opens_what_it_was_handed_as_a_description_of_its_own() {
    if let Some(endpoints) = role() {
        return echo(&endpoints);
    }
    let about =
        play_with_echo(again("a_child_opens_what_it_was_handed_as_a_description_of_its_own", ""));
    assert_eq!(about.matches("mode: Own").count(), 2, "{about}");
}

#[test]
fn a_child_of_another_user_shares_the_description_and_keeps_every_deadline() {
    const NAME: &str = "a_child_of_another_user_shares_the_description_and_keeps_every_deadline";
    if let Some(endpoints) = role() {
        return echo(&endpoints);
    }
    if !is_root() {
        return;
    }
    let mut command = again(NAME, "");
    command.uid(NOBODY).gid(NOBODY);
    let about = play_with_echo(command);
    assert_eq!(about.matches("mode: Shared").count(), 2, "{about}");
}

#[test]
fn a_descriptor_can_be_opened_once_and_only_if_inherited() {
    const NAME: &str = "a_descriptor_can_be_opened_once_and_only_if_inherited";
    let kind = |endpoint: &str| PipeReceiver::open(endpoint).unwrap_err().kind();
    if let Some(endpoint) = role() {
        // The wrong way round first: it leaves the end as it was.
        assert_eq!(PipeSender::open(&endpoint).unwrap_err().kind(), ErrorKind::WrongType);
        let mut receiver = PipeReceiver::open(&endpoint).unwrap();
        assert_eq!(kind(&endpoint), ErrorKind::AddrInUse);
        let message = receiver.recv().unwrap().to_vec();
        drop(receiver);
        assert_eq!(kind(&endpoint), ErrorKind::AddrInUse);
        let mut report = PipeSender::open("pipe://stdout?framing=lines").unwrap();
        return report.send(&message).unwrap();
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = again(NAME, "");
    let endpoint = hand_over(reader, &mut command).unwrap();
    give_role(&mut command, endpoint);
    let mut sender = PipeSender::from_writer(writer, &Options::default()).unwrap();
    sender.send(b"opened once").unwrap();
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("opened once\n"), "{said}");

    let own = File::open("/dev/null").unwrap();
    assert_eq!(kind(&format!("pipe://fd/{}", own.as_raw_fd())), ErrorKind::AddrInUse);
    let error = PipeReceiver::open("pipe://fd/19999").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("19999<FILE"), "{error}");
    assert_eq!(kind("pipe://stdout"), ErrorKind::WrongType);
    assert_eq!(kind("fifo:///tmp/x"), ErrorKind::UnknownScheme);
    assert_eq!(kind("pipe://stdin?mode=0600"), ErrorKind::UnknownOption);
    assert_eq!(kind("pipe://nowhere"), ErrorKind::InvalidEndpoint);
}

#[test]
fn an_end_handed_over_blocks_in_the_child_though_it_did_not_here() {
    let (mut sender, receiver) = ipc_pipe::pipe_with(&lines()).unwrap();
    let (_, reader) = receiver.into_reader().unwrap();
    // `cat` would fail with EAGAIN at once if its standard input did not block.
    let mut command = Command::new("cat");
    let mut child = command.stdin(reader).stdout(Stdio::piped()).spawn().unwrap();
    drop(command);
    let output = PipeReader::from(OwnedFd::from(child.stdout.take().unwrap()));
    let mut output = PipeReceiver::from_reader(output, &lines()).unwrap();
    for line in ["first", "second"] {
        sender.send(line.as_bytes()).unwrap();
        assert_eq!(output.recv_timeout(PATIENCE).unwrap(), line.as_bytes());
    }
    drop(sender);
    assert!(wait(&mut child).success());
}

#[test]
fn a_child_gets_several_ends_under_the_numbers_that_it_wants() {
    alone("a_child_gets_several_ends_under_the_numbers_that_it_wants", || {
        let mut command = Command::new("sh");
        command.args(["-c", "cat <&3 >&9; echo five >&5; echo four >&4"]);
        let mut readers = Vec::new();
        for number in [5, 9, 4] {
            let (reader, writer) = std::io::pipe().unwrap();
            readers.push(reader);
            hand_over_as(writer, number, &mut command).unwrap();
        }
        let (reader, mut writer) = std::io::pipe().unwrap();
        hand_over_as(reader, 3, &mut command).unwrap();
        let mut child = command.spawn().unwrap();
        drop(command);
        writer.write_all(b"through three\n").unwrap();
        drop(writer);
        let said = readers.iter_mut().map(|reader| std::io::read_to_string(reader).unwrap());
        assert_eq!(said.collect::<Vec<_>>(), ["five\n", "through three\n", "four\n"]);
        assert!(wait(&mut child).success());

        let (reader, _writer) = std::io::pipe().unwrap();
        let copy = || reader.try_clone().unwrap();
        let mut command = Command::new("true");
        for wrong in [0, 1, 2, u32::MAX] {
            let error = hand_over_as(copy(), wrong, &mut command).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
        }
        let error = hand_over_as(copy(), i32::MAX as u32, &mut command).unwrap_err();
        assert_eq!(error.limit().unwrap().name, "RLIMIT_NOFILE", "{error}");
    });
}

#[test]
fn a_program_that_is_not_there_is_an_error_also_with_an_end_to_hand_over() {
    alone("a_program_that_is_not_there_is_an_error_also_with_an_end_to_hand_over", || {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new("/nonexistent");
        hand_over_as(writer, 3, &mut command).unwrap();
        assert_eq!(command.spawn().unwrap_err().kind(), std::io::ErrorKind::NotFound);
        drop(command);
        let mut nothing = Vec::new();
        reader.read_to_end(&mut nothing).unwrap();
        assert!(nothing.is_empty(), "the child must not write its failure into our pipe");
    });
}

/// What the tests of the standard streams do in the child: copy lines from one to the other.
fn copy_lines() {
    let mut receiver = PipeReceiver::open("pipe://stdin?framing=lines").unwrap();
    let mut sender = PipeSender::open("pipe://stdout?framing=lines").unwrap();
    while let Ok(line) = receiver.recv() {
        sender.send(&[b"> ", line].concat()).unwrap();
    }
}

#[test]
fn standard_streams_may_be_files() {
    const NAME: &str = "standard_streams_may_be_files";
    if role().is_some() {
        return copy_lines();
    }
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(b"passed over\none\n\nthree, without an end").unwrap();
    // As after `read line` in a shell: what comes next is what the file's place says.
    input.seek(std::io::SeekFrom::Start(12)).unwrap();
    let mut output = tempfile::tempfile().unwrap();
    output.write_all(b"before\n").unwrap();
    let mut command = again(NAME, "copy");
    let mut child = command.stdin(input).stdout(output.try_clone().unwrap()).spawn().unwrap();
    assert!(wait(&mut child).success());
    output.rewind().unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("before\n"), "{text}");
    assert!(text.contains("> one\n> \n> three, without an end\n"), "{text}");
}

#[test]
fn standard_streams_may_be_sockets() {
    const NAME: &str = "standard_streams_may_be_sockets";
    if role().is_some() {
        return copy_lines();
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let mut command = again(NAME, "copy");
    command.stdin(theirs.try_clone().unwrap()).stdout(theirs);
    let mut child = command.spawn().unwrap();
    drop(command);
    ours.write_all(b"one\ntwo\n").unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(wait(&mut child).success());
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert!(text.contains("> one\n> two\n"), "{text}");
}

#[test]
fn standard_streams_may_be_a_terminal() {
    const NAME: &str = "standard_streams_may_be_a_terminal";
    if role().is_some() {
        return copy_lines();
    }
    let nix::pty::OpenptyResult { master, slave } = nix::pty::openpty(None, None).unwrap();
    let mut command = again(NAME, "copy");
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut terminal = File::from(master);
    terminal.write_all(b"typed\n\x04").unwrap(); // a line, and the end of input
    assert!(wait(&mut child).success());
    assert!(blocks(&slave), "the terminal's description is as it was");
    let mut said = [0; 4_096];
    let count = terminal.read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..count]);
    assert!(said.contains("> typed\r\n"), "{said}");
}

#[test]
fn lines_of_several_processes_into_one_shared_output_stay_whole() {
    const NAME: &str = "lines_of_several_processes_into_one_shared_output_stay_whole";
    const COUNT: usize = 500;
    if let Some(letter) = role() {
        let mut sender = PipeSender::open(format!("pipe://fd/{FREE}?framing=lines")).unwrap();
        for length in 0..COUNT {
            sender.send(letter.repeat(length + 1).as_bytes()).unwrap();
        }
        return;
    }
    if !is_root() {
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let mut children = Vec::new();
    // As another user, so that they share the description; and as this one, so that they do not.
    for (letter, user) in [("a", NOBODY), ("b", NOBODY), ("c", 0), ("d", 0)] {
        let mut command = again(NAME, letter);
        command.uid(user).gid(user);
        hand_over_as(writer.try_clone().unwrap(), FREE, &mut command).unwrap();
        children.push(command.spawn().unwrap());
    }
    drop(writer);
    let mut receiver = PipeReceiver::from_reader(reader, &lines()).unwrap();
    let mut count = 0;
    while let Ok(line) = receiver.recv_timeout(PATIENCE) {
        let letter = line[0];
        assert!(line.iter().all(|byte| *byte == letter), "{}", String::from_utf8_lossy(line));
        count += 1;
    }
    for child in &mut children {
        assert!(wait(child).success());
    }
    assert_eq!(count, 4 * COUNT);
}

#[test]
fn another_users_fifo_which_can_only_be_polled_takes_long_messages() {
    const NAME: &str = "another_users_fifo_which_can_only_be_polled_takes_long_messages";
    const SIZES: [usize; 5] = [0, 1, 4_096, 65_536, 300_000];
    if role().is_some() {
        let mut sender = PipeSender::open(format!("pipe://fd/{FREE}")).unwrap();
        assert!(format!("{sender:?}").contains("mode: Shared"));
        while sender.try_send(b"filling").is_ok() {}
        let error = sender.send_timeout(b"filling", Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        PipeSender::open("pipe://stdout?framing=lines").unwrap().send(b"full").unwrap();
        for size in SIZES {
            sender.send(&pattern(size)).unwrap();
        }
        return;
    }
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
    let both = File::options().read(true).write(true).open(&path).unwrap(); // so that no open waits
    let reader = File::open(&path).unwrap();
    let writer = File::options().write(true).open(&path).unwrap();
    drop(both);
    let mut command = again(NAME, "");
    command.uid(NOBODY).gid(NOBODY);
    hand_over_as(writer, FREE, &mut command).unwrap();
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(command);
    let report = PipeReader::from(OwnedFd::from(child.stdout.take().unwrap()));
    let mut report = PipeReceiver::from_reader(report, &lines()).unwrap();
    while !report.recv_timeout(PATIENCE).unwrap().ends_with(b"full") {}
    let reader = PipeReader::from(OwnedFd::from(reader));
    let mut receiver = PipeReceiver::from_reader(reader, &Options::default()).unwrap();
    let mut first = receiver.recv_timeout(PATIENCE).unwrap().to_vec();
    while first == b"filling" {
        first = receiver.recv_timeout(PATIENCE).unwrap().to_vec();
    }
    assert_eq!(first, pattern(SIZES[0]));
    for size in &SIZES[1..] {
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), pattern(*size));
    }
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(wait(&mut child).success());
}

#[test]
fn what_was_printed_before_goes_out_before_what_is_sent() {
    const NAME: &str = "what_was_printed_before_goes_out_before_what_is_sent";
    if role().is_some() {
        // Without a newline, so it stays in the buffer of the standard library.
        print!("printed, ");
        let mut sender = PipeSender::open("pipe://stdout?framing=lines").unwrap();
        return sender.send(b"then sent").unwrap();
    }
    let output = again(NAME, "print").stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("printed, then sent\n"), "{said}");
}

#[test]
fn a_descriptor_that_does_not_block_is_made_to_when_handed_over() {
    alone("a_descriptor_that_does_not_block_is_made_to_when_handed_over", || {
        let (mut writer, kept, mut command) = {
            let (reader, writer) = std::io::pipe().unwrap();
            fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
            let kept = reader.try_clone().unwrap();
            let mut command = Command::new("sh");
            command.args(["-c", "cat <&3 >/dev/null"]);
            hand_over_as(reader, 3, &mut command).unwrap();
            (writer, kept, command)
        };
        assert!(blocks(&kept));
        let mut child = command.spawn().unwrap();
        drop(command);
        writer.write_all(b"something").unwrap();
        drop(writer);
        assert!(wait(&mut child).success());
    });
}

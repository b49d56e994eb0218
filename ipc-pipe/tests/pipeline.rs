//! Pipelines: every exit state, nothing left open, nothing left running.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::pattern;
use ipc_pipe::{ErrorKind, Pipeline, PipelineOutput};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn five_programs_in_a_row_give_what_the_shell_gives() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["b.txt", "a.txt", "a.c", "c"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let copy = directory.path().join("contents");
    let output = Pipeline::new()
        .command({
            let mut ls = Command::new("ls");
            ls.arg("-1").current_dir(directory.path());
            ls
        })
        .program("cut", &["-d.", "-f1"])
        .program("uniq", &[])
        .program("sort", &[])
        .program("tee", &[copy.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"a\nb\nc\n");
    assert_eq!(std::fs::read(copy).unwrap(), b"a\nb\nc\n");
    assert_eq!(output.statuses.len(), 5);
    assert!(output.success());
}

#[test]
fn every_exit_state_is_collected() {
    let statuses = Pipeline::new()
        .command(shell("exit 3"))
        .command(shell("kill -TERM $$"))
        .command(shell("exit 0"))
        .status()
        .unwrap();
    assert_eq!(statuses[0].code(), Some(3));
    assert_eq!(statuses[1].signal(), Some(Signal::SIGTERM as i32));
    assert!(statuses[2].success());
    assert!(!PipelineOutput { statuses, stdout: Vec::new() }.success());
}

#[test]
fn a_program_that_writes_for_ever_is_ended_by_its_reader() {
    // `yes` ends by SIGPIPE, which Rust ignores, but hands on as it was; and nobody else reads its pipe.
    let output = Pipeline::new().program("yes", &[]).program("head", &["-1"]).output().unwrap();
    assert_eq!(output.stdout, b"y\n");
    assert_eq!(output.statuses[0].signal(), Some(Signal::SIGPIPE as i32));
    assert!(output.statuses[1].success());
}

#[test]
fn every_program_sees_the_end_also_with_many_pipelines_at_once() {
    let threads: Vec<_> = (0..8)
        .map(|number| {
            std::thread::spawn(move || {
                let pipeline = (0..6).fold(Pipeline::new(), |line, _| line.program("cat", &[]));
                let input = format!("number {number}\n").into_bytes();
                assert_eq!(pipeline.output_of(&input).unwrap().stdout, input);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_program_holds_no_descriptors_but_its_own() {
    let count = || shell("ls /proc/self/fd | wc -l");
    let alone = Pipeline::new().command(count()).stdin(Stdio::null()).output().unwrap().stdout;
    let (_reader, _writer) = std::io::pipe().unwrap();
    let last = Pipeline::new()
        .program("true", &[])
        .program("true", &[])
        .command(count())
        .output()
        .unwrap()
        .stdout;
    assert_eq!(String::from_utf8(last), String::from_utf8(alone));
}

#[test]
fn input_and_output_larger_than_all_pipes_do_not_wait_for_each_other() {
    let input = pattern(4 << 20);
    let output = Pipeline::new().program("cat", &[]).program("cat", &[]).output_of(&input).unwrap();
    assert!(output.stdout == input);
    // What nobody wants to read is no error.
    let output = Pipeline::new().program("head", &["-c5"]).output_of(&input).unwrap();
    assert_eq!(output.stdout, pattern(5));
}

#[test]
fn a_program_that_is_not_there_is_named_and_those_before_it_are_ended() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut first = Command::new("sleep");
    first.arg("1000");
    ipc_pipe::hand_over(writer, &mut first).unwrap();
    let error = Pipeline::new()
        .command(first)
        .program("sleep", &["1000"])
        .program("/nonexistent/no-such-program", &[])
        .spawn()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains("no-such-program") && text.contains("program 3 of 3"), "{text}");
    // Ended: nobody holds the end that the first one was given.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    // Waited for: this thread has no children, not even dead ones. (Not every kernel has the file.)
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    assert_eq!(children.trim(), "");
}

#[test]
fn what_may_not_be_executed_is_told_as_such_and_an_empty_pipeline_too() {
    let error = Pipeline::new().program("/etc/passwd", &[]).spawn().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let error = Pipeline::new().output().unwrap_err();
    assert!(error.to_string().contains("no program"), "{error}");
}

#[test]
fn both_ends_can_be_piped_and_the_programs_killed() {
    let mut running = Pipeline::new()
        .program("cat", &[])
        .program("sort", &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    running.stdin.take().unwrap().write_all(b"b\na\n").unwrap();
    let mut sorted = String::new();
    running.stdout.take().unwrap().read_to_string(&mut sorted).unwrap();
    assert_eq!(sorted, "a\nb\n");
    assert!(running.wait().unwrap().iter().all(|status| status.success()));
    running.kill().unwrap(); // nothing is left to kill, and that is fine

    let mut running = Pipeline::new().program("sleep", &["1000"]).program("cat", &[]).spawn().unwrap();
    assert_eq!(running.children().len(), 2);
    running.kill().unwrap();
    let statuses = running.wait().unwrap();
    assert_eq!(statuses[0].signal(), Some(Signal::SIGKILL as i32));
}

#[test]
fn input_and_output_may_be_files() {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(b"c\nb\n").unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let output = tempfile::NamedTempFile::new().unwrap();
    let statuses = Pipeline::new()
        .program("sort", &[])
        .program("cat", &[])
        .stdin(input)
        .stdout(output.reopen().unwrap())
        .status()
        .unwrap();
    assert!(statuses.iter().all(|status| status.success()));
    assert_eq!(std::fs::read(output.path()).unwrap(), b"b\nc\n");
}

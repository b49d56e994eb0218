//! What the documents' programs get wrong, the recipes get right: long lines, empty lines, lines that are
//! not UTF-8, and no line at all. The whole message gets across, or there is a clear error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{after_end, after_output, folder, ours, port_2000, texts};
use ipc_core::{Endpoint, ErrorKind, Options, Scheme};
use ipc_examples::stage::{Role, Transcript, play};
use ipc_msgq::SysvReceiver;
use std::num::NonZeroU8;
use std::process::{Command, Stdio};

fn lines() -> [Vec<u8>; 3] {
    [
        b"long ".iter().copied().cycle().take(10_000).collect(),
        Vec::new(),
        b"caf\xe9 \xff\x80 end".to_vec(),
    ]
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// Plays the roles; all succeed, and the last prints `line` behind `before`.
fn whole(roles: &[Role], line: &[u8], before: &str) {
    let transcripts = play(roles, folder().path(), false).unwrap();
    let said = |transcript: &Transcript| String::from_utf8_lossy(&transcript.text).into_owned();
    for transcript in &transcripts {
        assert!(transcript.status.success(), "{}: {}", transcript.status, said(transcript));
    }
    let printed = transcripts.last().unwrap();
    let expected = [before.as_bytes(), line, b"\n"].concat();
    assert!(contains(&printed.text, &expected), "{}", said(printed));
}

/// Plays a role, which fails and says why.
fn a_clear_error(role: Role, why: &str) {
    let transcripts = play(&[role], folder().path(), false).unwrap();
    let text = String::from_utf8_lossy(&transcripts[0].text);
    assert_eq!(transcripts[0].status.code(), Some(1), "{text}");
    assert!(text.contains("Error") && text.contains(why), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn odd_lines_get_through_readwritepipe() {
    for line in lines() {
        let answers: [&[u8]; 2] = [&line, b"second"];
        whole(&[ours("readwritepipe", &answers)], &line, "are as follows:\n");
    }
}

#[test]
fn odd_lines_get_through_pipedemo() {
    for line in lines() {
        whole(&[ours("pipedemo", &[&line])], &line, "Entered message : ");
    }
}

#[test]
fn odd_lines_get_through_writefifo_and_readfifo() {
    for line in lines() {
        let roles = [ours("writefifo", &[&line]), ours("readfifo", &[])];
        whole(&roles, &line, "Read from the FIFO Pipe: ");
    }
}

#[test]
fn a_line_with_a_nul_in_it_is_a_clear_error_of_writefifo() {
    // The C program at the other end takes what stands before it for all.
    let roles = [ours("writefifo", &[b"be\0fore"]), ours("readfifo", &[])];
    let played = play(&roles, folder().path(), false).unwrap();
    let said = played.iter().map(|played| String::from_utf8_lossy(&played.text)).collect::<Vec<_>>();
    assert!(played.iter().all(|played| played.status.code() == Some(1)), "{said:?}");
    assert!(said[0].contains("it cannot contain a NUL byte"), "{}", said[0]);
    assert!(said[1].contains("Disconnected"), "{}", said[1]);
}

#[test]
fn odd_lines_get_through_messageqsend_and_messageqrecv() {
    for line in lines() {
        let sender = ours("messageqsend", &[&line]);
        if line.len() > 8192 {
            // The receiver would wait for another message.
            a_clear_error(sender, "msgmax");
        } else {
            let roles = [sender, after_end(ours("messageqrecv", &[]), 0)];
            whole(&roles, &line, "The message received is ");
        }
    }
}

#[test]
fn a_line_too_long_for_the_queue_leaves_no_queue() {
    let folder = folder();
    let played = play(&[ours("messageqsend", &[&[b'x'; 10_000]])], folder.path(), false).unwrap();
    assert_eq!(played[0].status.code(), Some(1));
    let options = Options::default().id(NonZeroU8::new(b'a').unwrap());
    let queue =
        Endpoint::from_path(Scheme::SysvMsg, folder.path().join("messagefile"), options).unwrap();
    let error = SysvReceiver::connect(&queue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn odd_lines_get_through_writememory_and_readmemory() {
    for line in lines() {
        let writer = ours("writememory", &[&line]);
        if line.len() > 1023 {
            a_clear_error(writer, "room for 1023");
        } else {
            let roles = [writer, after_end(ours("readmemory", &[]), 0)];
            whole(&roles, &line, "Data read from memory: ");
        }
    }
}

#[test]
fn the_longest_text_fills_the_memory_and_one_byte_more_is_refused() {
    let longest = [b'x'; 1023];
    let roles = [ours("writememory", &[&longest]), after_end(ours("readmemory", &[]), 0)];
    let played = texts(&roles, folder().path());
    assert_eq!(played[1], format!("Data read from memory: {}\n", "x".repeat(1023)));

    let roles = [ours("writememory", &[&[b'x'; 1024]]), after_end(ours("readmemory", &[]), 0)];
    let played = play(&roles, folder().path(), false).unwrap();
    let said = |index: usize| String::from_utf8_lossy(&played[index].text).into_owned();
    assert!(said(0).contains("has 1024 bytes; the segment has room for 1023"), "{}", said(0));
    assert_eq!(played[0].status.code(), Some(1));
    // Nothing was made, so there is nothing to read.
    assert_eq!(played[1].status.code(), Some(1));
    assert!(said(1).contains("NotFound"), "{}", said(1));
}

#[test]
fn odd_lines_get_through_serverprog_and_clientprog() {
    let _port = port_2000();
    for line in lines() {
        let roles = [ours("serverprog", &[&line]), ours("clientprog", &[])];
        let folder = folder();
        let transcripts = play(&roles, folder.path(), false).unwrap();
        assert!(transcripts.iter().all(|transcript| transcript.status.success()));
        // No newline at the end, as in the document.
        assert_eq!(transcripts[1].text, [b"Data received from server: ", &line[..]].concat());
    }
}

#[test]
fn odd_lines_get_through_udpc_and_udps() {
    let _port = port_2000();
    for line in lines() {
        let client = ours("udpc", &[&line]);
        let roles =
            [after_output(client, 1, "Waiting for the message from the client"), ours("udps", &[&line])];
        whole(&roles, &line, "Message received from the client: ");
    }
}

#[test]
fn a_closed_standard_input_of_writefifo_is_a_clear_error_to_both() {
    let roles = [ours("writefifo", &[]), ours("readfifo", &[])];
    let played = play(&roles, folder().path(), false).unwrap();
    let said = played.iter().map(|played| String::from_utf8_lossy(&played.text)).collect::<Vec<_>>();
    assert!(played.iter().all(|played| played.status.code() == Some(1)), "{said:?}");
    assert!(said[0].contains("standard input has ended"), "{}", said[0]);
    assert!(said[1].contains("Disconnected"), "{}", said[1]);
}

#[test]
fn a_closed_standard_input_is_a_clear_error() {
    let _port = port_2000();
    for name in ["readwritepipe", "pipedemo", "messageqsend", "writememory", "serverprog", "udpc"] {
        let folder = folder();
        let output = Command::new(ours(name, &[]).path)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("standard input has ended"), "{name}: {said}");
    }
}

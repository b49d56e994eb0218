//! The recipes with two sides, with a C program as the other side, in both directions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{after_end, after_file, folder, ours, texts, theirs};

const TEXT: &str = "This is a named pipe demo example called FIFO";
const READ: &str = "Read from the FIFO Pipe: This is a named pipe demo example called FIFO\n";

#[test]
fn readfifo_reads_what_a_c_program_writes() {
    let folder = folder();
    let writer = theirs("writefifo", folder.path(), &[("Enter text: ", TEXT)]);
    let printed = texts(&[writer, ours("readfifo", &[])], folder.path());
    assert_eq!(printed[1], READ);
}

#[test]
fn a_c_program_reads_what_writefifo_writes() {
    let folder = folder();
    // It does not wait for the FIFO.
    let reader = after_file(theirs("readfifo", folder.path(), &[]), "FIFOPipe");
    let printed = texts(&[ours("writefifo", &[TEXT.as_bytes()]), reader], folder.path());
    assert_eq!(printed[1], READ);
}

#[test]
fn the_c_programs_understand_each_other() {
    let folder = folder();
    let writer = theirs("writefifo", folder.path(), &[("Enter text: ", TEXT)]);
    let reader = after_file(theirs("readfifo", folder.path(), &[]), "FIFOPipe");
    let printed = texts(&[writer, reader], folder.path());
    assert_eq!(printed[1], READ);
}

const ASKED: &str = "Enter a message to add to message queue : ";

#[test]
fn messageqrecv_receives_what_a_c_program_sends() {
    let folder = folder();
    let sender = theirs("messageqsend", folder.path(), &[(ASKED, "GoodBye")]);
    let printed = texts(&[sender, after_end(ours("messageqrecv", &[]), 0)], folder.path());
    assert_eq!(printed[1], "The message received is GoodBye\n");
}

#[test]
fn a_c_program_receives_what_messageqsend_sends() {
    let folder = folder();
    let receiver = after_end(theirs("messageqrecv", folder.path(), &[]), 0);
    let printed = texts(&[ours("messageqsend", &[b"GoodBye"]), receiver], folder.path());
    assert_eq!(
        printed[0],
        "Enter a message to add to message queue : GoodBye\nThe message sent is GoodBye\n"
    );
    assert_eq!(printed[1], "The message received is GoodBye\n");
}

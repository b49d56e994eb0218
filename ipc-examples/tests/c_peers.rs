//! The recipes with two sides, with a C program as the other side, in both directions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{after_end, after_file, after_output, folder, ours, port_2000, texts, theirs};

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

const TYPED: &str = "Enter the string to be written in memory : ";
const RAIN: &str = "Today it might rain";

#[test]
fn readmemory_reads_what_a_c_program_writes() {
    let folder = folder();
    let writer = theirs("writememory", folder.path(), &[(TYPED, RAIN)]);
    let printed = texts(&[writer, after_end(ours("readmemory", &[]), 0)], folder.path());
    assert_eq!(printed[1], format!("Data read from memory: {RAIN}\n"));
}

#[test]
fn a_c_program_reads_what_writememory_writes() {
    let folder = folder();
    let reader = after_end(theirs("readmemory", folder.path(), &[]), 0);
    let printed = texts(&[ours("writememory", &[RAIN.as_bytes()]), reader], folder.path());
    assert_eq!(printed[0], format!("{TYPED}{RAIN}\nString written in memory: {RAIN}\n"));
    assert_eq!(printed[1], format!("Data read from memory: {RAIN}\n"));
}

const SERVER: &str = "Enter text to send to the client: ";

#[test]
fn clientprog_shows_what_a_c_server_sends() {
    let (_port, folder) = (port_2000(), folder());
    let server = theirs("serverprog", folder.path(), &[(SERVER, "thanks and good bye")]);
    let printed = texts(&[server, ours("clientprog", &[])], folder.path());
    assert_eq!(printed[1], "Data received from server: thanks and good bye");
}

#[test]
fn a_c_client_shows_what_serverprog_sends() {
    let (_port, folder) = (port_2000(), folder());
    let client = after_output(theirs("clientprog", folder.path(), &[]), 0, SERVER);
    let printed = texts(&[ours("serverprog", &[b"thanks and good bye"]), client], folder.path());
    assert_eq!(printed[1], "Data received from server: thanks and good bye");
}

const WAITING: &str = "Waiting for the message from the client";
const MESSAGE: &str = "Enter the message to send to the server: ";
const REPLY: &str = "Enter the reply to be sent to the client: ";

/// What the UDP programs print, in C or in Rust.
fn udp_texts() -> [String; 2] {
    [
        format!(
            "{WAITING}\nMessage received from the client: Will it rain today?\n{REPLY}It might\n\
             Reply to the client sent \n"
        ),
        format!(
            "{MESSAGE}Will it rain today?\nMessage to the server sent. \nReceived from the server: It might\n"
        ),
    ]
}

#[test]
fn udpc_talks_with_a_c_server() {
    let (_port, folder) = (port_2000(), folder());
    let server = theirs("udps", folder.path(), &[(REPLY, "It might")]);
    let client = after_output(ours("udpc", &[b"Will it rain today?"]), 0, WAITING);
    assert_eq!(texts(&[server, client], folder.path()), udp_texts());
}

#[test]
fn a_c_client_talks_with_udps() {
    let (_port, folder) = (port_2000(), folder());
    let client = theirs("udpc", folder.path(), &[(MESSAGE, "Will it rain today?")]);
    let roles = [ours("udps", &[b"It might"]), after_output(client, 0, WAITING)];
    assert_eq!(texts(&roles, folder.path()), udp_texts());
}

//! Every recipe prints what its document prints.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::port_2000;
use ipc_examples::{catalogue, programs, stage};

/// Plays a recipe with the documents' own input, and compares what its parts print, in order.
fn prints(name: &str, expected: &[&str]) {
    let recipe = catalogue::find(name).unwrap();
    let folder = programs::folder(recipe).unwrap();
    let roles = programs::roles(recipe, &[]).unwrap();
    let transcripts = stage::play(&roles, folder.path(), false).unwrap();
    for ((transcript, part), expected) in transcripts.iter().zip(recipe.parts).zip(expected) {
        let text = String::from_utf8_lossy(&transcript.text);
        assert!(transcript.status.success(), "{}: {}\n{text}", part.name, transcript.status);
        assert_eq!(&text, expected, "{}", part.name);
    }
    assert_eq!(transcripts.len(), expected.len());
}

#[test]
fn inprocexample() {
    prints(
        "inprocexample",
        &["SHASHANK1 is READY, signalling SHASHANK2\nSHASHANK2 is READY, signalling main function\n"],
    );
}

#[test]
fn inproc_names() {
    let long = format!("inproc://{}…", "x".repeat(191));
    let schemes = "inproc, pipe, fifo, unix, unixgram, unixpacket, tcp, udp, mq, sysvmsg, shm, sysvshm";
    let text = format!(
        "inproc://#1: hello\n\
         inproc://my-endpoint: hello\n\
         257 characters: parse {long}: the name is too long: \
         the inproc name has 257 characters: inproc_name_max is 256; a shorter one is needed\n\
         no name: parse inproc://: not an endpoint: \
         the inproc name is empty; it has 1 to 256 characters\n\
         the scheme in capitals: parse INPROC://#1: unknown scheme: schemes are lower case; \
         the schemes are {schemes} and ipc, which is unix\n\
         no ://: parse inproc:#1: not an endpoint: there is no ://; \
         an endpoint is SCHEME://ADDRESS, such as fifo:///tmp/x\n\
         bound twice: bind inproc://#1: the name is in use: \
         somebody in this context is bound to the name\n"
    );
    prints("inproc_names", &[&text]);
}

#[test]
fn pipe_basic() {
    prints("pipe_basic", &["read from 3, write to 4\nGo!\n"]);
}

#[test]
fn pipe_child() {
    prints("pipe_child", &["done\n"]);
}

#[test]
fn pipe_capacity() {
    let counts: String = (0..=65536).step_by(32).map(|count| format!("{count}\n")).collect();
    let full = "The pipe is full: it holds 65536 bytes, and another write would wait for a reader.\n";
    prints("pipe_capacity", &[&(counts + full)]);
}

#[test]
fn shell_pipeline() {
    let recipe = catalogue::find("shell_pipeline").unwrap();
    let folder = programs::folder(recipe).unwrap();
    let roles = programs::roles(recipe, &[]).unwrap();
    let transcripts = stage::play(&roles, folder.path(), false).unwrap();
    let text = String::from_utf8_lossy(&transcripts[0].text);
    // Whether the list has the file that it is written to is a race, in a shell too.
    let text = text.replace("dir_contents\n", "");
    assert_eq!(
        text,
        "apple\nbanana\ncherry\nls: exit status: 0\ncut: exit status: 0\nuniq: exit status: 0\n\
         sort: exit status: 0\ntee: exit status: 0\n"
    );
    let written = std::fs::read_to_string(folder.path().join("dir_contents")).unwrap();
    assert_eq!(written.replace("dir_contents\n", ""), "apple\nbanana\ncherry\n");
}

#[test]
fn shared_mutex() {
    let recipe = catalogue::find("shared_mutex").unwrap();
    let folder = programs::folder(recipe).unwrap();
    let roles = programs::roles(recipe, &[]).unwrap();
    let transcripts = stage::play(&roles, folder.path(), false).unwrap();
    let text = String::from_utf8_lossy(&transcripts[0].text);
    assert!(transcripts[0].status.success(), "{text}");
    // How many are lost is different each time; that some are, is not.
    let number =
        text.split("Without the mutex: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    assert!((1..200_000).contains(&number.parse::<u32>().unwrap()), "{text}");
    assert_eq!(
        text.replace(&format!(": {number},"), ": SOME,"),
        "Parent and child count to 100000 each: 200000 together\n\
         Without the mutex: SOME, some are lost\n\
         With the mutex: 200000, none is lost\n"
    );
}

#[test]
fn pipe_stdio() {
    prints("pipe_stdio", &["Writing...\nReading...\n3 values parsed: 10 20 30\n"]);
}

#[test]
fn readwritepipe() {
    prints(
        "readwritepipe",
        &["Enter first message to write into pipe: This is the first message for the pipe\n\
           Enter second message to write into pipe: Second message for the pipe\n\
           Messages read from the pipe are as follows:\n\
           This is the first message for the pipe\n\
           Second message for the pipe\n"],
    );
}

#[test]
fn pipedemo() {
    // The document's program ends with a newline and a blank.
    prints(
        "pipedemo",
        &["Enter the string : This is a message from the pipe\n\
           Entered message : This is a message from the pipe\n "],
    );
}

#[test]
fn writefifo_and_readfifo() {
    prints(
        "writefifo",
        &[
            "Enter text: This is a named pipe demo example called FIFO\n",
            "Read from the FIFO Pipe: This is a named pipe demo example called FIFO\n",
        ],
    );
}

#[test]
fn posix_mq() {
    prints(
        "posix_mq",
        &["The queue holds 4 messages of up to 64 bytes\n\
           Sent with priority 0: when you have time\n\
           Sent with priority 5: soon\n\
           Sent with priority 9: at once\n\
           Sent with priority 5: soon after\n\
           Messages waiting: 4\n\
           Received with priority 9: at once\n\
           Received with priority 5: soon\n\
           Received with priority 5: soon after\n\
           Received with priority 0: when you have time\n"],
    );
}

#[test]
fn messageqsend_and_messageqrecv() {
    prints(
        "messageqsend",
        &[
            "Enter a message to add to message queue : GoodBye\nThe message sent is GoodBye\n",
            "The message received is GoodBye\n",
        ],
    );
}

#[test]
fn posix_shm() {
    prints(
        "posix_shm",
        &["The segment has 4096 bytes\n\
           Written: Hello from shared memory\n\
           Read through a second handle: Hello from shared memory\n\
           Listed with 4096 bytes, in use\n\
           Removed: nothing of that name is left\n"],
    );
}

#[test]
fn writememory_and_readmemory() {
    prints(
        "writememory",
        &[
            "Enter the string to be written in memory : Today it might rain\n\
             String written in memory: Today it might rain\n",
            "Data read from memory: Today it might rain\n",
        ],
    );
}

#[test]
fn serverprog_and_clientprog() {
    let _port = port_2000();
    prints(
        "serverprog",
        &[
            "Enter text to send to the client: thanks and good bye\n",
            "Data received from server: thanks and good bye",
        ],
    );
}

#[test]
fn udps_and_udpc() {
    let _port = port_2000();
    prints(
        "udps",
        &[
            "Waiting for the message from the client\n\
             Message received from the client: Will it rain today?\n\
             Enter the reply to be sent to the client: It might\n\
             Reply to the client sent \n",
            "Enter the message to send to the server: Will it rain today?\n\
             Message to the server sent. \n\
             Received from the server: It might\n",
        ],
    );
}

#[test]
fn sync_message() {
    prints(
        "sync_message",
        &["sender: sends \"save this\", and waits\n\
           receiver: has got \"save this\"\n\
           receiver: is done with it\n\
           sender: goes on, knowing that it is done\n"],
    );
}

#[test]
fn async_message() {
    prints(
        "async_message",
        &["sender: has sent \"count these letters\", which nobody has read yet\n\
           sender: adds up 1 to 100 meanwhile: 5050\n\
           receiver: has got \"count these letters\", and answers\n\
           sender: collects the answer: 17\n"],
    );
}

#[test]
fn rpc_server_and_rpc_client() {
    prints(
        "rpc_server",
        &[
            "Serving add, upper and stop at unix://rpc_socket\nadd 20 22\nupper it might\nstop\n",
            "Call: add 20 22\nResult: 42\nCall: upper it might\nResult: IT MIGHT\n\
             Call: stop\nResult: the server stops\n",
        ],
    );
}

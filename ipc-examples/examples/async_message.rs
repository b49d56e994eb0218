//! Asynchronous communication: the sender goes on at once, and collects the answer when it needs it.
//!
//! ```text
//! $ cargo run -q -p ipc-examples --example async_message
//! sender: has sent "count these letters", which nobody has read yet
//! sender: adds up 1 to 100 meanwhile: 5050
//! receiver: has got "count these letters", and answers
//! sender: collects the answer: 17
//! ```
//!
//! The receiver is started late on purpose: it shows that the sender did not need it to go on. Beside it,
//! see `sync_message`.

use ipc_socket::{Caller, Result, Scheme, Server, SocketPair, Wait};

fn main() -> Result<()> {
    let (ours, theirs) = SocketPair::anonymous(Scheme::UnixPacket)?;
    let mut sender = Caller::new(ours);

    let ticket = sender.request(b"count these letters", Wait::Forever)?;
    println!("sender: has sent \"count these letters\", which nobody has read yet");
    println!("sender: adds up 1 to 100 meanwhile: {}", (1..=100).sum::<u32>());

    let receiver = std::thread::spawn(move || {
        Server::new(theirs).serve(|message| {
            println!("receiver: has got {:?}, and answers", String::from_utf8_lossy(message));
            message.iter().filter(|byte| byte.is_ascii_alphabetic()).count().to_string()
        })
    });

    let answer = sender.collect(&ticket, Wait::Forever)?;
    println!("sender: collects the answer: {}", String::from_utf8_lossy(answer));

    drop(sender);
    receiver.join().unwrap_or(Ok(()))
}

//! Synchronous communication: the sender does nothing else until the receiver has dealt with the message.
//!
//! ```text
//! $ cargo run -q -p ipc-examples --example sync_message
//! sender: sends "save this", and waits
//! receiver: has got "save this"
//! receiver: is done with it
//! sender: goes on, knowing that it is done
//! ```
//!
//! Beside it, see `async_message`.

use ipc_socket::{Caller, Result, Scheme, Server, SocketPair, Wait};

fn main() -> Result<()> {
    let (ours, theirs) = SocketPair::anonymous(Scheme::UnixPacket)?;
    let receiver = std::thread::spawn(move || {
        Server::new(theirs).serve(|message| {
            println!("receiver: has got {:?}", String::from_utf8_lossy(message));
            println!("receiver: is done with it");
            "" // That it is done is all there is to say.
        })
    });

    println!("sender: sends \"save this\", and waits");
    let mut sender = Caller::new(ours);
    sender.call(b"save this", Wait::Forever)?;
    println!("sender: goes on, knowing that it is done");

    drop(sender);
    receiver.join().unwrap_or(Ok(()))
}

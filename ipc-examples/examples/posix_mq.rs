//! Sends messages of different priorities to a POSIX message queue, and receives them: the most urgent
//! first, and of those that are equally urgent the one that was sent first.
//!
//! ```text
//! $ cargo run --example posix_mq
//! The queue holds 4 messages of up to 64 bytes
//! Sent with priority 0: when you have time
//! Sent with priority 5: soon
//! Sent with priority 9: at once
//! Sent with priority 5: soon after
//! Messages waiting: 4
//! Received with priority 9: at once
//! Received with priority 5: soon
//! Received with priority 5: soon after
//! Received with priority 0: when you have time
//! ```
//!
//! It is `mq_open`, `mq_send` and `mq_receive` of C, and `mq_unlink` when the receiver is dropped.

use ipc_examples::show;
use ipc_msgq::{MqReceiver, MqSender, Wait};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let name = format!("mq://ipc-posix_mq-{}", std::process::id());
    let mut receiver = MqReceiver::bind(format!("{name}?capacity=4&max_message=64"))?;
    let mut sender = MqSender::connect(&name)?;

    let queue = receiver.attributes()?;
    let (capacity, longest) = (queue.capacity, queue.max_message);
    show("", format!("The queue holds {capacity} messages of up to {longest} bytes").as_bytes())?;

    for (priority, message) in
        [(0, "when you have time"), (5, "soon"), (9, "at once"), (5, "soon after")]
    {
        sender.send_with_priority(message.as_bytes(), priority, Wait::Forever)?;
        show(&format!("Sent with priority {priority}: "), message.as_bytes())?;
    }

    let waiting = receiver.attributes()?.waiting;
    show("", format!("Messages waiting: {waiting}").as_bytes())?;
    for _ in 0..waiting {
        let (priority, message) = receiver.recv_with_priority(Wait::Forever)?;
        show(&format!("Received with priority {priority}: "), message)?;
    }
    Ok(())
}

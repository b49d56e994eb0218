//! The child that holds an end for a rule, and does what it is told; `remote` is the other side, and tells
//! how the two get together.

use super::remote::{END, PLACE, numbers_in};
use super::storm::Storm;
use super::wire::{Answer, Command, Value, read_frame, write_frame};
use super::{End, Fixture, Opened, lock};
use crate::{Receiver, Result, Sender};
use nix::unistd::gettid;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, mpsc};
use std::{env, io, panic, process, thread};

/// The peer test's body: in a child that a rule has started, opens an end and obeys; otherwise returns
/// at once.
pub fn serve(fixture: &dyn Fixture) {
    let (Ok(end), Ok(place)) = (env::var(END), env::var(PLACE)) else { return };
    let end = [End::Sender, End::Receiver, End::Binder, End::Connector]
        .into_iter()
        .find(|known| format!("{known:?}") == end)
        .expect("the parent names an end");
    let control = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let control = control.expect("the standard input is the control channel");
    let (half_0, commands) = mpsc::channel();
    let (half_1, other_commands) = mpsc::channel();
    let incoming = control.try_clone().expect("a second handle of the control channel");
    thread::spawn(move || {
        let halves = [half_0, half_1];
        while let Ok((half, command)) = read_frame(&incoming) {
            // Half 1 obeys nothing as long as there is none.
            let _ = halves[usize::from(half)].send(Command::decode(command));
        }
        process::exit(0);
    });
    let control = Arc::new(Mutex::new(control));
    let [answers, answers_of_hook] = [0, 0].map(|half| Answers { control: Arc::clone(&control), half });
    // A panic is the parent's to report, where the test's output is captured.
    panic::set_hook(Box::new(move |panic| {
        answers_of_hook.give(&Answer::Panicked(panic.to_string()));
        process::exit(101);
    }));
    answers.give(&Answer::Hello(numbers_in("/proc/self/fd")));
    match fixture.open(end, &place) {
        Ok(opened) => {
            answers.give(&Answer::Done(Ok(Value::Nothing)));
            obey(opened, &commands, &answers, Some(other_commands));
        }
        Err(error) => return answers.give(&Answer::Done(Err(error))),
    }
    // A dropped end leaves the process alive, so that the peer learns of the drop and not of the exit.
    loop {
        thread::park();
    }
}

/// Where a child's answers go.
struct Answers {
    control: Arc<Mutex<UnixStream>>,
    half: u8,
}

impl Answers {
    fn give(&self, answer: &Answer) {
        // The lock keeps the answers of two halves apart.
        let control = lock(&self.control);
        if write_frame(&*control, self.half, answer.encode()).is_err() {
            process::exit(0);
        }
    }
}

fn obey(
    opened: Opened,
    commands: &mpsc::Receiver<Command>,
    answers: &Answers,
    mut other_commands: Option<mpsc::Receiver<Command>>,
) {
    let mut opened = Some(opened);
    let mut storm = false;
    for command in commands {
        if let Command::Storm(on) = command {
            storm = on;
            continue;
        }
        answers.give(&Answer::Begun(gettid().as_raw()));
        let result = match command {
            Command::Drop => {
                opened = None;
                Ok(Value::Nothing)
            }
            Command::Split => {
                let Some(Opened::Pair(pair)) = opened else { panic!("only a pair can be split") };
                let (sender, receiver) = pair.split_boxed();
                opened = Some(Opened::Sender(sender));
                let commands = other_commands.take().expect("a pair is split once");
                let answers = Answers { control: Arc::clone(&answers.control), half: 1 };
                thread::spawn(move || obey(Opened::Receiver(receiver), &commands, &answers, None));
                Ok(Value::Nothing)
            }
            command => {
                let _storm = storm.then(Storm::on_this_thread);
                perform(opened.as_mut().expect("the end has not been dropped yet"), command)
            }
        };
        answers.give(&Answer::Done(result));
    }
}

fn perform(opened: &mut Opened, command: Command) -> Result<Value> {
    match command {
        Command::Send(wait, message) => {
            sender(opened).send_within(&message, wait).map(|()| Value::Nothing)
        }
        Command::SendBatch(wait, messages) => {
            let messages: Vec<_> = messages.iter().map(Vec::as_slice).collect();
            sender(opened).send_batch(&messages, wait).map(Value::Count)
        }
        Command::Flush(wait) => sender(opened).flush(wait).map(|()| Value::Nothing),
        Command::Recv(wait) => {
            receiver(opened).recv_within(wait).map(|message| Value::Message(message.to_vec()))
        }
        Command::RecvInto => {
            let mut buffer = b"as it was".to_vec();
            let result = receiver(opened).recv_into(&mut buffer);
            assert!(result.is_ok() || buffer == b"as it was", "an error leaves the buffer as it was");
            result.map(|_| Value::Message(buffer))
        }
        Command::RecvVec => receiver(opened).recv_vec().map(Value::Message),
        Command::Split | Command::Storm(_) | Command::Drop => unreachable!("done by the caller"),
    }
}

fn sender(opened: &mut Opened) -> &mut dyn Sender {
    match opened {
        Opened::Sender(sender) => &mut **sender,
        Opened::Pair(pair) => &mut **pair,
        Opened::Receiver(_) => panic!("a receiver cannot send"),
    }
}

fn receiver(opened: &mut Opened) -> &mut dyn Receiver {
    match opened {
        Opened::Receiver(receiver) => &mut **receiver,
        Opened::Pair(pair) => &mut **pair,
        Opened::Sender(_) => panic!("a sender cannot receive"),
    }
}

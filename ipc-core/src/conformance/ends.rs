//! The two ends as a rule holds them: wherever they live, they are used alike, and no call of theirs can
//! hang unseen.

use super::remote::{Process, RemoteEnd};
use super::storm::Storm;
use super::watch::{Activity, Thread};
use super::wire::{Command, Value};
use crate::{Pair, Receiver, Result, Sender, Wait};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The sending end, as a rule holds it.
pub type Tx = Watched<Box<dyn Sender>>;
/// The receiving end, as a rule holds it.
pub type Rx = Watched<Box<dyn Receiver>>;
/// One end of a pair, as a rule holds it.
pub type Both = Watched<Box<dyn Pair>>;

/// An end, here or in a child process, every call of which is on record.
///
/// It is a [`Sender`], a [`Receiver`] or both, as the end is.
pub struct Watched<E> {
    home: Home<E>,
    activity: Arc<Activity>,
    /// The message that was received last, if the end lives in a child.
    message: Vec<u8>,
    storm: bool,
}

enum Home<E> {
    Here(E),
    Child(RemoteEnd),
}

impl<E> Watched<E> {
    pub(super) fn here(end: E, activity: Arc<Activity>) -> Self {
        Watched { home: Home::Here(end), activity, message: Vec::new(), storm: false }
    }

    pub(super) fn in_child(end: RemoteEnd, activity: Arc<Activity>) -> Self {
        Watched { home: Home::Child(end), activity, message: Vec::new(), storm: false }
    }

    /// Whether it lives in a child process.
    pub fn is_across(&self) -> bool {
        self.process().is_some()
    }

    /// Kills the child process that it lives in (SIGKILL), and waits for that.
    ///
    /// # Panics
    ///
    /// If it lives in this process.
    pub fn kill(&self) {
        self.process().expect("only an end in a child can be killed").kill();
    }

    /// From now on, a handled signal hits the calling thread every millisecond while it is in a call.
    pub fn brave_a_storm(&mut self) {
        match &self.home {
            Home::Here(_) => self.storm = true,
            Home::Child(end) => end.tell(&Command::Storm(true)).expect("the child listens"),
        }
    }

    pub(super) fn process(&self) -> Option<&Arc<Process>> {
        match &self.home {
            Home::Here(_) => None,
            Home::Child(end) => Some(end.process()),
        }
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl<E: Sender> Sender for Watched<E> {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        match &mut self.home {
            Home::Here(end) => {
                recorded(&self.activity, self.storm, "send", || end.send_within(message, wait))
            }
            Home::Child(end) => {
                end.call(&self.activity, &Command::Send(wait, message.to_vec())).map(|_| ())
            }
        }
    }

    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        match &mut self.home {
            Home::Here(end) => {
                recorded(&self.activity, self.storm, "send_batch", || end.send_batch(messages, wait))
            }
            Home::Child(end) => {
                let messages = messages.iter().map(|message| message.to_vec()).collect();
                end.call(&self.activity, &Command::SendBatch(wait, messages)).map(Value::into_count)
            }
        }
    }

    fn flush(&mut self, wait: Wait) -> Result<()> {
        match &mut self.home {
            Home::Here(end) => recorded(&self.activity, self.storm, "flush", || end.flush(wait)),
            Home::Child(end) => end.call(&self.activity, &Command::Flush(wait)).map(|_| ()),
        }
    }
}

impl<E: Receiver> Receiver for Watched<E> {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        match &mut self.home {
            Home::Here(end) => recorded(&self.activity, self.storm, "recv", || end.recv_within(wait)),
            Home::Child(end) => {
                self.message = end.call(&self.activity, &Command::Recv(wait))?.into_message();
                Ok(&self.message)
            }
        }
    }

    fn recv_into(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        match &mut self.home {
            Home::Here(end) => {
                recorded(&self.activity, self.storm, "recv_into", || end.recv_into(buffer))
            }
            Home::Child(end) => {
                *buffer = end.call(&self.activity, &Command::RecvInto)?.into_message();
                Ok(buffer.len())
            }
        }
    }

    fn recv_vec(&mut self) -> Result<Vec<u8>> {
        match &mut self.home {
            Home::Here(end) => recorded(&self.activity, self.storm, "recv_vec", || end.recv_vec()),
            Home::Child(end) => end.call(&self.activity, &Command::RecvVec).map(Value::into_message),
        }
    }
}

/// Makes a call in this thread: on the record, and in a storm if there is to be one.
fn recorded<T>(activity: &Activity, storm: bool, what: &'static str, call: impl FnOnce() -> T) -> T {
    let _storm = storm.then(Storm::on_this_thread);
    activity.during(what, true, call)
}

impl Both {
    /// Takes the pair apart; see [`Setup::split`](super::Setup::split), which watches over the halves.
    pub(super) fn split(self) -> (Tx, Rx) {
        let who = self.activity.who();
        let halves = ["sending half", "receiving half"]
            .map(|half| Arc::new(Activity::new(format!("the {half} of {who}"))));
        let [sending, receiving] = halves;
        match self.home {
            Home::Here(pair) => {
                let (sender, receiver) = pair.split_boxed();
                (Watched::here(sender, sending), Watched::here(receiver, receiving))
            }
            Home::Child(end) => {
                let (sender, receiver) = end.split(&self.activity);
                (Watched::in_child(sender, sending), Watched::in_child(receiver, receiving))
            }
        }
    }
}

/// Something that goes on in a thread of its own, with an end that comes back when it is over.
pub struct Background<E, T> {
    thread: JoinHandle<(Watched<E>, T)>,
    activity: Arc<Activity>,
    patience: Duration,
}

impl<E: Send + 'static, T: Send + 'static> Background<E, T> {
    pub(super) fn start(
        mut end: Watched<E>,
        patience: Duration,
        work: impl FnOnce(&mut Watched<E>) -> T + Send + 'static,
    ) -> Self {
        let activity = Arc::clone(&end.activity);
        let thread = thread::spawn(move || {
            let result = work(&mut end);
            (end, result)
        });
        Background { thread, activity, patience }
    }

    /// Waits until it sleeps in the kernel: until the call blocks, then.
    ///
    /// # Panics
    ///
    /// If it ends instead, or does not sleep within the time.
    pub fn until_asleep(&self) {
        self.sleeper();
    }

    /// The same, giving the thread that sleeps.
    pub(super) fn sleeper(&self) -> Thread {
        let mut asleep = None;
        super::until("it sleeps in the kernel", self.patience, || {
            assert!(
                !self.thread.is_finished(),
                "{} should have blocked, and did not",
                self.activity.who()
            );
            asleep = self.activity.thread().filter(|thread| thread.sleeps());
            asleep.is_some()
        });
        asleep.expect("it was just seen")
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end, and gives the end back and what came of it.
    pub fn join(self) -> (Watched<E>, T) {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

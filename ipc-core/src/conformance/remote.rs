//! An end that lives in a child process: the proxy that a rule holds.
//!
//! The child is the running test binary once more, told by its arguments to run one test only: the peer
//! test, which calls [`serve`](super::serve). What end to open, and where, stands in its environment. Its
//! standard input is one end of a socket pair, the control channel: commands come in there, and answers go
//! out on the same descriptor, which the chatter of the test harness on the standard output cannot disturb.
//!
//! * A name that no test has would run nothing, and succeed. So the parent waits for the child's hello.
//! * The child exits when the control channel ends, so it never outlives its parent. A thread of its own
//!   reads the channel, so that this holds while a call blocks.
//! * A call is answered twice: when it begins, with the number of the thread that makes it, so that the
//!   parent can look whether that thread sleeps; and when it is done.

use super::watch::{Activity, Thread};
use super::wire::{Answer, Command, Value, read_frame, write_frame};
use super::{End, Fixture, Setup, lock};
use crate::{Error, ErrorKind, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{self, Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::{env, fs, io, thread};

/// The variable of the child's environment that names the end to open.
pub(super) const END: &str = "IPC_CONFORMANCE_END";
/// The one that names the place.
pub(super) const PLACE: &str = "IPC_CONFORMANCE_PLACE";

/// A child process that holds an end.
pub(super) struct Process {
    child: Mutex<Child>,
    pid: Pid,
    control: Mutex<UnixStream>,
    /// The rule killed it: that it is gone is not a surprise.
    killed: AtomicBool,
    /// What it said when it panicked.
    panic: Arc<Mutex<Option<String>>>,
    /// The descriptors that were open in it before it opened its end.
    descriptors_before: Vec<u32>,
}

/// The proxy of an end, or of one half of a pair.
pub(super) struct RemoteEnd {
    process: Arc<Process>,
    half: u8,
    answers: mpsc::Receiver<Answer>,
    /// Those of half 1, until the pair is split.
    other_answers: Option<mpsc::Receiver<Answer>>,
}

/// Starts a child that opens `end`, and waits until it begins to.
pub(super) fn start(
    fixture: &dyn Fixture,
    (end, place, peer_test): (End, &str, &str),
    activity: &Activity,
) -> RemoteEnd {
    let (control, theirs) = UnixStream::pair().expect("a socket pair");
    let mut command = process::Command::new(env::current_exe().expect("the test binary's path"));
    command.args([peer_test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(END, format!("{end:?}")).env(PLACE, place).stdout(Stdio::null());
    fixture.hand_over(end, place, &mut command).expect("the fixture hands over its end");
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    let child = command.spawn().expect("the test binary starts once more");
    // It holds our copy of the child's end of the control channel.
    drop(command);

    let mut process = Process {
        pid: Pid::from_raw(child.id() as i32),
        child: Mutex::new(child),
        control: Mutex::new(control.try_clone().expect("a second handle of the control channel")),
        killed: AtomicBool::new(false),
        panic: Arc::default(),
        descriptors_before: Vec::new(),
    };
    let hello = activity.during("start of the child process", false, || read_frame(&control));
    match hello.map(|(_, answer)| Answer::decode(answer)) {
        Ok(Answer::Hello(descriptors)) => process.descriptors_before = descriptors,
        _ => panic!(
            "the child process said nothing and ended with {}: is {peer_test} the peer test's name?",
            process.last_words()
        ),
    }
    let (half_0, answers) = mpsc::channel();
    let (half_1, other_answers) = mpsc::channel();
    let panic = Arc::clone(&process.panic);
    thread::spawn(move || {
        let halves = [half_0, half_1];
        while let Ok((half, answer)) = read_frame(&control) {
            match Answer::decode(answer) {
                Answer::Panicked(text) => *lock(&panic) = Some(text),
                // A proxy that is gone does not listen any more.
                answer => drop(halves[usize::from(half)].send(answer)),
            }
        }
    });
    let other_answers = Some(other_answers);
    RemoteEnd { process: Arc::new(process), half: 0, answers, other_answers }
}

impl Process {
    /// Kills it, as SIGKILL does, and waits until the kernel has cleaned up behind it.
    pub(super) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.end();
    }

    /// Stops it, as SIGSTOP does.
    pub(super) fn stop(&self) {
        kill(self.pid, Signal::SIGSTOP).expect("the child process can be stopped");
    }

    /// Lets it go on, as SIGCONT does.
    pub(super) fn resume(&self) {
        kill(self.pid, Signal::SIGCONT).expect("the child process can go on");
    }

    /// The descriptors that are open now and were not before the end was opened, with the flags of
    /// open(2) that each has; see proc_pid_fdinfo(5).
    pub(super) fn new_descriptors(&self) -> Vec<(u32, u32)> {
        let of_process = format!("/proc/{}/fdinfo", self.pid);
        let new = |number: &u32| !self.descriptors_before.contains(number);
        let with_flags = |number| {
            let info = fs::read_to_string(format!("{of_process}/{number}")).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
            Some((number, u32::from_str_radix(flags.trim(), 8).ok()?))
        };
        numbers_in(&of_process).into_iter().filter(new).filter_map(with_flags).collect()
    }

    fn end(&self) {
        let mut child = lock(&self.child);
        // It may be dead already, and its state has still to be collected.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Why it closed the control channel: its panic, or its exit status.
    fn last_words(&self) -> String {
        if let Some(panic) = &*lock(&self.panic) {
            return panic.clone();
        }
        let mut child = lock(&self.child);
        super::until("the child process is gone", Setup::PATIENCE, || {
            !matches!(child.try_wait(), Ok(None))
        });
        child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl RemoteEnd {
    pub(super) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Waits until the child has opened its end.
    pub(super) fn opened(&self, activity: &Activity) -> Result<()> {
        activity.during("open", false, || self.answer(activity, "open")).map(|_| ())
    }

    /// Has the child do something, on the record, and waits for what comes of it.
    pub(super) fn call(&self, activity: &Activity, command: &Command) -> Result<Value> {
        let what = command.name();
        activity.during(what, false, || match self.tell(command) {
            Ok(()) => self.answer(activity, what),
            Err(_) => self.gone(activity, what),
        })
    }

    /// Sends a command, and waits for nothing.
    pub(super) fn tell(&self, command: &Command) -> io::Result<()> {
        let control = lock(&self.process.control);
        write_frame(&*control, self.half, command.encode())
    }

    /// Takes the proxy of a pair apart.
    pub(super) fn split(mut self, activity: &Activity) -> (RemoteEnd, RemoteEnd) {
        self.call(activity, &Command::Split).expect("a pair can be split");
        let answers = self.other_answers.take().expect("a pair is split once");
        let process = Arc::clone(&self.process);
        (self, RemoteEnd { process, half: 1, answers, other_answers: None })
    }

    fn answer(&self, activity: &Activity, what: &'static str) -> Result<Value> {
        loop {
            match self.answers.recv() {
                Ok(Answer::Done(result)) => return result,
                Ok(Answer::Begun(thread)) => {
                    activity.done_by(Thread { process: self.process.pid.as_raw(), thread });
                }
                Ok(Answer::Hello(_) | Answer::Panicked(_)) => {}
                Err(_) => return self.gone(activity, what),
            }
        }
    }

    fn gone(&self, activity: &Activity, what: &'static str) -> Result<Value> {
        if self.process.killed.load(Ordering::Relaxed) {
            let error = Error::new(ErrorKind::System, what);
            return Err(error.with_detail("the rule has killed the process that was to do it"));
        }
        panic!("{}'s process ended during {what}: {}", activity.who(), self.process.last_words());
    }
}

impl Drop for RemoteEnd {
    fn drop(&mut self) {
        if self.tell(&Command::Drop).is_ok() {
            // Until it is done, or the process is gone. The rule's limit of time holds here too.
            while let Ok(Answer::Begun(_) | Answer::Hello(_)) = self.answers.recv() {}
        }
    }
}

/// The numbers that name files in a directory, but not that of the descriptor that reads it.
pub(super) fn numbers_in(directory: &str) -> Vec<u32> {
    let names = fs::read_dir(directory).expect("a directory of the kernel's can be read");
    let numbers: Vec<u32> =
        names.flatten().filter_map(|name| name.file_name().to_str()?.parse().ok()).collect();
    let still_there = |number: &u32| fs::symlink_metadata(format!("{directory}/{number}")).is_ok();
    numbers.into_iter().filter(still_there).collect()
}

//! What is counted: the ways in which messages are sent and received.

use crate::calls::{self, Calls};
use crate::lines::{Line, crossed};
use crate::{Transport, allocations};
use ipc_core::{Caller, Error, ErrorKind, Scheme, Server, Wait, Waiting};
use ipc_socket::SocketPair;
use nix::unistd::{Pid, gettid};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, thread};

const SIZES: [usize; 5] = [0, 64, 4096, 64 << 10, 1 << 20];

impl Transport {
    /// How many messages of this size one thread can send before it receives them.
    fn at_once(&self, size: usize) -> usize {
        let (messages, bytes) = self.holds;
        messages.min(bytes / size.max(64))
    }

    /// The sizes of messages that one thread can send and then receive.
    fn sizes(&self) -> impl Iterator<Item = usize> {
        SIZES.into_iter().filter(|&size| size <= self.longest && self.at_once(size) > 0)
    }
}

/// Held by the one test that runs: others would take the processors from its threads, so that these sleep where
/// they mostly do not, and take long where they spin.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does the work four times; in the first, buffers are made. What is done once in a connection's life, when some
/// time has passed, may come in between after that, but not each time.
fn allocates_nothing(what: &str, work: impl FnMut()) {
    allocates_nothing_in_the_end(what, 4, work);
}

/// The same with more runs, for what reaches its most buffers by and by: between threads, the processor decides
/// how many messages are on the way.
fn allocates_nothing_in_the_end(what: &str, runs: usize, mut work: impl FnMut()) {
    work();
    let runs: Vec<_> = (1..runs).map(|_| allocations::during(&mut work)).collect();
    if let Some((count, Some(first))) = runs.into_iter().min_by_key(|(count, _)| *count) {
        panic!("{what}: {count} allocations; the first:\n{first}");
    }
}

/// One by one, and as many at once as there is room for.
pub(crate) fn sending_and_receiving(transport: &Transport) {
    for size in transport.sizes() {
        let mut line = (transport.open)(Waiting::default());
        let message = vec![7; size];
        for run in [1, transport.at_once(size)] {
            allocates_nothing(&format!("{size} bytes, {run} at once"), || {
                for _ in 0..1000_usize.div_ceil(run) {
                    (0..run).for_each(|_| line.sender().send(&message).unwrap());
                    (0..run).for_each(|_| line.recv(size));
                }
            });
        }
    }
}

pub(crate) fn sending_batches(transport: &Transport) {
    for size in transport.sizes() {
        let mut line = (transport.open)(Waiting::default());
        let message = vec![7; size];
        let batch = vec![&message[..]; transport.at_once(size)];
        allocates_nothing(&format!("batches of {} times {size} bytes", batch.len()), || {
            for _ in 0..1000_usize.div_ceil(batch.len()) {
                send_batch(&mut line, &batch);
                batch.iter().for_each(|_| line.recv(size));
            }
        });
    }
}

fn send_batch(line: &mut Line, batch: &[&[u8]]) {
    assert_eq!(line.sender().send_batch(batch, Wait::Forever).unwrap(), batch.len());
}

/// For whoever polls: not at once, and not in time.
pub(crate) fn finding_no_message(transport: &Transport) {
    let mut line = (transport.open)(Waiting::default());
    line.sender().send(b"Hello").unwrap();
    line.recv(5);
    allocates_nothing("no message", || {
        for _ in 0..100 {
            for receiver in &mut line.receivers {
                is(receiver.try_recv().unwrap_err(), ErrorKind::WouldBlock);
                let timeout = Duration::from_micros(100);
                is(receiver.recv_timeout(timeout).unwrap_err(), ErrorKind::TimedOut);
            }
        }
    });
}

fn is(error: Error, kind: ErrorKind) {
    assert_eq!(error.kind(), kind);
}

/// Fills the line, by single messages and by batches, and takes all out again. Of a message that finds room for
/// a part only the rest is kept by the sender.
pub(crate) fn finding_no_room(transport: &Transport) {
    if transport.name == "udp" {
        return; // It loses what finds no room, and tells nobody.
    }
    for size in [64, 4096] {
        let mut line = (transport.open)(Waiting::default());
        let message = vec![7; size];
        let batch = [&message[..]; 7];
        allocates_nothing(&format!("no room for {size} bytes"), || {
            for round in 0..2 {
                let sender = &mut line.senders[0];
                let mut sent = if round % 2 == 0 {
                    fill(ErrorKind::WouldBlock, || sender.try_send(&message).map(|()| 1))
                } else {
                    fill(ErrorKind::WouldBlock, || sender.send_batch(&batch, Wait::Never))
                };
                // A pipe may have made room meanwhile.
                let timeout = Duration::from_micros(100);
                sent += fill(ErrorKind::TimedOut, || sender.send_timeout(&message, timeout).map(|()| 1));
                for _ in 0..sent {
                    // Where there is room again, the rest of a message goes out.
                    let _ = line.senders[0].flush(Wait::Never);
                    line.recv(size);
                }
            }
        });
    }
}

/// Sends until that fails for this reason; says how many were sent.
fn fill(reason: ErrorKind, mut send: impl FnMut() -> Result<usize, Error>) -> usize {
    let mut sent = 0;
    loop {
        match send() {
            Ok(count) => sent += count,
            Err(error) => {
                is(error, reason);
                return sent;
            }
        }
    }
}

/// Both threads count, however they wait.
pub(crate) fn there_and_back(transport: &Transport) {
    const RUNS: usize = 20;
    for waiting in [Waiting::Adaptive, Waiting::Block] {
        for size in SIZES.into_iter().filter(|&size| size <= transport.longest) {
            let rounds = if size > 4096 { 10 } else { 40 };
            let message = vec![7; size];
            let (mut here, mut there) = crossed((transport.open)(waiting), (transport.open)(waiting));
            let copy = message.clone();
            let echo = thread::spawn(move || {
                allocates_nothing_in_the_end(&format!("{waiting:?}, {size} bytes, back"), RUNS, || {
                    (0..rounds).for_each(|_| answer(&mut there, &copy));
                });
            });
            allocates_nothing_in_the_end(&format!("{waiting:?}, {size} bytes, there"), RUNS, || {
                (0..rounds).for_each(|_| ask(&mut here, &message));
            });
            echo.join().unwrap();
        }
    }
}

/// Nor does the one who answers allocate. It does not depend on the transport.
pub(crate) fn remote_call() {
    const CALLS: usize = 200;
    let (near, far) = SocketPair::anonymous(Scheme::Unix).unwrap();
    let (mut caller, mut server) = (Caller::new(near), Server::new(far));
    let serving = thread::spawn(move || {
        allocates_nothing("answer", || {
            for _ in 0..CALLS {
                server.serve_one(Wait::Forever, |_| [7; 64]).unwrap();
            }
        });
    });
    allocates_nothing("call", || {
        for _ in 0..CALLS {
            assert_eq!(caller.call(b"question", Wait::Forever).unwrap(), [7; 64]);
        }
    });
    serving.join().unwrap();
}

fn ask(line: &mut Line, message: &[u8]) {
    line.sender().send(message).unwrap();
    line.recv(message.len());
}

fn answer(line: &mut Line, message: &[u8]) {
    line.recv(message.len());
    line.sender().send(message).unwrap();
}

/// Prints which system calls are made, and fails where they are more than promised.
pub(crate) fn system_calls(transport: &Transport) {
    let [send, batch, recv, look, ask] = transport.calls;
    let mut promises = vec![
        ("send", Part::Send, send),
        ("send in batches", Part::SendBatch, batch),
        ("receive", Part::Recv, recv),
        ("find none", Part::FindNone, look),
        ("ask", Part::Ask(Waiting::Block), ask),
    ];
    if send == 0 && thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
        promises.push(("ask wide awake", Part::Ask(Waiting::Spin), 0));
    }
    let name = transport.name;
    let mut row = format!("{name:20}");
    for (what, part, promised) in promises {
        let calls = match calls_of(transport, part) {
            Ok(calls) => calls,
            Err(reason) => return println!("{name}: system calls cannot be counted here: {reason}"),
        };
        let count = match part {
            // Whoever spins looks from time to time whether the peer lives, but sleeps not, and wakes nobody.
            Part::Ask(Waiting::Spin) => calls.of_sleep(),
            _ => calls.total(),
        };
        assert!(
            count <= promised,
            "{name}: to {what}, {promised} system calls are promised for {MESSAGES} messages: {calls}"
        );
        row += &format!(" | {what}: {calls}");
    }
    println!("{row}");
}

/// So many messages are sent to count system calls, and these.
const MESSAGES: usize = 100;
const MESSAGE: [u8; 64] = [7; 64];

/// The part of sending and receiving that is counted.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Send,
    SendBatch,
    Recv,
    FindNone,
    Ask(Waiting),
}

fn calls_of(transport: &Transport, part: Part) -> Result<Calls, String> {
    if let Part::Ask(waiting) = part {
        return calls_to_ask(transport, waiting);
    }
    let mut line = (transport.open)(Waiting::default());
    let run = transport.at_once(MESSAGE.len()).min(MESSAGES);
    let batch = vec![&MESSAGE[..]; run];
    let mut round = |part| {
        counted_if(part == Part::FindNone, || {
            for _ in 0..run {
                is(line.receivers[0].try_recv().unwrap_err(), ErrorKind::WouldBlock);
            }
        });
        if part == Part::SendBatch {
            calls::counted(|| send_batch(&mut line, &batch));
        } else {
            counted_if(part == Part::Send, || {
                (0..run).for_each(|_| line.sender().send(&MESSAGE).unwrap());
            });
        }
        counted_if(part == Part::Recv, || (0..run).for_each(|_| line.recv(MESSAGE.len())));
    };
    (0..MESSAGES / run).for_each(|_| round(part));
    calls::during(|| (0..MESSAGES / run).for_each(|_| round(part)))
}

fn counted_if(wanted: bool, work: impl FnOnce()) {
    if wanted { calls::counted(work) } else { work() }
}

/// Those of the thread that asks. Where it is to sleep, it is not answered before it does.
fn calls_to_ask(transport: &Transport, waiting: Waiting) -> Result<Calls, String> {
    let (mut here, mut there) = crossed((transport.open)(waiting), (transport.open)(waiting));
    let asking = gettid();
    let echo = thread::spawn(move || {
        for _ in 0..(1 + calls::ROUNDS) * MESSAGES {
            there.recv(MESSAGE.len());
            while waiting == Waiting::Block && !sleeps(asking) {
                thread::yield_now();
            }
            there.sender().send(&MESSAGE).unwrap();
        }
    });
    let mut work = || (0..MESSAGES).for_each(|_| ask(&mut here, &MESSAGE));
    work();
    let calls = calls::during(|| calls::counted(&mut work))?;
    echo.join().unwrap();
    Ok(calls)
}

/// Whether this thread of ours sleeps in a system call; see proc_pid_stat(5).
fn sleeps(thread: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.starts_with(" S")
}

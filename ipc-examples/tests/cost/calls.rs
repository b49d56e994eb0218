//! Counts the system calls of a thread, as strace(1) does: a second process traces it (ptrace(2)) and counts.
//!
//! That process is this test binary once more, told to run the test [`tracer`] only. Its standard input is a
//! socket, over which it says when it is ready, and at the end what it has counted. The thread says where
//! counting begins and where it ends by asking for its parent's number, and where a round ends by asking for its
//! session's; nothing else here asks for them.
#![allow(unsafe_code)]

use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getsid, gettid, getuid};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::process::{Command, Stdio};
use std::{env, fmt};

/// What was called how often.
#[derive(Default)]
pub(crate) struct Calls(BTreeMap<c_long, usize>);

impl Calls {
    pub(crate) fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Those that put a thread to sleep or wake one, where memory is shared.
    pub(crate) fn of_sleep(&self) -> usize {
        let of_sleep = [libc::SYS_futex, libc::SYS_futex_waitv, libc::SYS_membarrier];
        of_sleep.iter().filter_map(|number| self.0.get(number)).sum()
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, (number, count)) in self.0.iter().enumerate() {
            let before = if index == 0 { "" } else { " + " };
            match NAMES.iter().find(|(known, _)| known == number) {
                Some((_, name)) => write!(f, "{before}{count} {name}")?,
                None => write!(f, "{before}{count} of number {number}")?,
            }
        }
        Ok(())
    }
}

const NAMES: &[(c_long, &str)] = &[
    (libc::SYS_futex_waitv, "futex_waitv"),
    (libc::SYS_getpid, "getpid"),
    (libc::SYS_membarrier, "membarrier"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_mq_timedreceive, "mq_timedreceive"),
    (libc::SYS_mq_timedsend, "mq_timedsend"),
    (libc::SYS_msgrcv, "msgrcv"),
    (libc::SYS_msgsnd, "msgsnd"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_preadv2, "preadv2"),
    (libc::SYS_pwritev2, "pwritev2"),
    (libc::SYS_read, "read"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
];

const TRACER: &str = "calls::tracer";

/// The environment variable that names the thread to trace.
const THREAD: &str = "IPC_COST_THREAD";

/// What the tracer says first.
const READY: u8 = b'!';
const NOT_READY: u8 = b'?';

/// So many times the same is done.
pub(crate) const ROUNDS: usize = 5;

/// Does `work`; within [`during`], its system calls are counted.
pub(crate) fn counted(work: impl FnOnce()) {
    let _begin = parent_id();
    work();
    let _end = parent_id();
}

/// Does `work` five times, and says which system calls this thread made in what was [`counted`] of it, in the
/// round with the fewest: what is done by the clock, like looking whether the peer lives, may come in between,
/// but not each time. Or says why that cannot be found out here.
pub(crate) fn during(mut work: impl FnMut()) -> Result<Calls, String> {
    let (mut control, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([TRACER, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(THREAD, gettid().to_string()).stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
    allow_tracing();
    let mut child = command.spawn().unwrap();
    // It holds our copy of the child's end.
    drop(command);
    let mut first = [0];
    let is_ready = control.read_exact(&mut first).is_ok() && first == [READY];
    if is_ready {
        for _ in 0..ROUNDS {
            work();
            getsid(None).unwrap();
        }
    }
    let mut said = String::new();
    control.read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let call = |line: &str| {
        let (number, count) = line.split_once(' ')?;
        Some((number.parse().ok()?, count.parse().ok()?))
    };
    match said.lines().map(call).collect() {
        Some(calls) if is_ready => Ok(Calls(calls)),
        _ if said.is_empty() => panic!("the tracer says nothing: is {TRACER} its name?"),
        _ => Err(said),
    }
}

/// Where the security module Yama lets a process be traced by its ancestors only, lets others as well.
fn allow_tracing() {
    // SAFETY: it takes numbers only. Where there is no Yama it fails, and nothing is needed.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
}

#[test]
fn the_tracer_counts() {
    let work = || {
        getuid();
        counted(|| {
            for _ in 0..10 {
                getuid();
            }
        });
    };
    match during(work) {
        Ok(calls) => assert_eq!(calls.0, BTreeMap::from([(libc::SYS_getuid, 10)])),
        Err(reason) => println!("system calls cannot be counted here: {reason}"),
    }
}

/// The process that counts; in any other, nothing.
#[test]
fn tracer() {
    let Ok(thread) = env::var(THREAD) else { return };
    let control = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let mut control = control.expect("the standard input is the control channel");
    match trace(Pid::from_raw(thread.parse().unwrap()), &mut control) {
        Ok(calls) => {
            for (number, count) in calls.0 {
                writeln!(control, "{number} {count}").unwrap();
            }
        }
        Err(error) => write!(control, "{}ptrace: {error}", char::from(NOT_READY)).unwrap(),
    }
}

fn trace(thread: Pid, control: &mut UnixStream) -> io::Result<Calls> {
    ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD)?;
    ptrace::interrupt(thread)?;
    waitpid(thread, Some(WaitPidFlag::__WALL))?;
    control.write_all(&[READY])?;
    let mut rounds = vec![Calls::default()];
    let mut counting = false;
    let mut signal = None;
    loop {
        ptrace::syscall(thread, signal.take())?;
        match waitpid(thread, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(_) => match begins(thread)? {
                Some(libc::SYS_getsid) if rounds.len() == ROUNDS => break,
                Some(libc::SYS_getsid) => rounds.push(Calls::default()),
                Some(libc::SYS_getppid) => counting = !counting,
                Some(number) if counting && !NOT_COUNTED.contains(&number) => {
                    *rounds.last_mut().unwrap().0.entry(number).or_default() += 1;
                }
                _ => {}
            },
            WaitStatus::Stopped(_, raised) => signal = Some(raised),
            WaitStatus::PtraceEvent(..) => {}
            ended => return Err(io::Error::other(format!("the thread has ended: {ended:?}"))),
        }
    }
    ptrace::detach(thread, None)?;
    Ok(rounds.into_iter().min_by_key(Calls::total).unwrap())
}

/// The first is one where the machine's clock cannot be read in user space; the second is the kernel's own way
/// to go on after a stop.
const NOT_COUNTED: [c_long; 2] = [libc::SYS_clock_gettime, libc::SYS_restart_syscall];

/// The number of the system call that the thread is about to make; `None` where one has just been made.
fn begins(thread: Pid) -> io::Result<Option<c_long>> {
    let info = ptrace::syscall_info(thread)?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(None);
    }
    // SAFETY: it is an entry, as was seen, and the kernel has filled in that field.
    let entry = unsafe { info.u.entry };
    Ok(Some(entry.nr as c_long))
}

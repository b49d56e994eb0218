//! Children that are stopped at a system call of theirs, so that others can do something just then.

#![allow(dead_code)] // no test file uses all of it

use crate::common::{Running, child, say, start};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::process::parent_id;
use std::process::Stdio;

/// In a child: does `work`, at whose system calls it can be stopped.
pub(crate) fn traced<T>(work: impl FnOnce() -> T) -> T {
    say(&nix::unistd::gettid().to_string());
    std::io::stdin().read_line(&mut String::new()).unwrap();
    // To ask for the parent's number is the sign that the work begins, and that it is done.
    let _begin = parent_id();
    let result = work();
    let _end = parent_id();
    result
}

/// A child that was stopped.
pub(crate) struct Stopped {
    pub(crate) child: Running,
    pub(crate) thread: Pid,
    /// It is about to make a system call of its work; else that is done.
    pub(crate) inside: bool,
}

impl Stopped {
    /// Lets it make that call, and all others.
    pub(crate) fn go_on(&self) {
        ptrace::detach(self.thread, None).unwrap();
    }
}

/// Starts a child, and stops it where it is about to make the system call that is chosen by its number, of those
/// that the [`traced`] part of its role makes; or after that part, if none is.
pub(crate) fn stop(
    role: &str,
    argument: &str,
    mut choose: impl FnMut(libc::c_long) -> bool,
) -> Result<Stopped, Errno> {
    let mut child = child(role, argument);
    child.stdin(Stdio::piped());
    let mut child = start(child);
    let thread = Pid::from_raw(child.hear().parse().unwrap());
    // The process is this one's child, which may trace it also where only ancestors may.
    ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)?;
    ptrace::interrupt(thread)?;
    waitpid(thread, Some(WaitPidFlag::__WALL))?;
    child.tell("go");
    let (mut begun, mut signal) = (false, None);
    loop {
        ptrace::syscall(thread, signal.take())?;
        match waitpid(thread, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(_) => {
                let info = ptrace::syscall_info(thread)?;
                if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
                    continue;
                }
                // SAFETY: it is an entry, as was seen, and the kernel has filled in that field.
                let number = unsafe { info.u.entry }.nr as libc::c_long;
                match number {
                    libc::SYS_getppid if begun => return Ok(Stopped { child, thread, inside: false }),
                    libc::SYS_getppid => begun = true,
                    _ if begun && choose(number) => return Ok(Stopped { child, thread, inside: true }),
                    _ => {}
                }
            }
            WaitStatus::Stopped(_, raised) => signal = Some(raised),
            WaitStatus::PtraceEvent(..) => {}
            ended => panic!("it has ended: {ended:?}"),
        }
    }
}

/// What was stopped inside of its work; `None`, and a word about it, where processes may not be traced.
pub(crate) fn unless_forbidden(stopped: Result<Stopped, Errno>) -> Option<Stopped> {
    if let Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) = stopped {
        println!("skipped: processes may not be traced here");
        return None;
    }
    let stopped = stopped.unwrap();
    assert!(stopped.inside, "it made no such call");
    Some(stopped)
}

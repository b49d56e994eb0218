//! What the tests of this crate share: unique names, and second processes.
//!
//! A second process is this test binary once more, running nothing but the test `child_process`, which looks
//! at the environment for what to do. Since a misspelt test name runs nothing and succeeds, the parent
//! always waits for a line from its child.

#![allow(dead_code)] // no test file uses all of it

#[path = "../names/mod.rs"]
pub(crate) mod names;

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

const ROLE: &str = "IPC_SHM_TEST_ROLE";
const ARGUMENT: &str = "IPC_SHM_TEST_ARGUMENT";
const MARK: &str = "child says: ";

/// A name that no other test uses.
pub(crate) fn unique(what: &str) -> String {
    format!("{}-{what}", names::unique())
}

/// An endpoint and the file behind it, which is removed whatever the test does.
pub(crate) struct Name {
    pub(crate) endpoint: String,
    pub(crate) file: PathBuf,
}

impl Name {
    pub(crate) fn new(what: &str) -> Name {
        let name = unique(what);
        Name { endpoint: format!("shm://{name}"), file: PathBuf::from("/dev/shm").join(name) }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// What this process is to do, if it is a child: a role, and an argument.
pub(crate) fn role() -> Option<(String, String)> {
    Some((std::env::var(ROLE).ok()?, std::env::var(ARGUMENT).unwrap_or_default()))
}

/// A child that will play `role`. Its test binary must have a test `child_process`.
pub(crate) fn child(role: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_process", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(ARGUMENT, argument).stdout(Stdio::piped());
    command
}

/// Says a line to the parent.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    // On a line of its own, as the test harness may have begun one.
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\n{MARK}{line}").unwrap();
    stdout.flush().unwrap();
}

/// A running child.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Starts a child.
pub(crate) fn start(mut command: Command) -> Running {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Running { child, lines }
}

impl Running {
    /// The next line that the child says.
    pub(crate) fn hear(&mut self) -> String {
        for line in self.lines.by_ref() {
            if let Some(said) = line.unwrap().strip_prefix(MARK) {
                return said.to_owned();
            }
        }
        panic!("the child has ended without a word");
    }

    /// Says a line to it, if it was started with an input that is piped.
    pub(crate) fn tell(&mut self, line: &str) {
        use std::io::Write;
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Kills it, and waits until it is dead.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes its input, and waits for its end, good or bad.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().unwrap()
    }

    /// Waits for its good end.
    pub(crate) fn finish(mut self) {
        for _ in self.lines.by_ref() {}
        assert!(self.child.wait().unwrap().success());
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What went wrong.
pub(crate) fn kind<T: std::fmt::Debug>(result: ipc_shm::Result<T>) -> ipc_shm::ErrorKind {
    result.unwrap_err().kind()
}

/// Whether this process is root, which tests with other users need; says so if not.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: it takes root to become another user");
    }
    root
}

/// Gives this thread, and the processes and threads that it starts, a mount namespace with an empty
/// `/dev/shm`. It takes root.
pub(crate) fn own_shm(options: &str) {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
}

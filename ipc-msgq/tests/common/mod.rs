//! What the tests share: names that clean up behind themselves, and second processes, which are the test
//! binary run again for one test and one role in it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use nix::unistd::{Gid, Uid, setgid, setuid};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// A name for POSIX queues that nobody else uses; removed when dropped.
pub struct MqName(pub String);

impl MqName {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        MqName(format!("mq://ipc-msgq-test-{}-{count}", std::process::id()))
    }

    /// Small sizes, so that many tests can run at once.
    pub fn small(&self) -> String {
        self.with("capacity=4&max_message=64")
    }

    pub fn with(&self, options: &str) -> String {
        format!("{}?{options}", self.0)
    }
}

impl Drop for MqName {
    fn drop(&mut self) {
        let _ = ipc_msgq::remove(&self.0);
        let _ = ipc_msgq::remove(format!("{}.reply", self.0));
    }
}

/// A file that keys a System V queue; queue and file are removed when dropped.
pub struct SysvName {
    pub file: NamedTempFile,
    pub endpoint: String,
}

impl SysvName {
    pub fn new() -> Self {
        let file = NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let endpoint = format!("sysvmsg://{}?id=a", file.path().display());
        SysvName { file, endpoint }
    }

    pub fn with(&self, options: &str) -> String {
        format!("{}&{options}", self.endpoint)
    }
}

impl Drop for SysvName {
    fn drop(&mut self) {
        let _ = ipc_msgq::remove(&self.endpoint);
    }
}

const ROLE: &str = "IPC_MSGQ_TEST_ROLE";
const ARGUMENT: &str = "IPC_MSGQ_TEST_ARGUMENT";
const USER: &str = "IPC_MSGQ_TEST_USER";
const SAID: &str = "said: ";

/// In a second process that was started for this role: its argument. The process is the user that it was
/// started as from here on.
pub fn role(name: &str) -> Option<String> {
    if std::env::var(ROLE).ok()? != name {
        return None;
    }
    if let Ok(user) = std::env::var(USER) {
        let user: u32 = user.parse().unwrap();
        setgid(Gid::from_raw(user)).unwrap();
        setuid(Uid::from_raw(user)).unwrap();
    }
    std::env::var(ARGUMENT).ok()
}

/// Tells the first process something.
pub fn say(what: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{SAID}{what}").unwrap();
    stdout.flush().unwrap();
}

/// Waits to be killed, or for the first process to let go.
pub fn wait_for_the_end() {
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// A second process. Killed when dropped.
pub struct Second {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Second {
    /// Runs `test` of this binary again, in a role.
    pub fn start(test: &str, role: &str, argument: &str) -> Second {
        Second::spawn(Command::new(std::env::current_exe().unwrap()), test, role, argument)
    }

    /// The same as another user. `None`, with the reason printed, if this is not root.
    pub fn start_as(uid: u32, test: &str, role: &str, argument: &str) -> Option<Second> {
        if !nix::unistd::Uid::effective().is_root() {
            println!("skipped: {test} needs root, to become another user");
            return None;
        }
        // It becomes that user itself: the binary may be where only root can read.
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(USER, uid.to_string()).current_dir("/");
        Some(Second::spawn(command, test, role, argument))
    }

    fn spawn(mut command: Command, test: &str, role: &str, argument: &str) -> Second {
        let mut child = command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(ARGUMENT, argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Second { child, output }
    }

    /// The next thing that the second process says; `None` at its end.
    pub fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.trim_end().split_once(SAID) {
                return Some(said.to_owned());
            }
            line.clear();
        }
        None
    }

    /// Fails unless that is the next thing it says.
    pub fn hear(&mut self, what: &str) {
        assert_eq!(self.next().as_deref(), Some(what));
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it with SIGKILL, and gives what it had said until then; what it was about to say may be cut.
    pub fn kill_and_hear_the_rest(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition, ten seconds at most.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

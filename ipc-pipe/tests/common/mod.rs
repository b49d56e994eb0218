//! Second processes for the tests: the test binary runs itself again, for one test, which finds a role
//! in its environment.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::env;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "IPC_PIPE_TEST_ROLE";

/// Longer than anything takes that is not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A command that runs the test `name` of this binary again, which will find `role`.
///
/// A name that is misspelt would run nothing and succeed, so the parent must hear from the child.
pub(crate) fn again(name: &str, role: impl ToString) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Changes what the child will find.
pub(crate) fn give_role(command: &mut Command, role: impl ToString) {
    command.env(ROLE, role.to_string());
}

/// What this process is to do, if it is a second one.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Runs a test in a process of its own. There no other test opens and closes descriptors, as the rule is where an end
/// is handed over under a number that is in use.
#[allow(dead_code)] // not every file of tests has such
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    if role().is_some() {
        return test();
    }
    let mut child = again(name, "alone").spawn().unwrap();
    assert!(wait(&mut child).success());
}

/// Waits for the child, not for ever.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the child has not ended");
}

/// Whether this process may become another user; says so if not.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can start a process of another user");
    }
    root
}

/// The user that owns nothing.
pub(crate) const NOBODY: u32 = 65_534;

/// Bytes that are not all alike.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

//! What the tests share: names nobody else uses, second processes, waiting for a condition.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ipc_socket::{Listener, SocketPair};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A name that no other test uses, in this process or another.
pub fn unique(tag: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("ipc-socket-{}-{count}-{tag}", std::process::id())
}

/// An endpoint with an abstract name.
pub fn abstract_endpoint(scheme: &str) -> String {
    format!("{scheme}://@{}", unique(scheme))
}

/// Both ends of a connection.
pub fn meet(scheme: &str, options: &str) -> (SocketPair, SocketPair) {
    let name = abstract_endpoint(scheme);
    let listener = Listener::bind(format!("{name}{options}")).unwrap();
    let client = SocketPair::connect(&name).unwrap();
    (client, listener.accept().unwrap())
}

/// A second process, which runs the same test again with a role to play, and tells about it on its
/// standard error.
pub struct Other {
    pub child: Child,
    pub says: BufReader<ChildStderr>,
}

const ROLE: &str = "IPC_SOCKET_TEST_ROLE";

/// What this process is to do, if it is a second one.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Starts `test`, the full name of the calling test, in another process.
pub fn start(test: &str, role: &str) -> Other {
    start_with(test, role, |_| {})
}

pub fn start_with(test: &str, role: &str, prepare: impl FnOnce(&mut Command)) -> Other {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    prepare(&mut command);
    let mut child = command.spawn().unwrap();
    let says = BufReader::new(child.stderr.take().unwrap());
    Other { child, says }
}

impl Other {
    /// Waits until it says a line that begins with `word`, and gives the rest of the line.
    pub fn hears(&mut self, word: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            if self.says.read_line(&mut line).unwrap() == 0 {
                panic!("the other process never said {word}, but:\n{all}");
            }
            if let Some(rest) = line.trim_end().strip_prefix(word) {
                return rest.trim().to_owned();
            }
            all += &line;
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn succeeds(mut self) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.says, &mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
    }
}

/// In a second process: stays until the first lets go.
pub fn stay() {
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
}

/// Waits until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        std::thread::yield_now();
    }
}

/// Whether this is Linux `major.minor` or later.
pub fn linux_is_at_least(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (major, minor)
}

pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("passed over: this test changes its user, which only root may");
    }
    root
}

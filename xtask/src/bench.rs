//! Builds and runs the benchmark, which is a workspace of its own in `xtask/bench`, so that the libraries it
//! measures against are no dependencies of ours.

use std::path::Path;
use std::process::Command;

/// The other libraries, as features of the benchmark.
const PEERS: [&str; 6] = ["crossbeam-channel", "flume", "iceoryx2", "ipc-channel", "kanal", "zmq"];

/// Runs it with these options.
pub(crate) fn run(options: &[String]) -> Result<(), String> {
    let wanted = options.iter().any(|option| option == "--peers");
    let features = if wanted { peers_that_build() } else { String::new() };
    let mut command = cargo("run", &features);
    succeed(command.arg("--").args(options))
}

/// All of them; or where that fails, those that can be built one by one: libzmq needs a C++ compiler.
fn peers_that_build() -> String {
    let all = PEERS.join(",");
    if succeed(&mut cargo("build", &all)).is_ok() {
        return all;
    }
    let builds = |peer: &&str| {
        println!("xtask: building with {peer} alone");
        succeed(&mut cargo("build", peer)).is_ok()
    };
    PEERS.into_iter().filter(builds).collect::<Vec<_>>().join(",")
}

fn cargo(task: &str, features: &str) -> Command {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/Cargo.toml");
    let mut command = Command::new(env!("CARGO"));
    command
        .args([task, "--release", "--quiet", "--features", features, "--manifest-path"])
        .arg(manifest);
    command
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the benchmark failed ({status})")) }
}

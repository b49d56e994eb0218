//! Runs the ring over plain memory under miri, which looks for undefined behaviour, where a nightly toolchain
//! has it.

use std::process::{Command, Stdio};

/// Runs it, or says why not.
pub(crate) fn run() -> Result<(), String> {
    let works = |probe: &str| {
        let status = miri(&[probe]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !works("--version") || !works("setup") {
        println!(
            "skipped: there is no miri; rustup toolchain install nightly --component miri,rust-src"
        );
        return Ok(());
    }
    match miri(&["test", "-p", "ipc-shm", "--lib", "ring::plain"]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("miri failed: {status}")),
        Err(error) => Err(format!("miri cannot be run: {error}")),
    }
}

fn miri(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    // What is not installed is not wanted.
    command.env("RUSTUP_AUTO_INSTALL", "0").args(["+nightly", "miri"]).args(arguments);
    command
}

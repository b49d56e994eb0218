//! The steps of `test-all`, one after another, each timed; a failing one names the command that repeats
//! it.

use crate::leftovers::Leftovers;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A step: its name, what is set in the environment, and the command.
struct Step {
    name: &'static str,
    environment: &'static [(&'static str, &'static str)],
    command: &'static str,
}

const STEPS: &[Step] = &[
    step("format", "cargo fmt --all --check"),
    step("tidy", "cargo xtask tidy"),
    step("clippy", "cargo clippy --workspace --all-targets --all-features -- -D warnings"),
    step("build", "cargo build --workspace --all-targets --all-features"),
    step("tests", "cargo test --workspace --all-features --exclude ipc-examples --tests"),
    step("recipes", "cargo test -p ipc-examples"),
    // Those tests are among the recipes' and so have passed; here they show what they count.
    step("cost", "cargo test -p ipc-examples --test cost system_calls -- --nocapture"),
    step("doc-tests", "cargo test --workspace --all-features --doc"),
    Step {
        name: "random-urls",
        environment: &[("IPC_RANDOM_URLS", "10000000")],
        command: "cargo test --release -p ipc-core --test endpoint random_urls -- --nocapture",
    },
    Step {
        name: "docs",
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        command: "cargo doc --workspace --all-features --no-deps",
    },
    step("miri", "cargo xtask miri"),
    step("package", "cargo xtask package"),
    // The benchmark is a workspace of its own, with its own lock file; here without other libraries.
    step("bench-format", "cargo fmt --manifest-path xtask/bench/Cargo.toml --check"),
    step(
        "bench-clippy",
        "cargo clippy --locked --manifest-path xtask/bench/Cargo.toml --all-targets -- -D warnings",
    ),
    step("bench", "cargo test --locked --manifest-path xtask/bench/Cargo.toml"),
];

const fn step(name: &'static str, command: &'static str) -> Step {
    Step { name, environment: &[], command }
}

/// Runs the steps of these names, or all, and stops at the first that fails.
pub(crate) fn test_all(names: &[String]) -> Result<(), String> {
    if let Some(name) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("there is no step {name}; the steps are {}", known.join(", ")));
    }
    let mut times = Vec::new();
    for step in STEPS {
        if names.is_empty() || names.iter().any(|name| name == step.name) {
            println!("\n==> {}: {}", step.name, step.shown());
            let start = Instant::now();
            let leftovers = Leftovers::before()?;
            step.run(leftovers.folder())?;
            leftovers.nothing_left().map_err(|problem| step.failed(&problem))?;
            times.push((step.name, start.elapsed()));
        }
    }
    println!();
    for (name, time) in &times {
        println!("{:>8.1} s  {name}", time.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, time)| time).sum();
    println!("{:>8.1} s  all passed, and nothing left behind", total.as_secs_f64());
    Ok(())
}

/// Prints the steps.
pub(crate) fn list() {
    for step in STEPS {
        println!("{:12}  {}", step.name, step.shown());
    }
}

impl Step {
    fn run(&self, temporary: &Path) -> Result<(), String> {
        let mut words = self.command.split(' ');
        let program = words.next().unwrap_or_default();
        let status = Command::new(program)
            .args(words)
            .envs(self.environment.iter().copied())
            .env("TMPDIR", temporary)
            .status()
            .map_err(|error| format!("{program} cannot be run: {error}"))?;
        if status.success() {
            return Ok(());
        }
        Err(self.failed(&status.to_string()))
    }

    fn failed(&self, how: &str) -> String {
        format!("the step {} failed: {how}; to repeat it:\n\n    {}\n", self.name, self.shown())
    }

    /// The command as a person would type it.
    fn shown(&self) -> String {
        let set: String =
            self.environment.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
        set + self.command
    }
}

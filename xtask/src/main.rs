//! The tasks of this workspace: `cargo xtask test-all`.

mod leftovers;
mod package;
mod steps;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The tasks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Tests everything: what must pass before a change lands.
    TestAll {
        /// Only these steps, by name; all of them by default.
        steps: Vec<String>,
        /// Lists the steps and the commands behind them, and runs nothing.
        #[arg(long)]
        list: bool,
    },
    /// Checks what no compiler does: the top level, the dependencies between crates, the head of each
    /// module.
    Tidy,
    /// Packages the crates as for publishing, and builds them from the packages.
    Package,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::TestAll { list: true, .. } => {
            steps::list();
            Ok(())
        }
        Task::TestAll { steps, list: false } => steps::test_all(&steps),
        Task::Tidy => tidy::check(),
        Task::Package => package::package(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

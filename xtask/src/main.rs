//! The tasks of this workspace: `cargo xtask test-all`, `cargo xtask bench`.

mod bench;
mod leftovers;
mod miri;
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
    /// module, and that it tells of unsafe code.
    Tidy,
    /// Packages the crates as for publishing, and builds them from the packages.
    Package,
    /// Runs the ring over plain memory under miri, where a nightly toolchain has it.
    Miri,
    /// Measures every transport beside raw system calls and other libraries; --help has the options.
    #[command(disable_help_flag = true)]
    Bench {
        /// Options of the benchmark: --quick, --only, --one-processor, --peers, --json, --svg, --markdown,
        /// --readme, --smoke.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
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
        Task::Miri => miri::run(),
        Task::Bench { options } => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

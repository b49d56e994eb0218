//! Measures every transport beside raw system calls and other libraries: `cargo xtask bench`.
//!
//! One coordinator without threads forks the sides of each round, so that no round leaves anything to the
//! next. All rows take turns, round by round, so that a mood of the machine meets everybody alike; what is
//! compared with each other runs one after the other.
//!
//! What is set beside what:
//!
//! * ours, as a user gets it: framed messages, errors that tell, adaptive waiting; also `waiting=block`,
//!   batches, and a larger pipe, each a row of its own;
//! * raw calls as a C program makes them: blocking, one call a message, both sides know the size; TCP without
//!   Nagle's delay, as ours; of streams also a receiver that reads 64 KiB at a time (`greedy`), and of all
//!   that waits a loop that does not (`polled`): what ours can reach at best;
//! * other libraries as their own documentation shows, with the same two processes or threads, the same
//!   room for messages that wait where it can be chosen, and the same message copied in and out.
//!
//! | file | what |
//! |---|---|
//! | `plan` | which rows there are, how often and how long |
//! | `wire` | what a subject must be able to do |
//! | `subjects` | ours, raw calls, other libraries, and the machine's floor |
//! | `side` | the two processes or threads of a round |
//! | `measure` | the loops in them |
//! | `figures`, `results` | what comes out |
//! | `goals` | what is to be reached, and whether it was |
//! | `table`, `picture`, `markdown`, `machine` | how it is shown |
//! | `sys` | the system calls that are unsafe |

mod figures;
mod goals;
mod machine;
mod markdown;
mod measure;
mod picture;
mod plan;
mod results;
mod side;
mod subjects;
#[allow(unsafe_code)]
mod sys;
mod table;
mod wire;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use machine::Machine;
use plan::{Extent, Job, Row, Scope};
use results::Results;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wire::Result;

/// Measures every transport beside raw system calls and, if asked, other libraries.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    /// Two sizes and three short rounds, instead of four and five.
    #[arg(long)]
    quick: bool,
    /// Everybody once, for a moment, and no figures: fails if a row does.
    #[arg(long, conflicts_with_all = ["quick", "json", "svg", "markdown", "readme"])]
    smoke: bool,
    /// Only subjects whose name contains one of these, divided by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Everything on one processor.
    #[arg(long)]
    one_processor: bool,
    /// Other libraries, too: libzmq, iceoryx2, ipc-channel, crossbeam-channel, kanal, flume.
    #[arg(long)]
    peers: bool,
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the curves into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Writes the main figures and the goals to this file, as they stand in the README.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Puts them and the picture into the README; wants a whole run, with --peers.
    #[arg(long, requires = "peers", conflicts_with_all = ["quick", "only", "one_processor"])]
    readme: bool,
}

fn main() -> ExitCode {
    match bench(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &Arguments) -> Result<()> {
    let machine = Machine::this();
    let processors = match machine.allowed[..] {
        [one, other, ..] if !arguments.one_processor => [one, other],
        [one, ..] => [one, one],
        [] => return Err("no processor is allowed to this process".into()),
    };
    let extent = match arguments {
        Arguments { smoke: true, .. } => Extent::Smoke,
        Arguments { quick: true, .. } => Extent::Quick,
        _ => Extent::Whole,
    };
    let scope = Scope { extent, one_processor: processors[0] == processors[1] };
    let mut subjects = subjects::all(arguments.peers);
    subjects.retain(|subject| {
        arguments.only.is_empty()
            || arguments.only.iter().any(|part| subject.name.contains(part.as_str()))
    });
    let rows = plan::rows(&subjects, scope);
    let mut results = Results::new(subjects);
    if arguments.smoke {
        run(&rows, processors, &mut results);
        return tell_failures(&results, rows.len());
    }
    println!("{machine}");
    if let Some(warning) = machine.warning() {
        println!("Mind: {warning}.");
    }
    run(&rows, processors, &mut results);
    print!("{}", table::tables(&results));
    if !arguments.peers {
        println!("\nOther libraries were not measured: --peers does.");
    }
    println!("\nGOALS");
    print!("{}", goals::table(&results));
    if let Some(path) = &arguments.json {
        let all = results.to_json(&machine, goals::to_json(&results));
        write(path, &(serde_json::to_string_pretty(&all)? + "\n"))?;
    }
    if let Some(path) = &arguments.svg {
        write(path, &picture::draw(&results, &machine)?)?;
    }
    if let Some(path) = &arguments.markdown {
        write(path, &markdown::text(&results, &machine)?)?;
    }
    if arguments.readme {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        write(&root.join(markdown::PICTURE), &picture::draw(&results, &machine)?)?;
        let readme = root.join("README.md");
        let old = std::fs::read_to_string(&readme)?;
        write(&readme, &markdown::put_into(&old, &markdown::text(&results, &machine)?)?)?;
    }
    Ok(())
}

/// What a smoke test has to say.
fn tell_failures(results: &Results, rows: usize) -> Result<()> {
    let failures = results.failures();
    if !failures.is_empty() {
        return Err(format!(
            "{} of {rows} rows failed:\n    {}",
            failures.len(),
            failures.join("\n    ")
        )
        .into());
    }
    println!("{rows} rows, each once: all work");
    Ok(())
}

/// Runs all rows, round by round.
fn run(rows: &[Row], processors: [usize; 2], results: &mut Results) {
    let rounds = rows.iter().map(|row| row.rounds).max().unwrap_or(0);
    let bar = ProgressBar::new(rows.iter().map(|row| row.rounds as u64).sum());
    let style =
        ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len}, {eta} left: {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    for round in 0..rounds {
        for row in rows.iter().filter(|row| round < row.rounds) {
            bar.inc(1);
            // What has failed once is not waited for again.
            if results.has_failed(row.subject, row.kind) {
                continue;
            }
            let Some(subject) = results.subjects.get(row.subject) else { continue };
            bar.set_message(format!("{}, {}", subject.name, row.kind));
            let shared = [processors[0]; 2];
            let job = Job {
                pattern: row.kind.pattern,
                size: row.kind.size,
                time: row.time,
                processors: if row.kind.shared_processor { shared } else { processors },
                threads: subject.threads,
            };
            let round = subject.run(&job).map_err(|error| error.to_string());
            results.add(row.subject, row.kind, round);
        }
    }
    bar.finish_and_clear();
    subjects::clean_up();
}

/// Writes a file, and the folder for it if there is none.
fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("written: {}", path.display());
    Ok(())
}

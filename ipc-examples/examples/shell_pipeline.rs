//! What a shell does with `ls -1 | cut -d'.' -f1 | uniq | sort | tee dir_contents`: five processes,
//! four pipes.
//!
//! Run it with `cargo run -p ipc-examples --example shell_pipeline`. It prints what `tee` prints (and
//! writes to the file `dir_contents` here), then how each of the five ended:
//!
//! ```text
//! apple
//! banana
//! ls: exit status: 0
//! cut: exit status: 0
//! uniq: exit status: 0
//! sort: exit status: 0
//! tee: exit status: 0
//! ```

use ipc_pipe::Pipeline;
use std::error::Error;
use std::io::{Write, stdout};

const PROGRAMS: [(&str, &[&str]); 5] = [
    ("ls", &["-1"]),
    ("cut", &["-d.", "-f1"]),
    ("uniq", &[]),
    ("sort", &[]),
    ("tee", &["dir_contents"]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let pipeline = PROGRAMS
        .iter()
        .fold(Pipeline::new(), |pipeline, (name, arguments)| pipeline.program(name, arguments));
    let output = pipeline.output()?;

    stdout().write_all(&output.stdout)?;
    for ((name, _), status) in PROGRAMS.iter().zip(&output.statuses) {
        println!("{name}: {status}");
    }
    if output.success() { Ok(()) } else { Err("one of the programs has failed".into()) }
}

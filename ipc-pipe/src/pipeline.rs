//! Programs in a row, each reading what the one before it writes: what a shell makes of `a | b | c`.

use crate::channel::{PipeSender, no_more_descriptors};
use ipc_core::{Error, ErrorKind, Framing, Options, Result, Sender};
use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

/// A pipeline to be started.
///
/// Every program's standard output is the next one's standard input; the pipes between them are held by
/// nobody else, so that each sees the end when the one before it ends, and is ended by `SIGPIPE` when
/// the one behind it does. (Rust programs ignore that signal; what they start does not.)
///
/// ```
/// use ipc_pipe::Pipeline;
///
/// let output = Pipeline::new()
///     .program("printf", &[r"pear\napple\npear\n"])
///     .program("sort", &[])
///     .program("uniq", &["-c"])
///     .output()?;
/// assert!(output.success());
/// assert_eq!(output.stdout, b"      1 apple\n      2 pear\n");
/// assert_eq!(output.statuses.len(), 3); // bash's PIPESTATUS
/// # Ok::<(), ipc_pipe::Error>(())
/// ```
#[must_use = "nothing runs before `spawn`, `status` or `output`"]
#[derive(Debug, Default)]
pub struct Pipeline {
    commands: Vec<Command>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
}

impl Pipeline {
    /// A pipeline without a program.
    pub fn new() -> Pipeline {
        Pipeline::default()
    }

    /// Adds a program and its arguments at the end. Arguments that are not text go into a
    /// [`command`](Pipeline::command).
    pub fn program(self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Pipeline {
        let mut command = Command::new(program);
        command.args(arguments);
        self.command(command)
    }

    /// Adds a command at the end, with its environment, directory and standard error. Where its
    /// standard input and output go, the pipeline sets.
    pub fn command(mut self, command: Command) -> Pipeline {
        self.commands.push(command);
        self
    }

    /// Where the first program reads from; this process's standard input, if not set. With
    /// [`Stdio::piped`], [`RunningPipeline::stdin`] is the other end.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Pipeline {
        self.stdin = Some(stdin.into());
        self
    }

    /// Where the last program writes to; this process's standard output, if not set. With
    /// [`Stdio::piped`], [`RunningPipeline::stdout`] is the other end.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Pipeline {
        self.stdout = Some(stdout.into());
        self
    }

    /// Starts all programs.
    ///
    /// # Errors
    ///
    /// Where a program cannot be started, the error names it, and those before it are killed and waited
    /// for. [`NotFound`](ErrorKind::NotFound): there is no such program;
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): it may not be executed;
    /// [`LimitExceeded`](ErrorKind::LimitExceeded): there are no more descriptors;
    /// [`NotFound`](ErrorKind::NotFound) also if the pipeline has no program at all.
    pub fn spawn(self) -> Result<RunningPipeline> {
        let Pipeline { commands, stdin, stdout } = self;
        let last = commands.len().checked_sub(1).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "spawn").with_detail("the pipeline has no program")
        })?;
        let mut running = RunningPipeline { stdin: None, stdout: None, children: Vec::new() };
        let mut input = stdin;
        let mut output = stdout;
        for (place, mut command) in commands.into_iter().enumerate() {
            if let Some(input) = input.take() {
                command.stdin(input);
            }
            if place < last {
                let pipe = std::io::pipe();
                let (reader, writer) =
                    pipe.map_err(|error| running.abandon(no_more_descriptors(error)))?;
                command.stdout(writer);
                input = Some(reader.into());
            } else if let Some(output) = output.take() {
                command.stdout(output);
            }
            match command.spawn() {
                Ok(child) => running.children.push(child),
                Err(error) => {
                    let name = command.get_program().to_string_lossy().into_owned();
                    let error = Error::from_io(error, "spawn").at(&name.into()).with_detail(format!(
                        "program {} of {}",
                        place + 1,
                        last + 1
                    ));
                    return Err(running.abandon(error));
                }
            }
            // The command is dropped here, and with it our copies of the ends that the child now has.
        }
        running.take_ends();
        Ok(running)
    }

    /// Runs the pipeline, waits until all programs have ended, and says how each of them did.
    pub fn status(self) -> Result<Vec<ExitStatus>> {
        self.spawn()?.wait()
    }

    /// Runs the pipeline, collects what the last program writes, and waits until all have ended.
    pub fn output(self) -> Result<PipelineOutput> {
        self.stdout(Stdio::piped()).spawn()?.wait_with_output()
    }

    /// Like [`output`](Pipeline::output), with `input` as what the first program reads.
    ///
    /// It is written by a thread of its own, so that neither side waits for the other for ever; what the
    /// first program does not want to read is dropped.
    pub fn output_of(self, input: &[u8]) -> Result<PipelineOutput> {
        let mut running = self.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let Some(stdin) = running.stdin.take() else { return running.wait_with_output() };
        thread::scope(|scope| {
            let feeding = scope.spawn(move || feed(stdin, input));
            let output = running.wait_with_output();
            match feeding.join() {
                Ok(fed) => fed.and(output),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// Writes all of `input`, unless the reader stops reading.
fn feed(stdin: PipeWriter, input: &[u8]) -> Result<()> {
    let options = Options::default().framing(Framing::Raw);
    let mut sender = PipeSender::from_writer(stdin, &options)?;
    for piece in input.chunks(Framing::DEFAULT_MAX) {
        match sender.send(piece) {
            Err(error) if error.kind() == ErrorKind::Disconnected => break,
            result => result?,
        }
    }
    Ok(())
}

/// A pipeline of which all programs have been started.
///
/// As with [`Child`], dropping it neither ends the programs nor waits for them; but it closes `stdin`
/// and `stdout`.
#[derive(Debug)]
pub struct RunningPipeline {
    /// The end to write to, if the first program's standard input was to be [`Stdio::piped`].
    pub stdin: Option<PipeWriter>,
    /// The end to read from, if the last program's standard output was to be [`Stdio::piped`].
    pub stdout: Option<PipeReader>,
    children: Vec<Child>,
}

impl RunningPipeline {
    /// The programs, first to last.
    pub fn children(&mut self) -> &mut [Child] {
        &mut self.children
    }

    /// Closes `stdin`, waits until all programs have ended, and says how each of them did, first to
    /// last: what bash calls `PIPESTATUS`.
    ///
    /// If the last one writes into `stdout`, read that to its end first, or use
    /// [`wait_with_output`](RunningPipeline::wait_with_output).
    pub fn wait(&mut self) -> Result<Vec<ExitStatus>> {
        self.stdin = None;
        let statuses = self.children.iter_mut().map(Child::wait).collect::<Result<_, _>>();
        statuses.map_err(|error| Error::from_io(error, "wait"))
    }

    /// Closes `stdin`, reads `stdout` to its end, and waits until all programs have ended.
    pub fn wait_with_output(mut self) -> Result<PipelineOutput> {
        self.stdin = None;
        let mut stdout = Vec::new();
        if let Some(mut reader) = self.stdout.take() {
            reader.read_to_end(&mut stdout).map_err(|error| Error::from_io(error, "read"))?;
        }
        Ok(PipelineOutput { statuses: self.wait()?, stdout })
    }

    /// Kills all programs that are still running. Wait for them afterwards.
    pub fn kill(&mut self) -> Result<()> {
        let killed = self.children.iter_mut().map(Child::kill).fold(Ok(()), Result::and);
        killed.map_err(|error| Error::from_io(error, "kill"))
    }

    /// Takes the ends that `Stdio::piped` has made.
    fn take_ends(&mut self) {
        let stdin = self.children.first_mut().and_then(|first| first.stdin.take());
        let stdout = self.children.last_mut().and_then(|last| last.stdout.take());
        self.stdin = stdin.map(|stdin| std::os::fd::OwnedFd::from(stdin).into());
        self.stdout = stdout.map(|stdout| std::os::fd::OwnedFd::from(stdout).into());
    }

    /// Ends and reaps what has been started, for `error` has kept the rest from being.
    fn abandon(&mut self, error: Error) -> Error {
        // Both fail only if there is nothing left to do.
        let _ = self.kill();
        let _ = self.wait();
        error
    }
}

/// What a pipeline has written, and how its programs ended.
#[derive(Clone, Debug)]
pub struct PipelineOutput {
    /// How each program ended, first to last: bash's `PIPESTATUS`.
    pub statuses: Vec<ExitStatus>,
    /// What the last one wrote.
    pub stdout: Vec<u8>,
}

impl PipelineOutput {
    /// Whether all programs succeeded; what `set -o pipefail` asks.
    pub fn success(&self) -> bool {
        self.statuses.iter().all(ExitStatus::success)
    }
}

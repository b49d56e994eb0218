//! Runs one or several programs that talk with each other, types their input at their prompts, and keeps
//! what they print, as a person at as many terminals would see it.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A program, and what to type.
#[derive(Clone, Debug)]
pub struct Role {
    /// What it is called on the screen.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// When it is started.
    pub start: Start,
    /// What to wait for in its output, and what to type then. A newline is added.
    pub dialogue: Vec<(String, Vec<u8>)>,
}

/// When a program is started.
#[derive(Clone, Debug)]
pub enum Start {
    /// At once.
    AtOnce,
    /// When the role of this index has printed this.
    AfterOutput(usize, String),
    /// When the role of this index has ended.
    AfterEnd(usize),
    /// When there is a file of this name in the folder.
    AfterFile(String),
}

/// What came of a program.
#[derive(Debug)]
pub struct Transcript {
    /// What it printed, to standard output and standard error, and what was typed.
    pub text: Vec<u8>,
    /// How it ended.
    pub status: ExitStatus,
}

/// How long a play may last.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs all roles in `folder`, and returns their transcripts in the same order.
///
/// With `show`, what they print appears on standard output line by line, with the names of the roles if
/// there are several.
///
/// # Errors
///
/// A program that cannot be started, or that has not printed what it should, or not ended, within 30
/// seconds; all are killed then.
pub fn play(roles: &[Role], folder: &Path, show: bool) -> io::Result<Vec<Transcript>> {
    let deadline = Instant::now() + LIMIT;
    let width = roles.iter().map(|role| role.name.len()).max().unwrap_or_default();
    let prefix = |role: &Role| match (show, roles.len()) {
        (false, _) => None,
        (true, 1) => Some(String::new()),
        (true, _) => Some(format!("{:width$} | ", role.name)),
    };
    let screens: Vec<_> = roles.iter().map(|role| Arc::new(Screen::new(prefix(role)))).collect();
    thread::scope(|scope| {
        let acts: Vec<_> = roles
            .iter()
            .zip(&screens)
            .map(|(role, screen)| {
                scope.spawn(|| {
                    let outcome = act(role, screen, &screens, folder, deadline);
                    screen.end();
                    outcome.map_err(|error| {
                        let seen = String::from_utf8_lossy(&screen.text()).into_owned();
                        io::Error::new(error.kind(), format!("{}: {error}\n{seen}", role.name))
                    })
                })
            })
            .collect();
        acts.into_iter()
            .map(|act| act.join().unwrap_or_else(|_| Err(io::Error::other("an act panicked"))))
            .collect()
    })
}

/// One role, from its start to its end.
fn act(
    role: &Role,
    screen: &Arc<Screen>,
    screens: &[Arc<Screen>],
    folder: &Path,
    deadline: Instant,
) -> io::Result<Transcript> {
    match &role.start {
        Start::AtOnce => {}
        Start::AfterOutput(other, text) => {
            screen_of(screens, *other)?.wait_for(text.as_bytes(), 0, deadline)?;
        }
        Start::AfterEnd(other) => screen_of(screens, *other)?.wait_for_end(deadline)?,
        Start::AfterFile(name) => wait_for_file(&folder.join(name), deadline)?,
    }
    let mut child = Killed(
        Command::new(&role.path)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?,
    );
    let pumps = [
        child.0.stdout.take().map(|out| pump(out, Arc::clone(screen))),
        child.0.stderr.take().map(|err| pump(err, Arc::clone(screen))),
    ];
    let mut typed_to = child.0.stdin.take();
    let mut seen = 0;
    for (prompt, answer) in &role.dialogue {
        seen = screen.wait_for(prompt.as_bytes(), seen, deadline)?;
        let mut line = answer.clone();
        line.push(b'\n');
        screen.print(&line);
        if let Some(stdin) = &mut typed_to {
            stdin.write_all(&line)?;
        }
    }
    drop(typed_to);
    // The end of both outputs is the event to wait for; a deadline cannot be set on wait(2).
    screen.wait_for_pumps(deadline)?;
    for pump in pumps.into_iter().flatten() {
        let _ = pump.join();
    }
    let status = child.0.wait()?;
    Ok(Transcript { text: screen.text(), status })
}

fn screen_of(screens: &[Arc<Screen>], index: usize) -> io::Result<&Arc<Screen>> {
    screens.get(index).ok_or_else(|| io::Error::other(format!("there is no role {index}")))
}

fn wait_for_file(path: &Path, deadline: Instant) -> io::Result<()> {
    while path.symlink_metadata().is_err() {
        if Instant::now() >= deadline {
            let error = format!("{} is not there", path.display());
            return Err(io::Error::new(io::ErrorKind::TimedOut, error));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A child that does not outlive its play.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pump(mut from: impl Read + Send + 'static, to: Arc<Screen>) -> thread::JoinHandle<()> {
    {
        let mut seen = to.lock();
        seen.started = true;
        seen.pumps += 1;
    }
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => to.print(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        to.lock().pumps -= 1;
        to.changed.notify_all();
    })
}

/// What a program has printed so far.
struct Screen {
    /// Before each line that is shown; `None` if nothing is.
    prefix: Option<String>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    text: Vec<u8>,
    /// How much of it has been shown.
    shown: usize,
    started: bool,
    /// How many of its outputs are still open.
    pumps: usize,
    ended: bool,
}

impl Screen {
    fn new(prefix: Option<String>) -> Screen {
        Screen { prefix, seen: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> Vec<u8> {
        self.lock().text.clone()
    }

    fn print(&self, bytes: &[u8]) {
        let mut seen = self.lock();
        seen.text.extend_from_slice(bytes);
        self.show(&mut seen, false);
        self.changed.notify_all();
    }

    fn end(&self) {
        let mut seen = self.lock();
        seen.ended = true;
        self.show(&mut seen, true);
        self.changed.notify_all();
    }

    /// Shows the lines that are whole, or all.
    fn show(&self, seen: &mut Seen, all: bool) {
        let Some(prefix) = &self.prefix else { return };
        while let Some(rest @ [_, ..]) = seen.text.get(seen.shown..) {
            let end = rest.iter().position(|byte| *byte == b'\n');
            if end.is_none() && !all {
                return;
            }
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            println!("{prefix}{}", String::from_utf8_lossy(line));
            seen.shown += line.len() + 1;
        }
    }

    /// Waits until `text` has been printed at or behind `from`, and returns where it ends.
    fn wait_for(&self, text: &[u8], from: usize, deadline: Instant) -> io::Result<usize> {
        let what = || format!("did not print {:?}", String::from_utf8_lossy(text));
        self.wait_until(deadline, &what, |seen| {
            let tail = seen.text.get(from..).unwrap_or_default();
            let found = tail.windows(text.len().max(1)).position(|window| window == text);
            match found {
                Some(place) => Some(Ok(from + place + text.len())),
                None if seen.ended || seen.started && seen.pumps == 0 => {
                    Some(Err(io::Error::other(what())))
                }
                None => None,
            }
        })?
    }

    fn wait_for_end(&self, deadline: Instant) -> io::Result<()> {
        self.wait_until(deadline, &|| "did not end".into(), |seen| seen.ended.then_some(()))
    }

    fn wait_for_pumps(&self, deadline: Instant) -> io::Result<()> {
        self.wait_until(deadline, &|| "did not end".into(), |seen| (seen.pumps == 0).then_some(()))
    }

    fn wait_until<T>(
        &self,
        deadline: Instant,
        what: &dyn Fn() -> String,
        mut done: impl FnMut(&Seen) -> Option<T>,
    ) -> io::Result<T> {
        let mut seen = self.lock();
        loop {
            if let Some(value) = done(&seen) {
                return Ok(value);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, what()));
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

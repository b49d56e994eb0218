//! One round: two processes (or two threads of one), each on its processor, and a word to each when both
//! are there.
//!
//! The order matters, and is the same for everybody: a side opens its end first and is pinned to its
//! processor then. For an end that is made where only one processor is allowed never spins, and rightly
//! so: its peer could not run meanwhile. Where both sides are to share one processor, they are pinned
//! first, as under `taskset 1`, so that everybody can see it. Threads that a library starts for itself
//! are left where the kernel puts them.
//!
//! A side says `ready` when its end is open, waits for the word, measures, says its figures, and keeps its
//! end open until the coordinator has heard both: so nobody's leaving is measured.

use crate::figures::{Round, Side};
use crate::measure;
use crate::plan::Job;
use crate::sys;
use crate::wire::{Ends, Opener, Result, Wire};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long a side may take for opening, and on top of its time, before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// One round between two processes.
pub(crate) fn processes<W: Wire>(ends: Ends<W>, job: &Job) -> Result<Round> {
    let Ends { near, far } = ends;
    let (mut near, mut far) = (Some(near), Some(far));
    let (mut lines, mut theirs) = lines()?;
    let mut children = Children(Vec::new());
    // Each child drops all that belongs to somebody else, so that it is gone when its owner is.
    children.0.push(sys::fork(|| {
        drop((lines.take(), theirs[1].take(), far.take()));
        run_side(near.take(), measure::near, theirs[0].take(), job, job.processors[0]);
    })?);
    children.0.push(sys::fork(|| {
        drop((lines.take(), theirs[0].take(), near.take()));
        run_side(far.take(), measure::far, theirs[1].take(), job, job.processors[1]);
    })?);
    drop((near, far, theirs));
    children.after(lines.ok_or("no lines").map_err(Into::into).and_then(|lines| conduct(lines, job)))
}

/// One round between two threads of one child process. `ends` is called in the child.
pub(crate) fn threads<W: Wire>(ends: impl FnOnce() -> Result<Ends<W>>, job: &Job) -> Result<Round> {
    let mut ends = Some(ends);
    let (mut lines, mut theirs) = lines()?;
    let mut children = Children(Vec::new());
    children.0.push(sys::fork(|| {
        drop(lines.take());
        let [near_line, far_line] = [theirs[0].take(), theirs[1].take()];
        let (near, far) = match ends.take().map(|ends| ends()) {
            Some(Ok(Ends { near, far })) => (Some(near), Some(far)),
            // The sides will say that there is nothing to open.
            _ => (None, None),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| run_side(near, measure::near, near_line, job, job.processors[0]));
            run_side(far, measure::far, far_line, job, job.processors[1]);
        });
    })?);
    drop((ends, theirs));
    children.after(lines.ok_or("no lines").map_err(Into::into).and_then(|lines| conduct(lines, job)))
}

/// The coordinator's ends of its lines to the sides, and the sides' ends.
type Lines = (Option<[UnixStream; 2]>, [Option<UnixStream>; 2]);

fn lines() -> Result<Lines> {
    let (to_near, near) = UnixStream::pair()?;
    let (to_far, far) = UnixStream::pair()?;
    Ok((Some([to_near, to_far]), [Some(near), Some(far)]))
}

/// The children of one round.
struct Children(Vec<Pid>);

impl Children {
    /// Waits for them; kills them first if the round has failed.
    fn after(self, round: Result<Round>) -> Result<Round> {
        for child in self.0 {
            if round.is_err() {
                let _ = kill(child, Signal::SIGKILL);
            }
            let _ = waitpid(child, None);
        }
        round
    }
}

/// The coordinator's part: waits until both are ready, gives the word, and hears their figures.
fn conduct(lines: [UnixStream; 2], job: &Job) -> Result<Round> {
    let mut lines = lines.map(BufReader::new);
    for line in &mut lines {
        line.get_ref().set_read_timeout(Some(PATIENCE))?;
        let word = hear(line)?;
        if word != "ready" {
            return Err(word.into());
        }
    }
    for line in &mut lines {
        line.get_ref().set_read_timeout(Some(PATIENCE + 2 * job.time))?;
        say(line.get_ref(), "go");
    }
    let mut figures = || -> Result<[Side; 2]> {
        let mut sides = [Side::default(); 2];
        for (side, line) in sides.iter_mut().zip(&mut lines) {
            let word = hear(line)?;
            let value = serde_json::from_str(&word).ok();
            *side = value.as_ref().and_then(Side::from_json).ok_or(word)?;
        }
        Ok(sides)
    };
    let [near, far] = figures()?;
    Ok(Round { near, far })
}

/// A side's part. What goes wrong is told to the coordinator.
fn run_side<W: Wire>(
    opener: Option<Opener<W>>,
    measure: fn(&mut W, &Job) -> Result<Side>,
    line: Option<UnixStream>,
    job: &Job,
    processor: usize,
) {
    let Some(line) = line else { return };
    let part = || -> Result<()> {
        let opener = opener.ok_or("no end to open")?;
        if job.one_processor() {
            sys::pin(processor)?;
        }
        let mut wire = opener()?;
        sys::pin(processor)?;
        say(&line, "ready");
        let mut line = BufReader::new(&line);
        hear(&mut line)?;
        let side = measure(&mut wire, job)?;
        say(line.get_ref(), &side.to_json().to_string());
        // Until the coordinator closes its end.
        let _ = hear(&mut line);
        Ok(())
    };
    if let Err(error) = part() {
        say(&line, &format!("failed: {error}"));
    }
}

fn say(mut line: &UnixStream, word: &str) {
    // If the coordinator is gone, nobody wants to know.
    let _ = line.write_all(format!("{}\n", word.replace('\n', " ")).as_bytes());
}

fn hear(line: &mut BufReader<impl std::io::Read>) -> Result<String> {
    let mut word = String::new();
    match line.read_line(&mut word) {
        Ok(0) => Err("a side has ended without a word".into()),
        Ok(_) => Ok(word.trim_end().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err("hangs".into()),
        Err(error) => Err(error.into()),
    }
}

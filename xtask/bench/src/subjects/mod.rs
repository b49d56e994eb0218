//! Who is measured: our transports, raw system calls in C style, other libraries, and the machine itself.

mod floor;
mod ours;
mod peers;
mod raw;

use crate::figures::Round;
use crate::plan::{Job, Pattern};
use crate::side;
use crate::wire::{Ends, Result, Wire};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whose a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Ours,
    Raw,
    Peer,
    /// What the machine itself takes.
    Floor,
}

/// Which of ours each of the others is set beside: the one that works by the same means.
const COUNTERPARTS: &[(&str, &str)] = &[
    ("raw pipe", "pipe"),
    ("raw fifo", "fifo"),
    ("raw unix", "unix"),
    ("raw tcp", "tcp"),
    ("raw udp", "udp"),
    ("raw mq", "mq"),
    ("posixmq", "mq"),
    ("raw sysvmsg", "sysvmsg"),
    ("raw pipe greedy", "pipe"),
    ("raw unix greedy", "unix"),
    ("raw tcp greedy", "tcp"),
    ("raw pipe polled", "pipe"),
    ("raw unix polled", "unix"),
    ("raw tcp polled", "tcp"),
    ("raw mq polled", "mq"),
    ("raw sysvmsg polled", "sysvmsg"),
    ("raw sysvmsg polled, one queue", "sysvmsg"),
    ("libzmq ipc", "unix"),
    ("libzmq tcp", "tcp"),
    ("libzmq inproc", "inproc"),
    ("iceoryx2", "shm"),
    ("iceoryx2 in place", "shm in place"),
    ("ipc-channel", "unixpacket"),
    ("crossbeam-channel", "inproc"),
    ("kanal", "inproc"),
    ("flume", "inproc"),
    ("two cache lines", "shm"),
];

/// The patterns that everybody is measured in.
const USUAL: &[Pattern] = &[Pattern::RoundTrip, Pattern::OneWay, Pattern::Idle, Pattern::Paced];

/// Runs one round.
type Run = Box<dyn Fn(&Job) -> Result<Round>>;

/// One way of carrying messages.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    /// Both sides are threads of one process.
    pub(crate) threads: bool,
    /// The longest message in bytes, and who says so.
    limit: Option<(usize, &'static str)>,
    patterns: &'static [Pattern],
    /// The sizes for which it is of interest, where these are not all.
    sizes: Option<&'static [usize]>,
    run: Run,
}

impl Subject {
    /// Between two processes. `ends` makes what both inherit, for messages of this size.
    fn processes<W: Wire + 'static>(
        family: Family,
        name: &'static str,
        ends: impl Fn(usize) -> Result<Ends<W>> + 'static,
    ) -> Subject {
        let run = Box::new(move |job: &Job| side::processes(ends(job.size)?, job));
        Subject { run, ..Subject::missing(family, name) }
    }

    /// Between two threads of one process.
    fn threads<W: Wire + 'static>(
        family: Family,
        name: &'static str,
        ends: impl Fn(usize) -> Result<Ends<W>> + 'static,
    ) -> Subject {
        let run = Box::new(move |job: &Job| side::threads(|| ends(job.size), job));
        Subject { run, threads: true, ..Subject::missing(family, name) }
    }

    /// One that could not be built: its rows say so.
    fn missing(family: Family, name: &'static str) -> Subject {
        let run = Box::new(|_: &Job| Err("could not be built on this machine".into()));
        Subject { name, family, threads: false, limit: None, patterns: USUAL, sizes: None, run }
    }

    /// Messages are at most that long, for this reason.
    fn at_most(self, bytes: usize, reason: &'static str) -> Subject {
        Subject { limit: Some((bytes, reason)), ..self }
    }

    /// Measured in these patterns.
    fn in_patterns(self, patterns: &'static [Pattern]) -> Subject {
        Subject { patterns, ..self }
    }

    /// Measured in these patterns and sizes only: a variant of another subject.
    fn only(self, patterns: &'static [Pattern], sizes: &'static [usize]) -> Subject {
        Subject { patterns, sizes: Some(sizes), ..self }
    }

    /// Whether there is a row for this.
    pub(crate) fn does(&self, pattern: Pattern, size: usize) -> bool {
        self.patterns.contains(&pattern)
            && self.sizes.is_none_or(|sizes| sizes.contains(&size))
            && self.limit.is_none_or(|(limit, _)| size <= limit)
            // Batches are for short messages.
            && (pattern != Pattern::Batched || size <= 4096)
    }

    /// Whether it is measured in some patterns and sizes only.
    pub(crate) fn is_variant(&self) -> bool {
        self.sizes.is_some()
    }

    /// The one of ours that it is set beside.
    pub(crate) fn counterpart(&self) -> Option<&'static str> {
        COUNTERPARTS.iter().find(|(name, _)| *name == self.name).map(|(_, ours)| *ours)
    }

    /// The longest message, and who says so.
    pub(crate) fn limit(&self) -> Option<(usize, &'static str)> {
        self.limit
    }

    /// Runs one round.
    pub(crate) fn run(&self, job: &Job) -> Result<Round> {
        (self.run)(job)
    }
}

/// All subjects, ours first.
pub(crate) fn all(with_peers: bool) -> Vec<Subject> {
    let mut all = ours::all();
    all.extend(raw::all());
    all.push(floor::subject());
    if with_peers {
        all.extend(peers::all());
    }
    all
}

/// Removes what other libraries have left behind in this run.
pub(crate) fn clean_up() {
    peers::clean_up();
}

/// A name that nobody else uses.
fn fresh_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("ipc-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// How many messages of that size a side between threads may be ahead, for everybody alike: what ZeroMQ's
/// users and ours get by default, but not more than 64 MiB.
fn mark(size: usize) -> usize {
    ((64 << 20) / size).clamp(16, 1000)
}

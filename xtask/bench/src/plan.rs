//! What is run: which patterns, which sizes, how long and how often; one row for each subject, pattern,
//! size and placement.

use crate::subjects::{Family, Subject};
use std::fmt;
use std::time::Duration;

/// The sizes of messages, in bytes.
pub(crate) const SIZES: [usize; 4] = [64, 4 << 10, 64 << 10, 1 << 20];

/// What the two sides do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Pattern {
    /// A message, and the same back; one at a time.
    RoundTrip,
    /// As many as go through, one call each.
    OneWay,
    /// As many as go through, several a call.
    Batched,
    /// Nothing at all: what waiting costs.
    Idle,
    /// A thousand messages a second.
    Paced,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pattern::RoundTrip => "there and back",
            Pattern::OneWay => "one way",
            Pattern::Batched => "one way, batched",
            Pattern::Idle => "idle",
            Pattern::Paced => "1,000 a second",
        })
    }
}

/// What names a row, beside its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) pattern: Pattern,
    pub(crate) size: usize,
    /// Both sides on one processor.
    pub(crate) shared_processor: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.pattern, size(self.size))?;
        if self.shared_processor { f.write_str(", one processor") } else { Ok(()) }
    }
}

/// A size as a person writes it.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// One round of a row, as the two sides see it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) pattern: Pattern,
    pub(crate) size: usize,
    pub(crate) time: Duration,
    /// The processors of the side that begins and of the side that answers.
    pub(crate) processors: [usize; 2],
    /// Both sides are threads of one process.
    pub(crate) threads: bool,
}

impl Job {
    pub(crate) fn warm_up(&self) -> Duration {
        self.time / 5
    }

    pub(crate) fn one_processor(&self) -> bool {
        self.processors[0] == self.processors[1]
    }
}

/// A row: which subject, what, how often, how long a round.
pub(crate) struct Row {
    /// The place of the subject in the list of all.
    pub(crate) subject: usize,
    pub(crate) kind: Kind,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
}

/// How much is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// Two sizes, three short rounds.
    Quick,
    /// Everybody once in each pattern, for a moment: whether it works, and no more.
    Smoke,
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) extent: Extent,
    /// Everything on one processor, and nothing on two.
    pub(crate) one_processor: bool,
}

impl Scope {
    fn rounds(self) -> usize {
        match self.extent {
            Extent::Whole => 5,
            Extent::Quick => 3,
            Extent::Smoke => 1,
        }
    }

    fn time(self) -> Duration {
        Duration::from_millis(match self.extent {
            Extent::Whole => 250,
            Extent::Quick => 60,
            Extent::Smoke => 5,
        })
    }

    /// How long a round takes in which little happens.
    fn waiting_time(self) -> Duration {
        Duration::from_millis(match self.extent {
            Extent::Whole => 1000,
            Extent::Quick => 300,
            Extent::Smoke => 5,
        })
    }

    /// The sizes in which a subject is measured.
    fn sizes(self, subject: &Subject, pattern: Pattern) -> Vec<usize> {
        let sizes = match self.extent {
            Extent::Quick => vec![64, 64 << 10],
            _ => SIZES.to_vec(),
        };
        let sizes = sizes.into_iter().filter(|size| subject.does(pattern, *size));
        sizes.take(if self.extent == Extent::Smoke { 1 } else { usize::MAX }).collect()
    }
}

/// All rows, those that are compared with each other side by side.
pub(crate) fn rows(subjects: &[Subject], scope: Scope) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |subject: usize, pattern, size, shared_processor, rounds, time| {
        let shared_processor = shared_processor || scope.one_processor;
        rows.push(Row { subject, kind: Kind { pattern, size, shared_processor }, rounds, time });
    };
    for (index, subject) in subjects.iter().enumerate() {
        for pattern in [Pattern::RoundTrip, Pattern::OneWay, Pattern::Batched] {
            for size in scope.sizes(subject, pattern) {
                add(index, pattern, size, false, scope.rounds(), scope.time());
            }
        }
        for pattern in [Pattern::Idle, Pattern::Paced] {
            if subject.does(pattern, 64) {
                add(index, pattern, 64, false, 1, scope.waiting_time());
            }
        }
        let compared_on_one =
            matches!(subject.family, Family::Ours | Family::Raw) && !subject.is_variant();
        if compared_on_one && subject.does(Pattern::RoundTrip, 64) && !scope.one_processor {
            add(index, Pattern::RoundTrip, 64, true, scope.rounds(), scope.time());
        }
    }
    rows.sort_by_key(|row| (row.kind.shared_processor, row.kind.pattern, row.kind.size, row.subject));
    rows
}

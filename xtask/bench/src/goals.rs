//! What is to be reached, as data, and whether it was.
//!
//! Every goal is a ratio of times within one run: ours by theirs, at most so much. The goals for an idle
//! receiver are parts of one processor.

use crate::plan::Pattern::{self, Batched, Idle, OneWay, Paced, RoundTrip};
use crate::plan::{Kind, size};
use crate::results::Results;
use crate::table::{Column, duration, show};
use serde_json::{Value, json};

/// Goals for one kind of rows.
struct Group {
    what: &'static str,
    pattern: Pattern,
    sizes: &'static [usize],
    one_processor: bool,
    /// Ours, theirs, and the ratio that is wanted at most.
    goals: &'static [(&'static str, &'static str, f64)],
}

const B64: &[usize] = &[64];
const LONG: &[usize] = &[64 << 10, 1 << 20];

const GROUPS: &[Group] = &[
    Group {
        what: "there and back, adaptive, against raw blocking calls",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: false,
        goals: &[
            ("pipe", "raw pipe", 1.0 / 15.0),
            ("fifo", "raw pipe", 1.0 / 15.0),
            ("unix", "raw unix", 1.0 / 8.0),
            ("tcp", "raw tcp", 1.0 / 5.0),
            ("mq", "raw mq", 1.0 / 12.0),
            ("sysvmsg", "raw sysvmsg", 1.0 / 12.0),
        ],
    },
    Group {
        what: "there and back, against the libraries",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: false,
        goals: &[
            ("shm", "iceoryx2", 1.0),
            ("shm", "iceoryx2 in place", 1.0),
            ("inproc", "crossbeam-channel", 1.0),
            ("unix", "libzmq ipc", 1.0 / 5.0),
            ("tcp", "libzmq tcp", 1.0 / 5.0),
            ("inproc", "libzmq inproc", 1.0 / 5.0),
            ("unix", "ipc-channel", 1.0 / 5.0),
            ("unixpacket", "ipc-channel", 1.0 / 5.0),
        ],
    },
    Group {
        what: "there and back, waiting=block",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: false,
        goals: &[
            ("pipe waiting=block", "raw pipe", 1.1),
            ("fifo waiting=block", "raw fifo", 1.1),
            ("unix waiting=block", "raw unix", 1.1),
            ("tcp waiting=block", "raw tcp", 1.1),
            ("mq waiting=block", "raw mq", 1.1),
            ("sysvmsg waiting=block", "raw sysvmsg", 1.1),
        ],
    },
    Group {
        what: "there and back, on one processor",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: true,
        goals: &[
            ("pipe", "raw pipe", 1.1),
            ("fifo", "raw fifo", 1.1),
            ("unix", "raw unix", 1.1),
            ("tcp", "raw tcp", 1.1),
            ("mq", "raw mq", 1.1),
            ("sysvmsg", "raw sysvmsg", 1.1),
        ],
    },
    Group {
        what: "one way, plain send",
        pattern: OneWay,
        sizes: B64,
        one_processor: false,
        goals: &[
            ("pipe", "raw pipe", 1.0),
            ("unix", "raw unix", 1.0),
            ("shm", "iceoryx2", 1.0 / 10.0),
            ("shm", "iceoryx2 in place", 1.0 / 10.0),
            ("inproc", "crossbeam-channel", 1.0 / 1.5),
            ("inproc", "libzmq inproc", 1.0 / 4.0),
            ("mq", "posixmq", 1.05),
            ("mq", "raw mq", 1.05),
            ("sysvmsg", "raw sysvmsg", 1.05),
        ],
    },
    Group {
        what: "one way, batched, against plain",
        pattern: Batched,
        sizes: B64,
        one_processor: false,
        goals: &[("pipe", "libzmq ipc", 0.6), ("unix", "libzmq ipc", 0.6)],
    },
    Group {
        what: "one way",
        pattern: OneWay,
        sizes: &[4 << 10],
        one_processor: false,
        goals: &[
            ("shm", "iceoryx2 in place", 1.0 / 2.0),
            ("mq", "posixmq", 1.05),
            ("mq", "raw mq", 1.05),
            ("sysvmsg", "raw sysvmsg", 1.05),
        ],
    },
    Group {
        what: "one way, long messages",
        pattern: OneWay,
        sizes: LONG,
        one_processor: false,
        goals: &[
            ("pipe", "raw pipe", 1.0 / 3.0),
            ("pipe capacity=1M", "raw pipe", 1.0 / 3.0),
            ("unix", "raw unix", 1.0),
            ("tcp", "raw tcp", 1.0),
            ("pipe", "ipc-channel", 1.0),
            ("unix", "ipc-channel", 1.0),
            ("tcp", "ipc-channel", 1.0),
            ("pipe", "libzmq ipc", 1.0),
            ("unix", "libzmq ipc", 1.0),
            ("tcp", "libzmq tcp", 1.0),
        ],
    },
    Group {
        what: "one way, copied on both sides",
        pattern: OneWay,
        sizes: &[64 << 10],
        one_processor: false,
        goals: &[("shm", "iceoryx2", 1.0)],
    },
    Group {
        what: "one way, in place",
        pattern: OneWay,
        sizes: &[1 << 20],
        one_processor: false,
        goals: &[("shm in place", "iceoryx2 in place", 1.0)],
    },
    Group {
        what: "an idle receiver",
        pattern: Idle,
        sizes: B64,
        one_processor: false,
        goals: &[
            ("inproc", "", 0.002),
            ("pipe", "", 0.002),
            ("fifo", "", 0.002),
            ("unix", "", 0.002),
            ("unixpacket", "", 0.002),
            ("unixgram", "", 0.002),
            ("tcp", "", 0.002),
            ("udp", "", 0.002),
            ("mq", "", 0.002),
            ("sysvmsg", "", 0.002),
            ("shm", "", 0.002),
        ],
    },
    Group {
        what: "a receiver of 1,000 messages a second",
        pattern: Paced,
        sizes: B64,
        one_processor: false,
        goals: &[
            ("inproc", "", 0.1),
            ("pipe", "", 0.1),
            ("fifo", "", 0.1),
            ("unix", "", 0.1),
            ("unixpacket", "", 0.1),
            ("unixgram", "", 0.1),
            ("tcp", "", 0.1),
            ("udp", "", 0.1),
            ("mq", "", 0.1),
            ("sysvmsg", "", 0.1),
            ("shm", "", 0.1),
        ],
    },
];

/// A goal, and how near it was.
struct Found {
    what: &'static str,
    size: usize,
    ours: &'static str,
    theirs: &'static str,
    wanted: f64,
    /// Our figure, theirs, and the ratio; what is missing was not measured.
    figures: Option<(f64, f64, f64)>,
}

impl Found {
    fn reached(&self) -> Option<bool> {
        self.figures.map(|(_, _, ratio)| ratio <= self.wanted)
    }
}

fn look(results: &Results, group: &Group) -> Vec<Found> {
    let mut found = Vec::new();
    for &size in group.sizes {
        let kind = Kind { pattern: group.pattern, size, shared_processor: group.one_processor };
        for &(ours, theirs, wanted) in group.goals {
            let of_ours = results.medians(ours, kind);
            // Libraries have no batches.
            let plain = if kind.pattern == Batched { Kind { pattern: OneWay, ..kind } } else { kind };
            let figures = match theirs {
                "" => of_ours.map(|ours| (ours.cpu[1], 1.0, ours.cpu[1])),
                _ => of_ours
                    .zip(results.medians(theirs, plain))
                    .map(|(ours, theirs)| (ours.time, theirs.time, ours.time / theirs.time)),
            };
            found.push(Found { what: group.what, size, ours, theirs, wanted, figures });
        }
    }
    found
}

/// All goals as a table, with the sum below.
pub(crate) fn table(results: &Results) -> String {
    let columns = [
        Column::left("ours"),
        Column::left("beside"),
        Column::right("ours"),
        Column::right("theirs"),
        Column::right("ratio"),
        Column::right("wanted"),
        Column::left(""),
    ];
    let (mut text, mut all) = (String::new(), Vec::new());
    for group in GROUPS {
        let found = look(results, group);
        if found.iter().all(|goal| goal.figures.is_none()) {
            all.extend(found);
            continue;
        }
        let rows = found.iter().map(cells).collect::<Vec<_>>();
        text += &format!("\n{}\n{}", group.what, show(&columns, &rows));
        all.extend(found);
    }
    let count = |reached| all.iter().filter(|goal| goal.reached() == reached).count();
    let (yes, no, unknown) = (count(Some(true)), count(Some(false)), count(None));
    text + &format!("\n{yes} goals reached, {no} not reached, {unknown} not measured.\n")
}

fn cells(goal: &Found) -> Vec<String> {
    let name = format!("{}, {}", goal.ours, size(goal.size));
    let mark = match goal.reached() {
        Some(true) => "reached",
        Some(false) => "NOT REACHED",
        None => "not measured",
    };
    let share = |part: f64| format!("{:.2} %", part * 100.0);
    let figures = match goal.figures {
        Some((ours, _, _)) if goal.theirs.is_empty() => {
            [share(ours), "".into(), "".into(), share(goal.wanted)]
        }
        Some((ours, theirs, quotient)) => {
            [duration(ours), duration(theirs), ratio(quotient), ratio(goal.wanted)]
        }
        None if goal.theirs.is_empty() => ["".into(), "".into(), "".into(), share(goal.wanted)],
        None => ["".into(), "".into(), "".into(), ratio(goal.wanted)],
    };
    let [ours, theirs, quotient, wanted] = figures;
    vec![name, goal.theirs.into(), ours, theirs, quotient, format!("at most {wanted}"), mark.into()]
}

/// A ratio as people say it: a part of one as a fraction.
fn ratio(value: f64) -> String {
    if value < 0.5 { format!("1/{:.1}", 1.0 / value) } else { format!("{value:.2}") }
}

/// All goals, for other programs.
pub(crate) fn to_json(results: &Results) -> Value {
    let found = GROUPS.iter().flat_map(|group| look(results, group));
    let goals = found.map(|goal| {
        json!({
            "what": goal.what,
            "size": goal.size,
            "ours": goal.ours,
            "beside": goal.theirs,
            "wanted_at_most": goal.wanted,
            "ratio": goal.figures.map(|(_, _, ratio)| ratio),
            "reached": goal.reached(),
        })
    });
    Value::Array(goals.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects;

    /// A name that is spelt wrong would be "not measured" for ever.
    #[test]
    fn every_goal_is_about_rows_that_there_are() {
        let subjects = subjects::all(true);
        let is_measured = |name: &str, pattern, size| {
            subjects.iter().any(|subject| subject.name == name && subject.does(pattern, size))
        };
        for group in GROUPS {
            let theirs_pattern = if group.pattern == Batched { OneWay } else { group.pattern };
            for (ours, theirs, wanted) in group.goals {
                for &size in group.sizes {
                    assert!(is_measured(ours, group.pattern, size), "{ours}, {} {size}", group.what);
                    let measured = theirs.is_empty() || is_measured(theirs, theirs_pattern, size);
                    assert!(measured, "{theirs}, {} {size}", group.what);
                }
                assert!(*wanted > 0.0, "{ours} {}", group.what);
            }
        }
    }

    #[test]
    fn ratios_are_written_as_people_say_them() {
        assert_eq!(ratio(1.0 / 15.0), "1/15.0");
        assert_eq!(ratio(1.1), "1.10");
    }
}

//! What is to be reached, and whether it was.
//!
//! Every goal is a ratio of times within one run: ours by theirs, at most so much. The goals for an idle
//! receiver are parts of one processor. Beside a goal that was not reached stands why, where that is known;
//! where a figure can tell it, it is one of the same run.

mod wanted;

use crate::plan::Kind;
use crate::plan::Pattern::{Batched, OneWay};
use crate::plan::size;
use crate::results::Results;
use crate::table::{Column, duration, show};
use serde_json::{Value, json};
use wanted::{Because, GROUPS, Group};

/// A goal, and how near it was.
pub(crate) struct Found {
    size: usize,
    ours: &'static str,
    theirs: &'static str,
    wanted: f64,
    /// Our figure, theirs, and the ratio; what is missing was not measured.
    figures: Option<(f64, f64, f64)>,
    /// Why it was not reached, if that is known.
    because: Option<String>,
}

impl Found {
    fn reached(&self) -> Option<bool> {
        self.figures.map(|(_, _, ratio)| ratio <= self.wanted)
    }

    /// The cells of its row: what, ours, beside, theirs, ratio, wanted, and whether it was reached.
    pub(crate) fn cells(&self) -> [String; 7] {
        let name = format!("{}, {}", self.ours, size(self.size));
        let mark = match (self.reached(), &self.because) {
            (Some(true), _) => "reached".into(),
            (Some(false), None) => "NOT REACHED".into(),
            (Some(false), Some(because)) => format!("NOT REACHED: {because}"),
            (None, _) => "not measured".into(),
        };
        let empty = String::new;
        let (ours, theirs, quotient) = match self.figures {
            Some((ours, _, _)) if self.theirs.is_empty() => (share(ours), empty(), empty()),
            Some((ours, theirs, quotient)) => (duration(ours), duration(theirs), ratio(quotient)),
            None => (empty(), empty(), empty()),
        };
        let wanted = if self.theirs.is_empty() { share(self.wanted) } else { ratio(self.wanted) };
        [name, ours, self.theirs.into(), theirs, quotient, format!("at most {wanted}"), mark]
    }
}

/// The goals for one kind of rows, as they were found.
pub(crate) struct FoundGroup {
    pub(crate) what: &'static str,
    pub(crate) goals: Vec<Found>,
}

impl FoundGroup {
    /// Whether nothing of it was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.goals.iter().all(|goal| goal.figures.is_none())
    }

    /// The goal that is the furthest from being reached.
    pub(crate) fn worst(&self) -> Option<&Found> {
        let distance = |goal: &&Found| goal.figures.map_or(0.0, |(_, _, ratio)| ratio / goal.wanted);
        self.goals.iter().max_by(|one, other| distance(one).total_cmp(&distance(other)))
    }

    /// Whether what is wanted are parts of a processor.
    pub(crate) fn is_about_waiting(&self) -> bool {
        self.goals.iter().all(|goal| goal.theirs.is_empty())
    }
}

/// All goals, with what this run says to them.
pub(crate) fn found(results: &Results) -> Vec<FoundGroup> {
    GROUPS.iter().map(|group| look(results, group)).collect()
}

fn look(results: &Results, group: &Group) -> FoundGroup {
    let mut goals = Vec::new();
    for &size in group.sizes {
        let kind = Kind { pattern: group.pattern, size, shared_processor: group.one_processor };
        for goal in group.goals {
            let of_ours = results.medians(goal.ours, kind);
            // Libraries have no batches.
            let plain = if kind.pattern == Batched { Kind { pattern: OneWay, ..kind } } else { kind };
            let of_theirs = results.medians(goal.theirs, plain);
            let figures = match goal.theirs {
                "" => of_ours.map(|ours| (ours.cpu[1], 1.0, ours.cpu[1])),
                _ => of_ours
                    .zip(of_theirs)
                    .map(|(ours, theirs)| (ours.time, theirs.time, ours.time / theirs.time)),
            };
            let because = match goal.because {
                Because::Open => None,
                Because::Found(text) => Some(text.into()),
                Because::Floor(floor) => results
                    .medians(floor, kind)
                    .zip(of_theirs)
                    .map(|(floor, theirs)| at_best(floor.time / theirs.time, goal.wanted)),
            };
            let (ours, theirs, wanted) = (goal.ours, goal.theirs, goal.wanted);
            goals.push(Found { size, ours, theirs, wanted, figures, because });
        }
    }
    FoundGroup { what: group.what, goals }
}

/// What can be said if a busy loop of raw calls takes so much of their time.
fn at_best(floor: f64, wanted: f64) -> String {
    let busy = format!("a busy loop of raw calls was {} of it", ratio(floor));
    if floor > wanted { busy + "; no call into the kernel can do better here" } else { busy }
}

/// All goals as a table, with the sum below.
pub(crate) fn table(results: &Results) -> String {
    let columns = [
        Column::left(""),
        Column::right("ours"),
        Column::left("beside"),
        Column::right("theirs"),
        Column::right("ratio"),
        Column::right("wanted"),
        Column::left(""),
    ];
    let groups = found(results);
    let measured = groups.iter().filter(|group| !group.is_empty()).map(|group| {
        let rows: Vec<_> = group.goals.iter().map(|goal| goal.cells().to_vec()).collect();
        format!("\n{}\n{}", group.what, show(&columns, &rows))
    });
    measured.collect::<String>() + &format!("\n{}.\n", sum(&groups))
}

/// How many were reached.
pub(crate) fn sum(groups: &[FoundGroup]) -> String {
    let count = |reached| {
        let goals = groups.iter().flat_map(|group| &group.goals);
        goals.filter(|goal| goal.reached() == reached).count()
    };
    let (yes, no, unknown) = (count(Some(true)), count(Some(false)), count(None));
    format!("{yes} goals reached, {no} not reached, {unknown} not measured")
}

/// A ratio as people say it: a part of one as a fraction.
fn ratio(value: f64) -> String {
    if value < 0.5 { format!("1/{:.1}", 1.0 / value) } else { format!("{value:.2}") }
}

/// A part of a processor.
fn share(part: f64) -> String {
    format!("{:.2} %", part * 100.0)
}

/// All goals, for other programs.
pub(crate) fn to_json(results: &Results) -> Value {
    let mut goals = Vec::new();
    for group in found(results) {
        for goal in group.goals {
            let reached = goal.reached();
            goals.push(json!({
                "what": group.what,
                "size": goal.size,
                "ours": goal.ours,
                "beside": goal.theirs,
                "wanted_at_most": goal.wanted,
                "ratio": goal.figures.map(|(_, _, ratio)| ratio),
                "reached": reached,
                "because": goal.because.filter(|_| reached == Some(false)),
            }));
        }
    }
    Value::Array(goals)
}

#[cfg(test)]
mod tests {
    use super::wanted::Goal;
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
            for Goal { ours, theirs, wanted, because } in group.goals {
                for &size in group.sizes {
                    assert!(is_measured(ours, group.pattern, size), "{ours}, {} {size}", group.what);
                    let measured = theirs.is_empty() || is_measured(theirs, theirs_pattern, size);
                    assert!(measured, "{theirs}, {} {size}", group.what);
                    if let Because::Floor(floor) = because {
                        assert!(
                            is_measured(floor, group.pattern, size),
                            "{floor}, {} {size}",
                            group.what
                        );
                    }
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

    #[test]
    fn a_floor_excuses_only_what_it_does_not_reach_itself() {
        assert!(at_best(1.0 / 4.0, 1.0 / 15.0).contains("1/4.0 of it; no call"));
        assert!(!at_best(1.0 / 20.0, 1.0 / 15.0).contains("no call"));
    }
}

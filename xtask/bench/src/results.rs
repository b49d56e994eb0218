//! What has been measured, row by row.

use crate::figures::{Medians, Round};
use crate::machine::Machine;
use crate::plan::Kind;
use crate::subjects::{Family, Subject};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The rounds of one row, and what went wrong last, if something did.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: Vec<Round>,
    pub(crate) failure: Option<String>,
}

/// All rows.
pub(crate) struct Results {
    pub(crate) subjects: Vec<Subject>,
    outcomes: BTreeMap<Kind, BTreeMap<&'static str, Outcome>>,
}

impl Results {
    pub(crate) fn new(subjects: Vec<Subject>) -> Results {
        Results { subjects, outcomes: BTreeMap::new() }
    }

    /// Adds a round of a row.
    pub(crate) fn add(&mut self, subject: usize, kind: Kind, round: Result<Round, String>) {
        let Some(subject) = self.subjects.get(subject) else { return };
        let outcome = self.outcomes.entry(kind).or_default().entry(subject.name).or_default();
        match round {
            Ok(round) => outcome.rounds.push(round),
            Err(failure) => outcome.failure = Some(failure),
        }
    }

    /// Whether a row has failed already, so that it need not be tried again.
    pub(crate) fn has_failed(&self, subject: usize, kind: Kind) -> bool {
        let Some(subject) = self.subjects.get(subject) else { return true };
        self.outcome(subject.name, kind).is_some_and(|outcome| outcome.failure.is_some())
    }

    /// The kinds of rows, in order.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.outcomes.keys().copied()
    }

    pub(crate) fn outcome(&self, subject: &str, kind: Kind) -> Option<&Outcome> {
        self.outcomes.get(&kind)?.get(subject)
    }

    /// What went wrong: subject, row, and why.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (kind, outcomes) in &self.outcomes {
            for (subject, outcome) in outcomes {
                let failure = outcome.failure.iter();
                failures.extend(failure.map(|failure| format!("{subject}, {kind}: {failure}")));
            }
        }
        failures
    }

    /// The medians of a row, if at least one of its rounds was whole.
    pub(crate) fn medians(&self, subject: &str, kind: Kind) -> Option<Medians> {
        Medians::of(&self.outcome(subject, kind)?.rounds)
    }

    /// Everything, for other programs: seconds throughout.
    pub(crate) fn to_json(&self, machine: &Machine, goals: Value) -> Value {
        let mut rows = Vec::new();
        for (kind, outcomes) in &self.outcomes {
            for subject in &self.subjects {
                let Some(outcome) = outcomes.get(subject.name) else { continue };
                let rounds = outcome.rounds.iter();
                rows.push(json!({
                    "subject": subject.name,
                    "ours": subject.family == Family::Ours,
                    "pattern": kind.pattern.to_string(),
                    "size": kind.size,
                    "one_processor": kind.shared_processor,
                    "medians": Medians::of(&outcome.rounds).map(|medians| medians.to_json(kind.size)),
                    // Each side: messages, seconds, processor time, [p50, p99, p99.9].
                    "rounds": rounds
                        .map(|round| json!({ "near": round.near.to_json(), "far": round.far.to_json() }))
                        .collect::<Vec<_>>(),
                    "failure": outcome.failure,
                }));
            }
        }
        json!({ "machine": machine.to_json(), "rows": rows, "goals": goals })
    }
}

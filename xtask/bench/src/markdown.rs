//! What of a run stands in the README: the picture, the main figures, and the goals.

use crate::goals;
use crate::machine::Machine;
use crate::plan::{Kind, Pattern, SIZES, size};
use crate::results::Results;
use crate::subjects::{Family, Subject};
use crate::table::{duration, number};
use crate::wire::Result;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

/// Where the picture lies, from the README.
pub(crate) const PICTURE: &str = "xtask/bench/results/speed.svg";

/// The marks in the README, between which it stands.
const BEGIN: &str = "<!-- speed -->";
const END: &str = "<!-- /speed -->";

/// The whole of it.
pub(crate) fn text(results: &Results, machine: &Machine) -> Result<String> {
    let mut text = format!("{machine}\n\n![Time and rate by the size of messages]({PICTURE})\n\n");
    text += &figures(results)?;
    text += "\n**Bold** is ours, below it what works by the same means; times are medians of rounds that took \
             turns. Of messages in place only the head is touched, so their bytes are handed over, not \
             moved.\n\n";
    text += &goals(results)?;
    Ok(text)
}

/// The README with this text between its marks.
pub(crate) fn put_into(readme: &str, text: &str) -> Result<String> {
    let parts =
        readme.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("there is no {BEGIN} … {END} in it"))?;
    Ok(format!("{before}{BEGIN}\n{text}{END}{after}"))
}

/// Ours, each followed by those that it is set beside.
fn figures(results: &Results) -> Result<String> {
    let mut text = String::from("| | there and back, 64 B | p99 | a second |");
    for bytes in SIZES {
        write!(text, " one way, {} |", size(bytes))?;
    }
    text += " batched, 64 B |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    let subjects = || results.subjects.iter().filter(|subject| !subject.is_variant());
    for ours in subjects().filter(|subject| subject.family == Family::Ours) {
        let others = subjects().filter(|subject| subject.counterpart() == Some(ours.name));
        for subject in [ours].into_iter().chain(others) {
            let cells = row(results, subject);
            if cells.iter().all(String::is_empty) {
                continue;
            }
            let name = subject.name;
            let name = if subject.family == Family::Ours { format!("**{name}**") } else { name.into() };
            writeln!(text, "| {name} | {} |", cells.join(" | "))?;
        }
    }
    Ok(text)
}

/// Median, p99 and rate there and back, and the rates one way: messages for the shortest, bytes for the rest;
/// and of messages in batches.
fn row(results: &Results, subject: &Subject) -> Vec<String> {
    let medians =
        |pattern, size| results.medians(subject.name, Kind { pattern, size, shared_processor: false });
    let there_and_back = medians(Pattern::RoundTrip, SIZES[0]);
    let mut cells = vec![
        there_and_back.map(|medians| duration(medians.time)),
        there_and_back.map(|medians| duration(medians.quantiles[1])),
        there_and_back.map(|medians| number(medians.rate).trim_end().to_owned()),
    ];
    for size in SIZES {
        let rate = medians(Pattern::OneWay, size).map(|medians| 1.0 / medians.time);
        cells.push(rate.map(|rate| match size {
            64 => number(rate).trim_end().to_owned() + "/s",
            _ => number(rate * size as f64).trim_end().to_owned() + "B/s",
        }));
    }
    let batched = medians(Pattern::Batched, SIZES[0]).map(|medians| 1.0 / medians.time);
    cells.push(batched.map(|rate| number(rate).trim_end().to_owned() + "/s"));
    cells.into_iter().map(Option::unwrap_or_default).collect()
}

/// The goals, folded up: of those for waiting, the worst of each group.
fn goals(results: &Results) -> Result<String> {
    let groups = goals::found(results);
    let mut text = format!("<details>\n<summary>{}</summary>\n\n", goals::sum(&groups));
    text += "| | ours | beside | theirs | ratio | wanted | |\n|---|--:|---|--:|--:|--:|---|\n";
    // A reason that many rows share is told once.
    let mut told = BTreeMap::new();
    let mut plain = |mut cells: [String; 7]| {
        if let Some((_, because)) = cells[6].split_once(": ") {
            cells[6] = match told.entry(because.to_owned()) {
                Entry::Occupied(first) => format!("**not reached**: as {} above", first.get()),
                Entry::Vacant(first) => {
                    first.insert(cells[0].clone());
                    format!("**not reached**: {because}")
                }
            };
        }
        cells[6] = cells[6].replace("NOT REACHED", "**not reached**");
        cells
    };
    for group in groups.iter().filter(|group| !group.is_empty()) {
        let mut line = |cells: [String; 7]| writeln!(text, "| {} |", cells.join(" | "));
        match group.worst() {
            Some(worst) if group.is_about_waiting() => {
                let mut cells = plain(worst.cells());
                cells[0] = format!("*{}*, at worst: {}", group.what, cells[0]);
                line(cells)?;
            }
            _ => {
                line([
                    format!("*{}*", group.what),
                    "".into(),
                    "".into(),
                    "".into(),
                    "".into(),
                    "".into(),
                    "".into(),
                ])?;
                group.goals.iter().try_for_each(|goal| line(plain(goal.cells())))?;
            }
        }
    }
    text += "\n</details>\n";
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let readme = "one\n<!-- speed -->\nold\n<!-- /speed -->\ntwo\n";
        let new = put_into(readme, "new\n").expect("both marks are there");
        assert_eq!(new, "one\n<!-- speed -->\nnew\n<!-- /speed -->\ntwo\n");
        assert!(put_into("no marks", "new\n").is_err());
    }

    #[test]
    fn our_readme_has_the_marks() {
        let readme = include_str!("../../../README.md");
        assert!(put_into(readme, "").is_ok());
    }
}

//! The tables that a person reads: one for each pattern and size, the fastest first.

use crate::plan::{Kind, Pattern};
use crate::results::Results;
use crate::subjects::{Family, Subject};

/// A column of a table.
pub(crate) struct Column {
    head: &'static str,
    right: bool,
}

impl Column {
    pub(crate) fn left(head: &'static str) -> Column {
        Column { head, right: false }
    }

    pub(crate) fn right(head: &'static str) -> Column {
        Column { head, right: true }
    }
}

/// Rows under a head, each column as wide as it must be.
pub(crate) fn show(columns: &[Column], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain([columns[index].head.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let mut line = String::new();
        for ((cell, column), &width) in cells.iter().zip(columns).zip(&widths) {
            let cell =
                if column.right { format!("  {cell:>width$}") } else { format!("  {cell:width$}") };
            line += &cell;
        }
        line.trim_end().to_owned() + "\n"
    };
    let head: Vec<_> = columns.iter().map(|column| column.head).collect();
    let mut text = line(&head);
    for row in rows {
        text += &line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

/// All tables.
pub(crate) fn tables(results: &Results) -> String {
    results.kinds().map(|kind| format!("\n{kind}\n{}", table(results, kind))).collect()
}

fn table(results: &Results, kind: Kind) -> String {
    let waits = matches!(kind.pattern, Pattern::Idle | Pattern::Paced);
    let columns = [
        Column::left(""),
        Column::right(if kind.pattern == Pattern::RoundTrip { "p50" } else { "a message" }),
        Column::right("p99"),
        Column::right("p99.9"),
        Column::right("messages/s"),
        Column::right("bytes/s"),
        Column::right("cpu, here"),
        Column::right("cpu, there"),
        Column::left("beside ours"),
    ];
    let mut rows: Vec<(f64, Vec<String>)> =
        results.subjects.iter().filter_map(|subject| row(results, subject, kind)).collect();
    rows.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let mut text = show(&columns, &rows);
    for (subject, why) in
        results.subjects.iter().filter_map(|subject| Some((subject, absent(results, subject, kind)?)))
    {
        text += &format!("    not {}: {why}\n", subject.name);
    }
    if waits {
        text += "  (cpu, there: what the receiver costs)\n";
    }
    text
}

/// Why a subject is not in a table where one would look for it.
fn absent(results: &Results, subject: &Subject, kind: Kind) -> Option<String> {
    match (results.outcome(subject.name, kind), subject.limit()) {
        // Rounds that were whole count; but that one was not must be said.
        (Some(outcome), _) => outcome.failure.clone(),
        // Those that are measured in some sizes only have nothing to explain.
        (None, Some((limit, reason))) if kind.size > limit && !subject.is_variant() => {
            Some(format!("at most {limit} bytes ({reason})"))
        }
        _ => None,
    }
}

/// What to sort by, and the cells.
fn row(results: &Results, subject: &Subject, kind: Kind) -> Option<(f64, Vec<String>)> {
    let name = match subject.family {
        Family::Ours => format!("* {}", subject.name),
        _ => format!("  {}", subject.name),
    };
    let medians = results.medians(subject.name, kind)?;
    let [_, p99, p999] = medians.quantiles.map(duration);
    let [here, there] = medians.cpu.map(|part| format!("{:.1} %", part * 100.0));
    let beside = subject.counterpart().and_then(|ours| {
        let ratio = medians.time / results.medians(ours, kind)?.time;
        Some(format!("{ratio:.2} x {ours}"))
    });
    let cells = match kind.pattern {
        Pattern::Idle | Pattern::Paced => {
            ["".into(), "".into(), "".into(), number(medians.rate), "".into()]
        }
        Pattern::RoundTrip => {
            let bytes = medians.rate * kind.size as f64;
            [duration(medians.time), p99, p999, number(medians.rate), number(bytes)]
        }
        _ => {
            let bytes = kind.size as f64 / medians.time;
            [duration(medians.time), "".into(), "".into(), number(1.0 / medians.time), number(bytes)]
        }
    };
    let waits = matches!(kind.pattern, Pattern::Idle | Pattern::Paced);
    let order = if waits { medians.cpu[1] } else { medians.time };
    let beside = beside.filter(|_| !waits).unwrap_or_default();
    let row = [name].into_iter().chain(cells).chain([here, there, beside]).collect();
    Some((order, row))
}

/// A time as people write it, with three figures.
pub(crate) fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        0.0 => return String::new(),
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s "),
    };
    format!("{} {unit}", three_figures(value))
}

/// A number as people write it: 1.25 M.
pub(crate) fn number(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 1e9 => (v / 1e9, " G"),
        v if v >= 1e6 => (v / 1e6, " M"),
        v if v >= 1e3 => (v / 1e3, " k"),
        v => (v, "  "),
    };
    three_figures(value) + unit
}

fn three_figures(value: f64) -> String {
    let places = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.places$}")
}

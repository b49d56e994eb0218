//! The picture: time there and back, and bytes a second one way, by the size of messages; logarithmic axes.
//!
//! One panel for what works by the same means; those beside each other have the same axes. Ours are thick,
//! raw calls thin and broken, other libraries thin with dots. Names stand at the end of their curves, moved
//! apart where they would lie on each other.

use crate::machine::Machine;
use crate::plan::{Kind, Pattern, SIZES, size};
use crate::results::Results;
use crate::subjects::Family;
use crate::wire::Result;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use std::ops::Range;

/// The panels, in rows of three: a title, and which of ours. Whoever is set beside them joins them.
const PANELS: [[(&str, &[&str]); 3]; 2] = [
    [
        ("pipes", &["pipe", "fifo"]),
        ("Unix sockets", &["unix", "unixpacket", "unixgram"]),
        ("TCP and UDP", &["tcp", "udp"]),
    ],
    [
        ("message queues", &["mq", "sysvmsg"]),
        ("shared memory", &["shm", "shm in place"]),
        ("threads of one process", &["inproc"]),
    ],
];

const PANEL: (u32, u32) = (408, 292);
/// Left of the first panel of a row.
const AXIS: u32 = 70;
/// Right of the curves of each panel, for their names.
const NAMES: u32 = 132;
/// Over the panels, and over each half of them.
const HEAD: u32 = 56;
const TITLE: u32 = 40;
const LABEL_HEIGHT: f64 = 15.0;

const INK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(110, 110, 110);
const MESH: RGBColor = RGBColor(228, 228, 228);

/// Ours: colours that can be told apart on white, also by most who see colours otherwise.
const STRONG: [RGBColor; 3] = [RGBColor(0, 104, 180), RGBColor(213, 80, 0), RGBColor(0, 140, 100)];
/// Theirs.
const MUTED: [RGBColor; 4] =
    [RGBColor(150, 70, 140), RGBColor(150, 110, 20), RGBColor(90, 90, 170), RGBColor(150, 60, 60)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What one half of the picture shows.
struct Half {
    title: &'static str,
    pattern: Pattern,
    /// The value of a point: of seconds a message, and bytes.
    value: fn(f64, f64) -> f64,
    label: fn(&f64) -> String,
}

const HALVES: [Half; 2] = [
    Half {
        title: "There and back: median time (lower is better)",
        pattern: Pattern::RoundTrip,
        value: |time, _| time,
        label: time_label,
    },
    Half {
        title: "One way: bytes a second (higher is better)",
        pattern: Pattern::OneWay,
        value: |time, size| size / time,
        label: rate_label,
    },
];

pub(crate) fn draw(results: &Results, machine: &Machine) -> Result<String> {
    let mut text = String::new();
    let width = AXIS + 3 * PANEL.0;
    let half_height = TITLE + 2 * PANEL.1;
    {
        let root =
            SVGBackend::with_string(&mut text, (width, HEAD + 2 * half_height)).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, mut rest) = root.split_vertically(HEAD);
        let key = "thick: ours; broken: raw blocking calls; thin with dots: other libraries; \
                   in place: nothing is copied, only the head of a message is touched";
        write_at(&head, key, (16, 12), 16, FontStyle::Normal, INK)?;
        write_at(&head, &machine.to_string(), (16, 33), 14, FontStyle::Normal, GREY)?;
        for half in &HALVES {
            let (mut area, below) = rest.split_vertically(half_height);
            let title;
            (title, area) = area.split_vertically(TITLE);
            write_at(&title, half.title, (16, 14), 20, FontStyle::Bold, INK)?;
            for row in &PANELS {
                let (panels, others) = area.split_vertically(PANEL.1);
                draw_row(&panels, results, half, row)?;
                area = others;
            }
            rest = below;
        }
        root.present()?;
    }
    Ok(text)
}

/// Three panels with the same axes.
fn draw_row(area: &Area<'_>, results: &Results, half: &Half, row: &[(&str, &[&str]); 3]) -> Result<()> {
    let curves = row.map(|(_, ours)| curves(results, half, ours));
    let values = || curves.iter().flatten().flat_map(|curve| &curve.points).map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if high == 0.0 {
        return Ok(());
    }
    let mut rest = area.clone();
    for (index, ((title, _), curves)) in row.iter().zip(&curves).enumerate() {
        let axis = if index == 0 { AXIS } else { 0 };
        let (panel, others) = rest.split_horizontally(PANEL.0 + axis);
        draw_panel(&panel, title, curves, Decades(low / 1.3..high * 1.3), axis, half.label)?;
        rest = others;
    }
    Ok(())
}

/// A line of one subject.
struct Curve {
    name: &'static str,
    family: Family,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

impl Curve {
    fn end(&self) -> (f64, f64) {
        self.points.last().copied().unwrap_or_default()
    }
}

/// Those of ours, and those that are set beside them, that are measured in more than one size.
fn curves(results: &Results, half: &Half, ours: &[&str]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for subject in results.subjects.iter().filter(|subject| !subject.is_variant()) {
        if !ours.contains(&subject.counterpart().unwrap_or(subject.name)) {
            continue;
        }
        let points = SIZES.into_iter().filter_map(|size| {
            let kind = Kind { pattern: half.pattern, size, shared_processor: false };
            let medians = results.medians(subject.name, kind)?;
            Some((size as f64, (half.value)(medians.time, size as f64)))
        });
        let points: Vec<_> = points.collect();
        let before = curves.iter().filter(|curve| curve.family == subject.family).count();
        let colour = match subject.family {
            Family::Ours => STRONG[before % STRONG.len()],
            Family::Peer => MUTED[before % MUTED.len()],
            Family::Raw | Family::Floor => GREY,
        };
        curves.push(Curve { name: subject.name, family: subject.family, colour, points });
    }
    curves.retain(|curve| curve.points.len() > 1);
    // Ours lie over the others.
    curves.sort_by_key(|curve| curve.family == Family::Ours);
    curves
}

fn draw_panel(
    area: &Area<'_>,
    title: &str,
    curves: &[Curve],
    range: Decades,
    axis: u32,
    label: fn(&f64) -> String,
) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_top(28)
        .margin_right(NAMES)
        .x_label_area_size(26)
        .y_label_area_size(axis)
        .build_cartesian_2d(Sizes, range)?;
    chart
        .configure_mesh()
        .label_style(("sans-serif", 14).into_font().color(&GREY))
        .axis_style(RGBColor(150, 150, 150))
        .light_line_style(TRANSPARENT)
        .bold_line_style(MESH)
        .x_label_formatter(&|value| size(*value as usize))
        .y_label_formatter(&label)
        .draw()?;
    write_at(area, title, (axis as i32 + 10, 6), 16, FontStyle::Bold, INK)?;
    for curve in curves {
        let points = curve.points.iter().copied();
        match curve.family {
            Family::Ours => {
                chart.draw_series(LineSeries::new(points, curve.colour.stroke_width(3)))?;
            }
            Family::Peer => {
                chart.draw_series(LineSeries::new(points.clone(), curve.colour.stroke_width(1)))?;
                chart.draw_series(points.map(|point| Circle::new(point, 3, curve.colour.filled())))?;
            }
            Family::Raw | Family::Floor => {
                chart.draw_series(DashedLineSeries::new(points, 5, 4, curve.colour.stroke_width(1)))?;
            }
        }
    }
    // Where the curves end: names begin behind the last of all ends.
    let origin = area.get_base_pixel();
    let mut ends: Vec<_> = curves
        .iter()
        .map(|curve| {
            let (x, y) = chart.backend_coord(&curve.end());
            (curve, (x - origin.0, y - origin.1))
        })
        .collect();
    ends.sort_by_key(|(_, (_, y))| *y);
    let edge = ends.iter().map(|(_, (x, _))| *x).max().unwrap_or(0);
    let wished = ends.iter().map(|(_, (_, y))| f64::from(*y)).collect();
    let bottom = f64::from(PANEL.1) - 42.0;
    for ((curve, end), place) in ends.iter().zip(apart(wished, 36.0, bottom)) {
        let place = place as i32;
        let thread = PathElement::new(
            vec![*end, (edge, end.1), (edge + 14, place)],
            curve.colour.mix(0.4).stroke_width(1),
        );
        area.draw(&thread)?;
        let weight = if curve.family == Family::Ours { FontStyle::Bold } else { FontStyle::Normal };
        write_at(area, curve.name, (edge + 18, place - 7), 14, weight, curve.colour)?;
    }
    Ok(())
}

/// Writes a text, its upper left corner at this place.
fn write_at(
    area: &Area<'_>,
    text: &str,
    place: (i32, i32),
    height: u32,
    weight: FontStyle,
    colour: RGBColor,
) -> Result<()> {
    area.draw_text(text, &("sans-serif", height).into_font().style(weight).color(&colour), place)?;
    Ok(())
}

/// Moves places that are in order so far apart that names fit, and keeps them between top and bottom.
fn apart(mut places: Vec<f64>, top: f64, bottom: f64) -> Vec<f64> {
    let mut least = top;
    for place in &mut places {
        *place = place.max(least);
        least = *place + LABEL_HEIGHT;
    }
    let mut most = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - LABEL_HEIGHT;
    }
    places
}

/// The axis of sizes: logarithmic, marked at the sizes that are measured.
struct Sizes;

impl Ranged for Sizes {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        Decades(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        SIZES.map(|size| size as f64).to_vec()
    }

    fn range(&self) -> Range<f64> {
        40.0..1.3 * (1 << 20) as f64
    }
}

/// A logarithmic axis, marked at the decades; and between them, if they are few.
struct Decades(Range<f64>);

impl Ranged for Decades {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let part = (value / self.0.start).ln() / (self.0.end / self.0.start).ln();
        limit.0 + (f64::from(limit.1 - limit.0) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let decades = (-12..15).map(|power| 10f64.powi(power));
        let steps: &[f64] = match self.0.end / self.0.start {
            ..1e2 => &[1.0, 2.0, 5.0],
            1e2..3e3 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let points = decades.flat_map(|decade| steps.iter().map(move |step| decade * step));
        points.filter(|point| self.0.contains(point)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

fn time_label(seconds: &f64) -> String {
    scaled(*seconds, &[(1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")])
}

fn rate_label(rate: &f64) -> String {
    scaled(*rate, &[(1e12, " TB/s"), (1e9, " GB/s"), (1e6, " MB/s"), (1e3, " kB/s")])
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = units.iter().find(|(unit, _)| value >= unit * 0.999);
    let (unit, name) = fits.copied().unwrap_or((1.0, ""));
    format!("{:.0}{name}", value / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects;

    #[test]
    fn names_do_not_lie_on_each_other() {
        let places = apart(vec![100.0, 101.0, 102.0, 498.0, 499.0], 0.0, 500.0);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_HEIGHT), "{places:?}");
        assert!(places.iter().all(|place| (0.0..=500.0).contains(place)), "{places:?}");
    }

    #[test]
    fn everybody_has_a_panel() {
        let panels: Vec<&str> =
            PANELS.iter().flatten().flat_map(|(_, ours)| ours.iter().copied()).collect();
        for subject in subjects::all(true).iter().filter(|subject| !subject.is_variant()) {
            let beside = subject.counterpart().unwrap_or(subject.name);
            assert!(panels.contains(&beside), "{} is in no panel", subject.name);
        }
    }
}

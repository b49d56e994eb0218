//! The picture: time there and back, and bytes a second one way, by the size of messages; logarithmic axes.
//!
//! Ours are thick lines, raw calls thin ones, other libraries thin with dots. Names stand at the end of their
//! lines, moved apart where they would lie on each other.

use crate::machine::Machine;
use crate::plan::{Kind, Pattern, SIZES, size};
use crate::results::Results;
use crate::subjects::Family;
use crate::wire::Result;
use plotters::coord::ranged1d::{KeyPointHint, Ranged};
use plotters::prelude::*;
use std::ops::Range;

const WIDTH: u32 = 1240;
const HEIGHT: u32 = 1180;
const MARGIN_RIGHT: u32 = 210;
const LABEL_HEIGHT: f64 = 15.0;

/// Colours that can be told apart on white, also by most who see colours otherwise.
const COLOURS: [RGBColor; 12] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 140, 100),
    RGBColor(190, 80, 150),
    RGBColor(150, 110, 0),
    RGBColor(70, 160, 220),
    RGBColor(90, 60, 160),
    RGBColor(160, 30, 40),
    RGBColor(60, 130, 30),
    RGBColor(20, 20, 20),
    RGBColor(120, 120, 120),
    RGBColor(200, 140, 20),
];

/// A line of one subject.
struct Curve {
    name: &'static str,
    family: Family,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

pub(crate) fn draw(results: &Results, machine: &Machine) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, panels) = root.split_vertically(44);
        let style = ("sans-serif", 14).into_font().color(&RGBColor(60, 60, 60));
        head.draw_text(&machine.to_string(), &style, (16, 8))?;
        let key = "thick: ours; thin: raw blocking calls; thin with dots: other libraries; in place: nothing is copied, and little of it touched";
        head.draw_text(key, &style, (16, 26))?;
        let [upper, lower] = &panels.split_evenly((2, 1))[..] else { return Err("no room".into()) };
        let there_and_back = curves(results, Pattern::RoundTrip, |time, _| time);
        panel(upper, "There and back, median", there_and_back, time_label)?;
        let one_way = curves(results, Pattern::OneWay, |time, size| size / time);
        panel(lower, "One way, bytes a second", one_way, rate_label)?;
        root.present()?;
    }
    Ok(text)
}

/// One curve a subject that is measured in more than one size.
fn curves(results: &Results, pattern: Pattern, value: fn(f64, f64) -> f64) -> Vec<Curve> {
    let subjects = results.subjects.iter().filter(|subject| !subject.is_variant());
    let mut curves: Vec<Curve> = Vec::new();
    for subject in subjects {
        let points = SIZES.into_iter().filter_map(|size| {
            let kind =
                results.kinds().find(|kind: &Kind| kind.pattern == pattern && kind.size == size)?;
            let medians = results.medians(subject.name, kind)?;
            Some((size as f64, value(medians.time, size as f64)))
        });
        let points: Vec<_> = points.collect();
        // What works by the same means has the same colour.
        let alike = subject.counterpart().unwrap_or(subject.name);
        let known = curves.iter().find(|curve| curve.name == alike).map(|curve| curve.colour);
        let colour = known.unwrap_or(COLOURS[curves.len() % COLOURS.len()]);
        curves.push(Curve { name: subject.name, family: subject.family, colour, points });
    }
    curves.retain(|curve| curve.points.len() > 1);
    curves
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn panel(area: &Area<'_>, title: &str, curves: Vec<Curve>, label: fn(&f64) -> String) -> Result<()> {
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if curves.is_empty() {
        return Ok(());
    }
    let range = Decades(low / 1.3..high * 1.3);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .margin_right(MARGIN_RIGHT)
        .x_label_area_size(28)
        .y_label_area_size(64)
        .build_cartesian_2d(Sizes, range)?;
    chart
        .configure_mesh()
        .label_style(("sans-serif", 13))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_label_formatter(&|value| size(*value as usize))
        .y_label_formatter(&label)
        .draw()?;
    for curve in &curves {
        let width = if curve.family == Family::Ours { 3 } else { 1 };
        let style = curve.colour.stroke_width(width);
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), style))?;
        if curve.family == Family::Peer {
            let dot = |&point: &(f64, f64)| Circle::new(point, 3, curve.colour.filled());
            chart.draw_series(curve.points.iter().map(dot))?;
        }
    }
    let origin = area.get_base_pixel();
    let (_, height) = area.dim_in_pixel();
    let room = f64::from(origin.1) + 30.0..f64::from(origin.1) + f64::from(height) - 40.0;
    // Those that end together get their names together.
    for last in SIZES {
        let ending = curves.iter().filter_map(|curve| Some((curve, *curve.points.last()?)));
        let ending = ending.filter(|(_, (size, _))| *size == last as f64);
        let mut ending: Vec<_> = ending.map(|(curve, end)| (curve, chart.backend_coord(&end))).collect();
        let at_the_edge = last == SIZES[SIZES.len() - 1];
        // Before the edge there is room for ours only; the others are known by their colour.
        ending.retain(|(curve, _)| at_the_edge || curve.family == Family::Ours);
        ending.sort_by_key(|(_, (_, y))| *y);
        let places = ending.iter().map(|(_, (_, y))| f64::from(*y)).collect();
        for ((curve, end), place) in ending.iter().zip(apart(places, room.start, room.end)) {
            name(area, curve, (end.0 - origin.0, end.1 - origin.1), place as i32 - origin.1)?;
        }
    }
    Ok(())
}

/// Writes the name of a curve behind its end, at the height `place`, and joins the two.
fn name(area: &Area<'_>, curve: &Curve, end: (i32, i32), place: i32) -> Result<()> {
    let thread = curve.colour.mix(0.35).stroke_width(1);
    area.draw(&PathElement::new(vec![end, (end.0 + 18, place)], thread))?;
    let weight = if curve.family == Family::Ours { FontStyle::Bold } else { FontStyle::Normal };
    let font = ("sans-serif", 13).into_font().style(weight).color(&curve.colour);
    area.draw_text(curve.name, &font, (end.0 + 22, place - 7))?;
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
    type FormatOption = plotters::coord::ranged1d::DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        Decades(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        SIZES.map(|size| size as f64).to_vec()
    }

    fn range(&self) -> Range<f64> {
        50.0..(1 << 20) as f64
    }
}

/// A logarithmic axis, marked at 1, 2 and 5 of each decade if there are few, else at the decades.
struct Decades(Range<f64>);

impl Ranged for Decades {
    type FormatOption = plotters::coord::ranged1d::DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let part = (value / self.0.start).ln() / (self.0.end / self.0.start).ln();
        limit.0 + (f64::from(limit.1 - limit.0) * part) as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let decades = (-12..15).map(|power| 10f64.powi(power));
        let steps: &[f64] = if self.0.end / self.0.start < 1e3 { &[1.0, 2.0, 5.0] } else { &[1.0, 3.0] };
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

    #[test]
    fn names_do_not_lie_on_each_other() {
        let places = apart(vec![100.0, 101.0, 102.0, 498.0, 499.0], 0.0, 500.0);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_HEIGHT), "{places:?}");
        assert!(places.iter().all(|place| (0.0..=500.0).contains(place)), "{places:?}");
    }
}

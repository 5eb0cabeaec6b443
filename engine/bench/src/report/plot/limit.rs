//! The page of a search, or of two: CPU, latency and loss over readers, every trial, with the bounds and the limits that
//! were found.

use plotters::prelude::RGBColor;

use super::axis::Axis;
use super::panel::{Panel, Series, Sign};
use super::run::{LATENCY_AXIS, millis};
use super::{ALARM, GREY, INK, LIGHT, OURS, Page, THEIRS, short_name};
use crate::against::Spread;
use crate::limit::{Bound, Criteria, LimitFound, Point, Try, Verdict};
use crate::limits::LimitComparison;
use crate::report::table::ratio_words;
use crate::report::words;

/// A search in a picture.
struct Curve<'a> {
    found: &'a LimitFound,
    /// Put before what the legend says.
    prefix: String,
    colors: Colors,
    median: Sign,
}

#[derive(Clone, Copy)]
struct Colors {
    within: RGBColor,
    above: RGBColor,
    median: RGBColor,
    limit: RGBColor,
}

impl Colors {
    const fn all(color: RGBColor) -> Self {
        Self {
            within: color,
            above: color,
            median: color,
            limit: color,
        }
    }
}

/// The page of one search.
pub(super) fn page(found: &LimitFound) -> Page {
    let curve = Curve {
        found,
        prefix: String::new(),
        colors: Colors {
            within: OURS,
            above: THEIRS,
            median: LIGHT,
            limit: INK,
        },
        median: Sign::Thick,
    };
    Page {
        outcome: outcome(found),
        rows: rows(&found.criteria, &[curve]),
    }
}

/// The page of two.
pub(super) fn page_of_two(limits: &LimitComparison) -> Page {
    let sides = limits.sides().zip([OURS, THEIRS]);
    let curves: Vec<Curve<'_>> = sides
        .map(|((name, found), color)| Curve {
            found,
            prefix: format!("{}: ", short_name(name)),
            colors: Colors::all(color),
            median: Sign::Thin,
        })
        .collect();
    let found = limits.sides().map(|(name, found)| {
        let name = short_name(name);
        format!("{name}: {}", limit_words(found))
    });
    let found: Vec<String> = found.collect();
    let wanted = limits.at_least;
    let wanted = wanted.map_or(String::new(), |bound| {
        format!(" (at least {bound} × wanted)")
    });
    let ratio = ratio_words(limits.ratio());
    Page {
        outcome: format!("limits: {}; ratio: {ratio}{wanted}", found.join(", ")),
        rows: rows(&limits.ours.criteria, &curves),
    }
}

fn rows(criteria: &Criteria, curves: &[Curve<'_>]) -> Vec<Vec<Panel>> {
    let cpu = |it: &Try| Some(it.server_share? * 100.0);
    let p99 = |it: &Try| Some(millis(it.p99?));
    let (max_p99, max_loss) = (criteria.max_p99, criteria.max_loss_percent);
    let latency = (words::duration(max_p99), millis(max_p99));
    let loss = (words::percent(max_loss), max_loss);
    let panels = [
        panel(curves, ["CPU of the server", "CPU (% of one)"], cpu, None),
        panel(
            curves,
            ["99th percentile of latency", LATENCY_AXIS],
            p99,
            Some(latency),
        ),
        panel(
            curves,
            ["Loss", "packets missing (%)"],
            |it| it.loss_percent,
            Some(loss),
        ),
    ];
    panels.into_iter().map(|panel| vec![panel]).collect()
}

fn outcome(found: &LimitFound) -> String {
    let limit = limit_words(found);
    let bound = found.bound_by.map_or("", Bound::sentence);
    format!("limit: {limit}; {bound}")
}

fn limit_words(found: &LimitFound) -> String {
    let at_least = if found.is_at_least() { "at least " } else { "" };
    format!("{at_least}{} readers", words::count(found.readers as u64))
}

/// A figure of all trials, with its bound.
fn panel(
    curves: &[Curve<'_>],
    [title, axis]: [&str; 2],
    figure: impl Fn(&Try) -> Option<f64>,
    bound: Option<(String, f64)>,
) -> Panel {
    let all = curves.iter().flat_map(|it| it.points(&figure, |_| true));
    let values = all.map(|(_, value)| value);
    let values = values.chain(bound.iter().map(|(_, value)| *value));
    let y = match axis {
        LATENCY_AXIS => Axis::spanning(axis, values),
        _ => Axis::from_zero(axis, values),
    };
    let last = curves.iter().filter_map(|it| it.found.curve.last());
    let x = Axis::from_zero("readers", last.map(|point| point.readers as f64));
    let mut panel = Panel::new(title, x, y);
    for curve in curves {
        panel.series.extend(curve.series(&figure));
    }
    if let Some((words, value)) = bound {
        panel.mark_y(format!("bound: {words}"), ALARM, value);
    }
    for curve in curves {
        let name = format!("{}{}", curve.prefix, limit_words(curve.found));
        panel.mark_x(name, curve.colors.limit, curve.found.readers as f64);
    }
    panel
}

impl Curve<'_> {
    /// Its trials of some verdicts, at their readers.
    fn points(
        &self,
        figure: &impl Fn(&Try) -> Option<f64>,
        is_wanted: impl Fn(Verdict) -> bool,
    ) -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        for point in &self.found.curve {
            let wanted = point.tries.iter().filter(|it| is_wanted(it.verdict));
            points.extend(wanted.filter_map(|it| Some((point.readers as f64, figure(it)?))));
        }
        points
    }

    fn medians(&self, figure: &impl Fn(&Try) -> Option<f64>) -> Vec<(f64, f64)> {
        let median = |point: &Point| {
            let spread = Spread::of(point.tries.iter().filter_map(figure))?;
            Some((point.readers as f64, spread.median))
        };
        self.found.curve.iter().filter_map(median).collect()
    }

    fn series(&self, figure: &impl Fn(&Try) -> Option<f64>) -> Vec<Series> {
        let Colors {
            within,
            above,
            median,
            ..
        } = self.colors;
        let series = |name: &str, color, sign, points| Series {
            name: Some(format!("{}{name}", self.prefix)),
            color,
            sign,
            points,
        };
        let is_within = |verdict| verdict == Verdict::Within;
        let (fits, exceeds) = (
            self.points(figure, is_within),
            self.points(figure, is_above),
        );
        let mut all = vec![
            series(
                "median of the trials",
                median,
                self.median,
                self.medians(figure),
            ),
            series("trial within the bounds", within, Sign::Dots, fits),
            series("trial above", above, Sign::Crosses, exceeds),
        ];
        let unknown = self.points(figure, |verdict| {
            verdict == Verdict::Above(Bound::Generator)
        });
        if !unknown.is_empty() {
            let name = "load generator was the bottleneck";
            all.push(series(name, GREY, Sign::Crosses, unknown));
        }
        all
    }
}

fn is_above(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Above(bound) if bound != Bound::Generator)
}

//! The page of a comparison: the latencies of both sides, each turn thin and their median thick, and the figures of every
//! turn.

use plotters::prelude::RGBColor;

use super::axis::Axis;
use super::panel::{Panel, Series, Sign};
use super::run::{LATENCY_AXIS, NINES, NINES_AXIS, curve};
use super::{OURS, Page, THEIRS, short_name};
use crate::against::{Comparison, FIGURES, Figure, Side, Spread, Turn};
use crate::report::words;

/// Both sides' signs of one turn stand so far from its number.
const ASIDE: f64 = 0.08;
/// Lines of medians begin and end so far from the first and last turn.
const ASIDE_END: f64 = 0.5;
const SIDES: [(Side, RGBColor, f64); 2] =
    [(Side::Ours, OURS, -ASIDE), (Side::Theirs, THEIRS, ASIDE)];

pub(super) fn page(comparison: &Comparison) -> Page {
    let figures = [Figure::CpuNanos, Figure::LatencyP99, Figure::ResidentBytes];
    let panels = figures.map(|figure| figure_panel(comparison, figure));
    Page {
        outcome: outcome(comparison),
        rows: vec![vec![distributions(comparison)], panels.into()],
    }
}

fn outcome(comparison: &Comparison) -> String {
    let ratio = |figure| {
        let ratio = match comparison.ratio(figure) {
            Some(ratio) => format!("{:.2} ×", ratio.of_medians),
            None => words::UNKNOWN.to_owned(),
        };
        format!("{} {ratio}", figure.name())
    };
    let ratios = FIGURES.map(ratio).join(", ");
    format!(
        "ratios of medians of {} turns: {ratios}",
        comparison.plan.turns
    )
}

fn distributions(comparison: &Comparison) -> Panel {
    let mut series = Vec::new();
    for (side, color, _) in SIDES {
        let turns = comparison.counted(side);
        let curves: Vec<_> = turns
            .map(|turn| curve(&turn.measured.sampled.latency))
            .collect();
        let median = median_curve(&curves);
        let name = short_name(comparison.name(side));
        series.extend(
            curves
                .into_iter()
                .enumerate()
                .map(|(place, points)| Series {
                    name: (place == 0).then(|| format!("{name}: turns")),
                    color,
                    sign: Sign::Thin,
                    points,
                }),
        );
        series.push(Series {
            name: Some(format!("{name}: median of the turns")),
            color,
            sign: Sign::Thick,
            points: median,
        });
    }
    let points = series.iter().flat_map(|series| &series.points);
    let y = Axis::spanning(LATENCY_AXIS, points.map(|(_, millis)| *millis));
    let x = Axis::nines(NINES_AXIS, NINES);
    let mut panel = Panel::new("Latency distribution", x, y);
    panel.series = series;
    panel.absent = "the stream carries no moments";
    panel
}

/// At each part, the median of the turns; as far as all turns reach.
fn median_curve(curves: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let shortest = curves.iter().min_by_key(|curve| curve.len());
    let parts = shortest.into_iter().flatten().enumerate();
    let median = |(place, (part, _)): (usize, &(f64, f64))| {
        let values = curves.iter().filter_map(|curve| Some(curve.get(place)?.1));
        Some((*part, Spread::of(values)?.median))
    };
    parts.filter_map(median).collect()
}

fn figure_panel(comparison: &Comparison, figure: Figure) -> Panel {
    let series: Vec<Series> = SIDES
        .into_iter()
        .flat_map(|side| figure_series(comparison, figure, side))
        .collect();
    let values = series.iter().flat_map(|series| &series.points);
    let y = Axis::from_zero(unit(figure), values.map(|(_, value)| *value));
    let x = Axis::turns("turn; lines: medians", comparison.plan.turns);
    let mut panel = Panel::new(title(comparison, figure), x, y);
    panel.series = series;
    panel
}

/// A side's turns, valid and not, and a line at their median.
fn figure_series(
    comparison: &Comparison,
    figure: Figure,
    (side, color, aside): (Side, RGBColor, f64),
) -> [Series; 3] {
    let points = |is_valid: bool| {
        let turns = comparison.turns(side).iter();
        let wanted = turns.filter(|turn| turn.measured.validity.is_valid() == is_valid);
        let point = |turn: &Turn| {
            let value = figure.of(&turn.measured)?;
            Some((turn.number as f64 + aside, drawn(figure, value)))
        };
        wanted.filter_map(point).collect::<Vec<_>>()
    };
    let name = short_name(comparison.name(side));
    let median = comparison.spread(side, figure).map(|spread| spread.median);
    let median_words = median.map_or("not known".to_owned(), |median| figure.words(median));
    let end = comparison.plan.turns as f64 + ASIDE_END;
    let line = median.map(|median| [ASIDE_END, end].map(|x| (x, drawn(figure, median))));
    let invalid = points(false);
    let series = |name, sign, points| Series {
        name,
        color,
        sign,
        points,
    };
    [
        series(
            Some(format!("{name}: {median_words}")),
            Sign::Dots,
            points(true),
        ),
        series(
            (!invalid.is_empty()).then(|| format!("{name}: not valid")),
            Sign::Crosses,
            invalid,
        ),
        series(None, Sign::Thin, line.into_iter().flatten().collect()),
    ]
}

fn title(comparison: &Comparison, figure: Figure) -> String {
    let name = figure.name();
    match comparison.ratio(figure) {
        Some(ratio) => format!(
            "{name}: {:.2} × ({:.2} to {:.2})",
            ratio.of_medians, ratio.of_turns.smallest, ratio.of_turns.largest
        ),
        None => name.to_owned(),
    }
}

/// A value in the unit of its axis.
fn drawn(figure: Figure, value: f64) -> f64 {
    match figure {
        Figure::CpuNanos => value,
        Figure::LatencyP50 | Figure::LatencyP99 => value / 1e6,
        Figure::ResidentBytes => value / 1_048_576.0,
    }
}

fn unit(figure: Figure) -> &'static str {
    match figure {
        Figure::CpuNanos => "CPU (ns)",
        Figure::LatencyP50 | Figure::LatencyP99 => LATENCY_AXIS,
        Figure::ResidentBytes => "memory (MiB)",
    }
}

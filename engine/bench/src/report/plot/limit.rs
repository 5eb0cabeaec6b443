//! The page of a search: CPU, latency and loss over readers, every trial, with the bounds and the limit that was found.

use plotters::prelude::RGBColor;

use super::axis::Axis;
use super::panel::{Panel, Series, Sign};
use super::run::{LATENCY_AXIS, millis};
use super::{ALARM, GREY, INK, LIGHT, OURS, Page, THEIRS};
use crate::against::Spread;
use crate::limit::{Bound, LimitFound, Point, Try, Verdict};
use crate::report::words;

pub(super) fn page(found: &LimitFound) -> Page {
    let cpu = |it: &Try| Some(it.server_share? * 100.0);
    let p99 = |it: &Try| Some(millis(it.p99?));
    let max_p99 = found.criteria.max_p99;
    let max_loss = found.criteria.max_loss_percent;
    let latency = (words::duration(max_p99), millis(max_p99));
    let loss = (words::percent(max_loss), max_loss);
    let panels = [
        panel(found, ["CPU of the server", "CPU (% of one)"], cpu, None),
        panel(
            found,
            ["99th percentile of latency", LATENCY_AXIS],
            p99,
            Some(latency),
        ),
        panel(
            found,
            ["Loss", "packets missing (%)"],
            |it| it.loss_percent,
            Some(loss),
        ),
    ];
    Page {
        outcome: outcome(found),
        rows: panels.into_iter().map(|panel| vec![panel]).collect(),
    }
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
    found: &LimitFound,
    [title, axis]: [&str; 2],
    figure: impl Fn(&Try) -> Option<f64>,
    bound: Option<(String, f64)>,
) -> Panel {
    let points = |is_wanted: &dyn Fn(Verdict) -> bool| {
        let tries = |point: &'_ Point| {
            let wanted = point.tries.iter().filter(|it| is_wanted(it.verdict));
            let at = |it: &Try| Some((point.readers as f64, figure(it)?));
            wanted.filter_map(at).collect::<Vec<_>>()
        };
        found.curve.iter().flat_map(tries).collect::<Vec<_>>()
    };
    let values = points(&|_| true).into_iter().map(|(_, value)| value);
    let values = values.chain(bound.iter().map(|(_, value)| *value));
    let y = match axis {
        LATENCY_AXIS => Axis::spanning(axis, values),
        _ => Axis::from_zero(axis, values),
    };
    let most = found.curve.last().map_or(0, |point| point.readers);
    let x = Axis::from_zero("readers", [most as f64].into_iter());
    let mut panel = Panel::new(title, x, y);
    panel.series = vec![
        medians(found, &figure),
        dots(
            "trial within the bounds",
            OURS,
            Sign::Dots,
            points(&|it| it == Verdict::Within),
        ),
        dots("trial above", THEIRS, Sign::Crosses, points(&is_above)),
    ];
    let unknown = points(&|it| it == Verdict::Above(Bound::Generator));
    if !unknown.is_empty() {
        panel.series.push(dots(
            "load generator was the bottleneck",
            GREY,
            Sign::Crosses,
            unknown,
        ));
    }
    if let Some((words, value)) = bound {
        panel.mark_y(format!("bound: {words}"), ALARM, value);
    }
    panel.mark_x(limit_words(found), INK, found.readers as f64);
    panel
}

fn is_above(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Above(bound) if bound != Bound::Generator)
}

fn dots(name: &str, color: RGBColor, sign: Sign, points: Vec<(f64, f64)>) -> Series {
    Series {
        name: Some(name.to_owned()),
        color,
        sign,
        points,
    }
}

fn medians(found: &LimitFound, figure: &impl Fn(&Try) -> Option<f64>) -> Series {
    let median = |point: &Point| {
        let spread = Spread::of(point.tries.iter().filter_map(figure))?;
        Some((point.readers as f64, spread.median))
    };
    Series {
        name: Some("median of the trials".to_owned()),
        color: LIGHT,
        sign: Sign::Thick,
        points: found.curve.iter().filter_map(median).collect(),
    }
}

//! The page of one run: how latencies are distributed, and its course second by second.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::axis::{Axis, part_at};
use super::panel::{Panel, Series, Sign};
use super::{GREY, LIGHT, OURS, Page};
use crate::measured::{Interval, Measured};
use crate::report::{Report, words};

/// Nines of the latency distribution: up to 99.99 %.
pub(super) const NINES: f64 = 4.0;
/// Points of a curve per nine.
const STEPS_PER_NINE: u32 = 50;
const NANOS_PER_MILLI: f64 = 1e6;
pub(super) const LATENCY_AXIS: &str = "latency (ms)";
pub(super) const NINES_AXIS: &str = "part of the packets that came within it";

pub(super) fn page(report: &Report, run: &Measured) -> Page {
    let intervals = run.intervals.as_slice();
    Page {
        outcome: outcome(run),
        rows: vec![
            vec![distribution(run), latency_course(intervals)],
            vec![cpu_course(intervals), reader_course(report, intervals)],
        ],
    }
}

fn outcome(run: &Measured) -> String {
    let known = |figure: Option<String>| figure.unwrap_or(words::UNKNOWN.to_owned());
    let share = run
        .server_share()
        .map(|share| words::percent(share * 100.0));
    format!(
        "measured for {}: server's CPU {}, {} per packet and reader; latency p50 {}, p99 {}; loss {}",
        words::duration(run.wall),
        known(share),
        known(run.server_nanos().map(words::nanos)),
        known(run.latency(0.5).map(words::duration)),
        known(run.latency(0.99).map(words::duration)),
        words::percent(run.loss() * 100.0),
    )
}

fn distribution(run: &Measured) -> Panel {
    let points = curve(&run.sampled.latency);
    let y = Axis::spanning(LATENCY_AXIS, points.iter().map(|(_, millis)| *millis));
    let mut panel = Panel::new("Latency distribution", Axis::nines(NINES_AXIS, NINES), y);
    panel.absent = "the stream carries no moments";
    panel.series.push(Series {
        name: Some("all packets of the readers looked at".to_owned()),
        color: OURS,
        sign: Sign::Thick,
        points,
    });
    panel
}

/// Milliseconds by the part of the packets that came within them, as far as there are packets enough to say so.
pub(super) fn curve(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    let nines = (latency.len().max(1) as f64).log10().min(NINES);
    let steps = (nines * f64::from(STEPS_PER_NINE)) as u32;
    if latency.is_empty() {
        return Vec::new();
    }
    let point = |step| {
        let part = part_at(f64::from(step) / f64::from(STEPS_PER_NINE));
        let nanos = latency.value_at_quantile(part);
        (part, nanos as f64 / NANOS_PER_MILLI)
    };
    (0..=steps).map(point).collect()
}

/// A panel over the run's seconds.
fn course(title: &str, y: Axis, intervals: &[Interval]) -> Panel {
    let end = intervals.last().map_or(0.0, |it| it.until.as_secs_f64());
    let mut panel = Panel::new(title, Axis::up_to("time (s)", end), y);
    panel.shade_name = "not measured";
    let mut begin = 0.0;
    for interval in intervals {
        let until = interval.until.as_secs_f64();
        if !interval.is_measured {
            panel.shaded.push((begin, until));
        }
        begin = until;
    }
    panel
}

fn latency_course(intervals: &[Interval]) -> Panel {
    let points = |figure: fn(&Interval) -> Option<Duration>| {
        let point = |it: &Interval| Some((it.until.as_secs_f64(), millis(figure(it)?)));
        intervals.iter().filter_map(point).collect::<Vec<_>>()
    };
    let median = points(|it| it.latency_p50);
    let p99 = points(|it| it.latency_p99);
    let all = median.iter().chain(&p99).map(|(_, millis)| *millis);
    let y = Axis::spanning(LATENCY_AXIS, all);
    let mut panel = course("Latency, second by second", y, intervals);
    panel.absent = "the stream carries no moments";
    for (name, color, points) in [("p50", LIGHT, median), ("p99", OURS, p99)] {
        panel.series.push(Series {
            name: Some(name.to_owned()),
            color,
            sign: Sign::Thick,
            points,
        });
    }
    panel
}

fn cpu_course(intervals: &[Interval]) -> Panel {
    let begins = [Duration::ZERO].into_iter();
    let begins = begins.chain(intervals.iter().map(|it| it.until));
    let server = begins.zip(intervals).filter_map(|(begin, it)| {
        let length = it.until.saturating_sub(begin).as_secs_f64();
        let share = it.server_cpu?.as_secs_f64() / length;
        (length > 0.0).then_some((it.until.as_secs_f64(), share * 100.0))
    });
    let server: Vec<(f64, f64)> = server.collect();
    let own = intervals
        .iter()
        .map(|it| (it.until.as_secs_f64(), it.own_share * 100.0));
    let own: Vec<(f64, f64)> = own.collect();
    let all = server.iter().chain(&own).map(|(_, percent)| *percent);
    let y = Axis::from_zero("CPU (% of one)", all);
    let mut panel = course("CPU, second by second", y, intervals);
    for (name, color, points) in [
        ("server's process", OURS, server),
        ("busiest thread of the load generator", GREY, own),
    ] {
        let is_known = !points.is_empty();
        panel.series.push(Series {
            name: Some(if is_known {
                name.to_owned()
            } else {
                format!("{name}: not known")
            }),
            color,
            sign: Sign::Thick,
            points,
        });
    }
    panel
}

fn reader_course(report: &Report, intervals: &[Interval]) -> Panel {
    let asked = report.load.readers as f64;
    let playing = intervals
        .iter()
        .map(|it| (it.until.as_secs_f64(), it.readers as f64));
    let playing: Vec<(f64, f64)> = playing.collect();
    let all = playing.iter().map(|(_, readers)| *readers);
    let y = Axis::from_zero("readers", all.chain([asked]));
    let mut panel = course("Readers that play", y, intervals);
    panel.series.push(Series {
        name: Some("playing".to_owned()),
        color: OURS,
        sign: Sign::Thick,
        points: playing,
    });
    let name = format!("asked for: {}", words::count(report.load.readers as u64));
    panel.mark_y(name, GREY, asked);
    panel
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

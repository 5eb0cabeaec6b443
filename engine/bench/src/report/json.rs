//! All figures for programs. Names stay as they are: fields may be added, none changes its meaning.
//!
//! The shape, by `kind`; what is not known is `null`, never 0. Names say their units: `_ns` nanoseconds, `_s` seconds,
//! `_bytes`, `_percent`; `_share` is a part of one CPU, or of a second, 1 being all of it.
//!
//! - always: `shardcast` (the version), `machine`, `kind`, `target`, `seed`, `load`, `is_valid`, `is_partial`, `reasons` (in words),
//!   `exit_status`;
//! - `run`: `run`, a run; `bounds`;
//! - `comparison`: `ours` and `theirs`, each with `name`, `turns` (each `number`, `is_counted`, `run`) and `figures`;
//!   `ratios`; `bounds`; `baseline`, the other side's load where that is another, else `null`;
//! - `limit`: `limit_readers`, `is_at_least`, `bound_by`, `criteria`, `curve` (each `readers`, `verdict`, `tries`);
//! - `limit_comparison`: `ours` and `theirs` (`null` when it was not searched), each a `name` and the same; `ratio`; what
//!   it is (`ratio_is`: `known`, `at_least`, `at_most`, `unknown`); `bounds`, in which `is_kept` may be `null`.
//!
//! A histogram has `count`, `p50_ns` and so on, and `buckets`: pairs of the highest value of a bucket, in nanoseconds, and
//! how many lie in it.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::against::{Comparison, FIGURES, Figure, Side, Spread, Turn};
use crate::bounds::{Bounded, Judged};
use crate::limit::{Bound, LimitFound, Point, Try, Verdict};
use crate::limits::{LimitComparison, LimitRatio};
use crate::measured::{Interval, Measured, quantile_of};
use crate::report::{Outcome, Report};
use crate::shape::{Flapping, Load, SourceShape, Storm, Transport};
use crate::validity::Invalid;

/// The JSON of a report, in one line.
pub(super) fn json(report: &Report) -> String {
    let whole = json!({
        "shardcast": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "target": report.target,
        "seed": report.load.seed,
        "load": load(&report.load),
        "baseline": report.baseline.as_ref().map(load),
        "reasons": report.reasons_against(),
        "exit_status": report.exit_status(),
    });
    let outcome = match &report.outcome {
        Outcome::Run(measured) => json!({
            "kind": "run",
            "is_valid": measured.validity.is_valid(),
            "is_partial": measured.is_partial,
            "run": run(measured),
            "bounds": bounds(&report.bounds.judge(measured)),
        }),
        Outcome::Comparison(comparison) => self::comparison(comparison),
        Outcome::Limit(found) => joined(json!({ "kind": "limit" }), limit(found)),
        Outcome::Limits(limits) => self::limits(limits),
    };
    format!("{}\n", joined(whole, outcome))
}

/// The fields of both.
fn joined(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// Where the load was made.
fn machine() -> Value {
    let cpus = std::thread::available_parallelism();
    json!({
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "cpus": cpus.ok().map(std::num::NonZero::get),
    })
}

fn load(load: &Load) -> Value {
    let misbehaving = &load.misbehaving;
    json!({
        "paths": load.paths,
        "readers": load.readers,
        "sampled": load.sampled,
        "reader_transport": transport(load.reader_transport),
        "publisher_transport": transport(load.publisher_transport),
        "source": source(&load.source),
        "gap_ns": load.gap.map(nanos),
        "ramp_ns": nanos(load.course.ramp),
        "warm_up_ns": nanos(load.course.warm_up),
        "duration_ns": nanos(load.course.duration),
        "storm": load.storm.as_ref().map(storm),
        "stalled": misbehaving.stalled,
        "crawling": misbehaving.crawling,
        "crawl_bits_per_second": misbehaving.crawl_bits_per_second,
        "vanishing": misbehaving.vanishing,
        "flapping": load.flapping.as_ref().map(flapping),
    })
}

fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

fn source(source: &SourceShape) -> Value {
    match source {
        SourceShape::Synthetic(it) => json!({
            "kind": "synthetic",
            "bits_per_second": it.bits_per_second,
            "frames_per_second": it.frames_per_second,
            "gop_frames": it.gop_frames,
            "packet_bytes": it.packet_bytes,
            "has_audio": it.has_audio,
        }),
        SourceShape::File(file) => json!({ "kind": "file", "file": file.display().to_string() }),
        SourceShape::Nothing => json!({ "kind": "nothing" }),
    }
}

fn storm(storm: &Storm) -> Value {
    json!({ "joins": storm.joins, "within_ns": nanos(storm.within), "stays": storm.stays })
}

fn flapping(flapping: &Flapping) -> Value {
    json!({
        "publishers": flapping.publishers,
        "every_ns": nanos(flapping.every),
        "away_ns": nanos(flapping.away),
    })
}

fn run(run: &Measured) -> Value {
    json!({
        "begin_unix_ns": run.begin_unix_nanos,
        "wall_s": run.wall.as_secs_f64(),
        "is_partial": run.is_partial,
        "validity": validity(run),
        "server": server(run),
        "readers": readers(run),
        "latency": histogram(&run.sampled.latency),
        "joins": histogram(&run.joins),
        "starts": histogram(&run.starts),
        "publishers": {
            "packets": run.published.packets,
            "bytes": run.published.bytes,
            "lateness": histogram(&run.published.lateness),
            "flaps": run.published.flaps,
        },
        "own": {
            "cpu_ns": nanos(run.own.cpu),
            "readers_cpu_ns": nanos(run.own.readers_cpu),
            "cpu_per_packet_and_reader_ns": run.own_nanos(),
            "busiest_share": run.own.busiest_share,
        },
        "intervals": run.intervals.iter().map(interval).collect::<Vec<_>>(),
    })
}

fn validity(run: &Measured) -> Value {
    let reasons = run.validity.reasons.iter();
    json!({
        "is_valid": run.validity.is_valid(),
        "reasons": reasons.map(invalid).collect::<Vec<_>>(),
    })
}

fn invalid(reason: &Invalid) -> Value {
    let mut value = match reason {
        Invalid::OwnCpu { share } => json!({ "kind": "own_cpu", "share": share }),
        Invalid::LatePublishing { p99 } => {
            json!({ "kind": "late_publishing", "p99_ns": nanos(*p99) })
        }
        Invalid::ClockStepped { by } => json!({ "kind": "clock_stepped", "by_ns": nanos(*by) }),
        Invalid::ReadersMissing { playing, asked } => {
            json!({ "kind": "readers_missing", "playing": playing, "asked": asked })
        }
        Invalid::NothingArrived => json!({ "kind": "nothing_arrived" }),
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("is_ours".to_owned(), reason.is_ours().into());
        fields.insert("words".to_owned(), reason.to_string().into());
    }
    value
}

fn server(run: &Measured) -> Option<Value> {
    let server = run.server?;
    Some(json!({
        "cpu_ns": nanos(server.cpu),
        "cpu_share": run.server_share(),
        "cpu_per_packet_and_reader_ns": run.server_nanos(),
        "resident_bytes": server.resident_bytes,
        "threads": server.threads,
        "peak_bytes": server.peak_bytes,
    }))
}

fn readers(run: &Measured) -> Value {
    let (all, sampled) = (&run.all, &run.sampled);
    json!({
        "playing": all.readers,
        "bytes": all.bytes,
        "deliveries": all.deliveries,
        "short": all.short,
        "refused": all.refused,
        "failed": all.failed,
        "closed": all.closed,
        "sampled": {
            "readers": sampled.readers,
            "packets": sampled.packets,
            "bytes": sampled.bytes,
            "lost": sampled.lost,
            "skipped": sampled.skipped,
            "duplicates": sampled.duplicates,
            "reordered": sampled.reordered,
            "broken": sampled.broken,
            "loss_percent": (sampled.packets > 0).then(|| run.loss() * 100.0),
        },
    })
}

fn histogram(histogram: &Histogram<u64>) -> Value {
    let quantile = |quantile| quantile_of(histogram, quantile).map(nanos);
    let buckets = histogram.iter_recorded();
    let bucket = buckets.map(|it| [it.value_iterated_to(), it.count_since_last_iteration()]);
    json!({
        "count": histogram.len(),
        "min_ns": quantile(0.0),
        "p50_ns": quantile(0.5),
        "p90_ns": quantile(0.9),
        "p99_ns": quantile(0.99),
        "p99_9_ns": quantile(0.999),
        "p99_99_ns": quantile(0.9999),
        "max_ns": quantile(1.0),
        "buckets": bucket.collect::<Vec<_>>(),
    })
}

fn interval(interval: &Interval) -> Value {
    json!({
        "until_s": interval.until.as_secs_f64(),
        "is_measured": interval.is_measured,
        "readers": interval.readers,
        "bytes": interval.bytes,
        "lost": interval.lost,
        "latency_p50_ns": interval.latency_p50.map(nanos),
        "latency_p99_ns": interval.latency_p99.map(nanos),
        "server_cpu_ns": interval.server_cpu.map(nanos),
        "own_share": interval.own_share,
    })
}

fn comparison(comparison: &Comparison) -> Value {
    let ratios = FIGURES.map(|figure| {
        let ratio = comparison.ratio(figure);
        let value = ratio.map(|it| {
            json!({
                "of_medians": it.of_medians,
                "of_turns": spread(it.of_turns),
            })
        });
        (ratio_name(figure).to_owned(), json!(value))
    });
    json!({
        "kind": "comparison",
        "is_valid": comparison.is_valid(),
        "is_partial": comparison.is_partial(),
        "turns_wanted": comparison.plan.turns,
        "ours": side(comparison, Side::Ours),
        "theirs": side(comparison, Side::Theirs),
        "ratios": Value::Object(ratios.into_iter().collect()),
        "bounds": bounds(&comparison.judged()),
    })
}

/// What has a bound: a ratio, or a figure of another name.
fn bounds(judged: &[Judged]) -> Value {
    let bound = |it: &Judged| {
        let (name, value) = match it.of {
            Bounded::Ratio(figure) => ("ratio_of", ("ratio", ratio_name(figure))),
            Bounded::Lost => ("figure", ("value", "lost_packets")),
            Bounded::Start => ("figure", ("value", "start_p99_ns")),
            Bounded::MemoryGrowth => ("figure", ("value", "memory_growth_bytes")),
        };
        json!({
            name: value.1,
            value.0: it.value,
            "at_most": it.at_most,
            "is_kept": it.is_kept(),
        })
    };
    judged.iter().map(bound).collect()
}

fn side(comparison: &Comparison, side: Side) -> Value {
    let figures = FIGURES.map(|figure| {
        let value = comparison.spread(side, figure).map(spread);
        (figure_name(figure).to_owned(), json!(value))
    });
    let is_counted = |turn: &Turn| {
        let mut counted = comparison.counted(side);
        counted.any(|it| std::ptr::eq(it, turn))
    };
    let turns = comparison.turns(side).iter().map(|turn| {
        json!({
            "number": turn.number,
            "is_counted": is_counted(turn),
            "run": run(&turn.measured),
        })
    });
    json!({
        "name": comparison.name(side),
        "figures": Value::Object(figures.into_iter().collect()),
        "turns": turns.collect::<Vec<_>>(),
    })
}

/// The name of a figure, with its unit.
fn figure_name(figure: Figure) -> &'static str {
    match figure {
        Figure::CpuNanos => "cpu_per_packet_and_reader_ns",
        Figure::LatencyP50 => "latency_p50_ns",
        Figure::LatencyP99 => "latency_p99_ns",
        Figure::ResidentBytes => "resident_bytes",
    }
}

/// The name of its ratio, which has none.
fn ratio_name(figure: Figure) -> &'static str {
    match figure {
        Figure::CpuNanos => "cpu_per_packet_and_reader",
        Figure::LatencyP50 => "latency_p50",
        Figure::LatencyP99 => "latency_p99",
        Figure::ResidentBytes => "resident",
    }
}

fn spread(spread: Spread) -> Value {
    json!({ "median": spread.median, "smallest": spread.smallest, "largest": spread.largest })
}

fn limit(found: &LimitFound) -> Value {
    let criteria = &found.criteria;
    json!({
        "is_valid": found.is_valid(),
        "is_partial": found.is_partial(),
        "limit_readers": found.readers,
        "is_at_least": found.is_at_least(),
        "is_latency_known": found.is_latency_known(),
        "bound_by": found.bound_by.map(bound_name),
        "criteria": {
            "start": criteria.start,
            "max_p99_ns": nanos(criteria.max_p99),
            "max_loss_percent": criteria.max_loss_percent,
            "max_readers": criteria.max_readers,
            "precision_percent": criteria.precision_percent,
        },
        "curve": found.curve.iter().map(point).collect::<Vec<_>>(),
    })
}

fn limits(limits: &LimitComparison) -> Value {
    let mut sides = limits
        .sides()
        .map(|(name, found)| joined(json!({ "name": name }), limit(found)));
    let ratio = limits.ratio();
    let bounds = limits.at_least.iter().map(|at_least| {
        json!({
            "ratio_of": "limit_readers",
            "ratio": ratio.value(),
            "at_least": at_least,
            "is_kept": limits.is_kept(),
        })
    });
    json!({
        "kind": "limit_comparison",
        "is_valid": limits.is_valid(),
        "is_partial": limits.is_partial(),
        "ours": sides.next(),
        "theirs": sides.next(),
        "ratio": ratio.value(),
        "ratio_is": ratio_kind(ratio),
        "bounds": bounds.collect::<Vec<_>>(),
    })
}

fn ratio_kind(ratio: LimitRatio) -> &'static str {
    match ratio {
        LimitRatio::Known(_) => "known",
        LimitRatio::AtLeast(_) => "at_least",
        LimitRatio::AtMost(_) => "at_most",
        LimitRatio::Unknown => "unknown",
    }
}

fn point(point: &Point) -> Value {
    json!({
        "readers": point.readers,
        "verdict": verdict_name(point.verdict),
        "tries": point.tries.iter().map(tried).collect::<Vec<_>>(),
    })
}

fn tried(tried: &Try) -> Value {
    json!({
        "playing": tried.playing,
        "server_cpu_share": tried.server_share,
        "cpu_per_packet_and_reader_ns": tried.server_nanos,
        "latency_p50_ns": tried.p50.map(nanos),
        "latency_p99_ns": tried.p99.map(nanos),
        "loss_percent": tried.loss_percent,
        "verdict": verdict_name(tried.verdict),
        "reason": tried.reason,
    })
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Within => "within",
        Verdict::Above(bound) => bound_name(bound),
    }
}

fn bound_name(bound: Bound) -> &'static str {
    match bound {
        Bound::P99 => "p99",
        Bound::Loss => "loss",
        Bound::Missing => "missing",
        Bound::Generator => "generator",
        Bound::MaxReaders => "max_readers",
    }
}

/// Whole nanoseconds; five centuries at most.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::example;
    use crate::report::tests::{of_comparison, of_limit, of_limits, of_run};

    fn parsed(report: &Report) -> Value {
        serde_json::from_str(&json(report)).expect("it is JSON")
    }

    #[test]
    fn a_run_has_its_figures_its_load_and_its_seed() {
        let value = parsed(&of_run(example()));
        assert_eq!(value["kind"], "run");
        assert_eq!(value["seed"], 42);
        assert_eq!(value["load"]["source"]["bits_per_second"], 2e6);
        assert_eq!(value["load"]["duration_ns"], 10_000_000_000_u64);
        let run = &value["run"];
        assert_eq!(run["server"]["cpu_ns"], 2_000_000_000_u64);
        assert_eq!(run["server"]["cpu_per_packet_and_reader_ns"], 1000.0);
        assert_eq!(run["readers"]["sampled"]["packets"], 100_000);
        let buckets = run["latency"]["buckets"].as_array().unwrap();
        let counts = buckets.iter().filter_map(|it| it[1].as_u64());
        assert_eq!(Some(counts.sum()), run["latency"]["count"].as_u64());
        assert!(run["latency"]["p99_ns"].as_u64() > run["latency"]["p50_ns"].as_u64());
        assert_eq!(run["intervals"].as_array().map(Vec::len), Some(13));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let mut run = example();
        run.server = None;
        run.sampled.latency.reset();
        let value = parsed(&of_run(run));
        assert!(value["run"]["server"].is_null());
        assert!(value["run"]["latency"]["p50_ns"].is_null());
    }

    #[test]
    fn a_run_that_is_not_valid_says_why() {
        let mut run = example();
        let reasons = &mut run.validity.reasons;
        reasons.push(Invalid::OwnCpu { share: 0.95 });
        let value = parsed(&of_run(run));
        assert_eq!(
            (&value["is_valid"], &value["exit_status"]),
            (&json!(false), &json!(3))
        );
        let reason = &value["run"]["validity"]["reasons"][0];
        assert_eq!(
            (&reason["kind"], &reason["is_ours"]),
            (&json!("own_cpu"), &json!(true))
        );
    }

    #[test]
    fn a_comparison_has_its_ratios_and_every_turn() {
        let value = parsed(&of_comparison());
        let ratio = &value["ratios"]["cpu_per_packet_and_reader"];
        assert_eq!(ratio["of_medians"], 2.0);
        assert_eq!(value["theirs"]["name"], "floor");
        assert_eq!(value["theirs"]["turns"].as_array().map(Vec::len), Some(3));
        assert_eq!(value["bounds"][0]["is_kept"], false);
        assert_eq!(value["bounds"][1]["is_kept"], true);
    }

    #[test]
    fn a_limit_has_its_curve() {
        let value = parsed(&of_limit());
        let readers = value["limit_readers"].as_u64().unwrap();
        assert!((700..=750).contains(&readers), "{readers}");
        assert_eq!(value["bound_by"], "p99");
        let curve = value["curve"].as_array().unwrap();
        assert!(curve.len() > 5);
        assert_eq!(curve[0]["tries"][0]["verdict"], "within");
    }

    #[test]
    fn two_limits_have_both_curves_and_their_ratio() {
        let value = parsed(&of_limits());
        assert_eq!(value["kind"], "limit_comparison");
        assert_eq!(value["theirs"]["name"], "floor");
        assert_eq!(value["theirs"]["bound_by"], "p99");
        assert!(value["ours"]["curve"].as_array().unwrap().len() > 5);
        assert_eq!(value["ratio_is"], "known");
        assert!((value["ratio"].as_f64().unwrap() - 0.9).abs() < 0.05);
        assert_eq!(value["bounds"][0]["is_kept"], false);
        assert_eq!(value["exit_status"], 1);
    }
}

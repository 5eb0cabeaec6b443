//! Our own metrics of paths: how late packets leave, what logs hold, and how far readers are behind. Those paths that have
//! histograms have lines of their own; all others are together under [`OTHERS`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::text::{Kind, Page};
use crate::control::ControlState;
use crate::latency::{BOUNDS_US, LatencyReport, PATHS_MAX};
use crate::path::PathName;
use crate::record::{DROP_REASONS, Lag};
use crate::shard::ServerState;

/// Stands for the paths that have no lines of their own: no path can have this name.
const OTHERS: &str = "*";

const LATENCY: &str = "shardcast_path_latency_seconds";

/// All of it.
pub(super) fn write(page: &mut Page, state: &ControlState, now: Instant) {
    let server = &state.server;
    let reports = server.latency.reports(now);
    write_histograms(page, &reports);
    write_figures(page, &reports);
    let own = own_lines(server, &reports);
    write_logs(page, server, &own);
    write_lags(page, server, &own);
    write_drops(page, server, &own);
}

fn write_histograms(page: &mut Page, reports: &[LatencyReport]) {
    let help = "From a packet's read at the publisher's socket to the completion of the write to a reader.";
    page.family(LATENCY, Kind::Histogram, help);
    let bounds = BOUNDS_US.map(|bound_us| (bound_us as f64 / 1e6).to_string());
    for report in reports {
        let path = name_of(report);
        let bounds = bounds.iter().map(String::as_str).chain(["+Inf"]);
        let mut all = 0;
        for (bound, packets) in bounds.zip(report.buckets.cumulative()) {
            let labels = [("path", path), ("le", bound)];
            page.sample(&format!("{LATENCY}_bucket"), &labels, packets);
            all = packets;
        }
        let (labels, sum) = ([("path", path)], report.sum_us as f64 / 1e6);
        page.sample(&format!("{LATENCY}_sum"), &labels, sum);
        page.sample(&format!("{LATENCY}_count"), &labels, all);
    }
}

/// Those of the last minute or two; a path without packets in that time has none.
fn write_figures(page: &mut Page, reports: &[LatencyReport]) {
    type Figure = fn(&LatencyReport) -> Option<Duration>;
    let figures: [(&str, &str, Figure); 4] = [
        ("p50", "Half", |report| report.quantile(0.5)),
        ("p99", "99 %", |report| report.quantile(0.99)),
        ("p999", "99.9 %", |report| report.quantile(0.999)),
        ("max", "All", LatencyReport::max),
    ];
    for (figure, share, of) in figures {
        let name = format!("shardcast_path_latency_{figure}_seconds");
        let help = format!("{share} of the packets of the last minute or two were not later.");
        page.family(&name, Kind::Gauge, &help);
        for report in reports {
            if let Some(latency) = of(report) {
                page.sample(&name, &[("path", name_of(report))], latency);
            }
        }
    }
}

fn name_of(report: &LatencyReport) -> &str {
    report.path.as_ref().map_or(OTHERS, PathName::as_str)
}

/// The paths with lines of their own: those with histograms, and others while there are few.
fn own_lines(server: &ServerState, reports: &[LatencyReport]) -> BTreeSet<PathName> {
    let with_histograms = reports.iter().filter_map(|report| report.path.clone());
    let mut own: BTreeSet<_> = with_histograms.collect();
    let others: BTreeSet<_> = server
        .directory
        .entries()
        .iter()
        .map(|entry| entry.name.clone())
        .collect();
    for path in others {
        if own.len() >= PATHS_MAX {
            break;
        }
        own.insert(path);
    }
    own
}

fn line_of<'a>(own: &BTreeSet<PathName>, path: &'a PathName) -> &'a str {
    if own.contains(path) {
        path.as_str()
    } else {
        OTHERS
    }
}

/// What the logs of a path hold on a shard.
#[derive(Default)]
struct Held {
    bytes: u64,
    time: Duration,
}

fn write_logs(page: &mut Page, server: &ServerState, own: &BTreeSet<PathName>) {
    let logs = server.logs.all();
    let mut by_path = BTreeMap::<(&str, usize), Held>::new();
    let mut by_shard = BTreeMap::<usize, u64>::new();
    for (path, shard, log) in &logs {
        let held = by_path.entry((line_of(own, path), *shard)).or_default();
        held.bytes += log.held_bytes();
        held.time = held.time.max(log.held_time());
        *by_shard.entry(*shard).or_default() += log.held_bytes();
    }
    let name = "shardcast_shard_log_bytes";
    page.family(name, Kind::Gauge, "Bytes of all logs of a shard.");
    for (shard, bytes) in by_shard {
        page.sample(name, &[("shard", &shard.to_string())], bytes);
    }
    let name = "shardcast_path_log_bytes";
    page.family(name, Kind::Gauge, "Bytes of a path's log on a shard.");
    for ((path, shard), held) in &by_path {
        let labels = [("path", *path), ("shard", &*shard.to_string())];
        page.sample(name, &labels, held.bytes);
    }
    let name = "shardcast_path_log_age_seconds";
    let help = "Time between the oldest and the newest packet of a path's log on a shard.";
    page.family(name, Kind::Gauge, help);
    for ((path, shard), held) in &by_path {
        let labels = [("path", *path), ("shard", &*shard.to_string())];
        page.sample(name, &labels, held.time);
    }
}

/// The furthest that one of the path's readers is behind.
fn write_lags(page: &mut Page, server: &ServerState, own: &BTreeSet<PathName>) {
    let records = server.records.all();
    let mut lags = BTreeMap::<&str, Lag>::new();
    for record in &records {
        if let Some(lag) = record.lag() {
            let most = lags.entry(line_of(own, &record.path)).or_default();
            most.bytes = most.bytes.max(lag.bytes);
            most.time = most.time.max(lag.time);
        }
    }
    let name = "shardcast_path_reader_lag_max_bytes";
    let help = "Bytes of the log that the path's slowest reader was not sent yet.";
    page.family(name, Kind::Gauge, help);
    for (path, lag) in &lags {
        page.sample(name, &[("path", path)], lag.bytes);
    }
    let name = "shardcast_path_reader_lag_max_seconds";
    let help =
        "Time between the newest packet and the last one that the path's slowest reader was sent.";
    page.family(name, Kind::Gauge, help);
    for (path, lag) in &lags {
        page.sample(name, &[("path", path)], lag.time);
    }
}

/// Of paths with lines of their own: what is counted of a path ends with it, and a sum over some of them could fall.
fn write_drops(page: &mut Page, server: &ServerState, own: &BTreeSet<PathName>) {
    let entries = own.iter().filter_map(|path| server.directory.find(path));
    let entries: Vec<_> = entries.collect();
    let name = "shardcast_path_reader_drops_total";
    let help =
        "How often one of the path's readers was moved forward, or begun without a start point.";
    page.family(name, Kind::Counter, help);
    for entry in &entries {
        for (reason, count) in DROP_REASONS.iter().zip(&entry.drops) {
            let labels = [
                ("path", entry.name.as_str()),
                ("reason", &*reason.to_string()),
            ];
            page.sample(name, &labels, count.load(Ordering::Relaxed));
        }
    }
    let name = "shardcast_path_reader_dropped_bytes_total";
    let help = "Bytes of the log that the path's readers were not sent because they were too slow.";
    page.family(name, Kind::Counter, help);
    for entry in &entries {
        let bytes = entry.dropped_bytes.load(Ordering::Relaxed);
        page.sample(name, &[("path", entry.name.as_str())], bytes);
    }
}

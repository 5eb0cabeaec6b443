//! What is one for the whole process: the build, the driver, what it costs the machine, refusals, events and the clerk.

use std::time::{Duration, SystemTime};

use super::text::{Kind, Page};
use crate::control::{ControlState, JOBS_WAITING_MAX};
use crate::refusal::RefusalReason;

/// All of it.
pub(super) fn write(page: &mut Page, state: &ControlState) {
    page.comment("Shardcast");
    write_build(page, state);
    write_usage(page, state);
    write_refusals(page, state);
    write_limits(page, state);
    let events = &state.server.events;
    let name = "shardcast_events_total";
    page.single(
        name,
        Kind::Counter,
        "Events that were told.",
        events.published(),
    );
    let name = "shardcast_events_lost_total";
    let help = "Events that a listener was too slow for.";
    page.single(name, Kind::Counter, help, events.lost());
    write_clerk(page, state);
}

fn write_build(page: &mut Page, state: &ControlState) {
    let name = "shardcast_build_info";
    page.family(name, Kind::Gauge, "The program; always 1.");
    let labels = [
        ("arch", std::env::consts::ARCH),
        ("os", std::env::consts::OS),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    page.sample(name, &labels, 1_u64);
    if let Some(plan) = state.runtime().map(shardcast_runtime::RuntimeHandle::plan) {
        let name = "shardcast_driver_info";
        let help = "What serves sockets and timers, and why; always 1.";
        page.family(name, Kind::Gauge, help);
        let driver = plan.driver.driver.to_string();
        let labels = [("driver", &*driver), ("reason", &plan.driver.reason)];
        page.sample(name, &labels, 1_u64);
        page.single("shardcast_shards", Kind::Gauge, "Shards.", plan.shards);
    }
}

/// What the system does not say is left out.
fn write_usage(page: &mut Page, state: &ControlState) {
    let began = state.started.duration_since(SystemTime::UNIX_EPOCH);
    let name = "shardcast_process_start_time_seconds";
    let help = "When the server was started, in seconds since 1970.";
    page.single(name, Kind::Gauge, help, began.unwrap_or(Duration::ZERO));
    if let Ok(usage) = shardcast_platform::usage_of(std::process::id()) {
        let name = "shardcast_process_cpu_seconds_total";
        page.single(name, Kind::Counter, "CPU time of all threads.", usage.cpu);
        let name = "shardcast_process_resident_memory_bytes";
        page.single(
            name,
            Kind::Gauge,
            "Memory that is in RAM.",
            usage.resident_bytes,
        );
        let name = "shardcast_process_threads";
        page.single(name, Kind::Gauge, "Threads.", usage.threads);
    }
    if let Ok(open) = shardcast_platform::open_descriptors() {
        let name = "shardcast_process_open_fds";
        page.single(name, Kind::Gauge, "Descriptors that are open.", open);
    }
    // It was raised when the server started: asked again, it is only told.
    if let Ok(most) = shardcast_platform::raise_descriptor_limit() {
        let name = "shardcast_process_max_fds";
        page.single(name, Kind::Gauge, "Descriptors that may be open.", most);
    }
}

fn write_refusals(page: &mut Page, state: &ControlState) {
    let name = "shardcast_refusals_total";
    let help = "What peers sent or asked for and the server refused.";
    page.family(name, Kind::Counter, help);
    let refusals = state.server.refusals();
    for reason in RefusalReason::ALL {
        let labels = [("reason", reason.label())];
        page.sample(name, &labels, refusals.of(*reason));
    }
}

/// Where there is no limit, there is no sample of it.
fn write_limits(page: &mut Page, state: &ControlState) {
    let reports = state.server.limit_reports();
    let name = "shardcast_limit";
    let help = "Limits that are set, in the units of their keys.";
    page.family(name, Kind::Gauge, help);
    for report in &reports {
        if let Some(limit) = report.limit {
            page.sample(name, &[("limit", report.name)], limit);
        }
    }
    let name = "shardcast_limit_used";
    let help = "What is taken of each limit.";
    page.family(name, Kind::Gauge, help);
    for report in &reports {
        page.sample(name, &[("limit", report.name)], report.used);
    }
    let limits = &state.server.limits;
    let name = "shardcast_sent_bytes_per_second";
    let help = "What readers were really sent in the last seconds; eight times this is to be seen beside the limit egress.";
    page.single(name, Kind::Gauge, help, limits.sent_bit_rate() / 8);
    let name = "shardcast_memory_counted_bytes";
    let help = "Logs and sessions, as the server counts them.";
    let in_use = limits.memory.in_use();
    page.single(name, Kind::Gauge, help, in_use.counted_bytes);
    let name = "shardcast_memory_expected_bytes";
    let help = "What logs will grow by, and what was promised of late.";
    page.single(name, Kind::Gauge, help, in_use.expected_bytes);
}

fn write_clerk(page: &mut Page, state: &ControlState) {
    let clerk = state.clerk.counters();
    let name = "shardcast_clerk_jobs_waiting";
    let help = "Requests over HTTP that wait for their answer to be worked out.";
    page.single(name, Kind::Gauge, help, clerk.waiting());
    let name = "shardcast_clerk_jobs_max";
    let help = "So many may wait; more are refused.";
    page.single(name, Kind::Gauge, help, JOBS_WAITING_MAX);
    let name = "shardcast_clerk_jobs_total";
    let help = "Requests over HTTP whose answer was worked out.";
    page.single(name, Kind::Counter, help, clerk.done());
    let name = "shardcast_clerk_refusals_total";
    let help = "Requests over HTTP that were refused because too many waited.";
    page.single(name, Kind::Counter, help, clerk.refused());
}

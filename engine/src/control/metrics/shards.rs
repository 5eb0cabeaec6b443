//! What each shard counts.

use shardcast_runtime::{RuntimeHandle, ShardSnapshot};

use super::text::{Kind, Number, Page};
use crate::control::ControlState;

/// A number of a shard.
type Of = fn(&ShardSnapshot) -> Number;

/// A ring, and a number of it.
type OfRing = (&'static str, Of);

/// Families with one sample per shard.
const FAMILIES: &[(&str, Kind, &str, Of)] = &[
    (
        "shardcast_shard_busy_seconds_total",
        Kind::Counter,
        "Time in which the shard's thread ran or waited for a CPU; its rate is the shard's busy share.",
        |shard| Number::Real(shard.busy_us as f64 / 1e6),
    ),
    (
        "shardcast_shard_busy_ratio",
        Kind::Gauge,
        "The busy share of the last two seconds.",
        |shard| Number::Real(shard.busy_permille as f64 / 1e3),
    ),
    (
        "shardcast_shard_heartbeat_age_seconds",
        Kind::Gauge,
        "Time since the shard's last sign of life.",
        |shard| shard.heartbeat_age.into(),
    ),
    (
        "shardcast_shard_stalls_total",
        Kind::Counter,
        "How often the shard showed no sign of life for stallAfter.",
        |shard| shard.stalls.into(),
    ),
    (
        "shardcast_shard_sessions",
        Kind::Gauge,
        "Sessions that the shard serves.",
        |shard| shard.sessions.into(),
    ),
    (
        "shardcast_shard_tasks",
        Kind::Gauge,
        "Tasks of the shard.",
        |shard| shard.tasks.into(),
    ),
    (
        "shardcast_shard_session_panics_total",
        Kind::Counter,
        "Sessions that a bug has ended.",
        |shard| shard.session_panics.into(),
    ),
    (
        "shardcast_shard_wakes_total",
        Kind::Counter,
        "How often the shard was woken by another one.",
        |shard| shard.wakes.into(),
    ),
    (
        "shardcast_shard_doorbells_total",
        Kind::Counter,
        "How often the shard had to wake another one.",
        |shard| shard.doorbells_rung.into(),
    ),
    (
        "shardcast_shard_control_spilled_total",
        Kind::Counter,
        "Control messages that waited because a ring was full.",
        |shard| shard.control_spilled.into(),
    ),
    (
        "shardcast_shard_control_spill_max",
        Kind::Gauge,
        "Most control messages that ever waited so.",
        |shard| shard.control_spill_max.into(),
    ),
];

/// Families with samples per ring.
const RING_FAMILIES: &[(&str, Kind, &str, &[OfRing])] = &[
    (
        "shardcast_shard_ring_sent_total",
        Kind::Counter,
        "Messages that the shard has put into rings to others.",
        &[
            ("media", |shard| shard.media_sent.into()),
            ("control", |shard| shard.control_sent.into()),
            ("return", |shard| shard.return_sent.into()),
        ],
    ),
    (
        "shardcast_shard_ring_received_total",
        Kind::Counter,
        "Messages that the shard has taken from rings of others.",
        &[
            ("media", |shard| shard.media_received.into()),
            ("control", |shard| shard.control_received.into()),
            ("return", |shard| shard.return_received.into()),
        ],
    ),
    (
        "shardcast_shard_ring_drops_total",
        Kind::Counter,
        "Messages that found a ring full: batches that readers on another shard miss, or memory that is freed elsewhere.",
        &[
            ("media", |shard| shard.media_dropped.into()),
            ("return", |shard| shard.return_dropped.into()),
        ],
    ),
    (
        "shardcast_shard_ring_depth_max",
        Kind::Gauge,
        "Most messages that the shard ever found in one ring.",
        &[
            ("media", |shard| shard.media_depth_max.into()),
            ("control", |shard| shard.control_depth_max.into()),
            ("return", |shard| shard.return_depth_max.into()),
        ],
    ),
];

/// All of it.
pub(super) fn write(page: &mut Page, state: &ControlState) {
    let shards = state.runtime().map(RuntimeHandle::counters);
    let shards = shards.unwrap_or_default();
    for (name, kind, help, of) in FAMILIES {
        page.family(name, *kind, help);
        for shard in &shards {
            let number = shard.shard.index().to_string();
            page.sample(name, &[("shard", &number)], of(shard));
        }
    }
    for (name, kind, help, rings) in RING_FAMILIES {
        page.family(name, *kind, help);
        for shard in &shards {
            let number = shard.shard.index().to_string();
            for (ring, of) in *rings {
                page.sample(name, &[("ring", ring), ("shard", &number)], of(shard));
            }
        }
    }
    write_drops(page, state);
}

fn write_drops(page: &mut Page, state: &ControlState) {
    let name = "shardcast_reader_drops_total";
    let help = "How often a reader was moved forward, or begun without a start point.";
    page.family(name, Kind::Counter, help);
    for (shard, drops) in state.server.drops().iter().enumerate() {
        let shard = shard.to_string();
        for (reason, count) in drops {
            let labels = [("reason", &*reason.to_string()), ("shard", &shard)];
            page.sample(name, &labels, *count);
        }
    }
}

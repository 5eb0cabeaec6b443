//! What has come of a soak: a table for people, JSON for programs, and the exit status.
//!
//! The JSON: `seed` and what was asked for; `baseline`, the server's figures before the first round that counts, or `null`;
//! `rounds`, each with its `vitals`, how long they took to come back (`settled_s`), and `deviations` from the baseline; `deeds`
//! by their names, each with what has become of them; `steady`, over `tcp` and `udp`, what nobody disturbed has received;
//! `reasons` in words, and `exit_status`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::schedule::Cast;
use super::stage::{Settled, Soaked};
use super::vitals::Vitals;
use crate::BenchError;
use crate::measured::Sampled;
use crate::report::{EXIT_BAD, EXIT_GOOD, EXIT_INVALID, OutputText, words};
use crate::shape::Transport;
use crate::validity::OWN_SHARE_MAX;

/// What has come of a soak.
pub(super) struct Report {
    pub(super) cast: Cast,
    pub(super) duration: Duration,
    pub(super) memory_tolerance: u64,
    pub(super) soaked: Soaked,
}

/// Where it goes.
pub(super) struct Output(OutputText);

impl Output {
    /// Opens the file, if there is one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn create(json: Option<&Path>) -> Result<Self, BenchError> {
        Ok(Self(OutputText::create(json)?))
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) fn write(&mut self, report: &Report) -> Result<(), BenchError> {
        self.0.write(&report.table(), &report.json())
    }
}

impl Report {
    /// The exit status that it deserves.
    pub(super) fn exit_status(&self) -> u8 {
        match (self.reasons_against().is_empty(), self.is_ours()) {
            (true, _) => EXIT_GOOD,
            (false, true) => EXIT_INVALID,
            (false, false) => EXIT_BAD,
        }
    }

    /// Whether nothing is wrong but what a load generator without CPU time does by itself: datagrams that found a full
    /// socket of ours.
    fn is_ours(&self) -> bool {
        let over_tcp = |(transport, seen): &&(Transport, Sampled)| {
            *transport == Transport::Tcp && !is_whole(seen)
        };
        self.server_reasons().is_empty()
            && !self.soaked.steady.iter().any(|it| over_tcp(&it))
            && self.soaked.busiest_share > OWN_SHARE_MAX
    }

    fn reasons_against(&self) -> Vec<String> {
        let readers = self
            .soaked
            .steady
            .iter()
            .filter(|(_, seen)| !is_whole(seen));
        let reader = |(transport, seen): &(Transport, Sampled)| {
            format!("steady readers over {}: {}", name(*transport), loss(seen))
        };
        let mut reasons = self.server_reasons();
        reasons.extend(readers.map(reader));
        reasons
    }

    fn server_reasons(&self) -> Vec<String> {
        let soaked = &self.soaked;
        let mut reasons = Vec::new();
        if soaked.is_partial || soaked.baseline.is_none() {
            reasons.push("it was broken off".to_owned());
        }
        for (place, settled) in soaked.rounds.iter().enumerate() {
            let deviations = settled.deviations.iter();
            reasons.extend(deviations.map(|it| format!("after round {}: {it}", place + 1)));
        }
        if soaked.sent_away > 0 {
            reasons.push(format!(
                "{} steady readers were sent away",
                soaked.sent_away
            ));
        }
        reasons.extend(
            soaked
                .faults
                .iter()
                .map(|line| format!("the server said: {line}")),
        );
        reasons
    }

    fn table(&self) -> String {
        let (cast, soaked) = (self.cast, &self.soaked);
        let mut text = format!(
            "{} paths, {} readers and {} publishers that misbehave; seed {}\n\n",
            cast.paths, cast.readers, cast.publishers, cast.seed
        );
        let _ = writeln!(
            text,
            "{:<10} {:>8} {:>6} {:>11} {:>10} {:>10} {:>8}",
            "", "sessions", "tasks", "descriptors", "memory", "logs", "settled"
        );
        if let Some(baseline) = &soaked.baseline {
            text.push_str(&vitals_row("baseline", baseline, ""));
        }
        for (place, settled) in soaked.rounds.iter().enumerate() {
            let took = words::duration(settled.took);
            let name = format!("round {}", place + 1);
            text.push_str(&vitals_row(&name, &settled.vitals, &took));
        }
        text.push_str("\ndone, refused, cut by the server, longest overtime:\n");
        for (act, outcomes) in &soaked.deeds {
            let (done, refused, cut) = (outcomes.done, outcomes.refused, outcomes.cut);
            let (name, overtime) = (act.name(), words::duration(outcomes.overtime_max));
            let _ = writeln!(
                text,
                "  {name:<20} {done:>7} {refused:>7} {cut:>7} {overtime:>8}"
            );
        }
        for (transport, seen) in &soaked.steady {
            let (name, loss) = (name(*transport), loss(seen));
            let packets = words::count(seen.packets);
            let _ = writeln!(
                text,
                "steady readers over {name}: {packets} packets, {loss}"
            );
        }
        text.push('\n');
        text.push_str(&self.verdict());
        text
    }

    fn verdict(&self) -> String {
        let reasons = self.reasons_against();
        if reasons.is_empty() {
            return "good: everything has come back\n".to_owned();
        }
        let mut text = String::new();
        for reason in reasons {
            let _ = writeln!(text, "NOT GOOD: {reason}");
        }
        if self.is_ours() {
            text.push_str("NOT VALID: the load generator had no CPU time left\n");
        }
        text
    }

    fn json(&self) -> String {
        let (cast, soaked) = (self.cast, &self.soaked);
        let deeds = soaked.deeds.iter().map(|(act, it)| {
            let outcomes = json!({
                "done": it.done,
                "refused": it.refused,
                "cut": it.cut,
                "overtime_max_s": it.overtime_max.as_secs_f64(),
            });
            (act.name().to_owned(), outcomes)
        });
        let steady = soaked
            .steady
            .iter()
            .map(|(transport, seen)| (name(*transport).to_lowercase(), steady_json(seen)));
        let whole = json!({
            "shardcast": env!("CARGO_PKG_VERSION"),
            "kind": "soak",
            "seed": cast.seed,
            "paths": cast.paths,
            "readers": cast.readers,
            "publishers": cast.publishers,
            "duration_s": self.duration.as_secs_f64(),
            "memory_tolerance_bytes": self.memory_tolerance,
            "baseline": soaked.baseline.as_ref().map(vitals_json),
            "rounds": soaked.rounds.iter().map(settled_json).collect::<Vec<_>>(),
            "deeds": deeds.collect::<Value>(),
            "steady": steady.collect::<Value>(),
            "sent_away": soaked.sent_away,
            "busiest_share": soaked.busiest_share,
            "is_partial": soaked.is_partial,
            "reasons": self.reasons_against(),
            "exit_status": self.exit_status(),
        });
        format!("{whole}\n")
    }
}

/// Whether every packet came, once and in order.
fn is_whole(seen: &Sampled) -> bool {
    let missing = seen.lost + seen.skipped + seen.duplicates + seen.reordered;
    missing == 0 && seen.broken == 0 && seen.packets > 0
}

fn loss(seen: &Sampled) -> String {
    format!(
        "{} lost, {} skipped, {} again, {} out of order, {} readers sent what is no packet",
        seen.lost, seen.skipped, seen.duplicates, seen.reordered, seen.broken
    )
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    }
}

fn vitals_row(name: &str, vitals: &Vitals, took: &str) -> String {
    format!(
        "{name:<10} {:>8} {:>6} {:>11} {:>10} {:>10} {took:>8}\n",
        vitals.sessions,
        vitals.tasks,
        vitals.descriptors,
        words::bytes(vitals.resident_bytes as f64),
        words::bytes(vitals.log_bytes as f64),
    )
}

fn vitals_json(vitals: &Vitals) -> Value {
    json!({
        "resident_bytes": vitals.resident_bytes,
        "descriptors": vitals.descriptors,
        "tasks": vitals.tasks,
        "sessions": vitals.sessions,
        "log_bytes": vitals.log_bytes,
        "in_rings": vitals.in_rings,
        "panics": vitals.panics,
        "stalls": vitals.stalls,
    })
}

fn settled_json(settled: &Settled) -> Value {
    let deviations = settled
        .deviations
        .iter()
        .map(|it| json!({ "what": it.what, "is": it.is, "was": it.was, "at_most": it.at_most }));
    json!({
        "vitals": vitals_json(&settled.vitals),
        "settled_s": settled.took.as_secs_f64(),
        "deviations": deviations.collect::<Vec<_>>(),
    })
}

fn steady_json(seen: &Sampled) -> Value {
    json!({
        "readers": seen.readers,
        "packets": seen.packets,
        "lost": seen.lost,
        "skipped": seen.skipped,
        "duplicates": seen.duplicates,
        "reordered": seen.reordered,
        "broken": seen.broken,
    })
}

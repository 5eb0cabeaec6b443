//! The thread that measures what limits are about: memory in use, how busy shards are, and what readers are sent. It looks
//! at what shards count anyway, and asks none of them for anything; what it finds, sessions that begin look up in
//! [`crate::limits`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use shardcast_runtime::RuntimeHandle;

use crate::limits::LIMITS;
use crate::path::PathName;
use crate::shard::ServerState;

/// How often it looks. What begins in between is counted as it begins.
const INTERVAL: Duration = Duration::from_millis(500);

/// A shard without a sign of life for so long is busy with one thing, whatever it has counted before.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// What is counted of a connection that is there: it has asked, and waits (see `tests/tests/allocations`).
const CONNECTION_BYTES: u64 = 4 << 10;

/// What a playing reader takes beyond that.
const READER_BYTES: u64 = 4 << 10;

/// Looks of which the bit rate sent is a mean: two seconds, as long as the shards' busy share.
const LOOKS_OF_A_MEAN: u32 = 4;

/// Refusals of one limit are told at most so often.
const TOLD_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the thread at work until it is dropped.
#[derive(Debug)]
pub(crate) struct Gauge(#[expect(dead_code, reason = "to be dropped")] Sender<Infallible>);

impl Gauge {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses one.
    pub(crate) fn start(server: Arc<ServerState>, runtime: RuntimeHandle) -> std::io::Result<Self> {
        let (keep, ended) = channel();
        let builder = std::thread::Builder::new().name("gauge".into());
        builder.spawn(move || look_after(&server, &runtime, &ended))?;
        Ok(Self(keep))
    }
}

fn look_after(server: &ServerState, runtime: &RuntimeHandle, ended: &Receiver<Infallible>) {
    let mut told = [Told::default(); LIMITS];
    let (mut sent, mut paths) = (SentMeter::new(), HashMap::new());
    loop {
        measure_shards(server, runtime);
        measure_memory(server, &mut paths);
        let bit_rate = sent.note(server.records.outbound_bytes(), shardcast_platform::now());
        server.limits.set_sent_bit_rate(bit_rate);
        tell_refusals(server, &mut told, shardcast_platform::now());
        if ended.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn measure_shards(server: &ServerState, runtime: &RuntimeHandle) {
    for shard in runtime.each_counters() {
        let permille = match shard.heartbeat_age > STUCK_AFTER {
            true => 1000,
            false => shard.busy_permille,
        };
        server.limits.busy.set(shard.shard.index(), permille);
    }
}

fn measure_memory(server: &ServerState, paths: &mut HashMap<PathName, u64>) {
    let resident_bytes = shardcast_platform::resident_bytes().unwrap_or(0);
    let sessions = server.connections.len() as u64 * CONNECTION_BYTES;
    let readers = server.limits.ledger.taken().readers as u64 * READER_BYTES;
    let counted_bytes = log_bytes(server, paths) + sessions + readers;
    let memory = &server.limits.memory;
    memory.set_measured(resident_bytes, counted_bytes);
}

/// What all logs hold. Shards have the same batches of a path: what is in several logs is there once. `paths` is empty
/// before and after; kept, so that looking takes no memory.
fn log_bytes(server: &ServerState, paths: &mut HashMap<PathName, u64>) -> u64 {
    server.logs.for_each(|path, log| match paths.get_mut(path) {
        Some(most) => *most = log.held_bytes().max(*most),
        None => drop(paths.insert(path.clone(), log.held_bytes())),
    });
    paths.drain().map(|(_path, bytes)| bytes).sum()
}

/// What the log has said of a limit's refusals.
#[derive(Clone, Copy, Default)]
struct Told {
    refused: u64,
    at: Option<Instant>,
}

/// Says which limits have refused sessions: a line per limit and interval, however many those are.
fn tell_refusals(server: &ServerState, told: &mut [Told; LIMITS], now: Instant) {
    let refusals = server.refusals();
    for (report, told) in server.limit_reports().iter().zip(told) {
        let refused = refusals.of(report.reason);
        let is_due = told
            .at
            .is_none_or(|at| now.saturating_duration_since(at) >= TOLD_INTERVAL);
        if refused > told.refused && is_due {
            let (name, unit) = (report.name, report.unit);
            let (used, most) = (report.used, report.limit.unwrap_or_default());
            let more = refused - told.refused;
            tracing::warn!(
                "[limits] {name}: {used} of {most} {unit} are in use, {more} more were refused"
            );
            *told = Told {
                refused,
                at: Some(now),
            };
        }
    }
}

/// The mean bit rate of the last looks.
struct SentMeter {
    last: Option<(Instant, u64)>,
    mean: u64,
}

impl SentMeter {
    fn new() -> Self {
        Self {
            last: None,
            mean: 0,
        }
    }

    fn note(&mut self, bytes: u64, now: Instant) -> u64 {
        let Some((at, before)) = self.last.replace((now, bytes)) else {
            return 0;
        };
        let passed_ms = now.saturating_duration_since(at).as_millis().max(1);
        let bits = u128::from(bytes.saturating_sub(before)) * 8_000 / passed_ms;
        let bit_rate = u64::try_from(bits).unwrap_or(u64::MAX);
        let looks = u64::from(LOOKS_OF_A_MEAN);
        self.mean = self.mean - self.mean / looks + bit_rate / looks;
        self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_evenly_is_told_as_it_is() {
        let (begin, mut meter) = (Instant::now(), SentMeter::new());
        let mut told = 0;
        for look in 0..40 {
            told = meter.note(u64::from(look) * 500_000, begin + look * INTERVAL);
        }
        assert!((7_900_000..=8_000_000).contains(&told), "{told}");
        for look in 40..80 {
            told = meter.note(39 * 500_000, begin + look * INTERVAL);
        }
        assert!(told < 1000, "{told}");
    }
}

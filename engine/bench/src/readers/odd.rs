//! Readers that misbehave, and those of the storm. A task each, for they are few, or do not stay.

use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use shardcast_platform::{now, sleep};

use super::counted::{discard, discard_datagrams};
use super::joining::{Joined, RETRY_INTERVAL, join};
use super::keeper::Keeper;
use super::roster::Seat;
use super::starting;
use super::worker::Worker;

/// How often those that crawl, or are about to vanish, read.
const READ_INTERVAL: Duration = Duration::from_millis(100);
/// How long a reader stays before it vanishes, on average.
const STAY_MEAN: Duration = Duration::from_secs(2);
/// How long it stays at most.
const STAY_MAX: Duration = Duration::from_secs(20);

/// Joins while the others are measured. It stays, or leaves in order once it plays.
pub(super) async fn storm(worker: Rc<Worker>, seat: Seat) {
    let stays = worker.load.storm.is_some_and(|storm| storm.stays);
    match join(&worker, seat).await {
        Ok(joined) if stays => {
            if seat.is_looked_at(&worker.load) {
                starting::watch(&worker, &joined).await;
            }
            worker.count(seat, joined);
        }
        Ok(joined) => {
            let left = joined.flow.into_dialogue(&worker.ending).leave().await;
            if left.is_err() && !worker.ending.is_cancelled() {
                worker.tallied.borrow_mut().counts.closed += 1;
            }
        }
        Err(error) => worker.handle_failure(seat, error),
    }
}

/// Plays, and never reads.
pub(super) async fn stall(worker: Rc<Worker>, seat: Seat) {
    match join(&worker, seat).await {
        Ok(_joined) => worker.ending.cancelled().await,
        Err(error) => worker.handle_failure(seat, error),
    }
}

/// Reads so many bytes per second of its connection, and no datagrams, until the server has had enough.
pub(super) async fn crawl(worker: Rc<Worker>, seat: Seat) {
    let joined = match join(&worker, seat).await {
        Ok(joined) => joined,
        Err(error) => return worker.handle_failure(seat, error),
    };
    let bits_per_second = worker.load.misbehaving.crawl_bits_per_second;
    let bytes = (bits_per_second / 8.0 * READ_INTERVAL.as_secs_f64()).max(1.0) as usize;
    let stream = joined.flow.stream;
    let mut keeper = Keeper::new(joined.flow.client, &mut seat.chance(worker.load.seed));
    while !worker.ending.is_cancelled() {
        sleep(READ_INTERVAL).await;
        let is_tended = keeper.tend(&stream, now()).is_ok();
        if !is_tended || matches!(stream.discard_now(bytes), Ok(Some(0)) | Err(_)) {
            return;
        }
    }
}

/// Plays for a while, vanishes without a word, and comes back as somebody else.
pub(super) async fn vanish(worker: Rc<Worker>, seat: Seat) {
    let mut chance = seat.chance(worker.load.seed);
    while !worker.ending.is_cancelled() {
        match join(&worker, seat).await {
            Ok(joined) => {
                stay(&worker, &joined, stay_of(&mut chance)).await;
                joined.flow.stream.abort();
            }
            Err(error) => {
                worker.handle_failure(seat, error);
                sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Reads for so long, unless the connection ends.
async fn stay(worker: &Worker, joined: &Joined, stay: Duration) {
    let end = now() + stay;
    while now() < end && !worker.ending.is_cancelled() {
        let datagrams = joined.ports.iter().map(discard_datagrams);
        let is_open = discard(&joined.flow.stream).is_ok();
        if !is_open || datagrams.filter(Result::is_err).count() > 0 {
            return;
        }
        sleep(READ_INTERVAL.min(end.saturating_duration_since(now()))).await;
    }
}

/// Exponentially distributed.
fn stay_of(chance: &mut Rng) -> Duration {
    STAY_MEAN.mul_f64(-(1.0 - chance.f64()).ln()).min(STAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_stay_two_seconds_on_average_and_never_for_ever() {
        let mut chance = Rng::with_seed(7);
        let stays: Vec<_> = (0..10_000).map(|_| stay_of(&mut chance)).collect();
        let mean = stays.iter().sum::<Duration>() / 10_000;
        assert!(
            mean.abs_diff(STAY_MEAN) < Duration::from_millis(100),
            "{mean:?}"
        );
        assert!(stays.iter().all(|stay| *stay <= STAY_MAX));
    }
}

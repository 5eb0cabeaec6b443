//! A publisher that stays for a while, and ends in one of several ways.

use std::time::Duration;

use shardcast_platform::{Cancel, now, sleep};

use super::PublishersPlan;
use super::outlet::{Announced, Outlet};
use crate::BenchError;
use crate::stream::{Packets, Source};

/// Whoever waits for its next frame, or for room to send it, looks this often whether it is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How a publisher ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It says so.
    InOrder,
    /// It resets the connection in the middle of a packet.
    MidFrame,
    /// It closes the connection without a word.
    None,
    /// It has sent nothing at all, and closes the connection.
    Mute,
}

/// Publishes on this path for so long, unless it is over before.
///
/// # Errors
/// When the server refuses or hangs up.
pub(crate) async fn publish_for(
    plan: &PublishersPlan,
    path: usize,
    seed: u64,
    lasts: Duration,
    farewell: Farewell,
    over: &Cancel,
) -> Result<(), BenchError> {
    let mut source = Source::open(&plan.load.source, seed)?;
    let mut outlet = Outlet::open(Announced::of(plan, path, &source)).await?;
    let (begin, mut packets) = (now(), Packets::default());
    while !over.is_cancelled() && begin.elapsed() < lasts {
        let due = begin + source.next(&mut packets);
        while now() < due && !over.is_cancelled() {
            sleep(LOOK_INTERVAL.min(due.saturating_duration_since(now()))).await;
        }
        if farewell == Farewell::Mute {
            continue;
        }
        for packet in 0..packets.len() {
            packets.stamp(packet, plan.clock.unix_nanos(due));
        }
        while outlet.send(&packets, 0..packets.len())?.is_none() && !over.is_cancelled() {
            sleep(LOOK_INTERVAL).await;
        }
        outlet.listen()?;
    }
    match farewell {
        Farewell::InOrder => outlet.leave().await,
        Farewell::MidFrame => {
            source.next(&mut packets);
            outlet.tear(&packets);
        }
        Farewell::None | Farewell::Mute => drop(outlet),
    }
    Ok(())
}

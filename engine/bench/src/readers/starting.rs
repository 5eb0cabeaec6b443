//! Starts: how long a reader waits for the last packet of its first whole key frame, from the request PLAY to the kernel's
//! stamp. The answer lies in between; when the kernel had it nobody knows, so that this is more than a start after it.
//! Who is looked at all the time feeds its [`StartWatch`]; a reader of a storm is looked at until then, and is only
//! counted afterwards.

use std::io;
use std::time::{Duration, SystemTime};

use shardcast_platform::sleep;

use super::joining::Joined;
use super::sampled::channels;
use super::window::Tallied;
use super::worker::Worker;
use crate::clock::unix_nanos;
use crate::measured::record;
use crate::stream::{Carrier, Cut, FrameCutter, KeyWatch};

/// A reader of a storm looks so often: what has come meanwhile has the latest stamp of it, so that this is the error, and
/// never makes a start too short.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// What a reader waits for.
#[derive(Debug)]
pub(super) struct StartWatch {
    keys: KeyWatch,
    played_unix_nanos: u64,
    has_begun: bool,
}

impl StartWatch {
    /// Of tracks that carry pictures in these ways. Without pictures nothing is waited for.
    pub(super) fn new(carriers: &[Carrier], played_unix_nanos: u64) -> Self {
        let keys = KeyWatch::new(carriers);
        Self {
            has_begun: !keys.has_pictures(),
            keys,
            played_unix_nanos,
        }
    }

    /// Looks at an RTP packet that the kernel had at this moment, until the start is known.
    pub(super) fn take_packet(
        &mut self,
        track: usize,
        rtp: &[u8],
        at_unix_nanos: u64,
        tallied: &mut Tallied,
    ) {
        if !self.has_begun && self.keys.is_end(track, rtp) {
            self.has_begun = true;
            let took = at_unix_nanos.saturating_sub(self.played_unix_nanos);
            record(&mut tallied.starts, Duration::from_nanos(took));
        }
    }

    /// How long it has waited, if it still does.
    pub(super) fn has_waited(&self, now_unix_nanos: u64) -> Option<Duration> {
        let waited = now_unix_nanos.saturating_sub(self.played_unix_nanos);
        (!self.has_begun).then(|| Duration::from_nanos(waited))
    }
}

/// Looks at a reader's packets until it has had a key frame, its connection ends, or the run does.
pub(super) async fn watch(worker: &Worker, joined: &Joined) {
    let mut start = StartWatch::new(&joined.carriers, joined.played_unix_nanos);
    let mut cutter = FrameCutter::new(&joined.flow.rest);
    let channels = channels(&joined.flow.client);
    let at = unix_nanos(SystemTime::now());
    let mut taken = take_cuts(&mut cutter, &channels, &mut start, at, worker);
    while taken.is_ok() && !start.has_begun && !worker.ending.is_cancelled() {
        sleep(LOOK_INTERVAL).await;
        taken = match joined.ports.is_empty() {
            true => take(joined, &mut cutter, &channels, &mut start, worker),
            false => take_datagrams(joined, &mut start, worker),
        };
    }
    if let Some(waited) = start.has_waited(unix_nanos(SystemTime::now())) {
        record(&mut worker.tallied.borrow_mut().starts, waited);
    }
}

/// Takes what the connection has.
fn take(
    joined: &Joined,
    cutter: &mut FrameCutter,
    channels: &[u8],
    start: &mut StartWatch,
    worker: &Worker,
) -> io::Result<()> {
    while let Some(arrived) = joined.flow.stream.read_now(cutter.room())? {
        if arrived.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        cutter.handle_filled(arrived.bytes);
        worker.tallied.borrow_mut().counts.bytes += arrived.bytes as u64;
        let at = unix_nanos(arrived.at.unwrap_or_else(SystemTime::now));
        take_cuts(cutter, channels, start, at, worker)?;
    }
    Ok(())
}

fn take_cuts(
    cutter: &mut FrameCutter,
    channels: &[u8],
    start: &mut StartWatch,
    at_unix_nanos: u64,
    worker: &Worker,
) -> io::Result<()> {
    let tallied = &mut *worker.tallied.borrow_mut();
    while let Some(cut) = cutter.poll_cut().map_err(io::Error::other)? {
        let Cut::Packet { channel, packet } = cut else {
            continue;
        };
        if let Some(track) = channels.iter().position(|rtp| *rtp == channel) {
            start.take_packet(track, packet, at_unix_nanos, tallied);
        }
    }
    Ok(())
}

/// Takes what the sockets have.
fn take_datagrams(joined: &Joined, start: &mut StartWatch, worker: &Worker) -> io::Result<()> {
    let (slab, tallied) = (
        &mut *worker.slab.borrow_mut(),
        &mut *worker.tallied.borrow_mut(),
    );
    for (track, ports) in joined.ports.iter().enumerate() {
        while ports.rtp.recv_now(slab)? {
            for datagram in slab.datagrams() {
                tallied.counts.bytes += datagram.bytes.len() as u64;
                tallied.counts.datagrams += 1;
                let at = unix_nanos(datagram.at.unwrap_or_else(SystemTime::now));
                start.take_packet(track, datagram.bytes, at, tallied);
            }
        }
    }
    Ok(())
}

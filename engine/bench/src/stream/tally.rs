//! What one reader has received: its packets, the gaps in their sequence numbers and in the numbers of their probes, and how
//! long each was on its way. Packets come from a sampled reader, whole; counts go to what is measured.
//!
//! A packet that is missing counts as lost at once, and no longer when it comes after all. Sequence numbers that begin anew,
//! because the publisher or the server did, are no loss. Where one source's numbers jump further than that can be told, the
//! probes tell.

use std::ops::{AddAssign, Sub};

use hdrhistogram::Histogram;
use shardcast_protocol::container::rtp::{HeaderView, RtpTimestamp, SequenceNumber, Ssrc};

use super::probe::{self, Carrier};

/// The most packets that may be missing at a stretch, or that one may come too late by: a longer jump is a new beginning.
/// RFC 3550, appendix A.1, gives this value for the one.
pub const JUMP_PACKETS_MAX: u16 = 3000;

/// Packets that are remembered, to tell those that come again from those that come late: the next power of two.
const REMEMBERED: usize = (JUMP_PACKETS_MAX as usize).next_power_of_two();
const WORD_BITS: usize = u64::BITS as usize;

/// One reader's counts, all its tracks together, and what it takes to go on counting.
#[derive(Clone, Debug)]
pub struct Tally {
    tracks: Vec<Track>,
    counts: TallyCounts,
    /// Whether all packets of a frame are due at once.
    is_frame_at_once: bool,
    /// What was due before this, by the wall clock in nanoseconds, was not on its way to this reader.
    since_unix_nanos: u64,
}

/// What a reader has received. Those of a while are the difference of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TallyCounts {
    /// Packets that came.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Packets that sequence numbers leave out.
    pub lost: u64,
    /// Packets that came again; they are among those that came.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets with a probe that never came, although no sequence number is missing.
    pub skipped: u64,
    /// Times that a track's numbers began anew.
    pub restarts: u64,
    /// Something came that is no packet.
    pub is_broken: bool,
}

impl Tally {
    /// Nothing has come yet, of tracks that carry probes in these ways. Where a frame's packets are due at once, those
    /// without a probe were due with the last one that has.
    #[must_use]
    pub fn new(carriers: Vec<Carrier>, is_frame_at_once: bool) -> Self {
        let tracks = carriers.into_iter().map(Track::new);
        Self {
            tracks: tracks.collect(),
            counts: TallyCounts::default(),
            is_frame_at_once,
            since_unix_nanos: 0,
        }
    }

    /// Of a reader that plays since then, in nanoseconds since the Unix epoch: what was due before, as all of a group of
    /// pictures that the server has kept, has no latency.
    #[must_use]
    pub fn since(self, unix_nanos: u64) -> Self {
        Self {
            since_unix_nanos: unix_nanos,
            ..self
        }
    }

    /// What has come so far.
    #[must_use]
    pub const fn counts(&self) -> TallyCounts {
        self.counts
    }

    /// Takes an RTP packet that the kernel had at this moment, and adds to the latencies, in nanoseconds, how long it was on
    /// its way.
    pub fn handle_packet(
        &mut self,
        track: usize,
        rtp: &[u8],
        at_unix_nanos: u64,
        latency: &mut Histogram<u64>,
    ) {
        let counts = &mut self.counts;
        let (Some(track), Ok(view)) = (self.tracks.get_mut(track), HeaderView::parse(rtp)) else {
            counts.is_broken = true;
            return;
        };
        counts.packets += 1;
        counts.bytes += rtp.len() as u64;
        let order = track.numbers.take(view.ssrc(), view.sequence_number());
        track.count(order, counts);
        if order == Order::Again {
            return;
        }
        let (at_once, timestamp) = (self.is_frame_at_once, view.timestamp());
        let since = self.since_unix_nanos;
        let mut took = |due_unix_nanos: u64| {
            if due_unix_nanos >= since {
                latency.saturating_record(at_unix_nanos.saturating_sub(due_unix_nanos));
            }
        };
        let mut probes = probe::find(track.carrier, view.payload()).peekable();
        if probes.peek().is_none() && at_once {
            track.due_with(timestamp).into_iter().for_each(&mut took);
        }
        for probe in probes {
            track.frame_due = Some((timestamp, probe.due_unix_nanos));
            took(probe.due_unix_nanos);
            if !matches!(order, Order::Late { .. }) {
                counts.skipped += track.skipped_before(probe.number);
            }
        }
    }
}

/// One track of a reader.
#[derive(Clone, Debug)]
struct Track {
    carrier: Carrier,
    numbers: Numbers,
    /// The number that the next probe should have.
    next_probe: Option<u64>,
    /// The last frame with a probe, by its timestamp, and when that was due.
    frame_due: Option<(RtpTimestamp, u64)>,
    /// Packets that are missing since the last probe. They had probes of their own, perhaps.
    missing: u64,
}

impl Track {
    fn new(carrier: Carrier) -> Self {
        Self {
            carrier,
            numbers: Numbers::default(),
            next_probe: None,
            frame_due: None,
            missing: 0,
        }
    }

    fn count(&mut self, order: Order, counts: &mut TallyCounts) {
        match order {
            Order::First => {}
            Order::Next { left_out } => {
                counts.lost += left_out;
                self.missing += left_out;
            }
            Order::Late { was_lost } => {
                counts.reordered += 1;
                counts.lost = counts.lost.saturating_sub(u64::from(was_lost));
            }
            Order::Again => counts.duplicates += 1,
            Order::Anew { is_other_source } => {
                counts.restarts += 1;
                self.missing = 0;
                // Probes of the same source may go on: then what is between them has not come.
                self.next_probe = self.next_probe.filter(|_| !is_other_source);
            }
        }
    }

    /// When the frame of this timestamp was due, if its probe has come.
    fn due_with(&self, timestamp: RtpTimestamp) -> Option<u64> {
        let (frame, due_unix_nanos) = self.frame_due?;
        (frame == timestamp).then_some(due_unix_nanos)
    }

    /// How many packets with a probe the server has left out before that with this probe. Numbers that go back are
    /// those of a publisher that has come back.
    fn skipped_before(&mut self, number: u64) -> u64 {
        let expected = self.next_probe.replace(number.saturating_add(1));
        let missing = std::mem::take(&mut self.missing);
        let left_out = number.saturating_sub(expected.unwrap_or(number));
        left_out.saturating_sub(missing)
    }
}

/// How a packet follows on those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// It is the first.
    First,
    /// It is later than all before, of which so many have not come.
    Next { left_out: u64 },
    /// It comes after a later one. One that is older than the first was never missed.
    Late { was_lost: bool },
    /// It has come before.
    Again,
    /// Its number has nothing to do with those before.
    Anew { is_other_source: bool },
}

/// A track's sequence numbers.
#[derive(Clone, Debug, Default)]
struct Numbers(Option<Box<Run>>);

/// Numbers that follow on each other, extended so that they never wrap.
#[derive(Clone, Debug)]
struct Run {
    ssrc: Ssrc,
    first: u64,
    highest: u64,
    /// Which of the last ones have come, by their number modulo [`REMEMBERED`].
    came: [u64; REMEMBERED / WORD_BITS],
}

impl Numbers {
    fn take(&mut self, ssrc: Ssrc, sequence: SequenceNumber) -> Order {
        let Some(run) = &mut self.0 else {
            self.0 = Some(Box::new(Run::new(ssrc, sequence)));
            return Order::First;
        };
        let distance = sequence.distance_from(SequenceNumber(run.highest as u16));
        let is_other_source = run.ssrc != ssrc;
        if is_other_source || distance.unsigned_abs() > JUMP_PACKETS_MAX {
            **run = Run::new(ssrc, sequence);
            return Order::Anew { is_other_source };
        }
        let steps = u64::from(distance.unsigned_abs());
        match distance > 0 {
            true => run.advance(steps),
            false => run.look_back(run.highest - steps),
        }
    }
}

impl Run {
    fn new(ssrc: Ssrc, sequence: SequenceNumber) -> Self {
        // The number before the first is one, too: packets that are older may come late.
        let first = u64::from(sequence.0) + (1 << u16::BITS);
        let mut run = Self {
            ssrc,
            first,
            highest: first,
            came: [0; REMEMBERED / WORD_BITS],
        };
        run.note(first);
        run
    }

    fn advance(&mut self, steps: u64) -> Order {
        for number in self.highest + 1..self.highest + steps {
            self.forget(number);
        }
        self.highest += steps;
        self.note(self.highest);
        Order::Next {
            left_out: steps - 1,
        }
    }

    fn look_back(&mut self, number: u64) -> Order {
        if self.note(number) {
            return Order::Again;
        }
        Order::Late {
            was_lost: number > self.first,
        }
    }

    /// Notes that a packet came, and says whether it had before.
    fn note(&mut self, number: u64) -> bool {
        let (word, bit) = self.place(number);
        let came = *word & bit != 0;
        *word |= bit;
        came
    }

    fn forget(&mut self, number: u64) {
        let (word, bit) = self.place(number);
        *word &= !bit;
    }

    fn place(&mut self, number: u64) -> (&mut u64, u64) {
        let place = number as usize % REMEMBERED;
        let word = self.came.get_mut(place / WORD_BITS);
        let word = word.expect("a number modulo the numbers that are remembered");
        (word, 1 << (place % WORD_BITS))
    }
}

impl Sub for TallyCounts {
    type Output = Self;

    /// What has come since `earlier`. Packets that were lost until then and have come since leave no more than nothing.
    fn sub(self, earlier: Self) -> Self {
        let since = |now: u64, earlier: u64| now.saturating_sub(earlier);
        Self {
            packets: since(self.packets, earlier.packets),
            bytes: since(self.bytes, earlier.bytes),
            lost: since(self.lost, earlier.lost),
            duplicates: since(self.duplicates, earlier.duplicates),
            reordered: since(self.reordered, earlier.reordered),
            skipped: since(self.skipped, earlier.skipped),
            restarts: since(self.restarts, earlier.restarts),
            is_broken: self.is_broken,
        }
    }
}

impl AddAssign for TallyCounts {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.skipped += other.skipped;
        self.restarts += other.restarts;
        self.is_broken |= other.is_broken;
    }
}

#[cfg(test)]
mod tests;

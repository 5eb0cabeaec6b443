//! The reorder window: packets that arrive in whatever order leave in that of their numbers, once
//! each. A publisher's datagrams go in, ingest takes what comes out.
//!
//! What waits for a packet before it waits [`WAIT_MAX`] at most, and no more than
//! [`WINDOW_PACKETS_MAX`] numbers and [`WINDOW_BYTES_MAX`] bytes of it: then the gap is given up. A
//! jump of the numbers is believed when a second packet, or silence, bears it out, and the window
//! begins anew there. Times are told as what has passed since a begin of the caller's choice.
//!
//! Packets in order pass through a queue of one, and nothing is allocated for them.

use std::collections::VecDeque;
use std::time::Duration;

use super::header::SequenceNumber;

/// How long a packet waits for one before it. Reordering on a path is a matter of few milliseconds;
/// retransmissions, which take a round trip, are not waited for.
pub const WAIT_MAX: Duration = Duration::from_millis(50);

/// The most numbers that a window spans: 50 ms of 100 Mbit/s.
pub const WINDOW_PACKETS_MAX: usize = 512;

/// The most bytes that wait, but for one packet: as many as full packets of Ethernet in the window.
pub const WINDOW_BYTES_MAX: usize = 768 * 1024;

/// The most packets that may be missing at a stretch; a longer jump may be a new beginning. RFC 3550,
/// A.1, gives this value.
const DROPOUT_PACKETS_MAX: usize = 3000;

/// How far behind a packet is late, and not a jump. RFC 3550, A.1, says 100; a whole window that was
/// given up can still arrive.
const LATE_PACKETS_MAX: usize = WINDOW_PACKETS_MAX;

/// So many late packets in a row are not late: the source begins anew a little further back.
const LATE_RUN_MAX: usize = 128;

/// Packets of one source on their way to their order.
#[derive(Debug)]
pub struct ReorderWindow<T> {
    /// The number that is due; unknown before the first packet.
    next: Option<SequenceNumber>,
    /// In order, and not yet taken by the caller.
    ready: VecDeque<T>,
    /// From the number that is due on; that one is missing, and the last one is there.
    waiting: VecDeque<Option<Packet<T>>>,
    waiting_bytes: usize,
    /// Since when the longest waits.
    waiting_since: Option<Duration>,
    /// A packet from elsewhere: perhaps the begin of new numbers.
    stray: Option<(SequenceNumber, Packet<T>)>,
    late_run: usize,
    counts: ReorderCounts,
}

/// What has become of packets that did not just pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReorderCounts {
    /// Numbers that were given up. A packet that comes after that is late, and counts there as well.
    pub given_up: u64,
    /// Packets that came after they were given up, or once more after they had left.
    pub late: u64,
    /// Packets that came once more while they waited.
    pub duplicate: u64,
    /// Packets with numbers from elsewhere that nothing bore out.
    pub stray: u64,
    /// Packets dropped because the caller did not take what was ready.
    pub overflow: u64,
}

#[derive(Debug)]
struct Packet<T> {
    item: T,
    bytes: usize,
    arrival: Duration,
}

/// Where a number lies.
enum Place {
    /// So many numbers after the one that is due.
    Ahead(usize),
    /// A little before it.
    Late,
    /// Elsewhere.
    Far,
}

impl<T> Default for ReorderWindow<T> {
    fn default() -> Self {
        Self {
            next: None,
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_since: None,
            stray: None,
            late_run: 0,
            counts: ReorderCounts::default(),
        }
    }
}

impl<T> ReorderWindow<T> {
    /// A window that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has become of packets that did not just pass.
    #[must_use]
    pub const fn counts(&self) -> ReorderCounts {
        self.counts
    }

    /// Takes a packet of `bytes` bytes that has arrived at `now`. Call [`Self::pop`] until there is
    /// nothing before the next one.
    pub fn push(&mut self, sequence: SequenceNumber, now: Duration, item: T, bytes: usize) {
        if self.ready.len() >= WINDOW_PACKETS_MAX {
            self.counts.overflow += 1;
            return;
        }
        let packet = Packet {
            item,
            bytes,
            arrival: now,
        };
        match self.place(sequence) {
            Place::Ahead(ahead) => self.take(sequence, ahead, packet),
            Place::Late => self.take_late(sequence, packet),
            Place::Far => self.take_far(sequence, packet),
        }
    }

    /// The next packet in order, if it is there or what is missing before it is given up at `now`.
    pub fn pop(&mut self, now: Duration) -> Option<T> {
        let is_due = |since: Duration| now.saturating_sub(since) >= WAIT_MAX;
        while self.waiting_since.is_some_and(is_due) {
            self.give_up_gap();
        }
        if (self.stray.as_ref()).is_some_and(|(_, packet)| is_due(packet.arrival)) {
            self.begin_at_stray();
        }
        self.ready.pop_front()
    }

    /// When [`Self::pop`] may have something without another packet.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let stray = self.stray.as_ref().map(|(_, packet)| packet.arrival);
        let since = match (self.waiting_since, stray) {
            (Some(waiting), Some(stray)) => Some(waiting.min(stray)),
            (waiting, stray) => waiting.or(stray),
        };
        since.map(|since| since + WAIT_MAX)
    }

    fn place(&mut self, sequence: SequenceNumber) -> Place {
        let next = *self.next.get_or_insert(sequence);
        let distance = sequence.distance_from(next);
        let packets = usize::from(distance.unsigned_abs());
        match distance.is_negative() {
            false if packets < DROPOUT_PACKETS_MAX => Place::Ahead(packets),
            true if packets <= LATE_PACKETS_MAX => Place::Late,
            _ => Place::Far,
        }
    }

    /// Takes a packet that is due, or waits for others.
    fn take(&mut self, sequence: SequenceNumber, ahead: usize, packet: Packet<T>) {
        self.late_run = 0;
        self.drop_stray();
        match self.make_room(sequence, ahead) {
            0 => self.pass(packet),
            ahead => self.keep(ahead, packet),
        }
    }

    /// Gives up what is too far behind `sequence`, and says how far ahead that is then.
    fn make_room(&mut self, sequence: SequenceNumber, mut ahead: usize) -> usize {
        while ahead >= WINDOW_PACKETS_MAX {
            if self.waiting.is_empty() {
                self.counts.given_up += u64::try_from(ahead).unwrap_or(u64::MAX);
                self.next = Some(sequence);
            } else {
                // Nothing that waits is as far ahead as this one, which thus is never passed.
                self.give_up_gap();
            }
            ahead = usize::from(sequence.0.wrapping_sub(self.due().0));
        }
        ahead
    }

    /// The packet that is due, and whatever waited for it.
    fn pass(&mut self, packet: Packet<T>) {
        self.ready.push_back(packet.item);
        self.next = Some(self.due().next());
        if self.waiting.pop_front().is_some() {
            self.release();
        }
    }

    /// A packet `ahead` of the one that is due.
    fn keep(&mut self, ahead: usize, packet: Packet<T>) {
        if self.waiting.len() <= ahead {
            self.waiting.resize_with(ahead + 1, || None);
        }
        let Some(place @ None) = self.waiting.get_mut(ahead) else {
            self.counts.duplicate += 1;
            return;
        };
        self.waiting_bytes += packet.bytes;
        self.waiting_since.get_or_insert(packet.arrival);
        *place = Some(packet);
        while self.waiting_bytes > WINDOW_BYTES_MAX {
            self.give_up_gap();
        }
    }

    /// The missing packets at the front will not come.
    fn give_up_gap(&mut self) {
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.next = Some(self.due().next());
            self.counts.given_up += 1;
        }
        self.release();
    }

    /// What stands at the front without a gap is ready.
    fn release(&mut self) {
        while let Some(Some(_)) = self.waiting.front() {
            if let Some(packet) = self.waiting.pop_front().flatten() {
                self.waiting_bytes -= packet.bytes;
                self.ready.push_back(packet.item);
            }
            self.next = Some(self.due().next());
        }
        let waiting = self.waiting.iter().flatten();
        self.waiting_since = waiting.map(|packet| packet.arrival).min();
    }

    fn take_late(&mut self, sequence: SequenceNumber, packet: Packet<T>) {
        self.late_run += 1;
        if self.late_run >= LATE_RUN_MAX {
            self.begin_at(sequence, packet);
        } else {
            self.counts.late += 1;
        }
    }

    /// A second packet from elsewhere that is near the first bears it out.
    fn take_far(&mut self, sequence: SequenceNumber, packet: Packet<T>) {
        let distance = (self.stray.as_ref()).map(|(stray, _)| sequence.distance_from(*stray));
        let window = WINDOW_PACKETS_MAX;
        match distance {
            Some(0) => self.counts.duplicate += 1,
            Some(distance) if usize::from(distance.unsigned_abs()) < window => {
                let (first, second) = match self.stray.take() {
                    Some(stray) if distance > 0 => (stray, Some((sequence, packet))),
                    stray => ((sequence, packet), stray),
                };
                self.begin_at(first.0, first.1);
                if let Some((sequence, packet)) = second
                    && let Place::Ahead(ahead) = self.place(sequence)
                {
                    self.take(sequence, ahead, packet);
                }
            }
            _ => {
                self.drop_stray();
                self.stray = Some((sequence, packet));
            }
        }
    }

    fn drop_stray(&mut self) {
        if self.stray.take().is_some() {
            self.counts.stray += 1;
        }
    }

    fn begin_at_stray(&mut self) {
        if let Some((sequence, packet)) = self.stray.take() {
            self.begin_at(sequence, packet);
        }
    }

    /// Begins anew: what waits goes first, and no number is missing in between.
    fn begin_at(&mut self, sequence: SequenceNumber, packet: Packet<T>) {
        while !self.waiting.is_empty() {
            self.give_up_gap();
        }
        self.late_run = 0;
        self.drop_stray();
        self.next = Some(sequence);
        self.pass(packet);
    }

    /// The number that is due. Nobody asks before the first packet has come.
    fn due(&self) -> SequenceNumber {
        self.next.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

//! The queue of a reader over UDP, or of a multicast group: the datagrams between its cursor and the log's head.
//!
//! A batch's datagrams leave in runs, one system call each. Of a large batch, as a key frame makes it, only some leave at
//! once: a burst of hundreds overruns the buffers on its way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shardcast_platform::Slice;
use shardcast_protocol::container::rtp::SequenceNumber;
use smallvec::SmallVec;

use super::begin::Begin;
use super::reports::FirstClock;
use super::{Cargo, Fill, Taken};
use crate::fanout::{Cursor, DatagramRun, Drop, Entry, Log, LogPlace, Next, Position};
use crate::stream::{TrackBase, compound_goodbye};

/// Datagrams that leave at once for a reader, at least: about a millisecond of a 250 Mbit/s link.
const BURST_DATAGRAMS_MIN: usize = 24;

/// A batch leaves in at most so many bursts, however large it is, a millisecond apart: more would be latency for nothing.
const BURSTS_MAX: usize = 8;

/// A reader catches up in about so many bursts, however much that is: in a tenth of a second, where timers make two
/// milliseconds of one. Fewer would overrun the buffers of players, which hold some 90 datagrams where nobody has set them
/// otherwise (Linux).
const CATCH_UP_BURSTS: usize = 48;

/// Datagrams of such a burst, at least: a tenth of those buffers.
const CATCH_UP_DATAGRAMS_MIN: usize = 8;

/// A reader's place in a log and the datagrams that it is to be sent next.
#[derive(Debug)]
pub struct DatagramQueue {
    cursor: Cursor,
    /// Whether the reader has set a track up.
    is_set_up: SmallVec<[bool; 2]>,
    /// Of the batch that is being sent. Bounded by the batch.
    runs: VecDeque<DatagramRun>,
    /// When that batch was read, if it says how late its datagrams leave.
    read_at: Option<Instant>,
    burst_datagrams: usize,
    taken: Taken,
    /// Until the reader has caught up.
    begin: Option<Box<Begin>>,
}

impl DatagramQueue {
    /// A reader at `cursor` of these tracks that begins so.
    #[must_use]
    pub fn new(
        cursor: Cursor,
        is_set_up: impl IntoIterator<Item = bool>,
        begin: Box<Begin>,
    ) -> Self {
        Self {
            cursor,
            is_set_up: is_set_up.into_iter().collect(),
            runs: VecDeque::new(),
            read_at: None,
            burst_datagrams: BURST_DATAGRAMS_MIN,
            taken: Taken::default(),
            begin: Some(begin),
        }
    }

    /// Takes the next batch's datagrams, once those before it have left.
    pub fn fill(&mut self, log: &Log, now: Instant) -> Fill {
        while self.runs.is_empty() || self.is_catching_up() {
            match self.cursor.next(log, now) {
                Next::Take(entry, packet) | Next::TakeLess(entry, packet) => {
                    let number = self.cursor.position().map_or(0, |at| at.entry);
                    self.read_at = self.cursor.read_time(entry);
                    if self.begin.is_some() && self.take_begin(log, number, entry, packet) {
                        continue;
                    }
                    self.take(log, number, packet);
                    self.cursor.advance(entry, None);
                }
                Next::Moved(_) => {}
                _ if self.has_runs() => return Fill::Ready,
                Next::Wait => return Fill::Empty,
                Next::Ended(reason) => return Fill::Ended(reason),
                Next::TooSlow(reason) => return Fill::TooSlow(reason),
            }
        }
        Fill::Ready
    }

    /// The run that is next.
    #[must_use]
    pub fn next_run(&self) -> Option<&DatagramRun> {
        self.runs.front()
    }

    /// The datagrams that are to leave next, of one track; at most so many.
    pub fn pop_run(&mut self, most_datagrams: usize) -> Option<DatagramRun> {
        let run = self.runs.front_mut()?;
        if run.datagrams() > most_datagrams {
            return Some(run.split_front(most_datagrams));
        }
        self.runs.pop_front()
    }

    /// Has a burst sent, run by run; `send` says how many bytes the socket has taken. False when it takes no more: the rest
    /// stays here. Says what has left, too.
    pub fn send_burst(&mut self, mut send: impl FnMut(&DatagramRun) -> usize) -> (bool, Cargo) {
        let (mut left, mut datagrams) = (self.burst_datagrams, 0);
        while left > 0
            && let Some(mut run) = self.pop_run(left)
        {
            left = left.saturating_sub(run.datagrams());
            let sent = send(&run);
            if sent < run.bytes.len() {
                let front = run.split_front(sent / run.datagram_bytes.max(1));
                datagrams += front.datagrams();
                self.runs.push_front(run);
                return (false, self.cargo(datagrams as u64));
            }
            datagrams += run.datagrams();
        }
        (true, self.cargo(datagrams as u64))
    }

    /// Datagrams that may leave at once.
    #[must_use]
    pub fn burst_datagrams(&self) -> usize {
        self.burst_datagrams
    }

    /// The same place, for readers of all of the stream's tracks who have been told the clock.
    #[must_use]
    pub fn for_all(&self, tracks: usize) -> Self {
        Self {
            cursor: self.cursor.clone(),
            is_set_up: SmallVec::from_elem(true, tracks),
            runs: VecDeque::new(),
            read_at: None,
            burst_datagrams: BURST_DATAGRAMS_MIN,
            taken: Taken::default(),
            begin: None,
        }
    }

    /// Whether all has left that the log has, and the next batch is waited for at the same place as `other` does.
    #[must_use]
    pub fn stands_with(&self, other: &Self, log: &Log) -> bool {
        let is_at_head = |queue: &Self| queue.cursor.is_at_head(log) && !queue.has_runs();
        is_at_head(self) && is_at_head(other)
    }

    /// Whether something is here that has not left.
    #[must_use]
    pub fn has_more(&self, log: &Log) -> bool {
        let is_behind = |at: Position| at.entry < log.head();
        self.has_runs() || self.cursor.position().is_some_and(is_behind)
    }

    /// So many datagrams of the batch at hand.
    #[must_use]
    pub fn cargo(&self, datagrams: u64) -> Cargo {
        let mut cargo = Cargo::default();
        cargo.add(self.read_at, datagrams);
        cargo
    }

    /// How far all before has left; nothing while a batch is leaving.
    #[must_use]
    pub fn place(&self, log: &Log) -> Option<LogPlace> {
        (!self.has_runs()).then(|| self.cursor.place(log))
    }

    /// Whether something of the batch is still to leave.
    #[must_use]
    pub fn has_runs(&self) -> bool {
        !self.runs.is_empty()
    }

    /// What was dropped since it was last asked.
    pub fn poll_drop(&mut self) -> Option<Drop> {
        self.cursor.poll_drop()
    }

    /// What was taken since it was last asked.
    pub fn take_taken(&mut self) -> Taken {
        std::mem::take(&mut self.taken)
    }

    fn take(&mut self, log: &Log, number: u64, packet: u32) {
        let Some(datagrams) = log.datagrams(number) else {
            return;
        };
        let count = self.push_runs(datagrams.runs_from(packet));
        self.burst_datagrams = count.div_ceil(BURSTS_MAX).max(BURST_DATAGRAMS_MIN);
    }

    /// What comes before all else, and what the reader is sent until it has caught up; whether that was the entry, as far as
    /// it is to be sent so.
    fn take_begin(&mut self, log: &Log, number: u64, entry: &Entry, packet: u32) -> bool {
        let Some(mut begin) = self.begin.take() else {
            return false;
        };
        if let Some((clock, tracks)) = begin.take_clock(log, entry, packet) {
            self.push_reports(&clock, &tracks);
        }
        let Some(catch_up) = begin.catch_up(self.cursor.position()) else {
            return false;
        };
        let pressed = log.pressed_datagrams(catch_up, number);
        self.push_runs(pressed.iter().flat_map(|runs| runs.iter().cloned()));
        let burst = catch_up.datagrams().div_ceil(CATCH_UP_BURSTS);
        self.burst_datagrams = burst.max(CATCH_UP_DATAGRAMS_MIN);
        self.cursor.advance(entry, catch_up.end_in(number));
        self.begin = Some(begin);
        true
    }

    /// Whether more of what the reader catches up by leaves in this burst: its batches are small, and many.
    fn is_catching_up(&self) -> bool {
        let catches_up = |begin: &Begin| begin.catch_up(self.cursor.position()).is_some();
        self.begin.as_deref().is_some_and(catches_up)
            && self.runs.iter().map(DatagramRun::datagrams).sum::<usize>() < self.burst_datagrams
    }

    /// Takes those of the reader's tracks; how many datagrams they are.
    fn push_runs(&mut self, runs: impl Iterator<Item = DatagramRun>) -> usize {
        let mut count = 0;
        for run in runs.filter(|run| self.is_set_up.get(usize::from(run.track)) == Some(&true)) {
            let datagrams = run.datagrams();
            count += datagrams;
            // A queue for all of a feed's readers is never asked.
            self.taken.packets = self.taken.packets.saturating_add(datagrams as u32);
            self.taken.rtcp = self.taken.rtcp.saturating_add(u32::from(run.is_rtcp));
            self.runs.push_back(run);
        }
        count
    }

    /// A sender report for each of the reader's tracks, before its first packet.
    fn push_reports(&mut self, clock: &FirstClock<'_>, tracks: &[TrackBase]) {
        for (track, (base, is_set_up)) in (0u8..).zip(tracks.iter().zip(&self.is_set_up)) {
            let report = clock.compound_report(usize::from(track), base.ssrc);
            if let (Some(compound), true) = (report, is_set_up) {
                self.runs.push_back(control_run(track, compound));
                self.taken.packets = self.taken.packets.saturating_add(1);
                self.taken.rtcp = self.taken.rtcp.saturating_add(1);
            }
        }
    }
}

/// A control packet that is a run of its own.
#[must_use]
pub fn control_run(track: u8, compound: Bytes) -> DatagramRun {
    DatagramRun {
        track,
        is_rtcp: true,
        datagram_bytes: compound.len(),
        bytes: Slice::new(compound),
    }
}

/// So long after the last packet a goodbye is sent: readers hear of the two on different sockets, and VLC (3.0.24) forgets
/// what it has not taken from the one when the other speaks.
pub const GOODBYE_AFTER: Duration = Duration::from_millis(500);

/// The goodbye of each track (RFC 3550, section 6.6).
pub fn goodbye_runs(begin: &[TrackBase]) -> impl Iterator<Item = DatagramRun> + '_ {
    let goodbye = |(track, base): (u8, &TrackBase)| {
        let compound = compound_goodbye(base.ssrc)?;
        Some(control_run(track, compound))
    };
    (0u8..).zip(begin).filter_map(goodbye)
}

/// The number in the datagram image of each track's first packet at or after `position`.
#[must_use]
pub fn first_sequence(log: &Log, position: Position, track: usize) -> Option<SequenceNumber> {
    log.datagrams(position.entry)?
        .first_sequence(track, position.packet)
}

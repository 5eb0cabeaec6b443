//! A reader's place in a log, and the policy that moves it.
//!
//! The cursor never touches another reader. It moves forward through the log; it jumps when the reader is too slow, only
//! between access units, and only to a start point.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::catch_up::CatchUp;
use super::log::{EndReason, Entry, Log, Position};
use super::log_record::LogPlace;
use super::slow_reader::{Drop, DropReason, Limits, Queued, Relief, SlowReader, SlowReaderPolicy};

/// Where a reader's stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the next access unit.
    Live,
    /// At the next start point.
    KeyFrame,
    /// At the latest start point in the log.
    Gop,
    /// There too, but what is in the log already is to be sent with other timestamps ([`Log::catch_up`]).
    CatchUp,
}

impl Start {
    /// For a reader that has paused: it is given nothing again, since its numbers never go back.
    #[must_use]
    pub fn after_pause(self) -> Self {
        match self {
            Self::Live => Self::Live,
            Self::KeyFrame | Self::Gop | Self::CatchUp => Self::KeyFrame,
        }
    }
}

/// What the reader does next.
#[derive(Debug)]
pub enum Next<'log> {
    /// Take this entry from this packet on.
    Take(&'log Entry, u32),
    /// The same, but for the access units that no other refers to.
    TakeLess(&'log Entry, u32),
    /// The reader, which has numbers of its own, has been moved from here: what it takes next follows what it took last.
    Moved(Position),
    /// Nothing to take now.
    Wait,
    /// All is taken and the stream has ended.
    Ended(EndReason),
    /// The reader is too slow to stay: the policy says so, or the rest of its access unit is gone.
    TooSlow(DropReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    At(Position),
    /// At the first start point after the first `starts_seen` of the log, or without one at the deadline.
    WaitsForStart {
        starts_seen: u64,
        from: u64,
        deadline: Instant,
    },
    /// At the first access unit from this entry on.
    WaitsForAccessUnit {
        from: u64,
    },
}

impl Place {
    fn position_or_head(self, log: &Log) -> Position {
        match self {
            Self::At(position) => position,
            Self::WaitsForStart { .. } | Self::WaitsForAccessUnit { .. } => Position {
                entry: log.head(),
                packet: 0,
            },
        }
    }
}

/// Why a reader takes less than all, and whether that has been counted: it has once there is something to leave out.
#[derive(Clone, Copy, Debug)]
struct TakesLess {
    reason: DropReason,
    is_told: bool,
}

/// A reader's place.
#[derive(Clone, Debug)]
pub struct Cursor {
    place: Place,
    /// Bytes of the log's life before the place, or up to which those that were not given have been counted.
    bytes: u64,
    limits: Limits,
    /// Part of an access unit is taken: no jump before its end.
    mid_access_unit: bool,
    /// Why the reader waits for a begin, if it was moved there: what passes by is not given to it.
    moved: Option<DropReason>,
    /// Why the reader is given less than all, until it has caught up.
    takes_less: Option<TakesLess>,
    /// A reader that has begun behind has this until it has caught up.
    relief: Option<Box<Relief>>,
    dropped: Option<Box<Drop>>,
    /// When the reader began.
    begun: Instant,
}

impl Cursor {
    /// A reader that begins now.
    #[must_use]
    pub fn new(log: &Log, start: Start, policy: SlowReaderPolicy, now: Instant) -> Self {
        let place = match (log.resolve(start), log.latest_start()) {
            (Start::Gop | Start::CatchUp, Some(latest)) => Place::At(latest),
            (Start::Live, _) => Place::WaitsForAccessUnit { from: log.head() },
            (Start::Gop | Start::CatchUp | Start::KeyFrame, _) => waits_for_start(log, now),
        };
        Self {
            place,
            limits: Limits::new(policy),
            bytes: log.bytes_before(place.position_or_head(log)),
            mid_access_unit: false,
            moved: None,
            takes_less: None,
            relief: relief_at(log, place, now),
            dropped: None,
            begun: now,
        }
    }

    /// The same, and how it is to catch up with what is live if it does so.
    #[must_use]
    pub fn begin(
        log: &Log,
        start: Start,
        policy: SlowReaderPolicy,
        now: Instant,
    ) -> (Self, Option<Rc<CatchUp>>) {
        let cursor = Self::new(log, start, policy, now);
        let catches_up = log.resolve(start) == Start::CatchUp;
        let catch_up = catches_up.then(|| log.catch_up(now)).flatten();
        (cursor, catch_up)
    }

    /// The packet with which this reader will begin, if it is in the log already.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self.place {
            Place::At(position) => Some(position),
            Place::WaitsForStart { .. } | Place::WaitsForAccessUnit { .. } => None,
        }
    }

    /// How far the reader has come; nowhere while it waits for its begin.
    #[must_use]
    pub fn place(&self, log: &Log) -> LogPlace {
        let at = |position: Position| LogPlace {
            bytes: self.bytes,
            read_us: log.read_us(position),
        };
        self.position().map_or(LogPlace::NOWHERE, at)
    }

    /// When the entry was read, if the reader was there already: what a reader is given of earlier times says nothing of
    /// how late it is.
    #[must_use]
    pub fn read_time(&self, entry: &Entry) -> Option<Instant> {
        (entry.read_at >= self.begun).then_some(entry.read_at)
    }

    /// Whether the reader has taken all that is here and only waits for more.
    #[must_use]
    pub fn is_at_head(&self, log: &Log) -> bool {
        matches!(self.place, Place::At(position) if position.entry >= log.head())
    }

    /// What to take next. Jumps first if the policy says so; [`Self::poll_drop`] tells of that.
    pub fn next<'log>(&mut self, log: &'log Log, now: Instant) -> Next<'log> {
        self.next_behind(log, 0, now)
    }

    /// The same for a reader for whom the kernel holds so many bytes, which are part of its queue.
    pub fn next_behind<'log>(
        &mut self,
        log: &'log Log,
        kernel_bytes: u64,
        now: Instant,
    ) -> Next<'log> {
        if let Some(instead) = self.apply_policy(log, kernel_bytes, now) {
            return instead;
        }
        self.find_start(log, now);
        let Place::At(mut position) = self.place else {
            return Self::nothing_to_take(log);
        };
        let Some(entry) = log.entry(position.entry) else {
            return Self::nothing_to_take(log);
        };
        if let (Some(resume_at), false) = (entry.resume_at, position.packet > 0) {
            position.packet = resume_at;
            self.bytes = log.bytes_before(position);
            let begin = Position {
                packet: 0,
                ..position
            };
            let passed = self.bytes - log.bytes_before(begin);
            self.note_drop(DropReason::RingFull, passed, 0);
        }
        match self.takes_less {
            None => Next::Take(entry, position.packet),
            Some(_) => Next::TakeLess(entry, position.packet),
        }
    }

    /// Moves behind what was taken of `entry`: all of it, or up to `packet`.
    pub fn advance(&mut self, entry: &Entry, taken_to: Option<u32>) {
        let Place::At(position) = &mut self.place else {
            return;
        };
        match taken_to {
            Some(packet) => {
                position.packet = packet;
                self.bytes = entry.bytes_before(packet);
                self.mid_access_unit = true;
            }
            None => {
                *position = Position {
                    entry: position.entry + 1,
                    packet: 0,
                };
                self.bytes = entry.end;
                self.mid_access_unit = entry.open_after;
            }
        }
    }

    /// What was dropped since it was last asked.
    pub fn poll_drop(&mut self) -> Option<Drop> {
        self.dropped.take().map(|dropped| *dropped)
    }

    fn nothing_to_take(log: &Log) -> Next<'_> {
        log.ended().map_or(Next::Wait, Next::Ended)
    }

    /// What becomes of the reader instead of that it takes what is next, if anything.
    fn apply_policy<'log>(
        &mut self,
        log: &'log Log,
        kernel_bytes: u64,
        now: Instant,
    ) -> Option<Next<'log>> {
        let Place::At(position) = self.place else {
            return None;
        };
        if position.entry >= log.head() {
            self.note_caught_up();
            return None;
        }
        let queued = Queued {
            bytes: log.head_bytes() - self.bytes + kernel_bytes,
            age: age_at(log, position, kernel_bytes, now),
        };
        let is_gone = position.entry < log.tail();
        let reason = self.limits.passed_by(queued);
        if reason.is_none() && !is_gone {
            return None;
        }
        let behind = Behind {
            position,
            kernel_bytes,
            reason: reason.unwrap_or(DropReason::QueueBytes),
        };
        self.handle_passed(log, behind, now)
    }

    /// A limit is passed, or the place has left the log, as few readers' ever does.
    #[cold]
    fn handle_passed<'log>(
        &mut self,
        log: &'log Log,
        behind: Behind,
        now: Instant,
    ) -> Option<Next<'log>> {
        let position = behind.position;
        let is_gone = position.entry < log.tail();
        let limits = self.limits.relieved(self.relief.as_deref());
        let reason = match is_gone {
            true => behind.reason,
            false => behind.passes(log, limits, now)?,
        };
        let is_mid_unit = self.mid_access_unit && !log.begins_unit(position);
        if is_mid_unit && !is_gone {
            return None;
        }
        if limits.slow_reader == SlowReader::Disconnect || is_mid_unit {
            return Some(Next::TooSlow(reason));
        }
        let skips = limits.slow_reader == SlowReader::SkipNonReference;
        let may_stay = !is_gone && behind.passes(log, limits.doubled(), now).is_none();
        if skips && may_stay {
            self.takes_less.get_or_insert(TakesLess {
                reason,
                is_told: false,
            });
            return None;
        }
        if may_stay && log.is_within_other_unit(position) {
            return None;
        }
        let is_moved = self.jump(log, position, reason, now);
        (is_moved && skips).then_some(Next::Moved(position))
    }

    fn note_caught_up(&mut self) {
        self.relief = None;
        self.takes_less = None;
    }

    /// To the latest start point if that is ahead and within the limits, else to the next one that comes. At the end of a
    /// stream there is none to come, and what is left is within the log's bounds: the reader goes on, and false comes
    /// back.
    fn jump(&mut self, log: &Log, from: Position, reason: DropReason, now: Instant) -> bool {
        let is_near = |start: &Position| {
            let behind = Behind {
                position: *start,
                kernel_bytes: 0,
                reason,
            };
            *start > from && behind.passes(log, self.limits, now).is_none()
        };
        let to = match log.latest_start().filter(is_near) {
            Some(start) => start,
            None if log.ended().is_some() && from.entry >= log.tail() => return false,
            None => Position {
                entry: log.head(),
                packet: 0,
            },
        };
        let (units, bytes) = (log.units_between(from, to), log.bytes_before(to));
        self.note_drop(reason, bytes - self.bytes, units);
        self.bytes = bytes;
        if to.entry < log.head() {
            self.place = Place::At(to);
        } else {
            self.place = waits_for_start(log, now);
            self.moved = Some(reason);
        }
        self.mid_access_unit = false;
        self.note_caught_up();
        true
    }

    /// The reader was not given access units of so many bytes, because it takes less.
    pub fn note_left_out(&mut self, bytes: u64, units: u64) {
        let Some(takes_less) = &mut self.takes_less else {
            return;
        };
        let times = u64::from(!std::mem::replace(&mut takes_less.is_told, true));
        let reason = takes_less.reason;
        self.note(Drop {
            reason,
            bytes,
            units,
            times,
        });
    }

    fn find_start(&mut self, log: &Log, now: Instant) {
        if let Place::WaitsForStart {
            starts_seen,
            from,
            deadline,
        } = self.place
        {
            if let Some(start) = log.start_after(starts_seen) {
                self.resume_at(log, start);
            } else if now >= deadline && log.head() > from {
                self.note_drop(DropReason::NoStartPoint, 0, 0);
                self.place = Place::WaitsForAccessUnit { from: log.head() };
            }
        }
        if let Place::WaitsForAccessUnit { from } = self.place {
            let begins = |number: &u64| {
                number
                    .checked_sub(1)
                    .and_then(|before| log.entry(before))
                    .is_none_or(|before| !before.open_after)
                    // A unit that was left open, by a publisher that was lost, ends where the next one begins.
                    || log.begins_unit(Position { entry: *number, packet: 0 })
            };
            if let Some(entry) = (from.max(log.tail())..=log.head()).find(begins) {
                self.resume_at(log, Position { entry, packet: 0 });
            }
        }
    }

    /// The begin that was waited for is here. What has passed by since the reader was moved is a drop, too.
    fn resume_at(&mut self, log: &Log, position: Position) {
        self.place = Place::At(position);
        let bytes = log.bytes_before(position);
        let passed = bytes - std::mem::replace(&mut self.bytes, bytes).min(bytes);
        if let Some(reason) = self.moved.take().filter(|_| passed > 0) {
            let (units, times) = (0, 0);
            self.note(Drop {
                reason,
                bytes: passed,
                units,
                times,
            });
        }
    }

    fn note_drop(&mut self, reason: DropReason, bytes: u64, units: u64) {
        self.note(Drop {
            reason,
            bytes,
            units,
            times: 1,
        });
    }

    fn note(&mut self, drop: Drop) {
        match &mut self.dropped {
            Some(before) => **before = before.with(drop),
            none => *none = Some(Box::new(drop)),
        }
    }
}

/// A reader's place when it has passed a limit.
#[derive(Clone, Copy, Debug)]
struct Behind {
    position: Position,
    kernel_bytes: u64,
    reason: DropReason,
}

impl Behind {
    /// The limit that is passed by what lies behind the access unit at this place. Nothing lies behind the newest.
    fn passes(self, log: &Log, limits: Limits, now: Instant) -> Option<DropReason> {
        let behind = log.after_unit(self.position)?;
        let age = match self.kernel_bytes {
            0 => age_at(log, behind, 0, now),
            held => age_at(log, self.position, held, now),
        };
        limits.passed_by(Queued {
            bytes: log.bytes_behind(behind) + self.kernel_bytes,
            age,
        })
    }
}

/// The age of the oldest of what waits for a reader that stands here, and for whom the kernel holds so much.
fn age_at(log: &Log, position: Position, kernel_bytes: u64, now: Instant) -> Duration {
    let oldest = match kernel_bytes {
        0 => log
            .entry(position.entry.max(log.tail()))
            .map(|entry| entry.read_at),
        held => log.read_before(position.entry, held),
    };
    oldest.map_or(Duration::ZERO, |oldest| {
        now.saturating_duration_since(oldest)
    })
}

/// What a reader that begins at a place behind the head is behind by intent.
fn relief_at(log: &Log, place: Place, now: Instant) -> Option<Box<Relief>> {
    match place {
        Place::At(position) if position.entry < log.head() => Some(Box::new(Relief(Queued {
            bytes: log.bytes_behind(position),
            age: age_at(log, position, 0, now),
        }))),
        _ => None,
    }
}

fn waits_for_start(log: &Log, now: Instant) -> Place {
    Place::WaitsForStart {
        starts_seen: log.starts_seen(),
        from: log.head(),
        deadline: now + log.start_wait(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::log::LogLimits;
    use crate::fanout::log::tests::{ROOMY, batch_at, batch_of, log_with};
    use crate::stream::PacketFlags;
    use std::sync::Arc;

    const PATIENT: SlowReaderPolicy = SlowReaderPolicy {
        slow_reader: SlowReader::DropToKeyFrame,
        queue_bytes: u64::MAX,
        queue_age: Duration::from_secs(3600),
    };

    fn taken(cursor: &mut Cursor, log: &Log, now: Instant) -> Vec<(u64, u32)> {
        let mut taken = Vec::new();
        while let Next::Take(entry, packet) = cursor.next(log, now) {
            taken.push((entry.batch.shared().sequence, packet));
            cursor.advance(entry, None);
        }
        taken
    }

    #[test]
    fn a_reader_begins_at_the_next_start_point() {
        let mut log = log_with(ROOMY);
        log.append(Arc::new(batch_of(0, &[(0, true)])), drop);
        let now = Instant::now();
        let mut cursor = Cursor::new(&log, Start::KeyFrame, PATIENT, now);
        log.append(Arc::new(batch_of(1, &[(0, false)])), drop);
        assert!(taken(&mut cursor, &log, now).is_empty());
        log.append(Arc::new(batch_of(2, &[(0, false), (0, true)])), drop);
        log.append(Arc::new(batch_of(3, &[(0, false)])), drop);
        assert_eq!(taken(&mut cursor, &log, now), [(2, 1), (3, 0)]);
    }

    #[test]
    fn a_reader_of_the_group_begins_at_the_latest_start_point() {
        let mut log = log_with(ROOMY);
        for sequence in 0..6 {
            log.append(
                Arc::new(batch_of(sequence, &[(0, sequence % 4 == 0)])),
                drop,
            );
        }
        let mut cursor = Cursor::new(&log, Start::Gop, PATIENT, Instant::now());
        assert_eq!(taken(&mut cursor, &log, Instant::now()), [(4, 0), (5, 0)]);
    }

    #[test]
    fn a_live_reader_begins_where_a_unit_does_although_the_one_before_was_left_open() {
        let mut log = log_with(ROOMY);
        let mut cut_off = batch_of(0, &[(0, false)]);
        cut_off.packets[0].flags = PacketFlags::AU_START;
        log.append(Arc::new(cut_off), drop);
        let now = Instant::now();
        let mut cursor = Cursor::new(&log, Start::Live, PATIENT, now);
        let mut next = batch_of(1, &[(0, false)]);
        next.packets[0].flags = PacketFlags::AU_START.with(PacketFlags::AU_END);
        log.append(Arc::new(next), drop);
        assert_eq!(taken(&mut cursor, &log, now), [(1, 0)]);
    }

    #[test]
    fn without_a_start_point_a_reader_begins_at_the_deadline() {
        let mut log = log_with(ROOMY);
        let begin = Instant::now();
        let mut cursor = Cursor::new(&log, Start::KeyFrame, PATIENT, begin);
        log.append(Arc::new(batch_at(0, &[(0, false)], begin)), drop);
        assert!(taken(&mut cursor, &log, begin).is_empty());
        let late = begin + Duration::from_secs(10);
        assert!(
            taken(&mut cursor, &log, late).is_empty(),
            "it begins with what comes next"
        );
        assert_eq!(
            cursor.poll_drop().map(|drop| drop.reason),
            Some(DropReason::NoStartPoint)
        );
        log.append(Arc::new(batch_at(1, &[(0, false)], late)), drop);
        assert_eq!(taken(&mut cursor, &log, late), [(1, 0)]);
    }

    #[test]
    fn a_slow_reader_jumps_to_the_latest_start_point_and_loses_whole_groups() {
        let mut log = log_with(ROOMY);
        let now = Instant::now();
        log.append(Arc::new(batch_of(0, &[(0, true)])), drop);
        let mut cursor = Cursor::new(
            &log,
            Start::Gop,
            SlowReaderPolicy {
                queue_bytes: 100,
                ..PATIENT
            },
            now,
        );
        for sequence in 1..9 {
            log.append(
                Arc::new(batch_of(sequence, &[(0, sequence % 4 == 0)])),
                drop,
            );
        }
        assert_eq!(taken(&mut cursor, &log, now), [(8, 0)]);
        assert_eq!(
            cursor.poll_drop(),
            Some(Drop {
                reason: DropReason::QueueBytes,
                bytes: 160,
                units: 0,
                times: 1,
            })
        );
    }

    #[test]
    fn an_access_unit_that_was_begun_is_finished_before_a_jump() {
        let mut log = log_with(ROOMY);
        let now = Instant::now();
        let mut open = batch_of(0, &[(0, true)]);
        open.packets[0].flags = PacketFlags::AU_START;
        log.append(Arc::new(open), drop);
        let mut cursor = Cursor::new(
            &log,
            Start::Gop,
            SlowReaderPolicy {
                queue_bytes: 30,
                ..PATIENT
            },
            now,
        );
        assert_eq!(taken(&mut cursor, &log, now), [(0, 0)]);
        for sequence in 1..6 {
            log.append(Arc::new(batch_of(sequence, &[(0, sequence == 5)])), drop);
        }
        assert_eq!(taken(&mut cursor, &log, now), [(1, 0), (5, 0)]);
    }

    #[test]
    fn a_reader_whose_access_unit_has_left_the_log_is_too_slow_to_stay() {
        let mut log = log_with(LogLimits { bytes: 60, ..ROOMY });
        let now = Instant::now();
        let mut open = batch_of(0, &[(0, true)]);
        open.packets[0].flags = PacketFlags::AU_START;
        log.append(Arc::new(open), drop);
        let mut cursor = Cursor::new(&log, Start::Gop, PATIENT, now);
        assert_eq!(taken(&mut cursor, &log, now), [(0, 0)]);
        for sequence in 1..9 {
            log.append(Arc::new(batch_of(sequence, &[(0, true)])), drop);
        }
        assert!(matches!(
            cursor.next(&log, now),
            Next::TooSlow(DropReason::QueueBytes)
        ));
    }

    #[test]
    fn the_policy_to_disconnect_moves_nobody() {
        let mut log = log_with(ROOMY);
        let now = Instant::now();
        log.append(Arc::new(batch_at(0, &[(0, true)], now)), drop);
        log.append(Arc::new(batch_at(1, &[(0, true)], now)), drop);
        let policy = SlowReaderPolicy {
            slow_reader: SlowReader::Disconnect,
            queue_age: Duration::from_secs(5),
            ..PATIENT
        };
        let mut cursor = Cursor::new(&log, Start::KeyFrame, policy, now);
        cursor.place = Place::At(Position {
            entry: 0,
            packet: 0,
        });
        assert!(matches!(
            cursor.next(&log, now + Duration::from_secs(5)),
            Next::Take(..)
        ));
        assert!(matches!(
            cursor.next(&log, now + Duration::from_secs(6)),
            Next::TooSlow(DropReason::QueueAge)
        ));
    }

    #[test]
    fn an_ended_stream_is_delivered_to_its_end() {
        let mut log = log_with(ROOMY);
        let now = Instant::now();
        log.append(Arc::new(batch_of(0, &[(0, true)])), drop);
        let mut cursor = Cursor::new(
            &log,
            Start::Gop,
            SlowReaderPolicy {
                queue_age: Duration::ZERO,
                ..PATIENT
            },
            now,
        );
        log.append(Arc::new(batch_of(1, &[(0, false)])), drop);
        log.end(EndReason::PublisherLeft);
        assert_eq!(
            taken(&mut cursor, &log, now + Duration::from_secs(9)),
            [(0, 0), (1, 0)]
        );
        assert!(matches!(
            cursor.next(&log, now),
            Next::Ended(EndReason::PublisherLeft)
        ));
    }
}

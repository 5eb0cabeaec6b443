//! What has arrived of one source, and what has not: the statistics that receiver reports carry
//! (RFC 3550 §6.4.1, appendices A.1, A.3 and A.8).
//!
//! Input is each packet's number, timestamp and arrival, and each sender report; output is a report
//! block when one is due. A packet costs a few additions and no memory. Times are told as what has
//! passed since a begin of the caller's choice.
//!
//! Deliberately absent: probation (A.1). A session's sources were announced in its requests.

use std::time::Duration;

use super::clock::NtpTime;
use super::header::{RtpTimestamp, SequenceNumber, Ssrc};
use super::rtcp::ReportBlock;

/// The most packets that may be missing at a stretch; a longer jump may be a new beginning. RFC 3550,
/// A.1, gives this value.
const DROPOUT_PACKETS_MAX: u16 = 3000;

/// The most packets that one may come too late by. RFC 3550, A.1, gives this value.
const MISORDER_PACKETS_MAX: u16 = 100;

/// Statistics of one source.
#[derive(Clone, Debug)]
pub struct Reception {
    clock_rate: u32,
    /// The numbers since the source began, or began anew.
    run: Option<Run>,
    /// Packets lost in the runs before.
    lost_before: u64,
    /// The number that would confirm a jump (A.1, `bad_seq`).
    expected_after_jump: Option<SequenceNumber>,
    jitter: Jitter,
    last_sender_report: Option<(NtpTime, Duration)>,
}

/// Numbers that follow on each other. Extended numbers never wrap.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    highest: u64,
    received: u64,
    /// As they were at the last report.
    expected_before: u64,
    received_before: u64,
}

/// How unevenly packets arrive (RFC 3550, A.8).
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    /// Arrival minus timestamp of the last packet, in ticks.
    transit: Option<u32>,
    /// Sixteen times the jitter, in ticks.
    scaled: u64,
}

impl Reception {
    /// Nothing has arrived yet of a source with so many ticks per second.
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            run: None,
            lost_before: 0,
            expected_after_jump: None,
            jitter: Jitter {
                transit: None,
                scaled: 0,
            },
            last_sender_report: None,
        }
    }

    /// Takes a packet that arrived at `arrival`, in whatever order packets come.
    #[inline]
    pub fn handle_packet(
        &mut self,
        sequence: SequenceNumber,
        timestamp: RtpTimestamp,
        arrival: Duration,
    ) {
        if self.count(sequence) {
            self.jitter
                .handle_packet(timestamp, arrival, self.clock_rate);
        }
    }

    /// Takes a sender report of the source.
    pub const fn handle_sender_report(&mut self, ntp: NtpTime, arrival: Duration) {
        self.last_sender_report = Some((ntp, arrival));
    }

    /// Counts a packet, unless it may be a stray: a jump is believed when the number after it comes.
    fn count(&mut self, sequence: SequenceNumber) -> bool {
        let Some(run) = &mut self.run else {
            self.run = Some(Run::new(sequence));
            return true;
        };
        let ahead = sequence.0.wrapping_sub(run.highest_number().0);
        if ahead < DROPOUT_PACKETS_MAX {
            run.highest += u64::from(ahead);
        } else if ahead <= u16::MAX - MISORDER_PACKETS_MAX {
            if self.expected_after_jump != Some(sequence) {
                self.expected_after_jump = Some(sequence.next());
                return false;
            }
            self.begin_anew(sequence);
            return true;
        }
        run.received += 1;
        true
    }

    fn begin_anew(&mut self, sequence: SequenceNumber) {
        self.lost_before = self.lost();
        self.run = Some(Run::new(sequence));
        self.expected_after_jump = None;
        self.jitter.transit = None;
    }

    /// Packets lost so far, over all beginnings. A packet that comes after all, or twice, makes up for
    /// a lost one.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lost = self.run.map_or(0, |run| run.lost());
        self.lost_before + u64::try_from(lost).unwrap_or(0)
    }

    /// The mean deviation of the packets' spacing, in ticks of the source's clock.
    #[must_use]
    pub fn jitter_ticks(&self) -> u32 {
        u32::try_from(self.jitter.scaled >> 4).unwrap_or(u32::MAX)
    }

    /// The same as a time; zero for a source without a clock rate.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        let nanos = u64::from(self.jitter_ticks()) * 1_000_000_000;
        Duration::from_nanos(nanos.checked_div(u64::from(self.clock_rate)).unwrap_or(0))
    }

    /// What to report about the source, whose number is `ssrc`, at `now`; nothing before its first
    /// packet. The share of lost packets is that since the last call.
    pub fn report_block(&mut self, ssrc: Ssrc, now: Duration) -> Option<ReportBlock> {
        let run = self.run.as_mut()?;
        let fraction_lost = run.take_fraction_lost();
        let (last_sender_report, delay_since_sender_report) = match self.last_sender_report {
            Some((ntp, arrival)) => (ntp.middle(), in_65536ths(now.saturating_sub(arrival))),
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: run.cumulative_lost(),
            extended_sequence_number: run.extended_sequence_number(),
            jitter_ticks: self.jitter_ticks(),
            last_sender_report,
            delay_since_sender_report,
        })
    }
}

impl Run {
    fn new(sequence: SequenceNumber) -> Self {
        let first = u64::from(sequence.0);
        Self {
            first,
            highest: first,
            received: 1,
            expected_before: 0,
            received_before: 0,
        }
    }

    /// The highest number as packets carry it.
    const fn highest_number(&self) -> SequenceNumber {
        let [.., high, low] = self.highest.to_be_bytes();
        SequenceNumber(u16::from_be_bytes([high, low]))
    }

    /// The highest number with the count of wraps above it.
    const fn extended_sequence_number(&self) -> u32 {
        let [.., a, b, c, d] = self.highest.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    const fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    /// Duplicates make it negative.
    const fn lost(&self) -> i64 {
        self.expected().cast_signed() - self.received.cast_signed()
    }

    /// The same in the 24 bits, sign included, that a report has for it.
    fn cumulative_lost(&self) -> i32 {
        i32::try_from(self.lost().clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0)
    }

    /// The share of packets lost since the last call, in 256ths (RFC 3550, A.3).
    fn take_fraction_lost(&mut self) -> u8 {
        let expected = self.expected() - self.expected_before;
        let received = self.received - self.received_before;
        (self.expected_before, self.received_before) = (self.expected(), self.received);
        let lost = expected.saturating_sub(received);
        let fraction = (lost << 8).checked_div(expected).unwrap_or(0);
        u8::try_from(fraction).unwrap_or(u8::MAX)
    }
}

impl Jitter {
    #[inline]
    fn handle_packet(&mut self, timestamp: RtpTimestamp, arrival: Duration, clock_rate: u32) {
        let transit = in_ticks(arrival, clock_rate).wrapping_sub(timestamp.0);
        if let Some(before) = self.transit.replace(transit) {
            let deviation = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            let decay = (self.scaled + 8) >> 4;
            self.scaled = self.scaled + u64::from(deviation) - decay;
        }
    }
}

/// A time in ticks, on the circle of 2³² that timestamps live on.
fn in_ticks(time: Duration, clock_rate: u32) -> u32 {
    let rate = u64::from(clock_rate);
    let parts = u64::from(time.subsec_nanos()) * rate / 1_000_000_000;
    let ticks = time.as_secs().wrapping_mul(rate).wrapping_add(parts);
    let [.., a, b, c, d] = ticks.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// A time in 65536ths of a second, at most what the report's field can say.
fn in_65536ths(time: Duration) -> u32 {
    let parts = (u64::from(time.subsec_nanos()) << 16) / 1_000_000_000;
    let units = time.as_secs().saturating_mul(1 << 16).saturating_add(parts);
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;

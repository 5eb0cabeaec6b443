//! Promises of the statistics: they say what RFC 3550 says, whatever the numbers do.

use proptest::prelude::*;

use super::*;

const SSRC: Ssrc = Ssrc(7);
const CLOCK_RATE: u32 = 90_000;

/// A source whose packets come every 10 ms, unless a test says something else.
struct Source {
    reception: Reception,
    packets: u32,
}

impl Source {
    fn new() -> Self {
        Self {
            reception: Reception::new(CLOCK_RATE),
            packets: 0,
        }
    }

    /// A source that has sent these.
    fn having_sent(numbers: impl IntoIterator<Item = u16>) -> Self {
        let mut source = Self::new();
        source.send(numbers);
        source
    }

    fn now(&self) -> Duration {
        Duration::from_millis(10) * self.packets
    }

    fn send(&mut self, numbers: impl IntoIterator<Item = u16>) {
        for number in numbers {
            let timestamp = RtpTimestamp(self.packets.wrapping_mul(900));
            let now = self.now();
            self.reception
                .handle_packet(SequenceNumber(number), timestamp, now);
            self.packets += 1;
        }
    }

    fn report(&mut self) -> ReportBlock {
        let now = self.now();
        self.reception.report_block(SSRC, now).unwrap()
    }
}

#[test]
fn nothing_is_reported_before_the_first_packet() {
    let mut reception = Reception::new(CLOCK_RATE);
    assert_eq!(reception.report_block(SSRC, Duration::ZERO), None);
    assert_eq!((reception.lost(), reception.jitter_ticks()), (0, 0));
}

#[test]
fn an_even_source_loses_nothing_and_does_not_jitter() {
    let mut source = Source::having_sent((65_000..=65_535).chain(0..100));
    let report = ReportBlock {
        ssrc: SSRC,
        fraction_lost: 0,
        cumulative_lost: 0,
        extended_sequence_number: 0x0001_0063,
        jitter_ticks: 0,
        last_sender_report: 0,
        delay_since_sender_report: 0,
    };
    assert_eq!(source.report(), report);
}

#[test]
fn loss_is_told_in_all_and_since_the_last_report() {
    let mut source = Source::having_sent((0..100).filter(|number| number % 4 != 3));
    source.send([100]);
    let first = source.report();
    assert_eq!((first.fraction_lost, first.cumulative_lost), (63, 25));
    source.send(101..201);
    let second = source.report();
    assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 25));
    source.send([300]);
    let third = source.report();
    assert_eq!((third.fraction_lost, third.cumulative_lost), (253, 124));
    assert_eq!(source.reception.lost(), 124);
    let silent = source.report();
    assert_eq!((silent.fraction_lost, silent.cumulative_lost), (0, 124));
}

#[test]
fn packets_out_of_order_are_no_loss_and_duplicates_make_up_for_some() {
    let mut source = Source::having_sent([1, 3, 2, 5, 4, 6]);
    assert_eq!(source.report().cumulative_lost, 0);
    source.send([6, 6, 5]);
    let report = source.report();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, -3));
    assert_eq!(source.reception.lost(), 0);
    source.send([9]);
    assert_eq!(source.report().cumulative_lost, -1);
}

#[test]
fn a_stray_number_changes_nothing() {
    let mut source = Source::having_sent(0..10);
    for stray in [32_010, 5000, 60_000, 40_000] {
        source.send([stray]);
        let next = u16::try_from(source.packets / 2 + 5).unwrap();
        source.send([next]);
        let report = source.report();
        assert_eq!(report.cumulative_lost, 0, "{stray}");
        assert_eq!(report.extended_sequence_number, u32::from(next));
    }
}

#[test]
fn a_source_that_begins_anew_loses_nothing_by_it() {
    let mut source = Source::having_sent([0, 1, 2, 5]);
    for begin in [32_005, 7, 40_000] {
        source.send(begin..begin + 10);
        let report = source.report();
        assert_eq!(report.cumulative_lost, 0);
        let highest = u32::from(begin) + 9;
        assert_eq!(report.extended_sequence_number, highest);
        assert_eq!(report.jitter_ticks, 0);
        assert_eq!(
            source.reception.lost(),
            2,
            "what was lost before stays lost"
        );
    }
}

/// A.8 with numbers of its own: every other packet comes 5 ms late, a deviation of 450 ticks each time.
#[test]
fn jitter_nears_the_mean_deviation() {
    let mut reception = Reception::new(CLOCK_RATE);
    for packet in 0..400u16 {
        let late = Duration::from_millis(5) * u32::from(packet % 2);
        let arrival = Duration::from_millis(10) * u32::from(packet) + late;
        let timestamp = RtpTimestamp(u32::from(packet) * 900).wrapping_add(u32::MAX - 9000);
        reception.handle_packet(SequenceNumber(packet), timestamp, arrival);
    }
    assert!((440..=450).contains(&reception.jitter_ticks()));
    let five = Duration::from_millis(5);
    assert!(five - reception.jitter() < Duration::from_micros(200));
}

#[test]
fn a_sender_report_is_referred_to_with_its_age() {
    let mut source = Source::having_sent(0..1);
    let ntp = NtpTime(0x1122_3344_5566_7788);
    source.reception.handle_sender_report(ntp, source.now());
    source.packets += 150;
    let report = source.report();
    assert_eq!(report.last_sender_report, 0x3344_5566);
    assert_eq!(report.delay_since_sender_report, 3 << 15);
    let later = source.now() + Duration::from_secs(1 << 20);
    let report = source.reception.report_block(SSRC, later).unwrap();
    assert_eq!(report.delay_since_sender_report, u32::MAX);
}

#[test]
fn a_source_without_clock_rate_has_no_jitter() {
    let mut reception = Reception::new(0);
    for packet in 0..3 {
        let arrival = Duration::from_secs(packet.into());
        reception.handle_packet(SequenceNumber(packet), RtpTimestamp(0), arrival);
    }
    assert_eq!(
        (reception.jitter_ticks(), reception.jitter()),
        (0, Duration::ZERO)
    );
}

proptest! {
    /// However much is lost and however often it wraps: what did not come is what is reported.
    #[test]
    fn what_did_not_come_is_lost(
        first: u16, steps in prop::collection::vec(1u16..DROPOUT_PACKETS_MAX, 1..200),
    ) {
        let mut source = Source::having_sent([first]);
        let (mut number, mut missing) = (first, 0);
        for step in steps {
            number = number.wrapping_add(step);
            missing += u64::from(step - 1);
            source.send([number]);
        }
        prop_assert_eq!(source.reception.lost(), missing);
        let extended = u64::from(first) + missing + u64::from(source.packets) - 1;
        prop_assert_eq!(u64::from(source.report().extended_sequence_number), extended);
    }

    #[test]
    fn no_numbers_and_times_break_the_statistics(
        clock_rate: u32, packets in prop::collection::vec((any::<u16>(), any::<u32>(), any::<u32>()), 0..300),
    ) {
        let mut reception = Reception::new(clock_rate);
        for (number, timestamp, millis) in packets {
            let arrival = Duration::from_millis(millis.into());
            reception.handle_packet(SequenceNumber(number), RtpTimestamp(timestamp), arrival);
            let report = reception.report_block(SSRC, arrival).unwrap();
            prop_assert!((-0x80_0000..=0x7f_ffff).contains(&report.cumulative_lost));
        }
    }
}

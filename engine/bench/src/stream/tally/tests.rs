//! What is counted, of packets that come in any order, are left out, or begin anew.

use proptest::prelude::*;

use super::super::probe::{PROBE_BYTES, Probe};
use super::*;
use crate::measured::nanos_histogram;

/// Where the probe of a slice stands, in its payload.
const PLACE: usize = 12;

/// A packet with a slice that carries this probe.
fn packet(ssrc: u32, sequence: u16, number: Option<u64>) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(ssrc.to_be_bytes());
    let payload = packet.len();
    packet.resize(payload + PLACE + PROBE_BYTES, 0x61);
    if let Some(number) = number {
        let probe = Probe {
            due_unix_nanos: 1000,
            number,
        };
        probe.write_to(&mut packet[payload + PLACE..]);
    }
    packet
}

/// The counts of one video track after these packets: SSRC, sequence number, number of the probe.
fn counts(packets: impl IntoIterator<Item = (u32, u16, Option<u64>)>) -> TallyCounts {
    let mut tally = Tally::new(vec![Carrier::H264], false);
    let mut latency = nanos_histogram();
    for (ssrc, sequence, number) in packets {
        let packet = packet(ssrc, sequence, number);
        tally.handle_packet(0, &packet, 5000, &mut latency);
    }
    let counts = tally.counts();
    TallyCounts { bytes: 0, ..counts }
}

/// The same, of packets without probes.
fn counts_of(sequences: &[u16]) -> TallyCounts {
    counts(sequences.iter().map(|sequence| (1, *sequence, None)))
}

#[test]
fn packets_in_order_over_the_wrap_are_no_loss() {
    let packets = (0..200_000u64).map(|at| (1, (at + 65_000) as u16, Some(at)));
    let expected = TallyCounts {
        packets: 200_000,
        ..TallyCounts::default()
    };
    assert_eq!(counts(packets), expected);
}

#[test]
fn a_late_packet_takes_its_loss_back() {
    let missing = counts_of(&[65_533, 65_534, 1, 2]);
    assert_eq!((missing.lost, missing.reordered), (2, 0));
    let late = counts_of(&[65_533, 65_534, 1, 2, 65_535]);
    assert_eq!((late.lost, late.reordered, late.duplicates), (1, 1, 0));
    let all = counts_of(&[65_533, 65_534, 1, 2, 65_535, 0, 3]);
    assert_eq!((all.lost, all.reordered, all.packets), (0, 2, 7));
}

#[test]
fn a_packet_that_comes_again_is_counted_once_as_such() {
    let counts = counts_of(&[7, 8, 8, 10, 9, 9, 7]);
    assert_eq!(
        (counts.duplicates, counts.reordered, counts.lost),
        (3, 1, 0)
    );
    assert_eq!(counts.packets, 7);
}

#[test]
fn a_packet_older_than_the_first_was_never_lost() {
    let counts = counts_of(&[7, 6, 5, 9]);
    assert_eq!((counts.lost, counts.reordered), (1, 2));
}

#[test]
fn the_longest_jump_is_loss_and_a_longer_one_a_new_beginning() {
    let longest = counts_of(&[10, 10 + JUMP_PACKETS_MAX]);
    assert_eq!((longest.lost, longest.restarts), (2999, 0));
    let longer = counts_of(&[10, 11 + JUMP_PACKETS_MAX]);
    assert_eq!((longer.lost, longer.restarts), (0, 1));
    let oldest = counts_of(&[10, 10 + JUMP_PACKETS_MAX, 10, 11]);
    assert_eq!((oldest.duplicates, oldest.lost), (1, 2998));
    let older = counts_of(&[5000, 5000 - JUMP_PACKETS_MAX - 1]);
    assert_eq!((older.reordered, older.restarts), (0, 1));
}

#[test]
fn what_was_remembered_a_round_ago_is_forgotten() {
    let mut sequences: Vec<u16> = (0..4096).collect();
    sequences.extend([4096 + 2, 4096 + 1, 4096 + 1]);
    let counts = counts_of(&sequences);
    assert_eq!(
        (counts.reordered, counts.duplicates, counts.lost),
        (1, 1, 1)
    );
}

#[test]
fn another_source_begins_anew_and_loses_nothing() {
    let packets = [(1, 10, Some(0)), (1, 11, Some(1)), (2, 4000, Some(0))];
    let counts = counts(packets.into_iter().chain([(2, 4001, Some(1))]));
    assert_eq!((counts.restarts, counts.lost, counts.skipped), (1, 0, 0));
}

#[test]
fn a_jump_that_sequence_numbers_cannot_tell_from_a_new_beginning_is_told_by_the_probes() {
    let far = 10 + JUMP_PACKETS_MAX + 500;
    let jump = counts([
        (1, 10, Some(0)),
        (1, far, Some(3500)),
        (1, far + 1, Some(3501)),
    ]);
    assert_eq!((jump.restarts, jump.lost, jump.skipped), (1, 0, 3499));
    let anew = counts([(1, 10, Some(70)), (1, far, Some(0)), (1, far + 1, Some(1))]);
    assert_eq!((anew.restarts, anew.lost, anew.skipped), (1, 0, 0));
    let round = counts([
        (1, 10, Some(0)),
        (1, 12, Some(65_538)),
        (1, 13, Some(65_539)),
    ]);
    assert_eq!((round.restarts, round.lost, round.skipped), (0, 1, 65_536));
}

#[test]
fn what_the_server_leaves_out_is_skipped_though_no_number_is_missing() {
    let packets = [(1, 10, Some(0)), (1, 11, Some(1)), (1, 12, Some(5))];
    let counts = counts(packets);
    assert_eq!((counts.skipped, counts.lost), (3, 0));
}

#[test]
fn what_is_lost_is_not_skipped_as_well() {
    let lost = counts([(1, 10, Some(0)), (1, 13, Some(3)), (1, 14, Some(4))]);
    assert_eq!((lost.skipped, lost.lost), (0, 2));
    let late = counts([(1, 10, Some(0)), (1, 12, Some(2)), (1, 11, Some(1))]);
    assert_eq!((late.skipped, late.lost, late.reordered), (0, 0, 1));
    let next = counts([(1, 10, Some(0)), (1, 12, None), (1, 13, Some(2))]);
    assert_eq!((next.skipped, next.lost), (0, 1));
}

#[test]
fn probes_of_a_publisher_that_comes_back_begin_anew_in_the_same_numbers() {
    let packets = [(1, 10, Some(800)), (1, 11, Some(801)), (1, 12, Some(0))];
    let counts = counts(packets.into_iter().chain([(1, 13, Some(1))]));
    assert_eq!((counts.skipped, counts.restarts), (0, 0));
}

#[test]
fn latency_is_from_the_moment_in_the_probe_to_that_of_the_kernel() {
    let mut tally = Tally::new(vec![Carrier::Other, Carrier::H264], false);
    let mut latency = nanos_histogram();
    tally.handle_packet(0, &packet(1, 1, Some(0)), 9000, &mut latency);
    tally.handle_packet(1, &packet(2, 1, Some(0)), 4000, &mut latency);
    tally.handle_packet(1, &packet(2, 1, Some(0)), 8000, &mut latency);
    tally.handle_packet(1, &packet(2, 2, Some(1)), 900, &mut latency);
    assert_eq!(
        latency.len(),
        2,
        "of other tracks and of repeated packets there is none"
    );
    assert_eq!(
        (latency.min(), latency.max()),
        (0, latency.highest_equivalent(3000))
    );
}

#[test]
fn what_is_no_packet_breaks_the_reader_and_counts_as_none() {
    let mut latency = nanos_histogram();
    let whole = packet(1, 1, None);
    for (track, bytes) in [(0, &whole[..11]), (1, &whole[..]), (0, &[0; 40])] {
        let mut tally = Tally::new(vec![Carrier::H264], false);
        tally.handle_packet(track, bytes, 0, &mut latency);
        let expected = TallyCounts {
            is_broken: true,
            ..TallyCounts::default()
        };
        assert_eq!(tally.counts(), expected);
    }
}

#[test]
fn counts_of_a_while_are_a_difference() {
    let earlier = counts_of(&[1, 3]);
    let mut now = counts_of(&[1, 3, 2, 4, 6]);
    let since = now - earlier;
    assert_eq!((since.packets, since.lost, since.reordered), (3, 0, 1));
    now += since;
    assert_eq!(now.packets, 8);
}

proptest! {
    /// Whatever comes within the window: what came and what is lost make up all that was sent.
    #[test]
    fn packets_add_up_however_they_are_shuffled(
        begin: u16, order in Just((0u16..300).collect::<Vec<_>>()).prop_shuffle(), kept in 1usize..300,
    ) {
        let kept = &order[..kept];
        let sequences: Vec<u16> = kept.iter().map(|at| begin.wrapping_add(*at)).collect();
        let counts = counts_of(&sequences);
        let highest = *kept.iter().max().unwrap();
        let sent = u64::from(highest + 1 - kept[0].min(highest));
        let older = kept.iter().filter(|at| **at < kept[0]).count() as u64;
        prop_assert_eq!(counts.packets - older + counts.lost, sent);
        prop_assert_eq!((counts.duplicates, counts.restarts), (0, 0));
    }

    #[test]
    fn any_bytes_are_taken(packets in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..80), 0..40), kind in 0u8..4,
    ) {
        let carriers = [Carrier::H264, Carrier::H265, Carrier::Aac, Carrier::Other];
        let mut tally = Tally::new(vec![carriers[usize::from(kind)]], false);
        let mut latency = nanos_histogram();
        packets.iter().for_each(|packet| tally.handle_packet(0, packet, 1, &mut latency));
        prop_assert!(tally.counts().packets <= packets.len() as u64);
    }
}

#[test]
fn packets_without_a_probe_were_due_with_their_frame() {
    for (at_once, expected) in [(true, 3), (false, 1)] {
        let mut tally = Tally::new(vec![Carrier::H264], at_once);
        let mut latency = nanos_histogram();
        let other_frame = {
            let mut packet = packet(1, 4, None);
            packet[7] ^= 1;
            packet
        };
        let before = packet(1, 0, None);
        let frame = [
            packet(1, 1, Some(7)),
            packet(1, 2, None),
            packet(1, 3, None),
        ];
        for packet in [&before].into_iter().chain(&frame).chain([&other_frame]) {
            tally.handle_packet(0, packet, 5000, &mut latency);
        }
        assert_eq!(latency.len(), expected);
        assert!(latency.equivalent(latency.max(), 4000));
        assert!(latency.equivalent(latency.min(), 4000));
    }
}

#[test]
fn what_was_due_before_a_reader_played_has_no_latency_and_is_no_loss() {
    let mut tally = Tally::new(vec![Carrier::H264], false).since(1001);
    let mut latency = nanos_histogram();
    for number in 0..3 {
        let packet = packet(1, number, Some(number.into()));
        tally.handle_packet(0, &packet, 5000, &mut latency);
    }
    assert!(latency.is_empty());
    let counts = tally.counts();
    assert_eq!((counts.packets, counts.lost, counts.skipped), (3, 0, 0));
}

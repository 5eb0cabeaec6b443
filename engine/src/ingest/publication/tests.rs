//! What becomes of a publisher's packets, one by one.

use super::super::door::TAKEOVER_WAIT_MAX;
use super::*;
use crate::stream::Standing;
use shardcast_protocol::codec::{PictureSize, TrackParameters};
use shardcast_protocol::container::rtp::{SequenceNumber, Ssrc};

const SPS: &[u8] = &[0x67, 1, 2, 3];
const IDR: &[u8] = &[0x65, 0x88, 1, 2];
const P: &[u8] = &[0x41, 0x9a, 1, 2];

const SDP: &str =
    "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 0\r\n";

fn info(sdp: &str) -> Arc<StreamInfo> {
    let tracks = shardcast_protocol::sdp::parse(sdp.as_bytes())
        .and_then(|sdp| shardcast_protocol::sdp::tracks(&sdp));
    Arc::new(StreamInfo::new(tracks.unwrap(), "test"))
}

fn publication() -> Publication {
    open(&info(SDP), None)
}

fn base(ssrc: u32) -> TrackBase {
    TrackBase {
        ssrc: Ssrc(ssrc),
        standing: Standing::begin(SequenceNumber(0), RtpTimestamp(0), Instant::now()),
        ntp: NtpTime::default(),
    }
}

fn open(published: &StreamInfo, takes_over_at: Option<Instant>) -> Publication {
    let info = info(SDP);
    let bases = [base(7), base(8)];
    Publication::new(&Opening {
        published,
        info,
        bases: &bases,
        first_sequence: 100,
        takes_over_at,
        batch_bytes_max: 10_000,
    })
}

fn frame(sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::from(
        &[
            b'$',
            99,
            0,
            12 + payload.len() as u8,
            0x80,
            96 | u8::from(marker) << 7,
        ][..],
    );
    frame.extend_from_slice(&sequence.to_be_bytes());
    frame.extend_from_slice(&timestamp.to_be_bytes());
    frame.extend_from_slice(&1u32.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn take(
    publication: &mut Publication,
    track: usize,
    mut frame: BytesMut,
) -> Result<(), RefusedPacket> {
    if publication.handle_rtp(track, &mut frame, Instant::now())? {
        publication.hold(frame);
    }
    Ok(())
}

#[test]
fn a_batch_is_due_at_the_end_of_a_leading_access_unit_and_audio_rides_along() {
    let mut publication = publication();
    take(&mut publication, 1, frame(1, 0, true, &[1, 2])).unwrap();
    assert!(!publication.is_batch_due());
    take(&mut publication, 0, frame(1, 0, true, P)).unwrap();
    assert!(publication.is_batch_due());
    let batch = publication.close_batch().unwrap();
    assert_eq!((batch.sequence, batch.packets.len()), (100, 2));
    assert_eq!(
        (
            batch.packet_bytes(&batch.packets[0])[1],
            batch.packet_bytes(&batch.packets[1])[1]
        ),
        (2, 0)
    );
    assert!(!publication.is_batch_due());
}

#[test]
fn a_start_point_is_the_first_packet_of_the_key_unit_even_if_that_has_left() {
    let mut publication = publication();
    take(&mut publication, 1, frame(1, 0, true, &[1, 2])).unwrap();
    take(&mut publication, 0, frame(1, 90, false, SPS)).unwrap();
    let first = publication.close_batch().unwrap();
    take(&mut publication, 0, frame(2, 90, true, IDR)).unwrap();
    let second = publication.close_batch().unwrap();
    assert!(first.start_points.is_empty());
    assert_eq!(
        second.start_points[..],
        [StartPoint {
            batches_back: 1,
            packet: 1
        }]
    );
}

#[test]
fn packets_carry_the_streams_ssrc_and_other_sources_are_refused() {
    let mut publication = publication();
    take(&mut publication, 0, frame(1, 0, true, IDR)).unwrap();
    let mut other = frame(1, 0, true, IDR);
    other[12..16].copy_from_slice(&2u32.to_be_bytes());
    assert_eq!(
        take(&mut publication, 0, other),
        Err(RefusedPacket::OtherSource)
    );
    let batch = publication.close_batch().unwrap();
    let header = HeaderView::parse(&batch.packet_bytes(&batch.packets[0])[4..]).unwrap();
    assert_eq!((batch.packets.len(), header.ssrc()), (1, Ssrc(7)));
}

#[test]
fn what_is_no_rtp_is_refused_and_leaves_the_batch_whole() {
    let mut publication = publication();
    assert_eq!(
        take(&mut publication, 0, BytesMut::from(&b"$\0\0\x04abcd"[..])),
        Err(RefusedPacket::Malformed)
    );
    assert_eq!(
        take(&mut publication, 5, frame(1, 0, true, IDR)),
        Err(RefusedPacket::UnknownChannel)
    );
    assert!(publication.close_batch().is_none());
}

#[test]
fn a_publishers_report_becomes_the_streams_and_the_rest_of_rtcp_does_not() {
    let mut publication = publication();
    let report = SenderReport {
        ssrc: Ssrc(1),
        ntp: NtpTime(5 << 32),
        ..SenderReport::default()
    };
    let sender = [
        rtcp::sender_report(&report, "peer").unwrap(),
        rtcp::goodbye(Ssrc(1), "peer").unwrap(),
    ]
    .concat();
    assert_eq!(publication.handle_rtcp(0, &sender, Instant::now()), Ok(()));
    take(&mut publication, 0, frame(1, 5000, true, IDR)).unwrap();
    let receiver = rtcp::receiver_report(Ssrc(1), None, "peer").unwrap();
    assert_eq!(
        publication.handle_rtcp(0, &receiver, Instant::now()),
        Ok(())
    );
    assert_eq!(
        publication.handle_rtcp(0, b"junk", Instant::now()),
        Err(RefusedPacket::Malformed)
    );
    let batch = publication.close_batch().unwrap();
    let wire = batch.packet_bytes(&batch.packets[0]);
    let kept = SenderReport::find(&wire[4..]).unwrap();
    assert_eq!((batch.packets.len(), kept.ssrc, wire[1]), (2, Ssrc(7), 1));
    assert!(batch.packets[0].flags.has(PacketFlags::RTCP));
    assert!(
        !rtcp::Packets::new(&wire[4..])
            .any(|packet| matches!(packet.unwrap().body, rtcp::Body::Goodbye(_)))
    );
}

#[test]
fn reports_move_to_this_machines_clock_and_keep_the_tracks_together() {
    let mut publication = publication();
    let mut report = |track: usize, seconds: u64, rtp: u32| {
        let ssrc = Ssrc(10 + track as u32);
        let report = SenderReport {
            ssrc,
            ntp: NtpTime(seconds << 32),
            rtp_timestamp: RtpTimestamp(rtp),
            ..SenderReport::default()
        };
        let compound = rtcp::sender_report(&report, "peer").unwrap();
        publication
            .handle_rtcp(track, &compound, Instant::now())
            .unwrap();
        publication.clock.tracks[track].report.unwrap()
    };
    let (video, audio) = (report(0, 1_000, 0), report(1, 1_003, 0));
    assert_eq!(audio.ntp.0.wrapping_sub(video.ntp.0), 3 << 32);
    assert!(
        video.ntp.0.cast_signed() < 60 << 32,
        "the stream began at NTP 0 here"
    );
}

/// Sequence number and payload type of each packet of a track.
fn numbers(batch: &Batch, track: u8) -> Vec<(u16, u8)> {
    let packets = batch.packets.iter().filter(|packet| packet.track == track);
    let media = packets.filter(|packet| !packet.flags.has(PacketFlags::RTCP));
    media
        .map(|packet| {
            let header = HeaderView::parse(&batch.packet_bytes(packet)[4..]).unwrap();
            (header.sequence_number().0, header.payload_type().value())
        })
        .collect()
}

#[test]
fn a_publisher_that_takes_over_begins_at_a_start_point_and_its_sound_at_once() {
    let mut publication = open(&info(SDP), Some(Instant::now()));
    take(&mut publication, 0, frame(70, 0, true, P)).unwrap();
    take(&mut publication, 1, frame(40, 0, true, &[1])).unwrap();
    take(&mut publication, 0, frame(71, 3000, true, P)).unwrap();
    take(&mut publication, 0, frame(72, 6000, false, IDR)).unwrap();
    take(&mut publication, 0, frame(73, 6000, true, &IDR[..3])).unwrap();
    let batch = publication.close_batch().unwrap();
    assert_eq!(numbers(&batch, 0), [(1, 96), (2, 96)]);
    assert_eq!(numbers(&batch, 1).len(), 1);
    assert!(batch.packets[1].flags.has(PacketFlags::AU_START));
    assert_eq!(batch.own_start(), Some(1));
}

#[test]
fn without_a_start_point_a_publisher_that_takes_over_begins_at_an_access_unit_in_time() {
    let begin = Instant::now();
    let mut publication = open(&info(SDP), Some(begin));
    let late = begin + TAKEOVER_WAIT_MAX;
    for (number, at, expected) in [(1, begin, false), (2, late, false), (3, late, true)] {
        let timestamp = u32::from(number == 3) * 3000;
        let mut frame = frame(number, timestamp, number == 3, &P[..2]);
        let taken = publication.handle_rtp(0, &mut frame, at);
        assert_eq!(taken, Ok(expected), "packet {number}");
    }
}

#[test]
fn payload_types_become_those_that_the_readers_know() {
    let mut publication = open(&info(&SDP.replace("96", "105")), None);
    let mut frame = frame(1, 0, true, IDR);
    frame[5] = 0x80 | 105;
    take(&mut publication, 0, frame).unwrap();
    let batch = publication.close_batch().unwrap();
    assert_eq!(numbers(&batch, 0), [(1, 96)]);
    assert!(batch.packets[0].flags.has(PacketFlags::AU_END));
}

#[test]
fn a_publisher_that_sends_no_reports_is_reported_for_in_intervals() {
    let begin = Instant::now();
    let mut publication = publication();
    let mut reports = Vec::new();
    for second in 0..25u16 {
        let now = begin + Duration::from_secs(u64::from(second));
        let mut frame = frame(second, u32::from(second) * 90_000, true, IDR);
        assert_eq!(publication.handle_rtp(0, &mut frame, now), Ok(true));
        publication.hold(frame);
        let batch = publication.close_batch().unwrap();
        let wires = batch
            .packets
            .iter()
            .map(|packet| batch.packet_bytes(packet));
        reports.extend(wires.filter_map(|wire| SenderReport::find(&wire[4..])));
    }
    let seconds: Vec<_> = reports.iter().map(|report| report.ntp.0 >> 32).collect();
    assert_eq!(seconds, [10, 20]);
    let ticks = reports[1]
        .rtp_timestamp
        .distance_from(reports[0].rtp_timestamp);
    assert_eq!(ticks, 900_000);
    assert_eq!((reports[1].packet_count, reports[1].octet_count), (21, 84));
    assert_eq!(reports[0].ssrc, Ssrc(7));
}

/// 640 x 362, as an encoder wrote it, and a picture parameter set.
const REAL_SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x30, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9,
    0x00, 0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
];
const REAL_PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
const SPROP: &str = "a=fmtp:96 sprop-parameter-sets=Z0LAHtkAoC/5MBEAAAMD6QAA6mAPFi5I,aM48gA==\r\n";

/// The same tracks, of which the SDP has the parameter sets.
fn described_sdp() -> String {
    SDP.replace("m=audio", &format!("{SPROP}m=audio"))
}

/// First byte of each packet's payload, and whether it begins an access unit.
fn shape(batch: &Batch) -> Vec<(u8, bool)> {
    let packets = batch.packets.iter().filter(|packet| packet.track == 0);
    packets
        .map(|packet| {
            let header = HeaderView::parse(&batch.packet_bytes(packet)[4..]).unwrap();
            let au_start = packet.flags.has(PacketFlags::AU_START);
            (header.payload()[0] & 0x1f, au_start)
        })
        .collect()
}

const STAP_A: u8 = 24;

#[test]
fn missing_parameter_sets_are_inserted_before_a_key_frame_and_the_start_point_is_with_them() {
    let mut publication = open(&info(&described_sdp()), None);
    take(&mut publication, 0, frame(9, 0, true, P)).unwrap();
    take(&mut publication, 0, frame(10, 90, false, IDR)).unwrap();
    take(&mut publication, 0, frame(11, 90, true, &IDR[..3])).unwrap();
    take(&mut publication, 0, frame(12, 180, true, P)).unwrap();
    let batch = publication.close_batch().unwrap();
    let expected = [(1, true), (STAP_A, true), (5, false), (5, false), (1, true)];
    assert_eq!(shape(&batch), expected);
    assert_eq!(batch.own_start(), Some(1));
    let sequences: Vec<_> = numbers(&batch, 0)
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
    let header = |index: usize| HeaderView::parse(&batch.packet_bytes(&batch.packets[index])[4..]);
    let (inserted, key) = (header(1).unwrap(), header(2).unwrap());
    assert_eq!(inserted.timestamp(), key.timestamp());
    assert_eq!((inserted.ssrc(), inserted.marker()), (Ssrc(7), false));
    assert_eq!(inserted.payload_type(), key.payload_type());
}

#[test]
fn a_key_frame_with_its_own_parameter_sets_is_given_no_others() {
    let mut publication = open(&info(&described_sdp()), None);
    for (number, payload) in [(1, REAL_SPS), (2, REAL_PPS), (3, IDR)] {
        take(&mut publication, 0, frame(number, 0, number == 3, payload)).unwrap();
    }
    let batch = publication.close_batch().unwrap();
    assert_eq!(shape(&batch), [(7, true), (8, false), (5, false)]);
    assert!(publication.poll_description(Instant::now).is_none());
}

#[test]
fn parameter_sets_before_a_takeover_are_left_out_and_come_back_with_the_key_frame() {
    let mut publication = open(&info(SDP), Some(Instant::now()));
    for (number, payload) in [(1, REAL_SPS), (2, REAL_PPS), (3, IDR)] {
        take(&mut publication, 0, frame(number, 0, number == 3, payload)).unwrap();
    }
    let batch = publication.close_batch().unwrap();
    assert_eq!(shape(&batch), [(STAP_A, true), (5, false)]);
    assert_eq!(batch.own_start(), Some(0));
}

#[test]
fn parameter_sets_of_the_stream_are_described_as_soon_as_they_are_complete() {
    let begin = Instant::now();
    let mut publication = open(&info(SDP), None);
    take(&mut publication, 0, frame(1, 0, false, REAL_SPS)).unwrap();
    assert!(publication.poll_description(|| begin).is_none());
    take(&mut publication, 0, frame(2, 0, false, REAL_PPS)).unwrap();
    let told = publication.poll_description(|| begin).unwrap();
    assert!(
        told.sdp()
            .contains("Z0LAHtkAoC/5MBEAAAMD6QAA6mAPFi5I,aM48gA==")
    );
    assert!(told.sdp().contains("o=- 0 1 "), "{}", told.sdp());
    // Another set at once: told after the interval, in the version that follows.
    take(
        &mut publication,
        0,
        frame(3, 0, false, &[0x68, 0xee, 0x3c, 0x80]),
    )
    .unwrap();
    assert!(publication.poll_description(|| begin).is_none());
    let told = publication.poll_description(|| begin + DESCRIPTION_INTERVAL);
    assert!(told.unwrap().sdp().contains("o=- 0 2 "));
}

#[test]
fn what_does_not_arrive_is_counted_and_reported() {
    let begin = Instant::now();
    let mut publication = publication();
    for number in [1u16, 2, 3, 6, 7] {
        let mut frame = frame(number, u32::from(number) * 90, true, P);
        let at = begin + Duration::from_millis(u64::from(number));
        assert_eq!(publication.handle_rtp(0, &mut frame, at), Ok(true));
        publication.hold(frame);
    }
    assert_eq!(publication.losses(), (2, Duration::ZERO));
    let reports: Vec<_> = publication.report_blocks(begin).collect();
    assert_eq!(reports.len(), 1, "the other track has sent nothing");
    let (track, block) = reports[0];
    assert_eq!((track, block.ssrc, block.cumulative_lost), (0, Ssrc(1), 2));
}

#[test]
fn an_endless_fragment_is_refused_at_the_units_maximum_and_the_next_unit_passes() {
    let mut publication = publication();
    let mut fragment = vec![0x11; 60_000];
    fragment[..2].copy_from_slice(&[0x7c, 0x05]);
    let (mut refused, mut number) = (0, 0u16);
    while refused < 5 {
        number += 1;
        let mut frame = frame(number, 0, false, &[]);
        frame.extend_from_slice(&fragment);
        match publication.handle_rtp(0, &mut frame, Instant::now()) {
            Ok(_) => publication.hold(frame),
            Err(error) => {
                assert_eq!(error, RefusedPacket::AccessUnitTooLarge);
                refused += 1;
            }
        }
        assert!(number < 200);
    }
    take(&mut publication, 0, frame(number + 1, 90, true, IDR)).unwrap();
    let batch = publication.close_batch().unwrap();
    assert!(batch.bytes() <= codec::access_unit::ACCESS_UNIT_BYTES_MAX + 200 * 16 + 100);
    let sequences = numbers(&batch, 0);
    assert_eq!(
        sequences.last().map(|(number, _)| *number),
        Some(number + 1)
    );
}

#[test]
fn what_key_frames_tell_is_known_without_another_version_of_the_description() {
    let info = info("v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
    let mut publication = Publication::new(&Opening {
        published: &info,
        info: info.clone(),
        bases: &[base(7)],
        first_sequence: 0,
        takes_over_at: None,
        batch_bytes_max: 10_000,
    });
    // The first packet of a key frame of 640 x 480.
    let key = [0x10, 0x10, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0xe0, 1];
    take(&mut publication, 0, frame(1, 0, true, &key)).unwrap();
    let told = publication.poll_description(Instant::now).unwrap();
    let TrackParameters::Video(video) = told.parameters()[0] else {
        panic!("{:?}", told.parameters());
    };
    assert_eq!(video.size, PictureSize::new(640, 480).ok());
    assert_eq!(told.sdp(), info.sdp());
    take(&mut publication, 0, frame(2, 3000, true, &key)).unwrap();
    assert!(publication.poll_description(Instant::now).is_none());
}

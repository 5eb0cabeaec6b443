//! A publisher that is lost and comes back: its readers stay and see one stream.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shardcast::event::{Event, SessionEnd};
use shardcast::{EndReason, Exit};
use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::publisher::interleave;
use shardcast_tests::peer::synthetic::{SDP, Source};
use shardcast_tests::peer::udp::{UdpPublisher, UdpReader};
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Arrival, BOTH_LANES, Haul, Player, VIDEO, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::rtp::Rtp;

const PATH: &str = "live/camera";
/// Longer than any test takes to bring the publisher back.
const PATIENT: &str = "gatherReaders: 0\npathDefaults: {publisherGrace: 20s}\n";
const PATIENT_FROM_KEY_FRAMES: &str =
    "gatherReaders: 0\npathDefaults: {publisherGrace: 20s, start: keyFrame}\n";
const GRACE: Duration = Duration::from_secs(20);

fn publish(rig: &Rig, units: u64) -> Broadcast {
    let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound).unwrap();
    broadcast.send(units).unwrap();
    broadcast
}

fn players(rig: &Rig, count: usize) -> Vec<Player> {
    let player = |_| Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
    (0..count).map(player).collect()
}

fn wait_until_waiting(rig: &Rig) {
    rig.wait_event("a stream that waits", |event| {
        matches!(event, Event::PathWaiting { .. }).then_some(())
    });
}

/// Whether a reader has ended so far.
fn has_reader_ended(rig: &Rig) -> bool {
    let events = rig.watch(Duration::ZERO);
    let is_end = |event: &Event| matches!(event, Event::SessionEnded { reason, .. } if matches!(reason, SessionEnd::Stream(_)));
    events.iter().any(is_end)
}

/// The next `count` packets of each track.
fn packets(player: &mut Player, count: usize) -> [Vec<Rtp>; 2] {
    let mut packets = [Vec::new(), Vec::new()];
    while packets.iter().any(|track| track.len() < count) {
        match player.next_arrival().unwrap() {
            Some(Arrival::Media(track, packet)) => packets[track].push(Rtp::read(&packet)),
            Some(Arrival::Report(..)) => {}
            None => panic!("the stream has ended"),
        }
    }
    packets
}

/// Consecutive numbers, one source, and time that goes on by no more than `gap`.
fn assert_one_stream(packets: &[Rtp], clock_rate: u64, gap: Duration) {
    let ticks_max = u64::try_from(gap.as_millis()).unwrap() * clock_rate / 1000;
    for pair in packets.windows(2) {
        let [before, after] = pair else { continue };
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.ssrc, before.ssrc);
        let ticks = after.timestamp.wrapping_sub(before.timestamp);
        assert!(
            u64::from(ticks) <= ticks_max,
            "{} ticks",
            ticks.cast_signed()
        );
    }
}

#[test]
fn a_publisher_that_was_killed_and_returns_within_the_grace_goes_on_for_all_its_readers() {
    for house in House::ALL {
        let rig = Rig::start(house, PATIENT);
        let baseline = Baseline::take(&rig);
        let mut first = publish(&rig, 6);
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut readers = players(&rig, 4);
        first.send(10).unwrap();
        rig.wait_taken_in(PATH, first.sent_bytes());
        drop(first);
        wait_until_waiting(&rig);
        let mut second = publish(&rig, 20);
        for reader in &mut readers {
            let [video, sound] = packets(reader, 24);
            assert_one_stream(&video, 90_000, GRACE);
            assert_one_stream(&sound, 8_000, GRACE);
        }
        assert!(!has_reader_ended(&rig));
        second.teardown().unwrap();
        for reader in &mut readers {
            while reader.next_arrival().unwrap().is_some() {}
        }
        drop((second, readers));
        baseline.assert_restored(&rig);
    }
}

#[test]
fn readers_over_udp_see_one_stream_of_publishers_over_udp() {
    for house in House::ALL {
        let rig = Rig::start(house, PATIENT);
        let first = UdpPublisher::start(rig.address(), PATH).unwrap();
        let reader = UdpReader::start(rig.address(), PATH).unwrap();
        send_frames(&rig, &first, 10);
        drop(first);
        wait_until_waiting(&rig);
        let second = UdpPublisher::start(rig.address(), PATH).unwrap();
        send_frames(&rig, &second, 10);
        let mut packets = Vec::new();
        // Of each publisher two groups: its frames, and their parameter sets, which may come in one packet.
        let due = 2 * (10 * SHORT_GROUPS.frame_packets as usize + SET_PACKETS);
        while packets.len() < due {
            let packet = reader.next_packet(GRACE).unwrap().unwrap();
            packets.push(Rtp::read(&packet));
        }
        assert_one_stream(&packets, 90_000, GRACE);
        second.teardown().unwrap();
    }
}

fn send_frames(rig: &Rig, publisher: &UdpPublisher, frames: usize) {
    let mut source = Source::new(SHORT_GROUPS);
    for _ in 0..frames {
        publisher.send(&source.next_frame()).unwrap();
        rig.watch(Duration::from_millis(2));
    }
}

#[test]
fn a_stream_without_publisher_can_be_described_and_read() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, PATIENT_FROM_KEY_FRAMES);
        let first = publish(&rig, 6);
        rig.wait_taken_in(PATH, first.sent_bytes());
        drop(first);
        wait_until_waiting(&rig);
        let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let mut second = publish(&rig, 12);
        second.teardown().unwrap();
        let mut haul = Haul::default();
        reader.read_to_end(&mut haul).unwrap();
        assert_eq!(haul.video.packets(), second.packets());
    }
}

#[test]
fn after_the_grace_readers_are_ended_and_nothing_is_left() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(
            house,
            "pathDefaults: {publisherGrace: 300ms}\nreadTimeout: 2s\n",
        );
        let baseline = Baseline::take(&rig);
        let mut first = publish(&rig, 6);
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        first.send(10).unwrap();
        rig.wait_taken_in(PATH, first.sent_bytes());
        let (packets, peer, lost_at) = (first.packets(), reader.local_address(), Instant::now());
        drop(first);
        let mut haul = Haul::default();
        reader.read_to_end(&mut haul).unwrap();
        assert!(lost_at.elapsed() >= Duration::from_millis(300));
        assert_eq!(haul.video.last().map(|last| last.packet + 1), Some(packets));
        drop(reader);
        let end = SessionEnd::Stream(EndReason::PublisherLost);
        assert_eq!(rig.wait_closed(peer), end);
        baseline.assert_restored(&rig);
    }
}

#[test]
fn a_publisher_that_says_goodbye_is_not_waited_for() {
    let rig = Rig::start(House::USUAL, PATIENT);
    let mut first = publish(&rig, 6);
    rig.wait_taken_in(PATH, first.sent_bytes());
    let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    first.teardown().unwrap();
    reader.read_to_end(&mut Haul::default()).unwrap();
    rig.wait_counters("no path", |snapshot| {
        snapshot.paths.is_empty().then_some(())
    });
}

#[test]
fn other_tracks_within_the_grace_end_the_readers() {
    let rig = Rig::start(House::USUAL, PATIENT);
    let first = publish(&rig, 6);
    rig.wait_taken_in(PATH, first.sent_bytes());
    let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    drop(first);
    wait_until_waiting(&rig);
    let _second = Broadcast::start(rig.address(), PATH, Tracks::Video).unwrap();
    let peer = reader.local_address();
    reader.read_to_end(&mut Haul::default()).unwrap();
    drop(reader);
    let end = SessionEnd::Stream(EndReason::TracksChanged);
    assert_eq!(rig.wait_closed(peer), end);
}

#[test]
fn a_server_that_goes_down_waits_for_nobody() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, PATIENT);
        let first = publish(&rig, 6);
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        drop(first);
        wait_until_waiting(&rig);
        let reading = std::thread::spawn(move || reader.read_to_end(&mut Haul::default()));
        assert_eq!(rig.shut_down(), Some(Exit::Clean));
        reading.join().unwrap().unwrap();
    }
}

#[test]
fn a_second_publisher_takes_over_at_its_first_key_frame() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut first = publish(&rig, 6);
        rig.wait_taken_in(PATH, first.sent_bytes());
        let player = |_| Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let mut readers = [(); 3].map(player);
        // Up to the middle of an access unit, of which no more will come.
        first.send(6).unwrap();
        let whole = first.sent_bytes();
        let unit = first.next_unit();
        let begun = unit.get(..unit.len() / 2).unwrap();
        first.connection().send(begun).unwrap();
        rig.wait_taken_in(PATH, whole);
        let mut second = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound).unwrap();
        // Its first group has lost its key frame.
        second.next_unit();
        second.send(12).unwrap();
        second.teardown().unwrap();
        for reader in &mut readers {
            assert_handed_over(reader);
        }
    }
}

/// Frames 10 and 11 of the first publisher, perhaps some of the next; then the second one's from frame 5, its first key
/// frame, to frame 12. All numbers are consecutive.
fn assert_handed_over(reader: &mut Player) {
    let (mut haul, mut packets) = (Haul::with_jumps(), Vec::new());
    while let Some(arrival) = reader.next_arrival().unwrap() {
        if let Arrival::Media(VIDEO, packet) = &arrival {
            packets.push(Rtp::read(packet));
        }
        haul.take(&arrival).unwrap();
    }
    assert_one_stream(&packets, 90_000, GRACE);
    assert_eq!(haul.video.jumps(), 1);
    assert_eq!(haul.video.last().map(|last| last.frame), Some(12));
}

/// A publisher of video that describes itself like this.
fn publish_as(address: SocketAddr, sdp: &str) -> Result<(Connection, Source), PeerError> {
    let url = format!("rtsp://{address}/{PATH}");
    let mut connection = Connection::open(address)?;
    let sdp_type = [("Content-Type", "application/sdp")];
    connection.request("ANNOUNCE", &url, &sdp_type, sdp.as_bytes())?;
    let transport = "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record";
    let track = format!("{url}/streamid=0");
    connection.request("SETUP", &track, &[("Transport", transport)], b"")?;
    connection.request("RECORD", &url, &[], b"")?;
    Ok((connection, Source::new(SHORT_GROUPS)))
}

#[test]
fn other_payload_types_are_rewritten_to_those_that_readers_know() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, PATIENT);
        let mut first = Broadcast::start(rig.address(), PATH, Tracks::Video).unwrap();
        first.send(6).unwrap();
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        drop(first);
        wait_until_waiting(&rig);
        let (mut connection, mut source) =
            publish_as(rig.address(), &SDP.replace("96", "111")).unwrap();
        let mut frame = source.next_frame();
        for packet in &mut frame {
            packet[1] = (packet[1] & 0x80) | 111;
        }
        connection.send(&interleave(0, &frame)).unwrap();
        let mut is_frame_complete = false;
        while !is_frame_complete {
            if let Arrival::Media(_, packet) = reader.next_arrival().unwrap().unwrap() {
                assert_eq!(packet[1] & 0x7f, 96);
                is_frame_complete = packet[1] & 0x80 != 0;
            }
        }
        let described = reader_description(&rig);
        assert!(
            described.contains("m=video 0 RTP/AVP 96\r\n"),
            "{described}"
        );
    }
}

/// Type of an aggregation packet and of a fragment (RFC 6184, section 5.4).
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// Packets of parameter sets in front of each key frame of a source.
const SET_PACKETS: usize = 2;

#[test]
fn key_frames_without_parameter_sets_are_given_those_of_the_description() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\npathDefaults: {start: gop}\n");
        let (mut connection, mut source) = publish_as(rig.address(), SDP).unwrap();
        let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let mut number = 0u16;
        for frame in 0..11u64 {
            let mut packets = source.next_frame();
            if frame.is_multiple_of(SHORT_GROUPS.gop_frames) {
                packets.drain(..SET_PACKETS);
            }
            for packet in &mut packets {
                packet[2..4].copy_from_slice(&number.to_be_bytes());
                number += 1;
            }
            connection.send(&interleave(0, &packets)).unwrap();
        }
        let group = SHORT_GROUPS.gop_frames as usize * SHORT_GROUPS.frame_packets as usize;
        let packets = video_packets(&mut reader, 2 * (1 + group));
        assert_one_stream(&packets, 90_000, GRACE);
        for group in packets.chunks(1 + group) {
            let kinds: Vec<u8> = group
                .iter()
                .map(|packet| packet.payload[0] & 0x1f)
                .collect();
            assert_eq!(kinds[0], STAP_A);
            assert!(kinds[1..].iter().all(|kind| *kind == FU_A), "{kinds:?}");
            assert_eq!(group[0].timestamp, group[1].timestamp);
        }
        // Whoever comes now begins with the last group's, and is told their number and time.
        let mut late = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let first = video_packets(&mut late, 1).remove(0);
        assert_eq!(first.payload[0] & 0x1f, STAP_A);
        let start = &late.starts()[0];
        let told = (start.seq, start.rtptime);
        assert_eq!(told, (Some(first.sequence), Some(first.timestamp)));
    }
}

fn video_packets(reader: &mut Player, count: usize) -> Vec<Rtp> {
    let mut packets = Vec::new();
    while packets.len() < count {
        if let Arrival::Media(VIDEO, packet) = reader.next_arrival().unwrap().unwrap() {
            packets.push(Rtp::read(&packet));
        }
    }
    packets
}

#[test]
fn a_stream_is_described_with_the_parameter_sets_that_it_brings() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let (sets, rest) = SDP
            .split_once("sprop-parameter-sets=")
            .unwrap()
            .1
            .split_once(';')
            .unwrap();
        let without = SDP.replace(&format!("sprop-parameter-sets={sets};"), "");
        assert!(!rest.contains("sprop") && !without.contains("sprop"));
        let (mut connection, mut source) = publish_as(rig.address(), &without).unwrap();
        assert!(!reader_description(&rig).contains("sprop"));
        let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        for _ in 0..3 {
            connection
                .send(&interleave(0, &source.next_frame()))
                .unwrap();
        }
        // The owner is told after the frame that brings them, so the next one is enough to wait for.
        video_packets(
            &mut reader,
            SET_PACKETS + 2 * SHORT_GROUPS.frame_packets as usize,
        );
        let described = reader_description(&rig);
        assert!(described.contains(sets), "{described}");
        assert!(described.contains("o=- 0 1 "), "{described}");
        let snapshot = rig.snapshot();
        let track = snapshot.paths.first().and_then(|path| path.tracks.first());
        let parameters = format!("{:?}", track.unwrap().parameters);
        let size = "width: 320, height: 240";
        assert!(parameters.contains(size), "{parameters}");
    }
}

fn reader_description(rig: &Rig) -> String {
    let mut reader = Player::prepare(rig.address(), PATH, &[]).unwrap();
    let described = reader.describe().unwrap();
    String::from_utf8(described.body).unwrap()
}

#[test]
fn a_publisher_that_flaps_ten_times_a_second_keeps_its_readers_and_no_tasks_grow() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, PATIENT);
        let baseline = Baseline::take(&rig);
        let mut first = publish(&rig, 6);
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut readers = players(&rig, 2);
        first.send(5).unwrap();
        let mut tasks = Vec::new();
        let mut broadcast = first;
        for _ in 0..20 {
            let flapped_at = Instant::now();
            drop(broadcast);
            broadcast = publish(&rig, 6);
            tasks.push(
                rig.snapshot()
                    .shards
                    .iter()
                    .map(|shard| shard.tasks)
                    .sum::<u64>(),
            );
            rig.watch(Duration::from_millis(100).saturating_sub(flapped_at.elapsed()));
        }
        for reader in &mut readers {
            let [video, sound] = packets(reader, 20 * 6);
            assert_one_stream(&video, 90_000, GRACE);
            assert_one_stream(&sound, 8_000, GRACE);
        }
        let (first, most) = (tasks[0], tasks.iter().copied().max().unwrap());
        assert!(most <= first + 2, "tasks grow: {tasks:?}");
        assert!(!has_reader_ended(&rig));
        broadcast.teardown().unwrap();
        drop((broadcast, readers));
        baseline.assert_restored(&rig);
    }
}

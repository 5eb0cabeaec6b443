//! Where a reader begins, as its path's `start` says: what it is sent at once, with which timestamps and numbers, and that
//! it goes on as all others do.

use std::thread;
use std::time::Duration;

use shardcast_tests::peer::synthetic::Shape;
use shardcast_tests::peer::udp::UdpReader;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{
    Arrival, BOTH_LANES, Haul, Lane, Player, SOUND, VIDEO, VIDEO_LANE,
};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::rtp::{Rtp, Start, read_starts};

const PATH: &str = "live/camera";
/// Ten seconds of pictures from one key frame to the next.
const LONG_GROUPS: Shape = Shape {
    gop_frames: 300,
    ..SHORT_GROUPS
};
/// The same, of more bytes than the kernel holds of a connection whose peer does not read.
const BROAD: Shape = Shape {
    frame_packets: 15,
    pattern_bytes: 1200,
    ..LONG_GROUPS
};
/// So many of them have come when a reader does.
const CACHED: usize = 290;
/// And so many come later, still of the same group.
const LIVE: usize = 5;
/// From one picture of a broadcast to the next, at 90 kHz.
const UNIT_TICKS: u32 = 3000;
/// What a reader is brought to the live pictures with lasts a twentieth of a second.
const SPAN_TICKS: u32 = 4500;
/// Packets of a key picture before its slices.
const PARAMETER_SETS: usize = 2;
/// A packet over UDP that has not come by then is lost.
const SILENCE: Duration = Duration::from_secs(20);

/// Channels and tracks as readers set them up: the image that all share, images of others, and more than are kept.
const LANES: [&[Lane]; 7] = [
    &BOTH_LANES,
    &VIDEO_LANE,
    &[(VIDEO, 2, 3), (SOUND, 0, 1)],
    &[(VIDEO, 4, 5)],
    &[(VIDEO, 6, 7)],
    &[(VIDEO, 8, 9)],
    &[(VIDEO, 10, 11), (SOUND, 12, 13)],
];

/// A server on whose path most of a long group has come.
fn cached(house: House, start: &str) -> (Rig, Broadcast) {
    let rig = Rig::start(
        house,
        &format!("gatherReaders: 0\npathDefaults: {{start: {start}}}\n"),
    );
    let address = rig.address();
    let broadcast = Broadcast::start_shaped(address, PATH, Tracks::VideoAndSound, LONG_GROUPS);
    let mut broadcast = broadcast.unwrap();
    broadcast.send(CACHED as u64).unwrap();
    rig.wait_taken_in(PATH, broadcast.sent_bytes());
    (rig, broadcast)
}

/// The video that a reader was given.
#[derive(Default)]
struct Video(Vec<Rtp>);

impl Video {
    /// Reads so many packets, each the one that is due.
    fn read(&mut self, reader: &UdpReader, packets: usize) {
        for _ in 0..packets {
            let packet = reader.next_packet(SILENCE).unwrap().expect("a packet");
            self.0.push(Rtp::read(&packet));
        }
    }

    /// The timestamp of each access unit.
    fn timestamps(&self) -> Vec<u32> {
        let mut timestamps: Vec<u32> = self.0.iter().map(|packet| packet.timestamp).collect();
        timestamps.dedup();
        timestamps
    }

    /// All of the group, from its key frame with parameter sets on, numbers without a gap.
    fn assert_whole_group(&self) {
        let nal_types: Vec<u8> = self
            .0
            .iter()
            .map(|packet| packet.payload[0] & 0x1f)
            .collect();
        assert_eq!(nal_types[..3], [7, 8, 28], "SPS, PPS, fragment of a slice");
        for pair in self.0.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        }
        assert_eq!(self.timestamps().len(), CACHED + LIVE);
    }

    /// What was there before is pressed together before the live pictures, which are as they are.
    fn assert_pressed(&self) {
        let timestamps = self.timestamps();
        let edge = timestamps[CACHED - 1];
        for (unit, pair) in timestamps.windows(2).enumerate() {
            let apart = pair[1].wrapping_sub(pair[0]);
            match unit + 1 < CACHED {
                true => assert!((1..=SPAN_TICKS).contains(&apart), "unit {unit}: {apart}"),
                false => assert_eq!(apart, UNIT_TICKS, "unit {unit}"),
            }
        }
        assert!(edge.wrapping_sub(timestamps[0]) <= SPAN_TICKS);
    }

    /// The answer to PLAY has said where it begins.
    fn assert_begins_as_told(&self, start: &Start) {
        let told = (start.seq, start.rtptime);
        assert_eq!(told, (Some(self.0[0].sequence), Some(self.0[0].timestamp)));
    }
}

fn read_to_end(player: &mut Player) -> (Video, Haul) {
    let (mut video, mut haul) = (Video::default(), Haul::default());
    while let Some(arrival) = player.next_arrival().unwrap() {
        haul.take(&arrival).unwrap();
        if let Arrival::Media(VIDEO, packet) = &arrival {
            video.0.push(Rtp::read(packet));
        }
    }
    (video, haul)
}

#[test]
fn a_reader_that_catches_up_is_sent_the_group_at_once_and_is_live() {
    for house in House::ALL {
        let (rig, mut broadcast) = cached(house, "catchUp");
        let start = |lanes: &&[Lane]| Player::start(rig.address(), PATH, lanes).unwrap();
        let mut players: Vec<Player> = LANES.iter().map(start).collect();
        broadcast.send(LIVE as u64).unwrap();
        broadcast.teardown().unwrap();
        for player in &mut players {
            let (video, haul) = read_to_end(player);
            video.assert_whole_group();
            video.assert_pressed();
            video.assert_begins_as_told(&player.starts()[0]);
            if let Some(sound) = player.starts().get(1) {
                assert!(sound.seq.is_none() && sound.rtptime.is_some(), "{sound:?}");
                let packets = LIVE as u64..=LIVE as u64 + 1;
                assert!(packets.contains(&haul.sound.packets()), "from the edge on");
                assert_eq!(haul.sound.last(), Some((CACHED + LIVE) as u32 - 1));
            }
        }
    }
}

#[test]
fn a_reader_that_catches_up_has_the_key_picture_before_anything_else_comes() {
    for house in House::ALL {
        let (rig, _broadcast) = cached(house, "catchUp");
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        let mut haul = Haul::default();
        let all = CACHED as u64 * SHORT_GROUPS.frame_packets;
        player.read_packets(&mut haul, all).unwrap();
        assert!(haul.video.first().unwrap().starts_key_frame);
        assert_eq!(rig.session_of(player.local_address()).drops, 0);
    }
}

/// Readers over UDP who come at once catch up, and go on together.
fn catch_up_over_udp(house: House, readers: usize) {
    let (rig, mut broadcast) = cached(house, "catchUp");
    let (address, packets) = (rig.address(), SHORT_GROUPS.frame_packets as usize);
    let catch_up = move || {
        let reader = UdpReader::start(address, PATH).unwrap();
        let mut video = Video::default();
        video.read(&reader, CACHED * packets + PARAMETER_SETS);
        (reader, video)
    };
    let readers: Vec<_> = (0..readers).map(|_| thread::spawn(catch_up)).collect();
    let readers: Vec<_> = readers
        .into_iter()
        .map(|reader| reader.join().unwrap())
        .collect();
    broadcast.send(LIVE as u64).unwrap();
    for (reader, mut video) in readers {
        video.read(&reader, LIVE * packets);
        video.assert_whole_group();
        video.assert_pressed();
        let starts = read_starts(reader.play_response().header("RTP-Info").unwrap());
        video.assert_begins_as_told(&starts[0]);
    }
}

#[test]
fn a_reader_over_udp_catches_up_likewise() {
    for house in House::ALL {
        catch_up_over_udp(house, 1);
    }
}

#[test]
fn more_readers_over_udp_than_have_a_turn_at_once_catch_up() {
    catch_up_over_udp(House::SMALL, 40);
}

#[test]
fn a_reader_that_is_too_slow_to_catch_up_goes_on_at_a_key_frame_like_any() {
    for house in [House::SMALL, House::RIGID] {
        let configuration = "gatherReaders: 0\nreadTimeout: 60s\nwriteTimeout: 60s\npathDefaults: {start: catchUp, readerQueueBytes: 400K}\n";
        let rig = Rig::start(house, configuration);
        let broadcast = Broadcast::start_shaped(rig.address(), PATH, Tracks::Video, BROAD);
        let mut broadcast = broadcast.unwrap();
        broadcast.send(CACHED as u64).unwrap();
        rig.wait_taken_in(PATH, broadcast.sent_bytes());
        let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let mut quick = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        // As much again, and what it may have in its queue, is behind it before it reads; a key frame has just come then.
        let group = BROAD.gop_frames;
        broadcast
            .send(3 * group + LIVE as u64 - CACHED as u64)
            .unwrap();
        let mut haul = Haul::with_jumps();
        player
            .read_up_to(&mut haul, broadcast.packets() - 1)
            .unwrap();
        broadcast.teardown().unwrap();
        player.read_to_end(&mut haul).unwrap();
        quick.read_to_end(&mut Haul::with_jumps()).unwrap();
        let (first, last) = (haul.video.first().unwrap(), haul.video.last().unwrap());
        assert_eq!(first.packet, 0);
        assert_eq!(last.packet + 1, broadcast.packets());
        assert!(haul.video.jumps() >= 1, "it has lost nothing");
        assert!(haul.video.packets().is_multiple_of(BROAD.frame_packets));
    }
}

#[test]
fn a_reader_of_the_group_is_given_its_original_timestamps() {
    for house in [House::SMALL, House::RIGID] {
        let (rig, mut broadcast) = cached(house, "gop");
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        broadcast.send(LIVE as u64).unwrap();
        broadcast.teardown().unwrap();
        let (video, haul) = read_to_end(&mut player);
        video.assert_whole_group();
        video.assert_begins_as_told(&player.starts()[0]);
        let timestamps = video.timestamps();
        let apart = |pair: &[u32]| pair[1].wrapping_sub(pair[0]) == UNIT_TICKS;
        assert!(timestamps.windows(2).all(apart));
        assert!(haul.sound.packets() >= (CACHED + LIVE) as u64 - 1);
    }
}

#[test]
fn a_live_reader_begins_with_the_next_access_unit() {
    for house in [House::SMALL, House::RIGID] {
        let (rig, mut broadcast) = cached(house, "live");
        let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        broadcast.send(LIVE as u64).unwrap();
        broadcast.teardown().unwrap();
        let mut timestamps = Vec::new();
        while let Some(arrival) = player.next_arrival().unwrap() {
            if let Arrival::Media(_, packet) = arrival {
                timestamps.push(Rtp::read(&packet).timestamp);
            }
        }
        timestamps.dedup();
        assert_eq!(timestamps.len(), LIVE);
    }
}

#[test]
fn a_reader_of_sound_alone_catches_up_with_nothing() {
    let (rig, mut broadcast) = cached(House::SMALL, "catchUp");
    let mut player = Player::start(rig.address(), PATH, &[(SOUND, 0, 1)]).unwrap();
    broadcast.send(LIVE as u64).unwrap();
    broadcast.teardown().unwrap();
    let (_, haul) = read_to_end(&mut player);
    let packets = LIVE as u64..=LIVE as u64 + 1;
    assert!(packets.contains(&haul.sound.packets()));
}

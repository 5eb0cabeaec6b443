//! What a reader is given: every packet, in order, from a start point, on the channels and of the tracks that it asked for,
//! wherever it lands.

use shardcast_tests::peer::connection::Connection;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{
    Arrival, BOTH_LANES, Haul, Lane, Player, SOUND, VIDEO, VIDEO_LANE,
};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::rtp::Rtp;

const PATH: &str = "live/camera";
/// Video packets with counters in an access unit of a broadcast.
const UNIT_PACKETS: u64 = 3;
/// Access units in a group of pictures of a broadcast.
const GROUP_UNITS: u64 = 5;
/// Readers begin where it is known beforehand ...
const KEY_FRAME: &str = "pathDefaults: {start: keyFrame}\n";
/// ... and are spread.
const SPREAD: &str = "gatherReaders: 0\npathDefaults: {start: keyFrame}\n";

/// A broadcast of video and sound of which the server has taken `units` access units in.
fn broadcast(rig: &Rig, units: u64) -> Broadcast {
    let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound).unwrap();
    broadcast.send(units).unwrap();
    rig.wait_taken_in(PATH, broadcast.sent_bytes());
    broadcast
}

/// Reads to the end and checks that all of both tracks has come, from the key frame `first` on.
fn assert_whole(player: &mut Player, broadcast: &Broadcast, first: u64) {
    let mut haul = Haul::default();
    player.read_to_end(&mut haul).unwrap();
    let (begin, end) = (haul.video.first().unwrap(), haul.video.last().unwrap());
    assert_eq!((begin.frame, begin.packet), (first, first * UNIT_PACKETS));
    assert_eq!(end.packet + 1, broadcast.packets());
    assert_eq!(
        haul.sound.last().map(u64::from),
        Some(broadcast.units() - 1)
    );
    assert_eq!(haul.sound.packets(), broadcast.units() - first);
    haul.reports.sort_unstable();
    assert_eq!(haul.reports, [VIDEO, SOUND], "one clock per track");
}

#[test]
fn every_packet_of_both_tracks_comes_in_order_from_a_start_point_to_the_end() {
    for house in House::ALL {
        for gather in [0, 64] {
            let rig = Rig::start(house, &format!("gatherReaders: {gather}\n{KEY_FRAME}"));
            let mut broadcast = broadcast(&rig, 7);
            let mut players: Vec<Player> = (0..4)
                .map(|_| Player::start(rig.address(), PATH, &BOTH_LANES).unwrap())
                .collect();
            broadcast.send(60).unwrap();
            broadcast.teardown().unwrap();
            for player in &mut players {
                assert_whole(player, &broadcast, 2 * GROUP_UNITS);
            }
        }
    }
}

#[test]
fn a_reader_on_another_shard_than_the_owners_loses_nothing() {
    for house in [House::USUAL, House::RIGID] {
        let rig = Rig::start(house, SPREAD);
        let mut broadcast = broadcast(&rig, 1);
        let owner = rig.snapshot().paths[0].owner;
        let (mut here, mut there) = (Vec::new(), Vec::new());
        // The kernel spreads connections by a hash of their ports.
        while here.is_empty() || there.is_empty() {
            assert!(here.len() + there.len() < 100, "all on one shard");
            let player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
            let shard = rig.session_of(player.local_address()).shard;
            if shard == owner {
                &mut here
            } else {
                &mut there
            }
            .push(player);
        }
        broadcast.send(60).unwrap();
        broadcast.teardown().unwrap();
        for player in here.iter_mut().chain(&mut there) {
            assert_whole(player, &broadcast, GROUP_UNITS);
        }
    }
}

#[test]
fn peers_over_ipv4_and_over_ipv6_share_a_stream() {
    let rig = Rig::start(House::USUAL, KEY_FRAME);
    let addresses = [rig.address(), rig.address_v6()];
    for publisher in addresses {
        let mut broadcast = Broadcast::start(publisher, PATH, Tracks::VideoAndSound).unwrap();
        broadcast.send(1).unwrap();
        rig.wait_taken_in(PATH, broadcast.sent_bytes());
        let players = addresses.map(|reader| Player::start(reader, PATH, &BOTH_LANES).unwrap());
        broadcast.send(20).unwrap();
        broadcast.teardown().unwrap();
        for mut player in players {
            assert_whole(&mut player, &broadcast, GROUP_UNITS);
        }
        rig.wait_readers(PATH, 0);
    }
}

#[test]
fn a_reader_is_given_only_the_tracks_that_it_has_set_up() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, SPREAD);
        let mut broadcast = broadcast(&rig, 1);
        let lanes: [&[Lane]; 4] = [
            &[(VIDEO, 0, 1)],
            &[(VIDEO, 200, 17)],
            &[(SOUND, 2, 3)],
            &[(SOUND, 0, 1)],
        ];
        let mut players = lanes.map(|lanes| Player::start(rig.address(), PATH, lanes).unwrap());
        broadcast.send(20).unwrap();
        broadcast.teardown().unwrap();
        for (index, player) in players.iter_mut().enumerate() {
            let mut haul = Haul::default();
            player.read_to_end(&mut haul).unwrap();
            let (video, sound) = (haul.video.packets(), haul.sound.packets());
            let units = broadcast.units() - GROUP_UNITS;
            if index < 2 {
                assert_eq!((video, sound), (units * UNIT_PACKETS, 0));
                assert_eq!(haul.reports, [VIDEO]);
            } else {
                assert_eq!((video, sound), (0, units));
                assert_eq!(haul.reports, [SOUND]);
            }
        }
    }
}

#[test]
fn more_channel_maps_than_are_kept_as_images_are_served_at_once() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, SPREAD);
        let mut broadcast = broadcast(&rig, 1);
        let maps: [[Lane; 2]; 7] = [
            [(VIDEO, 2, 3), (SOUND, 0, 1)],
            [(VIDEO, 10, 11), (SOUND, 12, 13)],
            [(VIDEO, 255, 0), (SOUND, 1, 254)],
            [(VIDEO, 7, 5), (SOUND, 4, 6)],
            [(VIDEO, 100, 101), (SOUND, 0, 1)],
            [(VIDEO, 36, 64), (SOUND, 63, 35)],
            [(VIDEO, 0, 1), (SOUND, 2, 3)],
        ];
        let mut players: Vec<Player> = maps
            .iter()
            .map(|lanes| Player::start(rig.address(), PATH, lanes).unwrap())
            .collect();
        broadcast.send(60).unwrap();
        broadcast.teardown().unwrap();
        for player in &mut players {
            assert_whole(player, &broadcast, GROUP_UNITS);
        }
    }
}

#[test]
fn rtp_info_gives_every_track_the_time_of_one_instant() {
    for start in ["keyFrame", "gop", "live"] {
        let rig = Rig::start(
            House::RIGID,
            &format!("gatherReaders: 0\npathDefaults:\n  start: {start}\n"),
        );
        let mut broadcast = broadcast(&rig, 7);
        for _ in 0..4 {
            let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
            let starts = player.starts().to_vec();
            assert_eq!(starts.len(), 2, "{starts:?}");
            for (track, begin) in starts.iter().enumerate() {
                assert_eq!(begin.url, format!("{}/trackID={track}", player.url()));
                assert!(begin.rtptime.is_some(), "{start}: {starts:?}");
            }
            let seqs = starts.iter().filter(|start| start.seq.is_some()).count();
            assert_eq!(seqs, usize::from(start == "gop"), "{starts:?}");
            if let Some(begin) = starts.first().filter(|start| start.seq.is_some()) {
                assert_first_packet_is(&mut player, begin.seq, begin.rtptime);
            }
        }
        broadcast.teardown().unwrap();
    }
}

/// The next video packet.
fn next_video(player: &mut Player) -> Rtp {
    loop {
        match player.next_arrival().unwrap() {
            Some(Arrival::Media(VIDEO, packet)) => return Rtp::read(&packet),
            Some(_) => {}
            None => panic!("no video packet"),
        }
    }
}

fn assert_first_packet_is(player: &mut Player, seq: Option<u16>, rtptime: Option<u32>) {
    let rtp = next_video(player);
    assert_eq!((Some(rtp.sequence), Some(rtp.timestamp)), (seq, rtptime));
}

#[test]
fn readers_before_the_first_packet_are_told_every_tracks_time_too() {
    let rig = Rig::start(House::RIGID, "gatherReaders: 0\n");
    let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound).unwrap();
    let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
    let starts = player.starts().to_vec();
    assert_eq!(starts.len(), 2);
    assert!(
        starts
            .iter()
            .all(|start| start.rtptime.is_some() && start.seq.is_none())
    );
    broadcast.send(1).unwrap();
    let ticks = next_video(&mut player)
        .timestamp
        .wrapping_sub(starts[0].rtptime.unwrap());
    assert!(
        ticks < 10 * 90_000,
        "{} ticks after the start",
        ticks.cast_signed()
    );
}

#[test]
fn each_track_begins_with_its_clock_and_all_clocks_agree() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut broadcast = broadcast(&rig, 7);
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        let starts = player.starts().to_vec();
        broadcast.send(10).unwrap();
        let mut reports = Vec::new();
        let mut sources = [None, None];
        while sources.contains(&None) {
            match player.next_arrival().unwrap() {
                Some(Arrival::Report(track, report)) => reports.push((track, report)),
                Some(Arrival::Media(track, packet)) => {
                    sources[track].get_or_insert(Rtp::read(&packet).ssrc);
                }
                None => panic!("the stream has ended"),
            }
        }
        assert_eq!(reports.len(), 2);
        // What the reports make of the instant of RTP-Info is the same time for both tracks.
        let rates = [90_000.0, 48_000.0];
        let instants: Vec<f64> = reports
            .iter()
            .map(|(track, report)| {
                assert_eq!(Some(report.ssrc), sources[*track]);
                let start = starts[*track].rtptime.unwrap();
                let ticks = start.wrapping_sub(report.timestamp).cast_signed();
                report.ntp as f64 / 2f64.powi(32) + f64::from(ticks) / rates[*track]
            })
            .collect();
        let apart = (instants[0] - instants[1]).abs();
        assert!(apart < 0.001, "the clocks are {apart} s apart");
    }
}

#[test]
fn a_late_reader_waits_for_the_next_key_frame() {
    for house in House::ALL {
        let rig = Rig::start(house, SPREAD);
        let mut broadcast = broadcast(&rig, GROUP_UNITS + 2);
        let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        broadcast.send(GROUP_UNITS).unwrap();
        let mut haul = Haul::default();
        player.read_packets(&mut haul, 1).unwrap();
        assert_eq!(haul.video.first().unwrap().frame, 2 * GROUP_UNITS);
    }
}

#[test]
fn a_reader_of_the_group_begins_with_its_key_frame_at_once() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\npathDefaults:\n  start: gop\n");
        let mut broadcast = broadcast(&rig, GROUP_UNITS + 2);
        for _ in 0..3 {
            let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
            let mut haul = Haul::default();
            player.read_packets(&mut haul, 2 * UNIT_PACKETS).unwrap();
            assert_eq!(haul.video.first().unwrap().frame, GROUP_UNITS);
        }
        broadcast.teardown().unwrap();
    }
}

#[test]
fn parameter_sets_come_before_the_first_slice() {
    let rig = Rig::start(House::USUAL, "");
    let mut broadcast = broadcast(&rig, 1);
    let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    broadcast.send(10).unwrap();
    let nal_types = [(); 3].map(|()| next_video(&mut player).payload[0] & 0x1f);
    assert_eq!(nal_types, [7, 8, 28], "SPS, PPS, fragment of a slice");
}

#[test]
fn asking_about_another_path_does_not_change_what_is_played() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, KEY_FRAME);
        let mut wanted = broadcast(&rig, 1);
        let other = Broadcast::start(rig.address(), "another", Tracks::Video).unwrap();
        let mut player = Player::prepare(rig.address(), PATH, &BOTH_LANES).unwrap();
        let other_url = other.url().to_owned();
        player
            .connection()
            .ask("DESCRIBE", &other_url, &[], b"")
            .unwrap();
        player.play().unwrap();
        wanted.send(20).unwrap();
        wanted.teardown().unwrap();
        assert_whole(&mut player, &wanted, GROUP_UNITS);
    }
}

#[test]
fn asking_about_a_path_does_not_keep_a_publisher_from_recording() {
    let rig = Rig::start(House::USUAL, "");
    let other = Broadcast::start(rig.address(), "another", Tracks::Video).unwrap();
    let shape = shardcast_tests::scene::broadcast::SHORT_GROUPS;
    let mut publisher = Broadcast::announce(rig.address(), PATH, Tracks::Video, shape).unwrap();
    let connection: &mut Connection = publisher.connection();
    connection.ask("DESCRIBE", other.url(), &[], b"").unwrap();
    publisher.record().unwrap();
}

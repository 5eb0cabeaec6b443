//! How late packets leave for readers, and how far readers are behind: over TCP and UDP, and of one that does not read.

use std::time::{Duration, Instant};

use shardcast::{Role, SessionSnapshot};
use shardcast_tests::peer::synthetic::Shape;
use shardcast_tests::peer::udp::UdpReader;
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scrape::Scrape;
use shardcast_tests::wait::wait_until;

use super::{PATH, Scene};

const HISTOGRAM: &str = "shardcast_path_latency_seconds";

/// Packets whose lateness was counted for readers of the path.
fn counted(page: &Scrape) -> f64 {
    let name = format!("{HISTOGRAM}_count");
    page.sum(&name, &[("path", PATH)]).unwrap_or(0.0)
}

/// Packets that were taken from logs for readers.
fn taken_by_readers(rig: &Rig) -> f64 {
    let sessions = rig.snapshot().sessions;
    let readers = sessions.iter().filter(|of| of.role == Role::Reader);
    readers.map(|reader| reader.packets as f64).sum()
}

#[test]
fn every_packet_that_comes_while_a_reader_plays_counts_once_for_it() {
    for house in House::ALL {
        let mut scene = Scene::begin(house, 3, "gatherReaders: 0\n");
        scene.send(20);
        let packets = 3.0 * scene.broadcast.packets() as f64;
        let page = scene.wait("all packets", |page| {
            // Each was sent a report of the clock, too, which was read nowhere.
            let taken = taken_by_readers(&scene.rig) - 3.0;
            (taken >= packets && counted(page) == taken).then(|| page.clone())
        });
        let buckets: Vec<f64> = page
            .all(&format!("{HISTOGRAM}_bucket"), &[("path", PATH)])
            .map(|bucket| bucket.value)
            .collect();
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&counted(&page)));
        let of_path = [("path", PATH)];
        let figure = |name: &str| {
            let name = format!("shardcast_path_latency_{name}_seconds");
            page.sum(&name, &of_path).expect("a figure")
        };
        let figures = ["p50", "p99", "p999", "max"].map(figure);
        assert!(figures.is_sorted() && figures[0] > 0.0, "{figures:?}");
        let (sum, most) = (page.sum(&format!("{HISTOGRAM}_sum"), &of_path), figures[3]);
        assert!(sum.is_some_and(|sum| sum > 0.0 && sum <= 1.01 * most * counted(&page)));
        for (player, _) in &scene.players {
            let session = scene.rig.session_of(player.local_address());
            let latency = session.latency.expect("it was sent packets");
            assert!(latency.mean <= latency.max && latency.last <= latency.max);
            let lag = session.lag.expect("it plays");
            assert_eq!((lag.bytes, lag.time), (0, Duration::ZERO));
        }
    }
}

#[test]
fn packets_count_over_udp_too_and_readers_who_have_all_are_not_behind() {
    let mut scene = Scene::begin(House::USUAL, 0, "");
    let start = || UdpReader::start(scene.rig.address(), PATH).expect("it plays");
    let readers = [start(), start()];
    let before = scene.broadcast.packets();
    scene.broadcast.send(20).expect("units");
    let packets = (scene.broadcast.packets() - before) as f64;
    scene.wait("all packets", |page| {
        (counted(page) >= 2.0 * packets).then_some(())
    });
    let is_told = |session: &SessionSnapshot| {
        let lag = session.lag.is_some_and(|lag| lag.bytes == 0);
        lag && session.latency.is_some()
    };
    // Readers who go in step are told what they were sent once a second, at the next packet.
    let Scene { rig, broadcast, .. } = &mut scene;
    rig.wait_counters("their records", |snapshot| {
        broadcast.send(1).expect("a unit");
        let sessions = snapshot.sessions.iter();
        let mut readers = sessions.filter(|session| session.role == Role::Reader);
        readers.all(is_told).then_some(())
    });
    drop(readers);
}

#[test]
fn what_was_read_before_a_reader_began_says_nothing_of_lateness() {
    let mut scene = Scene::begin(House::SMALL, 0, "pathDefaults: {start: gop}\n");
    let age = Duration::from_millis(400);
    let sent = Instant::now();
    scene.broadcast.send(1).expect("a unit");
    wait_until(sent + age);
    let mut player = Player::start(scene.rig.address(), PATH, &VIDEO_LANE).expect("it plays");
    let mut haul = Haul::default();
    let read_up = |scene: &Scene, player: &mut Player, haul: &mut Haul| {
        let last = scene.broadcast.packets() - 1;
        player.read_up_to(haul, last).expect("they come");
    };
    read_up(&scene, &mut player, &mut haul);
    scene.broadcast.send(1).expect("a unit");
    read_up(&scene, &mut player, &mut haul);
    let session = scene.rig.wait_counters("a packet that counts", |snapshot| {
        let mut sessions = snapshot.sessions.iter();
        sessions.find(|session| session.latency.is_some()).cloned()
    });
    let latency = session.latency.expect("just seen");
    assert!(latency.max < age, "{latency:?}");
}

/// 18 KB in an access unit.
const BROAD: Shape = Shape {
    frame_packets: 15,
    pattern_bytes: 1200,
    ..SHORT_GROUPS
};

#[test]
fn a_reader_that_does_not_read_is_behind_although_it_is_written_nothing() {
    let configuration = "readTimeout: 60s\nwriteTimeout: 60s\npathDefaults:\n  readerQueueBytes: 1G\n  readerQueueAge: 1h\n";
    let rig = Rig::start(House::USUAL, configuration);
    let broadcast = Broadcast::start_shaped(rig.address(), PATH, Tracks::Video, BROAD);
    let mut broadcast = broadcast.expect("it publishes");
    let start = || Player::start(rig.address(), PATH, &VIDEO_LANE).expect("it plays");
    let (slow, mut quick) = (start(), start());
    let mut haul = Haul::default();
    let mut lag_of_slow = |units: u64| {
        broadcast.send(units).expect("units");
        let last = broadcast.packets() - 1;
        quick.read_up_to(&mut haul, last).expect("they come");
        let quick = rig.session_of(quick.local_address());
        assert!(quick.lag.is_none_or(|lag| lag.bytes < 400_000), "{quick:?}");
        (
            rig.session_of(slow.local_address()).lag,
            broadcast.sent_bytes(),
        )
    };
    // Far more than the kernel holds of a connection whose peer does not read.
    let (first, sent_first) = lag_of_slow(500);
    let (second, sent_second) = lag_of_slow(100);
    let (first, second) = (first.expect("it plays"), second.expect("it plays"));
    assert!(first.bytes > 500_000, "{first:?}");
    let grown = second.bytes - first.bytes;
    assert!(
        grown <= sent_second - sent_first + 100_000 && grown > 900_000,
        "{grown}"
    );
    assert!(second.time > first.time, "{first:?} {second:?}");
    assert!(second.time < PATIENCE);
}

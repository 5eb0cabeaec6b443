//! Many at once: connections that come and go, names that nobody publishes, peers that declare much and send little,
//! readers that take nothing. Memory and descriptors are those of a process of its own.

use std::net::SocketAddr;
use std::time::Duration;

use shardcast::RefusalReason;
use shardcast_tests::daemon::Daemon;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::synthetic::Shape;
use shardcast_tests::procfs::{Process, Sockets};
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::bystander::{BYSTANDER, Bystander};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::wait::poll_until;
use socket2::SockRef;

/// Two shards and every path open.
const OPEN: &str = "shards: 2\npaths:\n  all_others:\n";

/// The daemon's descriptors are back at `before` within 5 s.
fn assert_descriptors_restored(daemon: &Daemon, before: usize) {
    let process = Process::of(daemon.process_id());
    let back = poll_until(Duration::from_secs(5), || {
        (process.descriptors() <= before).then_some(())
    });
    let now = process.descriptors();
    assert!(back.is_some(), "{now} descriptors, {before} before");
}

#[test]
fn a_thousand_connections_come_and_go_and_leave_nothing() {
    let daemon = Daemon::start(OPEN).unwrap();
    let bystander = Bystander::begin(daemon.address());
    let before = Process::of(daemon.process_id()).descriptors();
    let url = format!("rtsp://{}/{BYSTANDER}", daemon.address());
    for _ in 0..4 {
        let mut connections: Vec<Connection> = (0..250)
            .map(|_| Connection::open(daemon.address()).unwrap())
            .collect();
        for (index, connection) in connections.iter_mut().enumerate() {
            match index % 5 {
                0 => connection.send(b"OPTIONS rtsp").unwrap(),
                1 => drop(connection.request("DESCRIBE", &url, &[], b"").unwrap()),
                2 => SockRef::from(connection.socket())
                    .set_linger(Some(Duration::ZERO))
                    .unwrap(),
                3 => connection.half_close().unwrap(),
                _ => {}
            }
        }
    }
    assert_descriptors_restored(&daemon, before);
    bystander.finish();
    daemon.stop().unwrap();
}

/// Peers that declare much and send little.
const STALLERS: usize = 200;

/// The first bytes of a frame of 65535.
const FRAME: &[u8] = b"$\x00\xff\xff0123456789";

/// The first bytes of a body of 128 KiB, the most that is allowed.
fn begun_body(address: SocketAddr) -> Vec<u8> {
    let request = format!("ANNOUNCE rtsp://{address}/a RTSP/1.0\r\nCSeq: 1\r\n");
    format!("{request}Content-Length: 131072\r\n\r\nv=0\r\no=- 0").into_bytes()
}

/// Waits until the daemon has read all that was sent to it.
fn wait_all_read(daemon: &Daemon) {
    let read = poll_until(PATIENCE, || {
        (Sockets::on(daemon.port()).unread_bytes == 0).then_some(())
    });
    assert!(read.is_some(), "{:?}", Sockets::on(daemon.port()));
}

/// What the daemon's memory grows by when each of these connections sends `begun`.
fn growth(daemon: &Daemon, stallers: &mut [Connection], begun: &[u8]) -> u64 {
    let process = Process::of(daemon.process_id());
    let (resident, data) = (process.resident_bytes(), process.data_bytes());
    for staller in stallers {
        staller.send(begun).unwrap();
    }
    wait_all_read(daemon);
    let resident = process.resident_bytes().saturating_sub(resident);
    resident.max(process.data_bytes().saturating_sub(data))
}

#[test]
fn memory_follows_the_bytes_that_came_and_not_those_that_were_declared() {
    for driver in ["io_uring", "epoll"] {
        let daemon = Daemon::start(&format!("driver: {driver}\n{OPEN}")).unwrap();
        let bystander = Bystander::begin(daemon.address());
        let before = Process::of(daemon.process_id()).descriptors();
        let body = begun_body(daemon.address());
        for (begun, declared) in [(FRAME, 65_535), (&body[..], 131_072)] {
            let open = || Connection::open(daemon.address()).unwrap();
            let mut stallers: Vec<Connection> = (0..STALLERS).map(|_| open()).collect();
            // Each has what a connection that asks has, before it declares anything.
            let url = format!("rtsp://{}/{BYSTANDER}", daemon.address());
            for staller in &mut stallers {
                staller.request("OPTIONS", &url, &[], b"").unwrap();
            }
            let grown = growth(&daemon, &mut stallers, begun);
            let limit = STALLERS as u64 * declared / 16;
            assert!(
                grown < limit,
                "{driver}: {grown} bytes, {declared} declared by each"
            );
        }
        bystander.finish();
        assert_descriptors_restored(&daemon, before);
        daemon.stop().unwrap();
    }
}

/// Stalled peers are measured against none so often, until once the machine leaves both alone.
const COMPARISONS_MAX: usize = 12;

/// How long each side of a comparison lasts.
const COMPARED: Duration = Duration::from_secs(1);

#[test]
fn stalled_peers_leave_a_bystanders_p99_within_a_quarter_of_what_it_is_without() {
    let ordeal = Ordeal::begin(House::RIGID, "gatherReaders: 0\nreadTimeout: 60s\n");
    let body = begun_body(ordeal.rig.address());
    let mut measured = Vec::new();
    for _ in 0..COMPARISONS_MAX {
        let p99 = || {
            let _before = ordeal.bystander.take_p99();
            ordeal.rig.watch(COMPARED);
            ordeal.bystander.take_p99().expect("units have come")
        };
        let quiet = p99();
        let open = |_| Connection::open(ordeal.rig.address()).unwrap();
        let mut stallers: Vec<Connection> = (0..STALLERS).map(open).collect();
        for (index, staller) in stallers.iter_mut().enumerate() {
            let begun = if index % 2 == 0 { &body[..] } else { FRAME };
            staller.send(begun).unwrap();
        }
        let beset = p99();
        drop(stallers);
        measured.push((quiet, beset));
        if beset <= quiet + quiet / 4 {
            return ordeal.finish();
        }
    }
    panic!("p99 without and with stalled peers: {measured:?}");
}

#[test]
fn a_publishers_begun_frame_costs_no_memory_for_its_rest() {
    let daemon = Daemon::start(OPEN).unwrap();
    let bystander = Bystander::begin(daemon.address());
    let publish = |number| {
        let path = format!("staller/{number}");
        Broadcast::start(daemon.address(), &path, Tracks::Video).unwrap()
    };
    let mut publishers: Vec<Broadcast> = (0..60).map(publish).collect();
    for publisher in &mut publishers {
        publisher.send(1).unwrap();
    }
    wait_all_read(&daemon);
    let process = Process::of(daemon.process_id());
    let (resident, data) = (process.resident_bytes(), process.data_bytes());
    for publisher in &mut publishers {
        publisher.connection().send(FRAME).unwrap();
    }
    wait_all_read(&daemon);
    let resident = process.resident_bytes().saturating_sub(resident);
    let grown = resident.max(process.data_bytes().saturating_sub(data));
    assert!(grown < 60 * 65_535 / 8, "{grown} bytes");
    drop(publishers);
    bystander.finish();
    daemon.stop().unwrap();
}

#[test]
fn readers_that_take_nothing_cost_a_bounded_part_of_memory() {
    let configuration = "shards: 2\ngatherReaders: 0\nreadTimeout: 60s\nwriteTimeout: 60s\n\
        pathDefaults:\n  logBytes: 1M\n  readerQueueBytes: 512K\npaths:\n  all_others:\n";
    let daemon = Daemon::start(configuration).unwrap();
    let shape = Shape {
        frame_packets: 20,
        pattern_bytes: 1200,
        ..SHORT_GROUPS
    };
    let path = "live/broad";
    let mut broadcast =
        Broadcast::start_shaped(daemon.address(), path, Tracks::Video, shape).unwrap();
    let start = || Player::start(daemon.address(), path, &VIDEO_LANE).unwrap();
    let (mut quick, mut haul) = (start(), Haul::default());
    let stuck: Vec<Player> = (0..20).map(|_| start()).collect();
    let mut send = |units| {
        for _ in 0..units {
            broadcast.send(1).unwrap();
            quick
                .read_up_to(&mut haul, broadcast.packets() - 1)
                .unwrap();
        }
    };
    send(100);
    let process = Process::of(daemon.process_id());
    let before = process.resident_bytes();
    send(1000);
    let grown = process.resident_bytes().saturating_sub(before);
    // 20 readers may each pin a write of 256 KiB; each shard has a log of 1 MiB, in chunks that batches share.
    assert!(grown < 12 << 20, "{grown} bytes more after 24 MB of stream");
    drop(stuck);
    daemon.stop().unwrap();
}

#[test]
fn a_flood_of_names_leaves_no_paths() {
    let ordeal = Ordeal::begin(House::USUAL, "");
    for round in 0..30 {
        let mut connection = Connection::open(ordeal.rig.address()).unwrap();
        for name in 0..40 {
            let url = format!("rtsp://{}/flood/{round}/{name}", ordeal.rig.address());
            connection.ask("DESCRIBE", &url, &[], b"").unwrap();
        }
    }
    let paths = ordeal.rig.snapshot().paths;
    let names: Vec<String> = paths.iter().map(|path| path.name.to_string()).collect();
    assert_eq!(names, [BYSTANDER]);
    ordeal.wait_refused(&[(RefusalReason::NotFound, 30 * 40)]);
    ordeal.finish();
}
